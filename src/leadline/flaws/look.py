"""Look a table over: every flaw that can be found in a share of the budget, its rows, and where it can be its price.

Enters: table, store, settings. Leaves: flaws. Nothing here touches what contenders see; `mend.py` does, on --fix.
Labels of test rows are looked at, because flaws of the test are what makes a verdict wrong, but no test row is ever
taken out for what a model thinks of its label. How many rows are looked at hangs on the budget and on a clock whose
readings are written down (`pace.py`): a run that is repeated finds the same.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from leadline.config import Settings
from leadline.contenders.contender import Clock
from leadline.data.part import counted
from leadline.data.store import Store
from leadline.data.table import Table
from leadline.flaws import belonging, columns, labels, price, traces
from leadline.flaws import twins as repeated
from leadline.flaws.evened import EVENED, Sample, cost, evened
from leadline.flaws.flaw import Flaw, Price
from leadline.flaws.pace import Pace
from leadline.flaws.probe import Probe, some
from leadline.judge.metrics import METRICS

PROBED = 4.0  # seconds; with less, a probe's libraries alone would take what there is, and only twins are looked for
FOLDS = 5  # of a price
PARTED = 4  # folds that labels are looked for on
FEWEST = 200  # rows, to tell anything of labels or groups
MOST_TRACED, MOST_EVENED = 4_000, 3_000  # files
PRICED = 2 * FOLDS + 2  # fits of one price, and as much as choosing C takes
TRIED = 8  # rows tried, for one learned from
AN_ANSWER = 3e-5  # seconds for one row and three classes
RARE = 10  # rows of a class
DRIFTED = 0.6  # AUC from which on a stated test is unlike the rest
PARTS = {"twins": 0.5, "leak": 0.5, "labels": 0.35, "rest": 0.25}  # of the look; what is left is seldom all asked for


def look(table: Table, store: Store, asked: Settings, threads: int, clock: Clock) -> tuple[list[Flaw], list[str]]:
    """Every flaw that is found, the most telling first; and what was not looked for, in a sentence.

    `clock` is the run's: what it says is all that this hangs on besides data and settings. Products of matrices run on
    one thread meanwhile: they are small, and on a machine that others use too two threads wait for each other ten times
    as long as they work.
    """
    from threadpoolctl import threadpool_limits

    if table.task.name == "language":
        return [], []
    with threadpool_limits(1, "blas"):
        return _looked(table, store, asked, threads, Pace(clock, asked.seconds))


def _looked(table: Table, store: Store, asked: Settings, threads: int, pace: Pace) -> tuple[list[Flaw], list[str]]:
    rows = np.sort(np.concatenate([getattr(store.split, part) for part in ("train", "valid", "calib", "test")]))
    probe = Probe(store, threads, pace)
    twins, said = _twins(table, store, rows, asked, pace.part(PARTS["twins"]), pace)
    found: list[Flaw | None] = [*twins]
    if probe.able and len(rows) >= FEWEST and pace.seconds >= PROBED and not table.task.several:
        probe.load()

        def part(name: str, share: float = PARTS["rest"]) -> float:
            return pace.part(share, name)

        if seconds := part("columns that give the target away", PARTS["leak"]):
            found.append(_leak(table, probe, rows, seconds))
        if seconds := part("traces of files"):
            found += _traces(table, store, threads, rows, seconds)
        if seconds := part("groups that the split parts"):
            found += (grouped := _groups(table, probe, rows, asked, seconds))
            known = {flaw.columns for flaw in grouped}  # with a price
            found = [flaw for flaw in found if flaw is None or flaw in grouped or flaw.columns not in known]
        if seconds := part("what changes with time"):
            found += _times(table, probe, rows, asked, seconds)
        if seconds := part("labels that look wrong", PARTS["labels"]):
            found.append(_labels(table, store, probe, rows, seconds))
        if seconds := part("a test unlike the rest"):
            found.append(_drift(table, store, probe, rows, seconds))
    found.append(_rare(table, store))
    if pace.left_out:
        said = [*said, f"Time was short, so these flaws were not looked for: {', '.join(pace.left_out)}."]
    return [flaw for flaw in found if flaw is not None], said


def priced(flaws: list[Flaw], store: Store, truth: np.ndarray, answers: dict[str, np.ndarray], of: str) -> list[Flaw]:
    """The flaws that only the test can price, by the answers of the contender that ships."""
    metric, mine, done = METRICS[store.task.metric], answers[of], []
    for flaw in flaws:
        if flaw.name in ("twins", "rare") and flaw.price is None:
            kept = ~np.isin(store.split.test, flaw.rows)
            how = f"{counted(int(kept.sum()), 'test row')} without them"
            flaw = replace(flaw, price=price.of_rows(truth, mine, kept, metric, of, how))
        elif flaw.name == "labels":
            noise, learned = labels.Noise(**flaw.facts["noise"]), Price(**flaw.facts["learned"])
            flaw = replace(flaw, price=price.of_labels(truth, mine, noise, learned, len(store.task.classes), of))
        done.append(flaw)
    return done


def _folds(labels: np.ndarray) -> np.ndarray:
    """A fold for each row, every class (every height of a number) spread over all of them."""
    order = np.lexsort((np.random.default_rng(3).permutation(len(labels)), labels))
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % FOLDS
    return fold


def _halves(rows: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from, and others to try on."""
    mixed = np.random.default_rng(1).permutation(rows)
    cut = min(most, int(0.7 * len(rows)))
    return np.sort(mixed[:cut]), np.sort(mixed[cut : cut + 20_000])


def _twins(
    table: Table, store: Store, rows: np.ndarray, asked: Settings, seconds: float, pace: Pace
) -> tuple[list[Flaw], list[str]]:
    mine = repeated.affordable(table, store, rows, seconds, pace)
    found = repeated.twins(table, store, mine)
    flaws = [repeated.flaw(found.pairs, table, store, len(mine))]
    if asked.group is None and asked.time is None and not (table.part == 2).any():
        flaws.append(found.together(len(mine)))
    return [flaw for flaw in flaws if flaw is not None], found.said(len(mine))


def _leak(table: Table, probe: Probe, rows: np.ndarray, seconds: float) -> Flaw | None:
    told = columns.told(table, some(rows, 100_000))
    asked = {name: share for name, share in told.items() if share >= columns.enough(table)}
    if not asked:
        return None
    names = tuple(sorted(asked, key=lambda name: -asked[name]))
    shares = ", ".join(f"{name!r} {asked[name]:.0%}" for name in names)
    most = probe.most_rows(seconds, PRICED)
    paid = None
    if most >= FEWEST and len(names) < len(table.inputs):
        mine = some(rows, TRIED * most)
        y = table.labels[mine]
        fold, metric = _folds(y), METRICS[table.task.metric]
        with_it = probe.crossed(mine, y, fold, most, choose=True)
        without = probe.crossed(mine, y, fold, most, hidden=names, choose=True)
        paid = price.crossed(y, with_it, without, fold, metric, probe.name, "learned again without them")
    what = "A column tells" if len(names) == 1 else "Columns tell"
    return Flaw(
        name="leak", columns=names, price=paid,
        says=f"{what} most of the target alone: {shares}. Is that known when you predict?",
    )  # fmt: skip


def _traces(table: Table, store: Store, threads: int, rows: np.ndarray, seconds: float) -> list[Flaw]:
    if not table.task.classes:
        return []
    found = []
    for block in store.blocks:
        if block.kind not in EVENED:
            continue
        mine = some(rows, min(MOST_TRACED, max(FEWEST, int(seconds * traces.FILES_RATE))))
        cells = table.take(mine, [block.columns[0]])[block.columns[0]]
        y = table.labels[mine]
        facts = traces.facts(cells, block.kind, table.source.root)
        tied = {name: traces.tie(values, y) for name, values in facts.items()}
        tied = {name: tie for name, tie in sorted(tied.items(), key=lambda one: -one[1]) if tie >= traces.TIED}
        if not tied:
            continue
        shown = ", ".join(f"{traces.WORDS[name]} ({tie:.0%})" for name, tie in tied.items())
        paid = None
        if any(name in EVENED[block.kind] for name in tied):
            many = int(seconds / cost(block, cells, table.source.root))
            few = some(mine, min(MOST_EVENED, max(FEWEST, many)), seed=2)
            cells = table.take(few, [block.columns[0]])[block.columns[0]]
            plain = Sample(store, few)
            even = Sample(store, few, {block.name: evened(block, store, cells, few, table.source.root)})
            y, places = table.labels[few], np.arange(len(few))
            probes = [Probe(each, threads) for each in (plain, even)]
            fold, most = _folds(y), max(FEWEST, probes[0].most_rows(seconds, PRICED))
            with_it, without = (probe.crossed(places, y, fold, most, choose=True) for probe in probes)
            metric = METRICS[table.task.metric]
            paid = price.crossed(y, with_it, without, fold, metric, "a linear model", "learned from evened files")
        found.append(
            Flaw(
                name="trace", price=paid, facts={"tied": tied},
                says=f"The files of {block.columns[0]!r} give the class away by what is not their content: {shown}.",
            )
        )  # fmt: skip
    return found


def _groups(table: Table, probe: Probe, rows: np.ndarray, asked: Settings, seconds: float) -> list[Flaw]:
    mine = some(rows, max(FEWEST, probe.most_rows(seconds, 2)))
    if len(mine) < 0.5 * len(rows):
        return []  # a thin sample holds one row a group, and tells nothing of them
    metric, found = METRICS[table.task.metric], []
    for name, group in belonging.grouping(table, mine, asked).items():
        y = table.labels[mine]
        tested, with_it, kept, without = belonging.parted(probe, mine, y, belonging.drawn(group))
        paid = price.apart(
            (y[tested], with_it), (y[kept], without), metric, probe.name, "with each group on one side of the split"
        )
        if max(paid.low * metric.sign, paid.high * metric.sign) >= 0:
            continue  # parting them costs nothing that could be seen
        option = f"--group {name}" if name not in {c.name for c in table.inputs if c.kind in EVENED} else "--group"
        found.append(
            Flaw(
                name="groups", price=paid, columns=(name,),
                says=f"Rows of one {name!r} are alike, and lie on both sides of the split; {option} keeps them whole.",
            )
        )  # fmt: skip
    return found


def _times(table: Table, probe: Probe, rows: np.ndarray, asked: Settings, seconds: float) -> list[Flaw]:
    mine = some(rows, max(FEWEST, probe.most_rows(seconds, 2)))
    metric, y = METRICS[table.task.metric], table.labels[mine]
    for name, latest in belonging.latest(table, mine, asked).items():
        tested, with_it, kept, without = belonging.parted(probe, mine, y, latest)
        paid = price.apart((y[tested], with_it), (y[kept], without), metric, probe.name, "tested on the latest rows")
        if max(paid.low * metric.sign, paid.high * metric.sign) < 0:
            says = f"What came last by {name!r} is foretold worse than rows drawn at random; --time {name} tests on it."
            return [Flaw(name="time", price=paid, columns=(name,), says=says)]
    return []


def _labels(table: Table, store: Store, probe: Probe, rows: np.ndarray, seconds: float) -> Flaw | None:
    classes = len(table.task.classes)
    most = probe.most_rows(seconds, PARTED + 1)
    if not classes or most < FEWEST:
        return None
    looked = min(len(rows), int(seconds / (AN_ANSWER * (1 + classes // 3))))
    rows = some(rows, max(looked, FEWEST))
    y = table.labels[rows]
    fold = np.random.default_rng(3).permutation(len(rows)) % PARTED
    answers = probe.crossed(rows, y, fold, most)
    noise = labels.noise(answers, y)
    if noise is None or noise.share < labels.LEAST:
        return None
    place = labels.suspects(answers, y, noise.share)
    if not len(place):
        return None
    learned = _learned(probe, rows, y, place, fold, answers, most)
    mine = rows[place]
    tested = np.isin(mine, store.split.test)
    verb = "looks" if len(mine) == 1 else "look"
    says = (
        f"{len(mine):,} of {len(rows):,} labels {verb} wrong; about half of these should be. In all {noise.low:.1%} to "
        f"{noise.high:.1%} of the labels may be wrong, as far as {probe.name} can tell."
    )
    return Flaw(
        name="labels", rows=mine, drop=mine[~tested], says=says,
        said=tuple(table.task.classes[k] for k in answers[place].argmax(axis=1)),
        facts={"noise": vars(noise), "learned": vars(learned)},
    )  # fmt: skip


def _learned(
    probe: Probe, rows: np.ndarray, y: np.ndarray, place: np.ndarray, fold: np.ndarray, answers: np.ndarray, most: int
) -> Price:
    """What the probe gains on the last fold, labels as given, where it learned without the suspects."""
    tried = np.flatnonzero(fold == PARTED - 1)
    train = some(np.flatnonzero(fold != PARTED - 1), most, seed=PARTED - 1)
    train = np.setdiff1d(train, place)
    again = probe.answers(rows[train], y[train], rows[tried])
    metric = METRICS["accuracy"]
    return price.paired(y[tried], answers[tried], again, metric, probe.name, "learned without the suspects")


def _drift(table: Table, store: Store, probe: Probe, rows: np.ndarray, seconds: float) -> Flaw | None:
    if not (table.part == 2).any():
        return None
    mine = some(rows, probe.most_rows(seconds, 2))
    auc = belonging.drift(store, table, mine, probe.threads)
    if auc is None or auc < DRIFTED:
        return None
    y, stated = table.labels, table.part[mine] == 2
    train, tried = _halves(mine[~stated], len(mine))
    test = mine[stated]
    answers = probe.answers(train, y[train], np.concatenate([tried, test]))
    metric = METRICS[table.task.metric]
    paid = price.apart(
        (y[test], answers[len(tried) :]), (y[tried], answers[: len(tried)]), metric, probe.name,
        "on rows held back from train",
    )  # fmt: skip
    return Flaw(
        name="drift", price=paid, facts={"auc": auc},
        says=f"The stated test is unlike the rows to learn from: {probe.name} tells them apart, AUC {auc:.2f}.",
    )  # fmt: skip


def _rare(table: Table, store: Store) -> Flaw | None:
    if not table.task.classes or table.task.several:
        return None
    counts = np.bincount(table.labels[store.split.train], minlength=len(table.task.classes))
    rare = np.flatnonzero(counts < RARE)
    rows = store.split.test[np.isin(table.labels[store.split.test], rare)]
    if not len(rows):
        return None
    named = ", ".join(repr(table.task.classes[k]) for k in rare[:5])
    which = f"The class {named} has" if len(rare) == 1 else f"{len(rare):,} classes have"
    such = "" if len(rare) == 1 else f", such as {named}"
    return Flaw(name="rare", rows=rows, says=f"{which} fewer than {RARE} rows to learn from{such}.")
