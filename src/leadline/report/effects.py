"""Effects as they are seen: bars of columns, and pictures, sounds, texts and series with their parts in colour.

Enters: effects (use/explain/records.py). Leaves: HTML. Magenta speaks for the answer, blue against it; a part is the
fuller the larger its effect is beside the largest one of the same value, and pale where the whole value hardly counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from leadline.charts.format import beside, esc, name, plain
from leadline.charts.svg import Axis
from leadline.core.parts import Layout
from leadline.kinds import KINDS
from leadline.report.media_budget import Room
from leadline.results.thumbnails import packed_picture, packed_sound
from leadline.use.explain.records import ColumnEffect, Method, PartEffects, RowExplanation

NOTHING = 1e-9  # of the strongest effect of a column: less is rounding
FULLEST = 0.72  # opacity of the strongest part
FAINT = 0.04  # of the strongest effect: less is not drawn
SIDE = 320  # pixels of a drawn picture
LONG = 2_000  # characters of a text that is scrolled


def key_of(what: str) -> str:
    """What the two colours say, of some escaped words."""
    return (
        f'<div class="key"><span><i class="for"></i>speaks for {what}</span>'
        '<span><i class="against"></i>speaks against it</span></div>'
    )


KEY = key_of("the answer")


def signed(value: float) -> str:
    """A number with its sign."""
    return ("+" if value > 0 else "") + plain(value)


def bar(axis: Axis, value: float, low: float | None = None, high: float | None = None) -> str:
    """One effect on the scale that its table shares, with its interval."""
    zero, here = axis.at(0), axis.at(value)
    side = "for" if value > 0 else "against"
    reach = ""
    if low is not None and high is not None and np.isfinite([low, high]).all():
        reach = f'<line class="reach" x1="{axis.at(low):.2f}%" x2="{axis.at(high):.2f}%" y1="8" y2="8"/>'
    return (
        f'<svg aria-hidden="true"><rect class="{side}" x="{min(zero, here):.2f}%" y="3" height="10" '
        f'width="{abs(here - zero):.2f}%"/><line class="zero" x1="{zero:.2f}%" x2="{zero:.2f}%" y1="0" y2="16"/>'
        f"{reach}</svg>"
    )


def scale_of(values: Iterable[float | None]) -> Axis:
    """An axis that has zero and all values in it."""
    known = [0.0, *(value for value in values if value is not None and np.isfinite(value))]
    low, high = min(known), max(known)
    room = 0.04 * (high - low) or 1.0
    return Axis(low - room, high + room)


def column_table(effects: Sequence[ColumnEffect], label: str) -> str:
    """The columns of a row, each with its value and its effect."""
    most = max(abs(each.effect) for each in effects)
    effects = [each if abs(each.effect) > NOTHING * most else replace(each, effect=0.0) for each in effects]
    axis = scale_of(value for each in effects for value in (each.effect, each.low, each.high))
    rows = "".join(
        f'<tr><th scope="row">{name(each.name, 60)}</th><td class="shown">{name(each.value, 60) if each.value else ""}'
        f'</td><td class="drawn">{bar(axis, each.effect, each.low, each.high)}</td>'
        f'<td class="num">{beside(each.effect, most, sign=True)}</td></tr>'
        for each in effects
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table class="effects"><thead><tr>'
        '<th>Column</th><th>Value</th><th class="drawn">Effect</th><th class="num"></th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def parts_of(row: RowExplanation, room: Room, named: bool) -> str:
    """Every column's parts, those of one column together; `named` where the row has other columns too."""
    found, columns = [], list(dict.fromkeys(each.column for each in row.parts))
    for column in columns:
        mine = [each for each in row.parts if each.column == column]
        body = _column_parts(mine, row.weight(column), room)
        found.append(f"<h4>{name(column)}</h4>{body}" if named else body)
    return "".join(found)


def _column_parts(parts: Sequence[PartEffects], weight: float, room: Room) -> str:
    first = parts[0]
    if not first.names:
        return '<p class="nothing">There is no value, so there are no parts to explain.</p>'
    if first.layout is Layout.WORDS:
        return _words(first, weight)
    kind = KINDS[first.kind]
    pixels = kind.picture(np.asarray(first.value), first.settings, SIDE)
    if pixels is None:
        return "".join(_steps(each, weight) for each in parts)
    picture = room.picture(packed_picture(pixels), f"row, {esc(first.column)}")
    sound = kind.sound(np.asarray(first.value), first.settings)
    wide = first.layout is not Layout.GRID
    drawn = "".join(
        f'<figure><div class="overlay faded">{picture}{_rectangles(each, weight)}</div>'
        f"<figcaption>{_caption(each)}</figcaption></figure>"
        for each in parts
    )
    player = "" if sound is None or not len(sound[0]) else room.sound(packed_sound(*sound), "the sound")
    plainly = "" if wide else f'<figure><div class="overlay">{picture}</div><figcaption>as it is</figcaption></figure>'
    return f'<div class="overlays{" wide" if wide else ""}">{plainly}{drawn}</div>{player}'


def _caption(part: PartEffects) -> str:
    """The strongest part in words."""
    if not part.changes:
        return "no part changes the answer by itself"
    (where, effect), *_ = part.strongest(1)
    how = "integrated gradients, the strongest " if part.method is Method.GRADIENTS else ""
    return f"{how}{esc(where)}: {signed(effect)}"


def _opacity(part: PartEffects, weight: float) -> np.ndarray:
    most = float(np.abs(part.effects).max(initial=0))
    return weight * part.effects / most if most > 0 else part.effects


def _rectangles(part: PartEffects, weight: float) -> str:
    """Parts as rectangles over a picture: a grid, windows from left to right, or bands from below."""
    shares = _opacity(part, weight)
    rows, columns = part.shape if part.layout is Layout.GRID else (1, len(part.names))
    if part.layout is Layout.BANDS:
        rows, columns, shares = len(part.names), 1, shares[::-1]
    body = "".join(
        f'<rect class="{"for" if share > 0 else "against"}" x="{i % columns}" y="{i // columns}" width="1" height="1" '
        f'fill-opacity="{FULLEST * abs(share):.2f}"/>'
        for i, share in enumerate(shares)
        if abs(share) > FAINT
    )
    return f'<svg viewBox="0 0 {columns} {rows}" preserveAspectRatio="none" aria-hidden="true">{body}</svg>'


def _steps(part: PartEffects, weight: float) -> str:
    """A series as a line, its windows in colour behind it."""
    values = np.asarray(part.value, np.float64)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return '<p class="nothing">Every step of this series is missing.</p>'
    low, high = float(values[known].min()), float(values[known].max())
    span = (high - low) or 1.0
    points = " ".join(f"{i + 0.5:.1f},{100 - 90 * (values[i] - low) / span - 5:.1f}" for i in known)
    edges, shares = part.edges, _opacity(part, weight)
    behind = "".join(
        f'<rect class="{"for" if share > 0 else "against"}" x="{a:.2f}" y="0" width="{b - a:.2f}" height="100" '
        f'fill-opacity="{FULLEST * abs(share):.2f}"/>'
        for a, b, share in zip(edges[:-1], edges[1:], shares, strict=True)
        if abs(share) > FAINT
    )
    return (
        f'<figure><div class="steps"><svg viewBox="0 0 {len(values)} 100" preserveAspectRatio="none" role="img" '
        f'aria-label="series">{behind}<polyline points="{points}"/></svg></div>'
        f"<figcaption>{_caption(part)}; from {plain(low)} to {plain(high)}</figcaption></figure>"
    )


def _words(part: PartEffects, weight: float) -> str:
    """A text with each word on the colour of its effect."""
    text, at, found = str(part.value), 0, []
    for word, share, effect in zip(part.names, _opacity(part, weight), part.effects, strict=True):
        start = text.index(word, at)
        between, at = text[at:start], start + len(word)
        colour = "signal" if share > 0 else "deep"
        style = f"background:color-mix(in srgb, var(--{colour}) {45 * abs(share):.0f}%, transparent)"
        shown = f' style="{style}"' if abs(share) > FAINT else ""
        found.append(f'{esc(between)}<span{shown} title="{signed(effect)}">{esc(word)}</span>')
    long = ' long" role="region" tabindex="0" aria-label="text' if len(text) > LONG else ""
    shown = f'<p class="words{long}" dir="auto">{"".join(found)}{esc(text[at:])}</p>'
    return shown if part.changes else f'{shown}<p class="nothing">No word changes the answer by itself.</p>'
