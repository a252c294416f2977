"""Inline SVG charts that keep their letters at reading size on any screen.

Horizontal places are percentages of the width and vertical places are pixels, so a chart stretches without scaling its
text. Enters: numbers and escaped text. Leaves: HTML. Colours come from the page's style sheet by class.

    >>> axis = Axis.over([0.2, 0.9])
    >>> round(axis.at(0.55), 1), axis.ticks(3)
    (50.0, [0.2, 0.4, 0.6, 0.8])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leadline.charts.format import Measure, esc, plain
from leadline.charts.labels import HEIGHT, LETTER, WIDTHS, Box, Label, Spot, spots

__all__ = ["Axis", "Frame", "Mark", "Series", "bars", "cloud", "curves", "dot", "interval", "scale", "scatter", "shape"]

NARROW = WIDTHS[0]  # pixels, the plot's width on a phone, for which labels must not collide
APART = 8  # pixels from the end of an interval to the name of another one
PHONE = 350  # pixels, the width of a phone without margins
CELL = 176  # pixels, the width of a scale in a table, at least
DASHES = ("", "7 4", "2 4", "11 4 2 4", "1 3", "14 5")


@dataclass(frozen=True)
class Axis:
    """A range of values and where they fall, in percent of the chart's length."""

    low: float
    high: float
    log: bool = False

    @classmethod
    def over(cls, values: Sequence[float], *, pad: float = 0.0, log: bool = False) -> Axis:
        """The axis that covers the finite values, and is never empty."""
        good = [v for v in values if math.isfinite(v) and (v > 0 or not log)] or [1.0]
        low, high = min(good), max(good)
        if log:
            spread = (high / low) ** pad if high > low else 1.0
            spread = max(spread, 1.6)
            return cls(low / spread, high * spread, True)
        room = (high - low) * pad if high > low else max(abs(low) * 0.1, 1e-12)
        return cls(low - room, high + room)

    def at(self, value: float) -> float:
        """Percent from the low end, kept within the chart."""
        return min(100.0, max(0.0, self.spot(value)))

    def spot(self, value: float) -> float:
        """Percent from the low end, wherever that falls."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        here = math.log(max(value, 1e-300)) if self.log else value
        return 100.0 * (here - low) / (high - low)

    def longer(self, share: float) -> Axis:
        """The axis with so much more of its length at the high end."""
        if self.log:
            return Axis(self.low, self.high * (self.high / self.low) ** share, True)
        return Axis(self.low, self.high + (self.high - self.low) * share)

    def holds(self, value: float) -> bool:
        """Whether a value lies on the axis."""
        return self.low <= value <= self.high

    def ticks(self, about: int = 4) -> list[float]:
        """Round values, near `about` of them."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in ((1, 2, 5), (1, 3), (1,)):
                found = [s * 10.0**d for d in decades for s in steps if self.holds(s * 10.0**d)]
                if len(found) <= about + 1:
                    return found
            return found[:: math.ceil(len(found) / about)]
        raw = (self.high - self.low) / about
        base = 10.0 ** math.floor(math.log10(raw))
        step = next(base * m for m in (1, 2, 2.5, 5, 10) if base * m >= raw * 0.7)
        first, last = math.ceil(self.low / step - 1e-6), math.floor(self.high / step + 1e-6)
        return [round(step * k, 12 - math.floor(math.log10(step))) for k in range(first, last + 1)]

    def written(self, value: float) -> str:
        """A tick to the digits that tell it from the next one; under ten thousand without commas, as a year is.

        >>> axis = Axis(2010.0, 2024.0)
        >>> [axis.written(tick) for tick in axis.ticks()]
        ['2010', '2012.5', '2015', '2017.5', '2020', '2022.5']
        """
        ticks = self.ticks()
        steps = [b - a for a, b in zip(ticks, ticks[1:], strict=False)]
        if self.log or not steps or value == 0:
            return plain(value)
        digits = max(3, math.floor(math.log10(abs(value))) - math.floor(math.log10(min(steps))) + 2)
        text = plain(value, digits)
        return text.replace(",", "") if max(map(abs, ticks)) < 10_000 else text


@dataclass(frozen=True)
class Frame:
    """What a chart says: its label for screen readers, the titles (across, up) and the writing of its two axes."""

    label: str
    titles: tuple[str, str]
    words: tuple[Callable[[float], str], Callable[[float], str]]


@dataclass(frozen=True)
class Mark:
    """A named point; `low` and `high` are the ends of its interval in y."""

    x: float
    y: float
    name: str
    family: str
    title: str
    low: float | None = None
    high: float | None = None
    chosen: bool = False


@dataclass(frozen=True)
class Series:
    """A named line; its sign is at its end, or where `sign` says.

    tried: the points are fits that a search compared, which no line joins.
    """

    name: str
    family: str
    points: list[tuple[float, float]]
    chosen: bool = False
    sign: tuple[float, float] | None = None
    tried: bool = False


def line(css: str, x1: float, x2: float, y1: float, y2: float) -> str:
    """A straight line; across in percent, down in pixels."""
    return f'<line class="{css}" x1="{x1:.2f}%" x2="{x2:.2f}%" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def text(css: str, x: float, y: float, words: str, shift: float = 0) -> str:
    """Escaped words at a place, moved by `shift` pixels to the right."""
    return f'<text class="{css}" x="{x:.2f}%" y="{y:.1f}" transform="translate({shift:.0f} 0)">{words}</text>'


def shape(family: str, x: str, y: float, title: str = "", chosen: bool = False) -> str:
    """A family's sign: a disc for deep, a square for classical, a ring for the baseline; the shipped one is circled."""
    label = f"<title>{title}</title>" if title else ""
    halo = f'<circle class="halo" cx="{x}" cy="{y:.1f}" r="10"/>' if chosen else ""
    css = f'class="mark {family}"'
    if family == "classical":
        body = f'<rect {css} x="{x}" y="{y - 5:.1f}" width="10" height="10" transform="translate(-5 0)"/>'
    else:
        body = f'<circle {css} cx="{x}" cy="{y:.1f}" r="5.5"/>'
    return f"<g>{label}{halo}{body}</g>"


def down(axis: Axis, value: float) -> float:
    """Pixels from the top of a chart, kept within it."""
    return HEIGHT * (1 - axis.at(value) / 100)


def plot(x: Axis, y: Axis, body: str, frame: Frame, most: float = math.inf) -> str:
    """Axes, grid and their words around `body`; `most` is the last number across that has a tick."""
    parts, widest = [], 4
    for value in y.ticks(5):
        words, at = frame.words[1](value), down(y, value)
        widest = max(widest, len(words))
        parts.append(line("grid", 0, 100, at, at) + text("tick end", 0, at + 4, words, -10))
    for value, words in _fitting(x, [v for v in x.ticks(4) if v <= most], frame.words[0], NARROW):
        at = x.at(value)
        parts.append(line("grid", at, at, HEIGHT, HEIGHT + 5) + text("tick mid", at, HEIGHT + 20, words))
    gutter = LETTER * widest + 14
    parts.append(line("axis", 0, 100, HEIGHT, HEIGHT))
    parts.append(text("name", 0, -14, frame.titles[1], -gutter) + text("name end", 100, HEIGHT + 42, frame.titles[0]))
    return (
        f'<div class="plot" style="--gutter:{gutter:.0f}px">'
        f'<svg role="img" aria-label="{frame.label}" height="{HEIGHT}">{"".join(parts)}{body}</svg></div>'
    )


def _fitting(
    axis: Axis, ticks: Sequence[float], words: Callable[[float], str], width: float
) -> list[tuple[float, str]]:  # fmt: skip
    """As many ticks, with their words, as stand side by side in so many pixels; zero is one of them where it was."""
    found = [(value, words(value)) for value in ticks]
    gaps = [width * (axis.at(b) - axis.at(a)) / 100 for a, b in zip(ticks, ticks[1:], strict=False)]
    needed = LETTER * max((len(w) for _, w in found), default=1) + 8
    stride = max(1, math.ceil(needed / max(min(gaps, default=width), 1.0)))
    return found[ticks.index(0.0) % stride if 0.0 in ticks else 0 :: stride]


def scatter(marks: list[Mark], x: Axis, y: Axis, front: list[Mark], frame: Frame) -> str:
    """Named points with their intervals, and the line of those that no other point beats on both counts."""
    return _roomy(lambda axis: _scattered(marks, axis, y, front), x, [mark.name for mark in marks], y, frame)


def _roomy(
    made: Callable[[Axis], tuple[str, list[Label], list[Box]]], x: Axis, names: list[str], y: Axis, frame: Frame
) -> str:  # fmt: skip
    """The chart, with room for the last name to the right of its sign where that helps."""
    longest = max(map(len, names))
    best: tuple[float, Axis, str] | None = None
    for axis in (x, x.longer((LETTER * longest + 13) / NARROW)):
        body, labels, drawn = made(axis)
        found, cost = spots(labels, drawn)
        if best is None or cost < best[0]:
            best = cost, axis, body + _named(labels, found)
        if not best[0]:
            break
    assert best is not None
    return plot(best[1], y, best[2], frame, most=x.high)


def _scattered(marks: list[Mark], x: Axis, y: Axis, front: list[Mark]) -> tuple[str, list[Label], list[Box]]:
    """The marks of the points, their names, and the boxes of all lines."""
    lines: list[str] = []
    drawn: list[Box] = []
    for one, other in zip(front, front[1:], strict=False):
        a, b, here, there = x.at(one.x), x.at(other.x), down(y, one.y), down(y, other.y)
        lines.append(line("front", a, b, here, here) + line("front", b, b, here, there))
        drawn += Box.of_line(a, here, b, here) + Box.of_line(b, here, b, there)
    signs: list[str] = []
    labels: list[Label] = []
    for mark in sorted(marks, key=lambda m: (not m.chosen, down(y, m.y))):
        at, here = x.at(mark.x), down(y, mark.y)
        if mark.low is not None and mark.high is not None:
            low, high = down(y, mark.low), down(y, mark.high)
            lines.append(line(f"whisker {mark.family}", at, at, low, high))
            drawn += Box.of_line(at, high - APART, at, low + APART)  # a name at its end would seem to be its own
        signs.append(shape(mark.family, f"{at:.2f}%", here, mark.title, mark.chosen))
        beyond = "" if y.holds(mark.y) else " ↓" if mark.y < y.low else " ↑"
        labels.append(Label(at, here, mark.name + beyond))
    return "".join(lines + signs), labels, drawn


def _named(labels: list[Label], found: list[Spot]) -> str:
    """The names of signs, each at its spot."""
    return "".join(
        text(f"label {spot.anchor}".rstrip(), one.at, one.down + spot.down, esc(one.words), spot.right)
        for one, spot in zip(labels, found, strict=True)
    )


def curves(lines: list[Series], x: Axis, y: Axis, frame: Frame, agree: bool = False) -> str:
    """Lines over time; the dash tells lines of one family apart, and each line's sign carries its name.

    `agree` draws the line on which both axes, which are then of one scale, say the same.
    """
    if agree:
        body, labels, drawn = _lined(lines, x, y)
        body = line("agree", 0, 100, HEIGHT, 0) + body
        drawn += Box.of_line(0, HEIGHT, 100, 0)
        return plot(x, y, body + _named(labels, spots(labels, drawn)[0]), frame)
    return _roomy(lambda axis: _lined(lines, axis, y), x, [one.name for one in lines], y, frame)


def _lined(lines: list[Series], x: Axis, y: Axis) -> tuple[str, list[Label], list[Box]]:
    """The marks of lines, their names, and the boxes of all that they cross."""
    body: list[str] = []
    drawn: list[Box] = []
    dashed: list[str] = []
    signs: list[str] = []
    labels: list[Label] = []
    for one in sorted(lines, key=lambda s: -s.points[-1][1]):
        spot = one.sign or one.points[-1]
        at, here = x.at(spot[0]), down(y, spot[1])
        places = [(x.at(a), HEIGHT * (1 - y.spot(b) / 100)) for a, b in one.points]
        if one.tried:
            body += [f'<circle class="tried {one.family}" cx="{a:.2f}%" cy="{b:.1f}" r="2.5"/>' for a, b in places
                     if 0 <= b <= HEIGHT]  # fmt: skip
            drawn += [Box(a, a, b - 3, b + 3, -3, 3) for a, b in places]
        else:
            dash = DASHES[dashed.count(one.family) % len(DASHES)]
            dashed.append(one.family)
            path = " ".join(f"{10 * a:.1f},{b:.1f}" for a, b in places)
            css = f"curve {one.family}{' chosen' if one.chosen else ''}"
            body.append(
                f'<svg viewBox="0 0 1000 {HEIGHT}" width="100%" height="{HEIGHT}" preserveAspectRatio="none">'
                f'<polyline class="{css}" points="{path}" stroke-dasharray="{dash}"/></svg>'
            )
            drawn += [
                box for (a, b), (c, d) in zip(places, places[1:], strict=False) for box in Box.of_line(a, b, c, d)
            ]
        signs.append(shape(one.family, f"{at:.2f}%", here, chosen=one.tried and one.chosen))
        labels.append(Label(at, here, one.name))
    return "".join(body + signs), labels, drawn


def dot(axis: Axis, mark: Mark) -> str:
    """One contender's score and interval on the scale that the whole table shares; an arrow where it lies beyond."""
    body = "".join(line("grid", axis.at(t), axis.at(t), -8, 36) for t in axis.ticks(3))
    if not axis.holds(mark.y):
        body += text("far", 0, 20, "◂") if mark.y < axis.low else text("far end", 100, 20, "▸")
    else:
        if mark.low is not None and mark.high is not None:
            body += line(f"whisker {mark.family}", axis.at(mark.low), axis.at(mark.high), 14, 14)
        body += shape(mark.family, f"{axis.at(mark.y):.2f}%", 14, mark.title, mark.chosen)
    return f'<svg class="dot" role="img" aria-label="{mark.title}" height="28">{body}</svg>'


def scale(axis: Axis, words: Callable[[float], str]) -> str:
    """The numbers of the scale that `dot` draws on."""
    inside = [value for value in axis.ticks(3) if 8 < axis.at(value) < 92] or axis.ticks(3)
    parts = "".join(text("tick mid", axis.at(t), 12, said) for t, said in _fitting(axis, inside, words, CELL))
    return f'<svg class="dot" aria-hidden="true" height="16">{parts}</svg>'


def cloud(points: list[tuple[float, float]], axis: Axis, frame: Frame) -> str:
    """Many points of two values on one scale, and the line on which both agree."""
    dots = "".join(f'<circle cx="{axis.at(a):.1f}%" cy="{down(axis, b):.1f}" r="2.5"/>' for a, b in points)
    return plot(axis, axis, f'{line("agree", 0, 100, HEIGHT, 0)}<g class="cloud">{dots}</g>', frame)


def bars(counts: list[int], x: Axis, frame: Frame) -> str:
    """A histogram: bars of equal width along `x`, and a line at zero."""
    y, wide = Axis(0.0, max([1, *counts]) * 1.05), 100 / max(1, len(counts))
    body = "".join(
        f'<rect class="bar" x="{(i + 0.08) * wide:.2f}%" width="{0.84 * wide:.2f}%" y="{down(y, n):.1f}" '
        f'height="{HEIGHT - down(y, n):.1f}"><title>{n:,}</title></rect>'
        for i, n in enumerate(counts)
    )
    zero = line("agree", x.at(0), x.at(0), 0, HEIGHT) if x.holds(0) else ""
    return plot(x, y, body + zero, frame)


def interval(gap: float, low: float, high: float, region: float, measure: Measure, label: str) -> str:
    """The verdict's picture: the interval of the difference, sounded against the region that does not matter."""
    reach = 1.18 * max(abs(low), abs(high), abs(gap), 2.2 * region, 1e-12)
    axis = Axis(-reach, reach)
    reading, top, middle, base = 47, 62, 112, 166  # the reading has a line of its own: nothing lies behind it
    a, b, here = axis.at(-region), axis.at(region), axis.at(gap)
    parts = [
        f'<rect class="same" x="{a:.2f}%" y="{top}" width="{b - a:.2f}%" height="{base - top}"/>',
        line("edge", a, a, top, base) + line("edge", b, b, top, base) + line("zero", 50, 50, top, base),
        text("zone classical", 0, 14, "← classical better") + text("zone deep end", 100, 14, "deep better →"),
        line("bracket", a, b, base + 44, base + 44),
        line("bracket", a, a, base + 38, base + 44) + line("bracket", b, b, base + 38, base + 44),
        text("zone mid", 50, base + 62, "no practical difference"),
        text("tick mid", 50, base + 79, f"within ± {measure.difference(region)}"),
    ]
    ticks = axis.ticks(4)
    for index, (left, right) in enumerate(zip([-reach, *ticks], [*ticks, reach], strict=True)):
        x, wide = axis.at(left), axis.at(right) - axis.at(left)
        css = "scale ink" if index % 2 else "scale paper"
        parts.append(f'<rect class="{css}" x="{x:.2f}%" y="{base}" width="{wide:.2f}%" height="6"/>')
    inside = [value for value in ticks if 5 < axis.at(value) < 95]
    parts += [text("tick mid", axis.at(v), base + 24, said) for v, said in _fitting(axis, inside, measure.bare, PHONE)]
    parts.append(line("sounding", axis.at(low), axis.at(high), middle, middle))
    parts += [line("sounding cap", axis.at(end), axis.at(end), middle - 9, middle + 9) for end in (low, high)]
    parts.append(line("plumb", here, here, reading + 6, middle))
    parts.append(f'<circle class="lead" cx="{here:.2f}%" cy="{middle}" r="8"/>')
    anchor = "" if here < 25 else "end" if here > 75 else "mid"
    parts.append(text(f"reading {anchor}", here, reading, measure.gap(gap)))
    return (
        f'<div class="interval"><svg role="img" aria-label="{label}" height="{base + 84}">{"".join(parts)}</svg></div>'
    )
