"""Candidates as files, and what each takes and gives: bytes, microseconds, memory, and quality on the choosing rows.

Enters: candidates (networks). Leaves: entries of the frontier, each a whole file: the network is calibrated again,
joined to its encode graphs, and measured as it would ship.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from leadline.config import Settings
from leadline.core.records import Certificate
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.graph.digest import DIGEST, with_digest
from leadline.kinds.tokens import START
from leadline.metrics.metrics import METRICS
from leadline.ship.assemble import assemble
from leadline.ship.certificate import certify, record
from leadline.ship.parity import TOLERANCE, Parity, answered
from leadline.shrink.candidates import Candidate
from leadline.shrink.choose import Chosen, count_units
from leadline.shrink.compact import compact
from leadline.shrink.network import network_of, scores
from leadline.shrink.recipes import Port
from leadline.shrink.stopwatch import Measured, measure
from leadline.stats.foreseen import Evidence, evidence
from leadline.stats.noninferiority import Comparison, compare
from leadline.stats.uncertainty import Certainty, certainty_of
from leadline.use.model import Model

__all__ = ["Bench", "Entry"]

VALID = 2_000  # valid rows at most by which candidates are made
BATCH = 256  # rows
AGAIN = 2  # times that files are timed in turn where speed decides
# What the contract says as before.
KEPT = ("contender", "metric", "leadline", "versions", "data_hash", "licence", "bodies")
# Of the certificate that a candidate has before it is judged, in as many letters as that may take.
WIDEST = Comparison(rows=999_999, drop=0.0, upper=1 / 30_000.1, p=1.0, limit=1 / 30_000.1)
INTEGER_TOLERANCE = 0.01  # of a probability or the spread of values: rounding to 8 bits turns last bits into steps


class FinishedRun(Protocol):
    """The data of a finished run (results/run_data.py)."""

    @property
    def settings(self) -> Settings: ...
    @property
    def table(self) -> Table: ...
    @property
    def store(self) -> Store: ...
    @property
    def model(self) -> Model: ...
    @property
    def unread_test(self) -> np.ndarray: ...


@dataclasses.dataclass(kw_only=True)
class Entry:
    """A file on the frontier. `answers` are those to the choosing rows, calibrated."""

    name: str
    describe: str
    path: Path
    took: Measured
    answers: np.ndarray
    bench: Bench = dataclasses.field(repr=False)
    candidate: Candidate | None = None
    certain: Certainty | None = None
    status: str = ""  # why it does not ship; empty while it may

    @property
    def integer(self) -> bool:
        return self.candidate is not None and self.candidate.integer

    @property
    def finite(self) -> bool:
        """Whether it answers every choosing row with numbers."""
        return bool(np.isfinite(self.answers).all())

    @property
    def facts(self) -> dict[str, Any]:
        return {"bytes": self.path.stat().st_size, **self.took}

    def measured(self, key: str) -> float:
        return float(self.facts[key])

    def compared(self, limit: float) -> Comparison:
        """Beside the model of the run, on the choosing rows."""
        bench, rows = self.bench, self.bench.chooses
        return compare(bench.truth[rows], bench.full[rows], self.answers, bench.metric, limit)

    def evidence(self, limit: float) -> Evidence:
        """What the choosing rows say of it."""
        bench, rows = self.bench, self.bench.chooses
        return evidence(
            bench.store.task, bench.truth[rows], bench.full[rows], self.answers, limit, bench.judging_units,
            bench.group_of(bench.rows[rows]),
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """A row of the frontier; `drop` and `score` are of the choosing rows."""
        bench, full = self.bench, self.candidate is None
        return {
            "name": self.name, "describe": self.describe, **self.facts, "status": self.status,
            "drop": None if full else self.compared(1.0).drop,
            "score": bench.metric(bench.truth[bench.chooses], self.answers) if self.finite else None,
        }  # fmt: skip


class Bench:
    """What all candidates are measured on, and beside."""

    def __init__(
        self, data: FinishedRun, model: Model, places: Chosen, group: np.ndarray | None, scratch: Path
    ) -> None:  # fmt: skip
        """
        Args:
            group: of each row of the table; those of one group count together.
        """
        import onnx

        self.data, self.model, self.store, self.table = data, model, data.store, data.table
        self.metric = METRICS[self.store.task.metric]
        self.chooses, self.judges, self.choosing_part = places.chooses, places.judges, places.part
        self.rows, self.scratch, self._group = places.rows, scratch, group
        self.judging_units = count_units(group, self.rows[self.judges])
        self.truth = np.asarray(self.table.labels[self.rows])
        self.network = network_of(onnx.load(str(model.path)), self.store)
        self.full = answered(model, self.table, self.store, self.rows)
        self.notes: list[str] = []
        self.calibration = self._calibration_rows()
        self._valid = self.store.split.valid[:VALID]
        self._valid_answers: np.ndarray | None = None
        self._feeds = self._rows_to_time()
        self.base = Entry(
            name="full", describe="the model of the run", path=model.path, took=measure(model.path, *self._feeds),
            answers=self.full[self.chooses], bench=self,
        )  # fmt: skip

    def group_of(self, rows: np.ndarray) -> np.ndarray | None:
        """The groups of rows of the table; None where each counts alone."""
        return None if self._group is None else self._group[rows]

    @property
    def inputs(self) -> list[Port]:
        """What the file takes of one row."""
        return _ports(self._feeds[0])

    def outputs(self, entry: Entry) -> list[Port]:
        """What a file gives of one row."""
        return _ports(Model(entry.path).outputs(self._feeds[0]))

    def distance(self, network: Any) -> float:
        """Mean square by which a network's answers to valid rows differ from those of the model, before calibration."""
        full, small = self._on_valid(network)
        apart = float(np.mean((small.astype(np.float64) - full) ** 2))
        return apart if math.isfinite(apart) else math.inf

    def doubtful(self, network: Any, limit: float) -> bool:
        """Whether the upper bound of a network's drop would not lie below a limit, were the judging rows as the valid
        rows are."""
        full, small = self._on_valid(network)
        group = self.group_of(self._valid)
        found = compare(self.store.labels[self._valid], full, small, self.metric, limit, group)
        units = count_units(self._group, self._valid) / max(1, self.judging_units)
        spread = (found.upper - found.drop) * math.sqrt(units)
        return found.drop + spread > limit

    def _on_valid(self, network: Any) -> tuple[np.ndarray, np.ndarray]:
        """Answers of the model and of a network to valid rows."""
        if self._valid_answers is None:
            self._valid_answers = scores(self.network, self.store, self._valid)
        return self._valid_answers, scores(network, self.store, self._valid)

    def entry(self, candidate: Candidate) -> Entry:
        """A candidate as a file, measured."""
        certain, answers = self._calibrated(candidate)
        path = self.scratch / f"{candidate.name.replace('/', '-').replace(' ', '-')}.onnx"
        path.write_bytes(self._file(candidate, certain, self.chooses, answers))
        if answers is None:
            answers = answered(Model(path), self.table, self.store, self.rows[self.chooses])
        self._certify(path, self.chooses, answers, candidate.integer, WIDEST)  # its bytes count too
        return Entry(
            name=candidate.name, describe=candidate.describe, path=path, took=measure(path, *self._feeds),
            answers=answers, bench=self, candidate=candidate, certain=certain,
        )  # fmt: skip

    def time_again(self, entries: Sequence[Entry]) -> None:
        """Time files, and the model, in turn, and keep the least of all times: what is timed once, alone, is noise."""
        for _ in range(AGAIN):
            for entry in (self.base, *entries):
                found = measure(entry.path, *self._feeds)
                entry.took["one_us"] = min(entry.took["one_us"], found["one_us"])
                entry.took["batch_us"] = min(entry.took["batch_us"], found["batch_us"])

    def judged(self, entry: Entry) -> np.ndarray:
        """What its file answers the raw values of the judging rows."""
        return answered(Model(entry.path), self.table, self.store, self.rows[self.judges])

    def ship(self, entry: Entry, proof: Comparison, path: Path) -> None:
        """Write the file with its score on the judging rows and its certificate."""
        assert entry.candidate is not None
        small = self.judged(entry)
        path.write_bytes(self._file(entry.candidate, entry.certain, self.judges, small))
        self._certify(path, self.judges, small, entry.integer, proof)

    def _certify(self, path: Path, places: np.ndarray, small: np.ndarray, integer: bool, proof: Comparison) -> None:
        """Add the certificate of a file that answers `small` to some of the rows."""
        rows, full = self.rows[places], self.full[places]
        apart, task = np.abs(small - full), self.store.task
        parity = Parity(
            rows=len(rows), max_difference=float(apart.max()),
            decisions_differ=0 if task.generative else int(task.flips(full, small).sum()),
        )  # fmt: skip
        tolerance = (INTEGER_TOLERANCE if integer else TOLERANCE) * task.unit(small)
        made: Certificate = record(Model(path), self.table, rows, small, parity, "the full model", tolerance)
        made |= {"max_drop": proof.limit, "upper": proof.upper, "judged_rows": proof.rows}
        certify(path, made)

    def _file(
        self, candidate: Candidate, certain: Certainty | None, rows: np.ndarray, answers: np.ndarray | None
    ) -> bytes:  # fmt: skip
        """The whole file; `answers` to which of the rows tell its score (None: as the full model)."""
        import onnx

        facts = {key: self.model.contract[key] for key in KEPT if key in self.model.contract}
        facts["score"] = self.metric(self.truth[rows], self.full[rows] if answers is None else answers)
        data = assemble(self.store, candidate.network.SerializeToString(), facts, certain)
        model = onnx.load_from_string(data)
        compact(model)
        kept = [each for each in model.metadata_props if each.key != DIGEST]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
        return with_digest(model.SerializeToString())

    def _calibrated(self, candidate: Candidate) -> tuple[Certainty | None, np.ndarray | None]:
        """How its answers are calibrated, and those to the choosing rows; None: of text the file gives them."""
        if self.store.task.generative:
            return None, None
        answers = scores(candidate.network, self.store, self.rows[self.chooses])
        seed, coverage = self.data.settings.seed, self.data.settings.coverage
        if self.calibration == "calib":
            rows = self.store.split.calib
            certain = certainty_of(
                self.store, self.store.labels[rows], scores(candidate.network, self.store, rows), seed, coverage
            )
        elif self.calibration == "choosing":
            certain = certainty_of(self.store, self.truth[self.chooses], answers, seed, coverage)
        else:
            return None, answers
        return certain, certain(answers)

    def _calibration_rows(self) -> str:
        """Which rows calibrate: calib; where the run had none, but calibrated on other folds, the choosing rows."""
        if len(self.store.split.calib):
            return "calib"
        if "coverage" not in self.model.contract:
            return "none"
        self.notes.append(
            "The run calibrated on other folds, which no longer exist: the smaller file is calibrated on the test rows "
            "that choose, and the other half judges it."
        )
        return "choosing"

    def _rows_to_time(self) -> tuple[dict[str, Any], dict[str, Any], int]:
        """Inputs of the file for one row, for a batch of rows of one shape, and how many these are."""
        rows = self.rows[self.chooses][:BATCH]
        if self.store.task.generative:
            initial = self.model.reader().initial(1)
            (text,) = self.model.contract["inputs"]
            states = self.model.contract["state"]
            state = {item["name"]: value for item, value in zip(states, initial, strict=True)}
            feeds = {text: np.array([""], object), **state}
            one, many = (np.full((1, length), START, np.int64) for length in (1, BATCH))
            return {**feeds, "ids": one}, {**feeds, "ids": many}, BATCH
        frame = self.table.take(rows, list(self.model.contract["inputs"]))
        calls = self.model.calls(frame, self.table.source.root)
        places, batch = max(calls, key=lambda call: len(call[0]))
        return {name: values[:1] for name, values in batch.items()}, batch, len(places)


def _ports(values: Mapping[str, np.ndarray]) -> list[Port]:
    return [(name, each.dtype.name, list(each.shape)) for name, each in values.items()]
