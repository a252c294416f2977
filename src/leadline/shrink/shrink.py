"""A finished run's model made smaller, and proved not worse: the whole journey on one page.

Enters: the data of a run (its model, rows, labels) and limits. Leaves: a folder with model.onnx, shrink.json and
report.html, and a section in the report of the run; all else of the run folder stays as it is.

    candidates ─► frontier ─► sequence ─► proof ─► certificate
    train, valid  measured    calib, or a  test,    in the file
                  on the file half of test the other half
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.dataset.split_table import groups
from leadline.metrics.metrics import METRICS
from leadline.ship.parity import decoded
from leadline.shrink.candidates import Making, candidates
from leadline.shrink.choose import alike, last_proved, rows_of, sequence
from leadline.shrink.frontier import Bench, Entry, FinishedRun
from leadline.shrink.limits import Limits, ShrinkSettings
from leadline.shrink.page import page
from leadline.shrink.run_report import add_section, way
from leadline.shrink.trees import trees_of
from leadline.stats.noninferiority import Comparison, compare
from leadline.system.errors import LeadlineError, ModelError, OutputError
from leadline.system.processor import processor_class
from leadline.use.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from leadline.shrink.distill import Student

__all__ = ["Shrunk", "beside", "check", "opened", "shrink"]

FEWEST, FEWEST_STRETCHES = 10, 3  # test rows that choose, and that judge; of a text corpus, whose rows are long
NAMED = 3  # files that a sentence names of one sort
SLOWER = 1.05  # times the full file's time, above which a sentence says so
MOST_JUDGES = 10_000  # test rows, above which none is decoded anew to judge
WORTHWHILE = {"size": 0.98, "speed": 0.9}  # of the bytes, or of the time, under which a file is smaller or faster
MODEL, RECORD, REPORT = "model.onnx", "shrink.json", "report.html"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shrunk:
    """What became of it: the folder, and what shrink.json holds."""

    folder: Path
    result: dict[str, Any]

    @property
    def model(self) -> Model:
        """The smaller model. Raises `ModelError` where none was proved not worse."""
        if self.result["chosen"] is None:
            raise ModelError(f"{self.folder} holds no model: {self.result['why']}")
        return Model(self.folder / MODEL)

    def report(self) -> Path:
        """The path of the report page."""
        return self.folder / REPORT

    def __str__(self) -> str:
        lines = [f"{'':16} {'bytes':>12} {'one row':>10} {'in a batch':>10} {'memory':>9} {'drop':>8}"]
        for row in self.result["frontier"]:
            drop = "" if row["drop"] is None else f"{row['drop']:z.2%}"
            lines.append(
                f"{row['name']:16} {row['bytes']:>12,} {row['one_us']:>7,.0f} µs {row['batch_us']:>7,.1f} µs "
                f"{row['peak_mb']:>6,.0f} MB {drop:>8}  {row['status']}"
            )
        return "\n".join([*lines, *self.result["notes"], self.result["why"]])


def shrink(data: FinishedRun, folder: Path, settings: ShrinkSettings) -> Shrunk:
    """Make the smallest, or fastest, file that is proved not worse than the model of a run.

    Args:
        data: of the run; `folder` is where it lies.

    Raises:
        LeadlineError: where a limit is not understood or cannot be certified, the run has no model, or `out` exists.
    """
    until = time.monotonic() + settings.seconds
    limits, final = check(folder, settings)
    model, store, metric = data.model, data.store, METRICS[data.store.task.metric]
    group = None if store.task.generative else groups(data.table, data.settings)
    if not len(store.split.valid):
        raise ModelError(
            f"{folder} has no valid rows, by which smaller files are compared as they are made; give two rows a class, "
            "or a valid part, and run it again."
        )
    further = _further(data) if math.isinf(settings.seconds) else store.split.test[:0]
    places = rows_of(store.split, further, group, data.settings.seed, store.task.generative)
    judges = places.judges
    fewest = FEWEST_STRETCHES if store.task.generative else FEWEST
    if min(len(places.chooses), len(judges)) < fewest:
        raise ModelError(
            f"{folder} has {len(store.split.test):,} test rows, where at least {2 * fewest} were expected: one half "
            "chooses a smaller model and the other half judges it; run it again with more test rows."
        )
    judging_group = None if group is None else group[places.rows[judges]]
    units = len(judges) if judging_group is None else len(np.unique(judging_group))
    allowed, note = limits.drop_allowed(metric, units)
    try:
        made = tempfile.TemporaryDirectory(prefix=f".{final.name}.", dir=final.parent)
    except OSError as error:
        raise OutputError(f"{final} cannot be made ({error.strerror}); choose another --out.") from error
    with made as scratch:
        bench = Bench(data, model, places, Path(scratch))
        taught = _taught(bench, folder, settings)
        entries = _frontier(bench, limits, allowed, taught, until, settings.watch)
        order = _order(entries, limits, allowed)
        proofs: dict[str, Comparison] = {}

        def proved(entry: Entry) -> bool:
            full, small = bench.full[judges], bench.judged(entry)
            proofs[entry.name] = compare(bench.truth[judges], full, small, metric, allowed, judging_group)
            entry.status = "" if proofs[entry.name].proved else "not certified"
            return proofs[entry.name].proved

        chosen = last_proved(order, proved)
        notes = [*([note] if note else []), *bench.notes, *_notes(chosen, bench)]
        result = _result(bench, entries, chosen, proofs, allowed, limits, notes)
        _write(bench, chosen, result, proofs, folder, final)
    add_section(folder, result, final)
    return Shrunk(folder=final, result=result)


def beside(folder: Path) -> Path:
    """Where the smaller file of a run lies where nobody says otherwise."""
    return folder.with_name(f"{folder.name}-small")


def opened(folder: Path) -> Shrunk | None:
    """What lies in a folder that `shrink` made; None where nothing does."""
    try:
        return Shrunk(folder=folder, result=json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def check(folder: Path, settings: ShrinkSettings) -> tuple[Limits, Path]:
    """The limits, and the folder to make; raises LeadlineError before anything is read."""
    limits = Limits.read(settings)
    if not settings.distill_seconds and settings.unlabelled is not None:  # what is no time fails here
        raise LeadlineError("--unlabelled is read by students alone; give them time too, as in --distill 5m.")
    final = Path(settings.out) if settings.out is not None else beside(folder)
    if final.exists():
        raise OutputError(f"{final} already exists; choose another --out, or remove it.")
    if not final.parent.is_dir():
        raise OutputError(f"there is no folder {final.parent} to make {final.name} in; choose another --out.")
    return limits, final


def _further(data: FinishedRun) -> np.ndarray:
    """Test rows, rising, that the run had no time to decode and that can be read: so many that `MOST_JUDGES` judge."""
    missing = max(0, MOST_JUDGES - len(data.store.split.test))
    rows = np.sort(np.random.default_rng(data.settings.seed).permutation(data.unread_test)[:missing])
    return rows[decoded(data.model, data.table, data.store, rows)[1]] if len(rows) else rows


def _frontier(
    bench: Bench, limits: Limits, allowed: float, taught: Iterable[Student], until: float, watch: Callable[[str], None]
) -> list[Entry]:
    """Every candidate as a file, measured; `status` says why one may not ship, and is empty where it may."""
    entries: list[Entry] = []
    making = Making(
        store=bench.store, distance=bench.distance, doubtful=lambda network: bench.doubtful(network, allowed),
        seed=bench.data.settings.seed, folder=bench.scratch,
    )  # fmt: skip
    for candidate in candidates(bench.network, making, taught):
        if entries and time.monotonic() > until:
            bench.notes.append(
                f"The time was over before {candidate.name} and what follows it; leadline shrink has more."
            )
            break
        entry = bench.entry(candidate)
        watch(f"{entry.name}: {entry.measured('bytes'):,.0f} bytes, {entry.measured('one_us'):,.0f} µs a row")
        entries.append(entry)
    if limits.prefer == "speed":
        bench.time_again(entries)
    for entry in entries:
        refusal = limits.refusal(entry.facts) if entry.finite else "it answers some rows with what is no number"
        if refusal is not None:
            entry.status = f"excluded: {refusal}"
        elif entry.measured(limits.key) >= WORTHWHILE[limits.prefer] * bench.base.measured(limits.key):
            entry.status = f"not {'smaller' if limits.prefer == 'size' else 'faster'}"
    return entries


def _order(entries: Sequence[Entry], limits: Limits, allowed: float) -> list[Entry]:
    """Which files are tested, and in what order: the last that is proved ships."""
    able = [entry for entry in entries if entry.status == ""]
    sizes = [entry.measured(limits.key) for entry in able]
    if limits.prefer == "size":
        sizes = alike(able, lambda entry: entry.measured("bytes"), lambda entry: entry.measured("batch_us"))
    size_of = {entry.name: size for entry, size in zip(able, sizes, strict=True)}
    evidence = {entry.name: entry.evidence(allowed) for entry in able}
    return sequence(able, lambda entry: size_of[entry.name], lambda entry: evidence[entry.name])


def _taught(bench: Bench, run: Path, settings: ShrinkSettings) -> Iterable[Student]:
    """Students, trained when they are asked for: of trees always, which takes seconds; of networks in their time."""
    seed = bench.data.settings.seed
    if trees_of(bench.network)[0]:
        from leadline.shrink.tree_students import tree_students

        yield from tree_students(bench.network, bench.store, seed)
    if not settings.distill_seconds:
        return
    if bench.store.task.generative:
        bench.notes.append("Students of a language model are not trained.")
        return
    from leadline.shrink.distill import students
    from leadline.shrink.lessons import lesson_of

    contender = str(bench.model.contract["contender"])
    seconds = settings.distill_seconds
    lesson, sentences = lesson_of(bench.data, bench.network, run, contender, settings.unlabelled, seconds)
    bench.notes.extend(sentences)
    yield from students(bench.network, contender, lesson, seconds, seed, bench.notes)


def _notes(chosen: Entry | None, bench: Bench) -> list[str]:
    """What the user of a chosen file has to know."""
    if chosen is None:
        return []
    notes = []
    if chosen.integer:
        notes.append(
            f"int8 sums differ between classes of processors: this file is certified on {processor_class()}; run "
            "`leadline verify` with the data on another one."
        )
    what = "int8" if chosen.integer else chosen.name
    for key, where in (("one_us", "for one row"), ("batch_us", "in a batch")):
        if chosen.measured(key) > SLOWER * bench.base.measured(key):
            notes.append(
                f"{what} is not faster on this processor {where}: {chosen.measured(key):,.1f} µs a row, against "
                f"{bench.base.measured(key):,.1f} µs; --prefer speed ships the fastest file that is not worse."
            )
    return notes


def _result(
    bench: Bench, entries: Sequence[Entry], chosen: Entry | None, proofs: Mapping[str, Comparison], allowed: float,
    limits: Limits, notes: list[str],
) -> dict[str, Any]:  # fmt: skip
    """What shrink.json holds."""
    for entry in entries:
        if entry.status == "":
            entry.status = "shipped" if entry is chosen else "certified" if entry.name in proofs else "not tested"
    bench.base.status = "the model of the run"
    frontier = [entry.as_dict() for entry in (bench.base, *entries)]
    judged = len(bench.judges)
    if chosen is None:
        why = f"No smaller file ships, and the model of the run stays: {refused(entries) or 'there is no candidate'}."
        proof = None
    else:
        proof = proofs[chosen.name]
        why = (
            f"{chosen.name} ships: {chosen.describe}. {chosen.measured('bytes') / bench.base.measured('bytes'):.0%} of "
            f"the bytes; the drop of {bench.store.task.metric} is {proof.drop:z.2%} on {judged:,} test rows that chose "
            f"nothing, and at most {proof.upper:z.2%} with 95% confidence, where {allowed:.2%} is allowed."
        )
    return {
        "chosen": None if chosen is None else chosen.name, "why": why, "metric": bench.store.task.metric,
        "higher_is_better": bench.metric.higher_is_better,
        "prefer": limits.prefer, "max_drop": allowed, "choosing_rows": len(bench.chooses), "judging_rows": judged,
        "choosing_part": bench.choosing_part,
        "calibration_rows": bench.calibration, "processor": processor_class(), "notes": notes, "frontier": frontier,
        "inputs": bench.inputs,
        "drop": None if proof is None else proof.drop, "upper": None if proof is None else proof.upper,
        "p": None if proof is None else proof.p,
    }  # fmt: skip


def refused(entries: Sequence[Entry]) -> str:
    """Why no file ships: a few names for each sort of reason, what was not tested last."""
    sorts: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda each: each.status == "not tested"):
        sorts.setdefault(entry.status.partition(":")[0], []).append(entry)
    return "; ".join(
        ", ".join(entry.name for entry in same[:NAMED])
        + (f" and {len(same) - NAMED} more" if len(same) > NAMED else "")
        + f": {same[0].status}"
        for same in sorts.values()
    )


def _write(
    bench: Bench, chosen: Entry | None, result: dict[str, Any], proofs: Mapping[str, Comparison], run: Path, final: Path
) -> None:  # fmt: skip
    """The folder appears whole or not at all."""
    with tempfile.TemporaryDirectory(prefix=f".{final.name}.", dir=final.parent) as folder:
        place = Path(folder) / "made"
        place.mkdir()
        if chosen is not None:
            bench.ship(chosen, proofs[chosen.name], place / MODEL)
            row = next(row for row in result["frontier"] if row["name"] == chosen.name)
            row["bytes"] = (place / MODEL).stat().st_size
        (place / RECORD).write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")
        (place / REPORT).write_text(page(result, final, way(final, run)), encoding="utf-8")
        place.rename(final)
