"""From a finished race to what is written down: result.json, the table of test predictions, and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from leadline.contenders.families import BASELINE
from leadline.core.note import FROM_SCRATCH, SAMPLED
from leadline.core.records import ColumnResult, ContenderResult, RepeatResult
from leadline.core.task import Task
from leadline.dataset.audit import COUNTED
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.dataset.token_scoring import stream
from leadline.flaws.flaw import Flaw
from leadline.kinds import KINDS
from leadline.metrics.metrics import METRICS
from leadline.metrics.multilabel import joined, unpacked
from leadline.race.entry import ContenderRun
from leadline.race.judge import Judged
from leadline.race.race import Race
from leadline.results.examples import Example, Found, Journey
from leadline.results.thumbnails import picture, sound
from leadline.results.walkthrough import journey
from leadline.stats import calibration, conformal
from leadline.stats.repeat import Repeat
from leadline.stats.uncertainty import Certainty
from leadline.use.model import Model

ROOMY = 1.1  # times the seconds of a run, of a budget that has them on another day too
FLAWED = 6  # rows of a flaw in the report
PASSAGES = 6  # hardest ones in the report
SHOWN = 24  # worst mistakes in the report
PACKED = object()  # bytes of a file, which tell a reader nothing


def contenders(judged: Judged, began: float) -> list[ContenderResult]:
    """The `contenders` of result.json: scores are of the first repeat; `seeds` are those it was trained from in all.

    `began`: the monotonic moment at which the run did.
    """
    rows: list[ContenderResult] = []
    race, scored, held, store = judged.race, judged.scored, judged.trials.repeats, judged.race.store
    tokens = len(stream(store, store.split.test)[0]) if store.task.generative else 0
    for entry in race.entries:
        found = scored.get(entry.name)
        facts = entry.facts
        rows.append({
            "name": entry.name, "family": entry.family, "status": entry.status, "why": entry.why,
            "code": entry.code, "ran_s": race.ran(entry.name, began),
            "score": found.score if found else None, "low": found.low if found else None,
            "high": found.high if found else None, "valid_score": facts.get("score"),
            "seeds": len({one.seed for one in held if entry.name in one.answers}),
            "fit_s": facts.get("fit_s"), "fit_cpu_s": facts.get("fit_cpu_s"),
            "predict_us": facts.get("predict_us"), "one_us": facts.get("one_us"), "params": facts.get("params"),
            "bytes": facts.get("bytes"), "peak_mb": facts.get("peak_mb"), "curve": entry.curve,
            "describe": facts.get("describe", []), "undertrained": facts.get("undertrained"),
            "trained_on_valid": facts.get("trained_on_valid"),
        })  # fmt: skip
        if "transfer" in facts:
            rows[-1]["transfer"] = facts["transfer"]
        if "init" in facts:
            rows[-1]["init"] = facts["init"]
        if tokens and found:
            rows[-1]["perplexity"] = float(2 ** (judged.answers[entry.name].sum() / tokens))
    return rows


def repeats(held: Sequence[Repeat]) -> list[RepeatResult]:
    """The `repeats_run` of result.json: what every contender scored in each."""
    return [
        {
            "repeat": one.number,
            "fold": one.fold,
            "seed": one.seed,
            "seconds": round(one.seconds, 1),
            "scores": one.scores,
        }
        for one in held
    ]


def certainties(
    task: Task,
    certain: Mapping[str, Certainty],
    truth: np.ndarray,
    raw: Mapping[str, np.ndarray],
    shipped: str | None,
) -> dict[str, Any]:
    """The `calibration` and `conformal` of result.json, measured on the test rows."""
    made = {
        name: {
            **calibration.summary(each.calibrator, truth, raw[name]),
            "changed": int(task.flips(raw[name], each(raw[name])).sum()),
        }
        for name, each in certain.items()
        if each.calibrator is not None
    }
    its = certain.get(shipped or "")
    if its is None or its.conformal is None:
        return {"calibration": made or None, "conformal": None}
    answers = its(raw[shipped or ""])
    if isinstance(its.calibrator, calibration.LabelCalibrator):
        truth = unpacked(truth, answers.shape[1])
    return {"calibration": made or None, "conformal": conformal.seen(its.conformal, truth, answers)}


def warned(entries: list[ContenderRun]) -> list[str]:
    """Contenders for which memory was too short to learn from every row, or that found nothing to begin from."""
    found = {entry.name: entry.facts.get("coded", {}) for entry in entries}
    said = [f"{name} {lines[SAMPLED]}." for name, lines in found.items() if SAMPLED in lines]
    return said + [f"{name}: {lines[FROM_SCRATCH]}." for name, lines in found.items() if FROM_SCRATCH in lines]


def overspent(spent: float, race: Race) -> list[str]:
    """The message where a run took longer than its budget; where that is too small for a race, which would do."""
    times = race.times
    if round(spent, 1) <= (budget := times.given * times.budget):
        return []
    enough = f"; --budget {times.rounded(ROOMY * spent / times.budget)}s would do" if race.tiny else ""
    return [f"The run took {spent:.1f} s, where its budget is {budget:g} s{enough}."]


def guessed(result: Mapping[str, Any]) -> str | None:
    """The sentence where what ships scores no better on the test rows than guessing does; None else."""
    if result["shipped"] is None:
        return None
    score = {each["name"]: each["score"] for each in result["contenders"]}
    ours, baseline = score.get(result["shipped"]["contender"]), score.get(BASELINE)
    if ours is None or baseline is None or METRICS[result["metric"]].better(ours, baseline):
        return None
    how = "always the most frequent class" if result["classes"] else "always the mean"
    name = result["shipped"]["contender"]
    return f"{name} is no better than guessing: {result['metric']} {ours:.4g}, and {baseline:.4g} for {how}."


def columns(table: Table) -> list[ColumnResult]:
    """The `columns` of result.json; `estimated`: of so many rows distinct values are not counted one by one."""
    return [
        {
            "name": c.name, "kind": c.kind, "role": c.role, "missing": c.missing, "unique": c.unique, "note": c.note,
            "estimated": c.unique is not None and table.rows > COUNTED,
        }
        for c in table.columns
    ]  # fmt: skip


def predictions(
    store: Store, truth: np.ndarray, answers: Mapping[str, np.ndarray], shipped: str | None,
    certain: Mapping[str, Certainty],
) -> pl.DataFrame:  # fmt: skip
    """Test rows with the truth, the shipped model's answer, and every contender's; of a text, the bits of each."""
    task = store.task
    if task.generative:
        spent = {f"bits_{name}": scores for name, scores in answers.items()}
        return pl.DataFrame({"row": store.split.test, "bytes": truth.astype(np.int64), **spent})
    frame: dict[str, Any] = {"row": store.split.test, "truth": task.true(truth)}
    if shipped is not None:
        frame["prediction"] = task.predicted(answers[shipped])
        frame |= {f"p_{name}": answers[shipped][:, i] for i, name in enumerate(task.classes)}
        held = certain[shipped].conformal if shipped in certain else None
        if held is not None and task.numeric:
            frame["low"], frame["high"] = held.interval(answers[shipped])
        elif held is not None:
            frame["set"] = joined(held.sets(answers[shipped]), task.classes)
    frame |= {f"prediction_{name}": task.predicted(scores) for name, scores in answers.items()}
    return pl.DataFrame(frame)


def examples(table: Table, store: Store, truth: np.ndarray, scores: np.ndarray) -> list[Example]:
    """The shipped model's worst mistakes on the test, worst first."""
    task = store.task
    if task.generative:
        return _passages(table, store, truth, scores)
    order = task.worst(truth, scores)[:SHOWN]
    if not order:
        return []
    words = zip(task.true(truth[order]), task.predicted(scores[order]), strict=True)
    rows = store.split.test[order]
    names = [column.name for column in table.inputs]
    frame = table.take(rows, names)
    place = {int(row): i for i, row in enumerate(np.unique(rows))}
    shown = []
    for i, row, (true, said) in zip(order, rows, words, strict=True):
        values = frame.row(place[int(row)], named=True)
        rest = _listed_values(table, values)
        shown.append(
            Example(
                row=int(row),
                truth=_word(true),
                prediction=_word(said),
                confidence=float(scores[i].max()) if task.one_class else None,
                error=float(scores[i] - truth[i]) if task.numeric else None,
                image=picture(store, int(row)),
                sound=sound(store, int(row)),
                text=_text(table, values),
                values=rest or None,
                test_row=int(i),
            )  # fmt: skip
        )
    return shown


def shown_flaws(table: Table, store: Store, flaws: Sequence[Flaw]) -> dict[str, list[Found]]:
    """Some rows of each flaw, as a reader can see them."""
    shown = {}
    names = [column.name for column in table.columns if column.role != "target"]
    for flaw in flaws:
        rows = [int(row) for row in flaw.rows[:FLAWED]]
        duplicates = [int(row) for row in flaw.duplicate_of[:FLAWED]] if flaw.duplicate_of is not None else []
        if not rows:
            continue
        wanted = sorted({*rows, *duplicates})
        frame = dict(zip(wanted, table.take(np.array(wanted), names).iter_rows(named=True), strict=True))
        found: list[Found] = []
        for place, row in enumerate(rows):
            pair = [row, duplicates[place]] if duplicates else [row]
            if duplicates and any(each.row == duplicates[place] and each.duplicate_of == row for each in found):
                continue  # two that repeat each other are one pair
            pictures = [seen for one in pair if (seen := picture(store, one)) is not None]
            sounds = [heard for one in pair if (heard := sound(store, one)) is not None]
            label = table.labels[row]
            found.append(
                Found(
                    row=row, duplicate_of=duplicates[place] if duplicates else None,
                    label=_label(table, int(label)),
                    suggested_label=None if flaw.suggested_labels is None else flaw.suggested_labels[place],
                    images=tuple(pictures), sounds=tuple(sounds),
                    texts=() if pictures else tuple(_line_of(table, frame[one]) for one in pair),
                )
            )  # fmt: skip
        shown[flaw.name] = found
    return shown


def way(table: Table, store: Store, model: Model) -> Journey:
    """One test row's way through the file."""
    row = int(store.split.test[0])
    return journey(table, store, model, picture(store, row), sound(store, row))


def _label(table: Table, label: int) -> str | None:
    """A row's own label or labels; None for a number, or where there is none."""
    if table.task.numeric or label < 0:
        return None
    return str(table.task.true(np.array([label]))[0])


def _word(value: Any) -> str:
    """A name, or a value in as many digits as a reader wants."""
    return value if isinstance(value, str) else f"{value:,.6g}"


def _line_of(table: Table, values: Mapping[str, Any]) -> str:
    """A row in a line: its text, or its values."""
    return _text(table, values) or ", ".join(f"{k} {v}" for k, v in _listed_values(table, values).items())


def _passages(table: Table, store: Store, truth: np.ndarray, bits: np.ndarray) -> list[Example]:
    """The test passages that the shipped model finds hardest to predict."""
    order = np.argsort(-bits / np.maximum(truth, 1), kind="stable")[:PASSAGES]
    rows = store.split.test[order]
    (column,) = table.inputs
    texts = dict(zip(np.unique(rows).tolist(), table.take(rows, [column.name])[column.name], strict=True))
    return [
        Example(
            row=int(row), truth=None, prediction=None, text=str(texts[int(row)]),
            values={"bits a byte": f"{bits[i] / truth[i]:.3f}"},
        )
        for i, row in zip(order, rows, strict=True)
    ]  # fmt: skip


def _text(table: Table, values: Mapping[str, Any]) -> str | None:
    texts = [str(values[c.name]) for c in table.inputs if KINDS[c.kind].prose and values[c.name] is not None]
    return "\n".join(texts)[:1_000] if texts else None


def _listed_values(table: Table, values: Mapping[str, Any]) -> dict[str, str]:
    return {
        c.name: "missing" if values[c.name] is None else str(_plain(values[c.name]))[:60]
        for c in table.inputs
        if KINDS[c.kind].listed and _plain(values[c.name]) is not PACKED
    }


def _plain(value: Any) -> Any:
    """A value as a reader wants to see it: of a file its path, if there is one."""
    if isinstance(value, dict):
        return value.get("path") or PACKED
    return PACKED if isinstance(value, bytes) else value
