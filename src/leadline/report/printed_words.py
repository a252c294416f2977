"""How a printed model names what it reads: columns and their parts, values of a category, years and dates.

A value that is missing, and any that is not named, are in italics; a value of the user's that reads like one of these
words stands in quotes.

    >>> level("red"), level("missing"), number(17_019.5, "date"), number(2016.0, "year")
    ('<bdi>red</bdi>', '<bdi>“missing”</bdi>', '2016-08-06 12:00', '2016')
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from leadline.charts.format import esc, name, plain
from leadline.charts.svg import Axis
from leadline.core.printed import OF_LISTS, Form, Place, Reading, TreeNode

MISSING, OTHER, ANY = "missing", "any other value", "any value"
TELLING = 40  # characters of a term's name
EXACT = 12  # digits of a threshold, and characters that it may have
A_MINUTE = 24 * 60  # of a day


@dataclass(frozen=True)
class Span:
    """A piece of a sentence; a special one is no value of the user's."""

    text: str
    special: bool = False

    def html(self) -> str:
        return f"<em>{self.text}</em>" if self.special else f"<bdi>{esc(self.text)}</bdi>"

    def svg(self) -> str:
        return f'<tspan class="special">{self.text}</tspan>' if self.special else esc(self.text)


def quoted(value: str) -> str:
    """A value of a category, in quotes where it could be read as something else."""
    alike = value.strip().lower() in (MISSING, OTHER, ANY) or value.startswith("“") or ", " in value or " or " in value
    return f"“{value}”" if alike else value


def level(value: str) -> str:
    """A value of a category in a table."""
    return name(quoted(value), TELLING)


def levels(place: Place) -> list[str]:
    """What each place of a table is called."""
    first = [Span(MISSING, True).html(), Span(OTHER if place["names"] else ANY, True).html()]
    if place["form"] == "flag" and len(place["edges"]) == 1:
        return [first[0], "no", "yes"]
    return [*first, *map(level, place["names"])]


def part_of(read: Reading | TreeNode) -> str:
    """The part of a value that is read, in words."""
    return f"{read['part']} “{read['word']}”" if read["word"] else read["part"]


def titled(read: Reading | TreeNode, length: int = TELLING) -> str:
    """A column, and the part of its value that is read, each of so many characters at most."""
    part = part_of(read)
    return f"{name(read['column'], length)}{': ' + name(part, length) if part else ''}"


def number(value: float, form: Form, digits: int = 4) -> str:
    """A number as it is meant; a date has its time where it is no whole day."""
    if form == "date":
        minutes = round(value * A_MINUTE)
        try:
            moment = datetime(1970, 1, 1) + timedelta(minutes=minutes)
        except OverflowError:
            return plain(value, digits)
        return f"{moment:%Y-%m-%d}" if minutes % A_MINUTE == 0 else f"{moment:%Y-%m-%d %H:%M}"
    if form == "year":
        return f"{value:.1f}".removesuffix(".0").replace("-", "−")
    return _ungrouped(plain(value, digits), value)


def _ungrouped(text: str, value: float) -> str:
    """Without a comma under ten thousand: a column of numbers may hold years."""
    return text.replace(",", "") if abs(value) < 10_000 else text


def exact(value: float, form: Form) -> str:
    """A threshold with all of its digits, where they are not too many."""
    text = f"{value:,.{EXACT}g}".replace("-", "−")
    short = form not in ("date", "year") and len(text) <= EXACT and "e" not in text
    return _ungrouped(text, value) if short else number(value, form, EXACT // 2)


def along(axis: Axis, form: Form) -> Callable[[float], str]:
    """How the ticks of an axis are written: to the digits that tell one from the next."""
    if form == "date":
        return lambda value: number(float(round(value)), form)
    if form == "year":
        return lambda value: f"{value:.0f}" if value == round(value) else ""
    return axis.written


def asked(node: TreeNode) -> tuple[list[Span], str]:
    """The question of a split without its column, and a shorter word for it, which does not say all."""
    if node["form"] == "flag":  # yes goes right
        return [Span(f"{part_of(node)}?")], f"{node['part']}?"
    if node["most"] is not None:
        included = node["missing_left"] and node["form"] not in OF_LISTS
        more = [Span(" or "), Span(MISSING, True)] if included else []
        most = f"≤ {exact(node['most'], node['form'])}"
        return [Span(most), *more, Span("?")], f"{most}?"
    yes = _values(node["names"], node["missing_left"], node["other_left"])
    no = _values(node["others"], not node["missing_left"], not node["other_left"])
    positive = len(yes) < len(no) or (len(yes) == len(no) and not node["other_left"])
    word, chosen = ("is", yes) if positive else ("is not", no)
    return [Span(f"{word} "), *_listed(chosen), Span("?")], f"{word} one of {len(chosen)}?"


def _values(names: Sequence[str], missing: bool, other: bool) -> list[Span]:
    special = [Span(word, True) for word, there in ((MISSING, missing), (OTHER, other)) if there]
    return [*(Span(quoted(each)) for each in names), *special]


def _listed(values: Sequence[Span]) -> list[Span]:
    found: list[Span] = []
    for left, value in zip(range(len(values) - 1, -1, -1), values, strict=True):
        found += [value] if left == 0 else [value, Span(" or " if left == 1 else ", ")]
    return found
