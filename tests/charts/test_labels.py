"""Names in charts, read back from what is drawn: at every width none lies over a sign, a line or another name."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from itertools import combinations

import pytest

from leadline.charts.svg import Axis, Frame, Mark, Series, curves, scale, scatter

LETTER = 6.6
FRAME = Frame("a chart", ("cost", "score"), (str, str))
Rectangle = tuple[float, float, float, float]  # left, right, top, bottom


def _texts(page: str, css: str, width: float) -> Iterator[tuple[str, Rectangle]]:
    """The words of a class, and where they are in pixels."""
    shape = r'<text class="{}([^"]*)" x="([\d.-]+)%" y="([\d.-]+)" transform="translate\(([\d.-]+) 0\)">([^<]+)<'
    for kind, x, y, shift, words in re.findall(shape.format(css), page):
        wide = LETTER * len(words)
        left = float(x) * width / 100 + float(shift) - {"": 0.0, " mid": wide / 2, " end": wide}[kind]
        yield words, (left, left + wide, float(y) - 10, float(y) + 3)


def _signs(page: str, width: float) -> Iterator[Rectangle]:
    for x, y in re.findall(r'<circle class="mark \w+" cx="([\d.]+)%" cy="([\d.]+)"', page):
        yield float(x) * width / 100 - 5.5, float(x) * width / 100 + 5.5, float(y) - 5.5, float(y) + 5.5
    for x, y in re.findall(r'<rect class="mark \w+" x="([\d.]+)%" y="([\d.]+)"', page):
        yield float(x) * width / 100 - 5, float(x) * width / 100 + 5, float(y), float(y) + 10


def _lines(page: str, width: float) -> Iterator[Rectangle]:
    ends = r'<line class="(?:front|whisker \w+)" x1="([\d.]+)%" x2="([\d.]+)%" y1="([\d.]+)" y2="([\d.]+)"'
    for found in re.findall(ends, page):
        x1, x2, y1, y2 = map(float, found)
        yield min(x1, x2) * width / 100, max(x1, x2) * width / 100, min(y1, y2), max(y1, y2)


def _over(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[1] and b[0] < a[1] and a[2] < b[3] and b[2] < a[3]


def _away(name: Rectangle, sign: Rectangle) -> float:
    """Pixels from a name to the middle of a sign."""
    (left, right, top, bottom), x, y = name, (sign[0] + sign[1]) / 2, (sign[2] + sign[3]) / 2
    return math.hypot(max(left - x, x - right, 0.0), max(top - y, y - bottom, 0.0))


def _hidden(page: str, width: float) -> list[str]:
    """Names that lie over something."""
    names = list(_texts(page, "label", width))
    things = [*_signs(page, width), *_lines(page, width)]
    found = [words for words, box in names if any(_over(box, thing) for thing in things)]
    return found + [a for (a, one), (_, other) in combinations(names, 2) if _over(one, other)]


def _front(marks: list[Mark]) -> list[Mark]:
    front: list[Mark] = []
    for mark in sorted(marks, key=lambda m: (m.x, -m.y)):
        if not front or mark.y > front[-1].y:
            front.append(mark)
    return front


def _scatter(marks: list[Mark]) -> str:
    across = Axis.over([mark.x for mark in marks], pad=0.08, log=True)
    return scatter(marks, across, Axis(0.4, 1.0), _front(marks), FRAME)


CASES = {
    "a long name at the right edge": [
        ("transformer", "deep", 400.0, 0.7), ("bag", "deep", 200.0, 0.78), ("baseline", "baseline", 0.1, 0.2),
    ],
    "one over the other": [("linear", "classical", 20.0, 0.8), ("pretrained", "deep", 21.0, 0.72)],
    "side by side": [
        ("linear", "classical", 20.0, 0.8), ("pretrained", "deep", 60.0, 0.79), ("cnn", "deep", 150.0, 0.7),
    ],
    "beyond the scale": [
        ("boosting", "classical", 20.0, 0.8), ("cnn", "deep", 150.0, 0.9), ("baseline", "baseline", 0.1, 0.1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("width", [280, 440, 780])
@pytest.mark.parametrize("case", CASES)
def test_a_name_lies_over_nothing(case: str, width: float) -> None:
    marks = [
        Mark(x, y, name, family, "", y - 0.08, y + 0.08, chosen=place == 0)
        for place, (name, family, x, y) in enumerate(CASES[case])
    ]
    page = _scatter(marks)
    assert _hidden(page, width) == []
    assert all(left > -5 and right < width + 14 for _, (left, right, *_) in _texts(page, "label", width))


def test_names_of_many_signs_hide_no_other_sign() -> None:
    rng, names = random.Random(3), ["linear", "boosting", "mlp", "cnn", "transformer", "pretrained"]
    covered = 0
    for _ in range(30):
        marks = [Mark(10 ** rng.uniform(0, 3), rng.uniform(0.5, 0.9), name, "deep", "") for name in names]
        page = _scatter(marks)
        signs, labels = list(_signs(page, 440)), list(_texts(page, "label", 440))
        covered += sum(_over(box, sign) for _, box in labels for sign in signs)
    assert covered <= 2, "of 30 charts with six names each"


def test_a_name_of_a_line_is_beside_its_sign_and_not_on_a_line() -> None:
    lines = [
        Series("linear", "classical", [(1.0, 0.80), (10.0, 0.82)]),
        Series("pretrained", "deep", [(1.0, 0.70), (10.0, 0.83)]),
        Series("cnn", "deep", [(1.0, 0.60), (5.0, 0.815)]),
    ]
    page = curves(lines, Axis(0.0, 10.0), Axis(0.5, 0.9), FRAME)
    for width in (280, 440, 780):
        assert _hidden(page, width) == []


@pytest.mark.parametrize("digits", [1, 2, 4, 6])
@pytest.mark.parametrize("low, high", [(0.1, 0.53), (0.0, 1.0), (0.91, 0.93), (-4000.0, 9000.0)])
def test_numbers_of_a_scale_do_not_run_together_on_a_phone(low: float, high: float, digits: int) -> None:
    found = list(_texts(scale(Axis(low, high), lambda value: f"{value:.{digits}f}"), "tick", 182))
    assert found and not any(_over(a, b) for (_, a), (_, b) in combinations(found, 2))


def test_a_name_is_nearer_to_its_own_sign_than_to_another() -> None:
    lines = [
        Series("pretrained", "deep", [(16.0, 3.7), (72.0, 1.33), (320.0, 1.2)]),
        Series("linear", "classical", [(16.0, 3.8), (72.0, 1.55), (320.0, 1.34)]),
    ]
    page = curves(lines, Axis.over([16.0, 320.0], log=True), Axis.over([1.2, 3.8], pad=0.08), FRAME)
    for width in (280, 440, 780):
        (square,) = (box for box in _signs(page, width) if box[1] - box[0] < 10.5)
        (disc,) = (box for box in _signs(page, width) if box[1] - box[0] > 10.5)
        names = dict(_texts(page, "label", width))
        assert _away(names["linear"], square) < _away(names["linear"], disc)
        assert _away(names["pretrained"], disc) < _away(names["pretrained"], square)
