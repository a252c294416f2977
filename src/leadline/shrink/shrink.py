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
import time
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.contender import Clock
from leadline.dataset.split_table import groups
from leadline.metrics.metrics import METRICS
from leadline.readers.find import cache_of
from leadline.ship.parity import decoded
from leadline.shrink.candidates import Making, candidates
from leadline.shrink.choose import Chosen, alike, count_units, last_proved, rows_of, sequence
from leadline.shrink.frontier import Bench, Entry, FinishedRun
from leadline.shrink.limits import Limits, ShrinkSettings, Units
from leadline.shrink.more_rows import check_unlabelled, read_some
from leadline.shrink.page import page
from leadline.shrink.run_report import add_section, way
from leadline.shrink.trees import trees_of
from leadline.shrink.words import drop_of, microseconds, notes_on, why_it_ships, why_none_ships
from leadline.stats.noninferiority import Comparison, compare
from leadline.system.errors import LeadlineError, ModelError, OutputError
from leadline.system.processor import processor_class
from leadline.system.whole import appear, maker, named, scratch
from leadline.tasks import TASKS
from leadline.use.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from leadline.shrink.distill import Student

__all__ = ["Shrunk", "beside", "check", "opened", "shrink"]

# Test rows, or groups of them, that choose, and that judge; of a text corpus, whose rows are long, three.
FEWEST, FEWEST_STRETCHES = 10, 3
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
                f"{row['name']:16} {row['bytes']:>12,} {microseconds(row['one_us']):>7} µs "
                f"{microseconds(row['batch_us']):>7} µs "
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
    began = time.monotonic()
    until = began + settings.seconds
    model, store, metric = data.model, data.store, METRICS[data.store.task.metric]
    limits, final = check(folder, settings, store.task.name)
    if settings.unlabelled is not None:
        read_some(model, settings.unlabelled, cache_of(data.settings))
    group = None if store.task.generative else groups(data.table, data.settings)
    if not len(store.split.valid):
        raise ModelError(
            f"{folder} has no valid rows, by which smaller files are compared as they are made; give two rows a class, "
            "or a valid part, and run it again."
        )
    further = _further(data) if math.isinf(settings.seconds) else store.split.test[:0]
    places = rows_of(store.split, further, group, data.settings.seed, store.task.generative)
    judges = places.judges
    units = _units(places, group, FEWEST_STRETCHES if store.task.generative else FEWEST, folder)
    allowed, said = limits.drop_allowed(metric, units)
    with _made_beside(final) as place:
        bench = Bench(data, model, places, group, place)
        judging_group = bench.group_of(bench.rows[judges])
        taught = _taught(bench, folder, settings)
        entries = _frontier(bench, limits, allowed, taught, until, settings.watch)
        order = _order(entries, limits, allowed)
        proofs: dict[str, Comparison] = {}

        def proved(entry: Entry) -> bool:
            full, small = bench.full[judges], bench.judged(entry)
            found = proofs[entry.name] = compare(bench.truth[judges], full, small, metric, allowed, judging_group)
            entry.status = "" if found.proved else f"not certified: {drop_of(found)}"
            return found.proved

        chosen = last_proved(order, proved)
        notes = [*said, *bench.notes, *notes_on(chosen, bench.base, entries)]
        result = _result(bench, entries, chosen, proofs, allowed, limits, notes, units)
        result["spent_s"] = round(time.monotonic() - began, 1)
        _write(bench, chosen, result, proofs, folder, final)
    add_section(folder, result, final)
    return Shrunk(folder=final, result=result)


def beside(folder: Path) -> Path:
    """Where the smaller file of a run lies where nobody says otherwise."""
    return named(folder).with_name(f"{named(folder).name}-small")


def opened(folder: Path) -> Shrunk | None:
    """What lies in a folder that `shrink` made; None where nothing does."""
    try:
        return Shrunk(folder=folder, result=json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def check(folder: Path, settings: ShrinkSettings, task: str) -> tuple[Limits, Path]:
    """The limits, and the folder to make; raises LeadlineError before anything is read."""
    limits = Limits.read(settings)
    if not settings.distill_seconds and settings.unlabelled is not None:  # what is no time fails here
        raise LeadlineError("--unlabelled is read by students alone; give them time too, as in --distill 5m.")
    if settings.unlabelled is not None:
        check_unlabelled(settings.unlabelled, TASKS[task])
    final = Path(settings.out) if settings.out is not None else beside(folder)
    if (other := maker(final)) is not None:
        raise OutputError(f"{final} is being made by process {other}; choose another --out, or wait for it.")
    if final.exists():
        raise OutputError(f"{final} already exists; choose another --out, or remove it.")
    if not final.parent.is_dir():
        raise OutputError(f"there is no folder {final.parent} to make {final.name} in; choose another --out.")
    return limits, final


@contextmanager
def _made_beside(final: Path) -> Iterator[Path]:
    """A folder for what is made on the way."""
    with ExitStack() as ends:
        try:
            folder = ends.enter_context(scratch(final))
        except OSError as error:
            raise OutputError(f"{final} cannot be made ({error.strerror}); choose another --out.") from error
        yield folder


def _units(places: Chosen, group: np.ndarray | None, fewest: int, run: Path) -> Units:
    """What judges; raises ModelError where that, or what chooses, is too few."""

    def counted(part: np.ndarray) -> Units:
        return Units(count=count_units(group, places.rows[part]), groups=group is not None)

    chooses, judges = counted(places.chooses), counted(places.judges)
    if min(chooses.count, judges.count) < fewest:
        what = "groups of rows" if judges.groups else "rows"
        raise ModelError(
            f"Of {run}, {chooses.count:,} {places.part} {what} can choose a smaller model and {judges.count:,} test "
            f"{what} can judge it, where at least {fewest} of each were expected; run it again with more test rows."
        )
    return judges


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
        watch(f"{entry.name}: {entry.measured('bytes'):,.0f} bytes, {microseconds(entry.measured('one_us'))} µs a row")
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
    from leadline.shrink.hashed_students import hashed_students
    from leadline.shrink.lessons import lesson_of

    contender = str(bench.model.contract["contender"])
    seconds = settings.distill_seconds
    lesson, sentences = lesson_of(bench.data, bench.network, run, contender, settings.unlabelled, seconds)
    bench.notes.extend(sentences)
    clock = Clock(seconds)
    yield from hashed_students(lesson, bench.network.ByteSize(), clock, bench.notes)
    yield from students(bench.network, contender, lesson, clock.left(), seed, bench.notes)


def _result(
    bench: Bench, entries: Sequence[Entry], chosen: Entry | None, proofs: Mapping[str, Comparison], allowed: float,
    limits: Limits, notes: list[str], units: Units,
) -> dict[str, Any]:  # fmt: skip
    """What shrink.json holds."""
    for entry in entries:
        if entry.status == "":
            entry.status = "shipped" if entry is chosen else "certified" if entry.name in proofs else "not tested"
    bench.base.status = "the model of the run"
    frontier = [entry.as_dict() | _judged(proofs.get(entry.name)) for entry in (bench.base, *entries)]
    proof = None if chosen is None else proofs[chosen.name]
    if chosen is None or proof is None:
        why = why_none_ships(entries, proofs, allowed)
    else:
        why = why_it_ships(chosen, bench, proof, units, allowed)
    return {
        "chosen": None if chosen is None else chosen.name, "why": why, "metric": bench.store.task.metric,
        "higher_is_better": bench.metric.higher_is_better,
        "prefer": limits.prefer, "max_drop": allowed, "choosing_rows": len(bench.chooses),
        "choosing_part": bench.choosing_part, "judging_rows": len(bench.judges),
        "judging_groups": units.count if units.groups else None,
        "calibration_rows": bench.calibration, "processor": processor_class(), "notes": notes, "frontier": frontier,
        "inputs": bench.inputs, "outputs": [] if chosen is None else bench.outputs(chosen),
        "drop": None if proof is None else proof.drop, "upper": None if proof is None else proof.upper,
        "p": None if proof is None else proof.p,
    }  # fmt: skip


def _judged(found: Comparison | None) -> dict[str, float | None]:
    """What the judging rows found of a file; null of one that was not tested."""
    drop, upper = (None, None) if found is None else (found.drop, found.upper)
    return {"judged_drop": drop, "judged_upper": upper}


def _write(
    bench: Bench, chosen: Entry | None, result: dict[str, Any], proofs: Mapping[str, Comparison], run: Path, final: Path
) -> None:  # fmt: skip
    """The folder appears whole or not at all."""
    with _made_beside(final) as folder:
        place = folder / "made"
        place.mkdir()
        if chosen is not None:
            bench.ship(chosen, proofs[chosen.name], place / MODEL)
            row = next(row for row in result["frontier"] if row["name"] == chosen.name)
            row["bytes"] = (place / MODEL).stat().st_size
        (place / RECORD).write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")
        (place / REPORT).write_text(page(result, final, way(final, run)), encoding="utf-8")
        appear(place, final)
