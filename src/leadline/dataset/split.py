"""Table -> frozen row numbers: train, valid, calib, test.

Valid stops and selects; only calibration sees calib; the labels of test are held out (`heldout.py`). A split that the
source or the user defines is kept; the rest is sampled by the seed: a stratified fifth for test, a tenth of the
remaining rows for valid. Where the test is predefined, a class of one row is learned from; valid may then be empty.
"""

from __future__ import annotations

import numpy as np

from leadline.core.tensors import Split
from leadline.system.errors import SourceError

TEST, MOST_TEST = 0.2, 50_000
VALID, MOST_VALID = 0.1, 10_000
CALIB, MOST_CALIB = 0.05, 5_000
SMALL = 1_000  # rows; below, valid gets a fifth
CALIBRATED = 5_000  # rows; below, calibration is out of fold and calib is empty
MOST_ROWS = 2_000  # of a text corpus to test on, half as many to select by; a row is a kilobyte
RARE = 0.1  # largest share of a sampled part that rows of absent classes may be
FEWEST = 8  # rows that can be split at all
FEWEST_OF_CLASSES = 2  # rows of classes that can be learned from where the test part is predefined


def split(
    labels: np.ndarray, part: np.ndarray, seed: int, *, group: np.ndarray | None = None,
    time: np.ndarray | None = None, fold: int = 0, of: str = "the source",
) -> Split:  # fmt: skip
    """Sample the split.

    Args:
        labels: class numbers (int; -1 unusable) or values (float; NaN unusable), [rows].
        part: 0 train, 1 predefined valid, 2 predefined test, 3 in none, [rows].
        group: group number of each row; equal groups stay together.
        time: moment of each row; later rows are tested on.
        of: what errors call the source.
        fold: test on the next such part of the same order: folds 0 to 4 test on every row once.

    Example:
        >>> split(np.arange(100) % 2, np.zeros(100), seed=0).counts()
        {'train': 64, 'valid': 16, 'calib': 0, 'test': 20}
    """
    usable = labels >= 0 if labels.dtype.kind == "i" else np.isfinite(labels)
    rows = np.flatnonzero(usable & (part == 0))
    predefined = {1: np.flatnonzero(usable & (part == 1)), 2: np.flatnonzero(usable & (part == 2))}
    of_classes = labels.dtype.kind == "i" and group is None and time is None
    tested = of_classes and len(predefined[2]) > 0
    fewest = FEWEST_OF_CLASSES if tested else FEWEST
    if len(rows) < fewest:
        raise SourceError(f"Only {len(rows)} usable rows to learn from in {of}; at least {fewest} are needed.")
    rng = np.random.default_rng(seed)
    order = _order(rows, labels, rng, group, time)  # [0, 1) a row; the lowest are tested on
    away = np.round(order - fold * min(TEST, MOST_TEST / len(rows)), 12)
    order = np.round(away % 1.0, 12) if fold else order  # rounded, so that a place on an edge stays there
    shares = []
    n = len(rows)
    if not len(predefined[2]):
        shares.append(("test", min(TEST, MOST_TEST / n)))
        n -= int(n * shares[-1][1])
    if not len(predefined[1]):
        shares.append(("valid", min(VALID if n >= SMALL else 2 * VALID, MOST_VALID / n) * n / len(rows)))
    # A whole group of few, such as one fold of ten, would be far more than calib needs.
    coarse = group is not None and len(np.unique(group[rows])) < 1 / CALIB
    shares.append(("calib", (min(CALIB, MOST_CALIB / n) if n >= CALIBRATED and not coarse else 0.0) * n / len(rows)))
    parts, low = {"valid": predefined[1], "test": predefined[2]}, 0.0
    for name, share in shares:
        chosen = (order >= low) & (order < low + share)
        parts[name] = rows[chosen]
        low += share
    parts["train"] = rows[order >= low]
    if of_classes:
        for name in [name for name, _ in shares if name != "calib"]:
            _give_rare(parts, name, labels)
    if tested and not len(predefined[1]):
        _keep_one(parts, labels)
    for name in ("train", "test") if tested else ("train", "valid", "test"):
        if not len(parts[name]):
            raise SourceError(
                f"Of {len(rows):,} rows of {of} whose target can be used, the split leaves no {name} rows; give more "
                "rows, or finer groups."
            )
    return Split(**parts)


def _give_rare(parts: dict[str, np.ndarray], name: str, labels: np.ndarray) -> None:
    """Add a row of every class that a sampled part lacks, from train, which keeps at least one.

    Where more classes are missing than a tenth of the part has rows, it stays as sampled.
    """
    lacking = np.setdiff1d(labels[parts["train"]], labels[parts[name]])
    if len(lacking) > max(2, RARE * len(parts[name])):
        return
    for label in lacking:
        members = parts["train"][labels[parts["train"]] == label]
        if len(members) > 1:
            parts[name] = np.sort(np.append(parts[name], members[0]))
            parts["train"] = parts["train"][parts["train"] != members[0]]


def _keep_one(parts: dict[str, np.ndarray], labels: np.ndarray) -> None:
    """Take valid rows back into train whose class has no other: of one row a class, no row is left for valid."""
    taken = np.isin(labels[parts["valid"]], np.setdiff1d(labels[parts["valid"]], labels[parts["train"]]))
    parts["train"] = np.sort(np.concatenate([parts["train"], parts["valid"][taken]]))
    parts["valid"] = parts["valid"][~taken]


def folds_of(split: Split, part: np.ndarray) -> int:
    """Folds that cover every row once; 1 where the test part is predefined, and so cannot be sampled again.

    Inferred from the number of rows: whole groups, and rows removed from train, change the share of a part.
    """
    if (part == 2).any() or not len(split.test):
        return 1
    return int(1 / min(TEST, MOST_TEST / sum(split.counts().values())) + 1e-9)


def stretches(part: np.ndarray) -> Split:
    """The split of a text corpus: the last tenth is test, the twentieth before it is valid, unless predefined.

    At most two megabytes and one: more would take minutes to read without changing the scores.

    Contiguous stretches, because neighbouring rows are not independent. There is no calib.

    Example:
        >>> stretches(np.zeros(200)).counts()
        {'train': 170, 'valid': 10, 'calib': 0, 'test': 20}
    """
    rows, predefined = np.flatnonzero(part == 0), [np.flatnonzero(part == number) for number in (1, 2)]
    test = predefined[1] if len(predefined[1]) else rows[len(rows) - min(len(rows) // 10, MOST_ROWS) :]
    rows = rows if len(predefined[1]) else rows[: -len(test)]
    valid = predefined[0] if len(predefined[0]) else rows[len(rows) - min(max(1, len(rows) // 18), MOST_ROWS // 2) :]
    rows = rows if len(predefined[0]) else rows[: -len(valid)]
    return Split(train=rows, valid=valid, calib=rows[:0], test=test)


def _order(
    rows: np.ndarray, labels: np.ndarray, rng: np.random.Generator, group: np.ndarray | None, time: np.ndarray | None
) -> np.ndarray:
    """A place in [0, 1) for each row, such that any range of places is a fair sample (or a period of time)."""
    if time is not None:
        late_first = np.argsort(-time[rows].astype(np.float64), kind="stable")
        return _places(late_first)
    if group is not None:
        names, member, sizes = np.unique(group[rows], return_inverse=True, return_counts=True)
        shuffled = rng.permutation(len(names))
        # A group of most of the rows has the last place: without it there would be little to learn from.
        most = (sizes > len(rows) / 2) & (len(names) > 1)
        shuffled = shuffled[np.argsort(most[shuffled], kind="stable")]
        starts = np.empty(len(names))
        starts[shuffled] = np.cumsum(sizes[shuffled]) - sizes[shuffled]
        starts[most] = len(rows) - 1
        return np.asarray((starts / len(rows))[member])
    if labels.dtype.kind == "f":
        return _places(rng.permutation(len(rows)))
    # Stratified: within a class of n rows the k-th sampled row gets a place in [k/n, (k+1)/n).
    places = np.empty(len(rows))
    for label in np.unique(labels[rows]):
        of_class = np.flatnonzero(labels[rows] == label)
        places[of_class] = (rng.permutation(len(of_class)) + rng.random(len(of_class))) / len(of_class)
    return places


def _places(order: np.ndarray) -> np.ndarray:
    places = np.empty(len(order))
    places[order] = np.arange(len(order)) / len(order)
    return places
