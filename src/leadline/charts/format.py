"""How the report writes numbers and names: everything a user supplied passes through `esc`, `clip` or `name`.

Enters: plain values. Leaves: text that is safe to place in HTML.

    >>> esc("<b>"), count(60000), seconds(171.2), size(430_000), micros(1260)
    ('&lt;b&gt;', '60,000', '2 min 51 s', '430 kB', '1.3 ms')
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "Measure",
    "chance",
    "clip",
    "count",
    "esc",
    "grid",
    "micros",
    "name",
    "percent",
    "plain",
    "scroll",
    "seconds",
    "size",
    "tag",
]

PERCENT = {"accuracy", "balanced accuracy", "f1", "micro f1", "macro f1", "label accuracy", "exact match"}
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
NONE = "–"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def esc(value: object) -> str:
    """Any value as text that is safe between tags and inside quoted attributes."""
    return html.escape(UNPRINTABLE.sub("\ufffd", str(value)), quote=True)


def clip(value: object, length: int = 60) -> str:
    """Escaped text, its middle replaced by an ellipsis where it is longer than `length`."""
    text = str(value)
    if len(text) > length:
        head = (length - 1) * 2 // 3
        text = text[:head] + "…" + text[len(text) - (length - 1 - head) :]
    return esc(text)


def name(value: object, length: int = 40) -> str:
    """A user's name for something, kept from reordering the text around it; the full name shows on hover."""
    text = str(value)
    title = f' title="{clip(text, 300)}"' if len(text) > length else ""
    return f"<bdi{title}>{clip(text, length) if text.strip() else '(empty)'}</bdi>"


def tag(kind: str, body: str, css: str = "") -> str:
    """`<kind class=css>body</kind>`; `body` is HTML already."""
    return f'<{kind} class="{css}">{body}</{kind}>' if css else f"<{kind}>{body}</{kind}>"


def scroll(body: str, label: str) -> str:
    """A box in which something wide scrolls by itself, also by keyboard."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">{body}</div>' if body else ""


def grid(head: Sequence[str], rows: Iterable[Sequence[str]], words: int, label: str, css: str = "") -> str:
    """A table in a box of its own: the first `words` columns are text, the others numbers."""

    def row(kind: str, cells: Sequence[str]) -> str:
        return tag("tr", "".join(tag(kind, cell, "num" if i >= words else "") for i, cell in enumerate(cells)))

    body = "".join(row("td", cells) for cells in rows)
    return scroll(tag("table", f"<thead>{row('th', head)}</thead><tbody>{body}</tbody>", css), label)


def chance(value: float | None) -> str:
    """A probability, never written as a certainty."""
    return percent(None if value is None else min(0.9999, max(0.0001, value)))


def count(value: float | None) -> str:
    """A whole number with thousands separated."""
    return NONE if value is None or not math.isfinite(value) else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """A share; rounded to 0% or 100% only where it is exactly that."""
    if share is None or not math.isfinite(share):
        return NONE
    if 0 < share < 0.001:
        return "under 0.1%"
    if 0.999 < share < 1:
        return "over 99.9%"
    return f"{100 * share:.1f}%" if 0 < share < 0.1 or 0.9 < share < 1 else f"{100 * share:.0f}%"


def beside(value: float, most: float, sign: bool = False) -> str:
    """A number to the decimals that three digits of the largest one beside it have, if wanted with its sign.

    >>> beside(9.47e-06, 5.34), beside(-0.0162, 5.34), beside(0.124, 5.34, sign=True), beside(1234.5, 20_000.0)
    ('0.00', '−0.02', '+0.12', '1,234')
    >>> beside(2e12, 2e12, sign=True)
    '+2.00×10¹²'
    """
    if not math.isfinite(value) or not 1e-9 < most < 1e9:
        return ("+" if sign and value > 0 else "") + plain(value)
    decimals = max(0, 2 - math.floor(math.log10(most)))
    rounded = round(value, decimals)
    mark = "−" if rounded < 0 else "+" if sign and rounded > 0 else ""
    return f"{mark}{abs(rounded):,.{decimals}f}"


def plain(value: float, digits: int = 3) -> str:
    """A number to some significant digits, with no exponent where it can be read without one."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    power = math.floor(math.log10(abs(value)))
    if power >= 9 or power < -4:
        return f"{value / 10.0**power:.{digits - 1}f}×10{str(power).translate(SUPERSCRIPT)}".replace("-", "−", 1)
    text = f"{round(value, digits - 1 - power):,.{max(0, digits - 1 - power)}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


def seconds(value: float | None) -> str:
    """A duration."""
    if value is None or not math.isfinite(value):
        return NONE
    if value < 1:
        return f"{plain(1000 * value, 2)} ms"
    if value < 99.5:
        return f"{plain(value, 2)} s"
    if value < 119.5:
        return f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def micros(value: float | None) -> str:
    """A short duration given in microseconds."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{plain(value, 2)} µs" if value < 999.5 else seconds(value / 1e6)


def size(value: float | None) -> str:
    """Bytes in decimal units."""
    if value is None or not math.isfinite(value):
        return NONE
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= 0.9995 * scale:
            return f"{plain(value / scale, 3)} {unit}"
    return f"{value:.0f} B"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How values of one metric, or of a regression target, are written: all with one number of digits.

    >>> accuracy = Measure.fit("accuracy", True, [0.994, 0.992], step=0.0005)
    >>> accuracy.text(0.994), accuracy.gap(0.01)
    ('99.40%', '+1.00 points')
    """

    metric: str
    higher: bool
    digits: int
    power: int = 0

    @classmethod
    def fit(cls, metric: str, higher: bool, values: list[float], step: float) -> Measure:
        """Choose digits so that `step`, the smallest difference worth seeing, still shows."""
        biggest = max((abs(value) for value in values), default=1.0) or 1.0
        if metric in PERCENT:
            return cls(metric=metric, higher=higher, digits=min(3, max(1, _places(100 * step))), power=0)
        power = math.floor(math.log10(biggest))
        power, most = (power, 4) if power >= 9 or power < -3 else (0, max(0, 4 - max(0, power)))
        return cls(metric=metric, higher=higher, digits=min(most, max(0, _places(step / 10.0**power))), power=power)

    @property
    def is_percent(self) -> bool:
        """Whether values are shares, written in percent."""
        return self.metric in PERCENT

    @property
    def title(self) -> str:
        """The metric's name as a reader writes it."""
        return esc(self.metric.upper() if self.metric in ("auc", "f1", "r2", "rmse", "mae") else self.metric)

    def text(self, value: float | None) -> str:
        """A score."""
        if value is None or not math.isfinite(value):
            return NONE
        if self.is_percent:
            return f"{100 * value:.{self.digits}f}%"
        body = f"{value / 10.0**self.power:,.{self.digits}f}".replace("-", "−")
        return body + (f"×10{str(self.power).translate(SUPERSCRIPT)}" if self.power else "")

    def difference(self, value: float | None) -> str:
        """A difference between scores, without its sign."""
        if value is None or not math.isfinite(value):
            return NONE
        body = f"{100 * abs(value):.{self.digits}f}" if self.is_percent else self.text(abs(value))
        if not re.search("[1-9]", body.split("×")[0]) and value:
            body = plain(100 * abs(value) if self.is_percent else abs(value), 2)
        return f"{body} points" if self.is_percent else body

    def bare(self, value: float) -> str:
        """A signed difference without its unit, for an axis."""
        return self.gap(value).removesuffix(" points") if value else "0"

    def gap(self, value: float | None) -> str:
        """A signed difference between scores."""
        if value is None or not math.isfinite(value):
            return NONE
        return f"{'+' if value > 0 else '−' if value < 0 else ''}{self.difference(value)}"


def _places(step: float) -> int:
    """Decimals needed to write a difference of `step`."""
    return 0 if not math.isfinite(step) or step <= 0 else math.ceil(-math.log10(step) - 1e-9)
