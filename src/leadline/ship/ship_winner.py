"""The verdict's winner as one file, checked row by row; where that fails, the one it was compared with."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leadline.core.record_keys import wrong_keys
from leadline.core.records import Contract, Sample, Verdict
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.metrics.cost import Need
from leadline.race.judge import Judged
from leadline.race.stages import Stages
from leadline.ship.assemble import assemble
from leadline.ship.certificate import certify, record
from leadline.ship.parity import Parity, check
from leadline.system.errors import LeadlineError
from leadline.system.resources import versions
from leadline.system.version import __version__
from leadline.use.model import Model

MODEL = "model.onnx"  # in the run folder
PATIENCE = 60.0  # seconds for a graph
SAMPLE = 600  # tokens of a language model's own writing in the report
LICENCE = "The model and its weights belong to whoever made this run; Leadline itself is under the MIT licence."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shipment:
    """What became of the winner. `contender` and `parity` are None where nothing could be shipped."""

    verdict: Verdict  # its winner is the one that is shipped
    contender: str | None = None
    parity: Parity | None = None
    refusals: tuple[str, ...] = ()  # why others could not be


def ship_winner(
    judged: Judged, table: Table, folder: Path, stages: Stages, needs: Sequence[Need] = ()
) -> Shipment:  # fmt: skip
    """Export the winner and check it row by row; where that fails, say so and ship the other one.

    Args:
        needs: the user's conditions, of which the one on size is met by the whole file.
    """
    race, verdict, store = judged.race, judged.trials.verdict, judged.race.store
    path, refusals = folder / MODEL, list[str]()
    excluded = {} if judged.trials.needs is None else judged.trials.needs["excluded"]
    for name in dict.fromkeys([verdict.winner, verdict.against]):
        entry = next((entry for entry in race.entries if entry.name == name), None)
        if entry is None or entry.baseline or name in excluded:
            continue
        facts = {
            "contender": name, "metric": store.task.metric, "score": judged.scored[entry.name].score,
            "leadline": __version__, "versions": versions(), "data_hash": table.source.digest,
            **_licences(entry.facts.get("transfer")),
        }  # fmt: skip
        try:
            certain = judged.certain.get(entry.name)
            path.write_bytes(assemble(store, race.export(entry, patience=PATIENCE), facts, certain))
            stages.end("export")
            model = Model(path)
            if wrong := list(wrong_keys(model.contract, Contract, "the contract")):
                warnings.warn(f"The model's contract is not as its schema says: {'; '.join(wrong)}.", stacklevel=2)
            answers = judged.answers[entry.name]
            parity = check(model, table, store, answers)
            certify(path, record(model, table, store.split.test, answers, parity, "the trained contender"))
            _fits(path, entry.name, needs)
            stages.end("parity")
        except LeadlineError as error:
            path.unlink(missing_ok=True)
            refusals.append(str(error))
            stages.journal.write("not shipped", contender=name, why=str(error))
            continue
        stages.journal.write("shipped", contender=name, **dataclasses.asdict(parity))
        if name != verdict.winner:
            why = f"{verdict.why} {refusals[0]} So {name} is shipped."
            verdict = dataclasses.replace(verdict, winner=name, against=verdict.winner, why=why)
        return Shipment(verdict=verdict, contender=name, parity=parity, refusals=tuple(refusals))
    return Shipment(verdict=verdict, refusals=tuple(refusals))


def _fits(path: Path, name: str, needs: Sequence[Need]) -> None:
    """Refuse a file over the limit of size: beside what a contender learned it holds how values are read."""
    for need in needs:
        if need.name == "max_size" and (why := need.refusal({"bytes": path.stat().st_size})) is not None:
            raise LeadlineError(f"{name} is not shipped: as a file {why}.")


def _licences(transfer: dict[str, Any] | None) -> dict[str, Any]:
    """The licence of the file, and of the weights of others in it."""
    bodies = [] if transfer is None else transfer["bodies"]
    held = {f"{body['name']} ({body['source']}; {body['paper']}; licence {body['licence']})" for body in bodies}
    names = ("name", "package", "licence", "source", "digest", "layers")
    facts: dict[str, Any] = {"licence": " ".join([LICENCE, *(f"It holds weights of {each}." for each in sorted(held))])}
    return facts | (
        {"bodies": [{name: body[name] for name in names if name in body} for body in bodies]} if bodies else {}
    )


def shipped(shipment: Shipment, store: Store, folder: Path, score: float) -> dict[str, Any]:
    """The `shipped` of result.json; of a language model also a passage that the file writes."""
    path = folder / MODEL
    facts: dict[str, Any] = {
        "file": path.name, "contender": shipment.contender, "score": score, "bytes": path.stat().st_size,
        "parity": dataclasses.asdict(shipment.parity) if shipment.parity else None,
    }  # fmt: skip
    if store.task.generative:
        model = Model(path)
        facts["sample"] = Sample(token_unit=model.contract["unit"], passage=model.generate(length=SAMPLE))
    return facts
