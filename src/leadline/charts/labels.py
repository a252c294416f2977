"""Where the names in a chart go: beside their signs, and not over another sign, a line or a name.

Enters: signs and the boxes of the other marks. Leaves: a spot for each name. A chart stretches, so what overlaps is
counted at the width of a phone, of a column and of a page; each name takes the spot around its sign where least does.

    >>> near = [Label(50.0, 100.0, "cnn"), Label(54.0, 100.0, "linear")]
    >>> [spot.anchor for spot in spots(near, [])[0]]
    ['end', '']
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["HEIGHT", "LETTER", "WIDTHS", "Box", "Label", "Spot", "spots"]

LETTER = 6.6  # pixels, the mean width of a character in a label
HEIGHT = 280  # pixels, of a chart with two axes
WIDTHS = (270, 440, 780)  # pixels of a plot: on a phone, one of a pair, alone on a page
ASCENT, DESCENT, MARGIN = 10, 3, 2  # pixels of a name above and below its line, and around what is drawn
SIGN = 7  # pixels from the middle of a sign to its edge
OUTSIDE = 10.0  # times that a name outside of the chart is worse than one over something
CONFUSED, CLEAR = 8.0, 2.0  # cost of a pixel that another sign is nearer; pixels by which its own should be nearer
OVER_SIGN = 6.0  # times that a hidden sign is worse than a hidden line
ROUNDS = 3  # in which every name is placed again among all the others


@dataclass(frozen=True)
class Box:
    """A rectangle: its ends across in percent of the width, and pixels beside them; its ends down in pixels."""

    left: float
    right: float
    top: float
    bottom: float
    before: float = 0.0  # pixels added to the left end
    behind: float = 0.0  # pixels added to the right end
    weight: float = 1.0

    @classmethod
    def of_line(cls, x1: float, y1: float, x2: float, y2: float) -> list[Box]:
        """A straight line: short pieces, each with a little room around it."""
        pieces = 1 if x1 == x2 or y1 == y2 else max(1, min(24, round((abs(x2 - x1) * 4 + abs(y2 - y1)) / 12)))
        across, down = np.linspace(x1, x2, pieces + 1), np.linspace(y1, y2, pieces + 1)
        return [
            cls(min(a, b), max(a, b), min(c, d) - MARGIN, max(c, d) + MARGIN, -MARGIN, MARGIN)
            for a, b, c, d in zip(across, across[1:], down, down[1:], strict=False)
        ]


@dataclass(frozen=True)
class Label:
    """A name, and the place of its sign: across in percent, down in pixels."""

    at: float
    down: float
    words: str

    @property
    def sign(self) -> Box:
        """The box of its sign."""
        return Box(self.at, self.at, self.down - SIGN, self.down + SIGN, -SIGN, SIGN, OVER_SIGN)


@dataclass(frozen=True)
class Spot:
    """A place beside a sign: pixels to the right and down, and the end of the name that lies there."""

    right: float
    down: float
    anchor: str  # "" its start, "mid" its middle, "end"


NEAR = 4  # pixels that a name beside its sign lies below the middle of it
AWAY = (0, -14, 14, -24, 24, -38, 38)  # pixels from there, up and down
SPOTS = tuple(
    Spot(toward * (13 if not away else 8), NEAR + away, anchor)
    for away in AWAY
    for toward, anchor in ((1, ""), (-1, "end"))
) + tuple(Spot(0, NEAR + away + (-4 if away < 0 else 4), "mid") for away in AWAY[1:])
FAR = 0.25  # cost of a pixel of distance: of spots as good, the nearest is taken


def spots(labels: Sequence[Label], drawn: Sequence[Box]) -> tuple[list[Spot], float]:
    """A spot for each label, among all signs of the labels and the other marks; and what they cost together."""
    lines = _numbers(drawn)
    signs = [_numbers([other.sign for other in labels if other is not label]) for label in labels]
    chosen = [SPOTS[0]] * len(labels)
    paid = [0.0] * len(labels)
    for round_ in range(ROUNDS):
        before = list(chosen)
        for place, label in enumerate(labels):
            known = range(len(labels) if round_ else place)  # the others have no spot yet
            names = [_box(labels[i], chosen[i]) for i in known if i != place]
            others = np.concatenate([lines, signs[place], _numbers(names)])
            boxes = [_box(label, spot) for spot in SPOTS]
            costs = [
                _cost(box, others) + _confused(box, label, labels) + FAR * abs(spot.down - NEAR)
                for box, spot in zip(boxes, SPOTS, strict=True)
            ]
            chosen[place], paid[place] = SPOTS[int(np.argmin(costs))], min(costs)
        if chosen == before:
            break
    return chosen, sum(paid)


def _box(label: Label, spot: Spot) -> Box:
    """The box of a name at a spot."""
    wide = LETTER * len(label.words)
    start = spot.right - {"": 0.0, "mid": wide / 2, "end": wide}[spot.anchor]
    line = label.down + spot.down
    return Box(label.at, label.at, line - ASCENT, line + DESCENT, start, start + wide, 2.0)


def _confused(box: Box, label: Label, labels: Sequence[Label]) -> float:
    """How much nearer a name is to the sign of another label than to its own, at all widths together."""
    found = 0.0
    for width in WIDTHS:
        own, *others = (_distance(box, each, width) for each in (label, *(o for o in labels if o is not label)))
        found += max(0.0, own + CLEAR - min(others, default=1e9))
    return CONFUSED * found


def _distance(box: Box, label: Label, width: float) -> float:
    """Pixels from a name to the middle of a sign."""
    at = label.at * width / 100
    across = max(box.left * width / 100 + box.before - at, at - box.right * width / 100 - box.behind, 0.0)
    return float(np.hypot(across, max(box.top - label.down, label.down - box.bottom, 0.0)))


def _numbers(boxes: Sequence[Box]) -> np.ndarray:
    """Boxes as numbers [boxes, 7]."""
    found = [(b.left, b.right, b.top, b.bottom, b.before, b.behind, b.weight) for b in boxes]
    return np.array(found, dtype=np.float64).reshape(len(found), 7)


def _cost(box: Box, others: np.ndarray) -> float:
    """Pixels of a name over others, by their weight, and outside of the chart, at all widths together."""
    left, right, top, bottom, before, behind, weight = others.T
    high = np.minimum(box.bottom, bottom) - np.maximum(box.top, top)
    cost = 0.0
    for width in WIDTHS:
        start, end = box.left * width / 100 + box.before, box.right * width / 100 + box.behind
        wide = np.minimum(end, right * width / 100 + behind) - np.maximum(start, left * width / 100 + before)
        cost += float((weight * np.maximum(0.0, wide) * np.maximum(0.0, high)).sum())
        beyond = max(0.0, -start) + max(0.0, end - width - ASCENT)
        cost += OUTSIDE * beyond * (box.bottom - box.top)
    below = max(0.0, -ASCENT - box.top) + max(0.0, box.bottom - HEIGHT)
    return cost + OUTSIDE * below * (box.behind - box.before)
