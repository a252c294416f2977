"""Flaws of the data: a table of flaws with their impact, then some rows of each.

Enters: `Facts`, and some rows by the name of the flaw. Leaves: HTML.

    >>> flaw = {"name": "near_duplicates", "message": "2 near duplicates.", "rows": 2, "impact": None, "fixes": 1}
    >>> "2 near duplicates." in flaws(Facts.of({"flaws": [flaw]}), {}, Room(0))
    True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leadline.charts.format import Measure, clip, count, grid, name
from leadline.flaws import FLAWS
from leadline.report.facts import Facts, number
from leadline.report.media_budget import Room
from leadline.results.examples import Found

SHOWN = 6


def flaws(facts: Facts, shown: Mapping[str, Sequence[Found]], room: Room) -> str:
    """Every flaw with its impact, then some rows of each; one sentence if there is none."""
    found, searched = facts.result.get("flaws"), _searched_for(facts)
    if found is None:
        return ""
    if not found:
        return f"<p>Nothing was found.{searched}</p>"
    rows = []
    for flaw in found:
        size, interval, where = _impact(flaw)
        rows.append((_title(flaw), where, _count(flaw), size, interval))
    table = grid(("Flaw", "Measured on", "Rows", "Without it", "95% interval"), rows, 2, "Flaws and their impact")
    return (
        "<p>The impact of a flaw is the score without it, less the score with it. All rows are in "
        f"<code>flaws.csv</code>.{searched}</p>{table}"
        + "".join(_flaw(flaw, shown.get(str(flaw["name"]), ()), room) for flaw in found)
    )


def _searched_for(facts: Facts) -> str:
    """What the scan searched for: other flaws may be there."""
    names = facts.result.get("searched_for")
    return f" Searched for: {clip(', '.join(map(str, names)), 400)}." if names else ""


def _count(flaw: Mapping[str, Any]) -> str:
    return count(number(flaw.get("rows"))) if flaw.get("rows") else "–"


def _title(flaw: Mapping[str, Any]) -> str:
    known = FLAWS.get(str(flaw["name"]))
    return "" if known is None else known.title


def _impact(flaw: Mapping[str, Any]) -> tuple[str, str, str]:
    """The change of the score without it, its interval, and how that was measured."""
    impact = flaw.get("impact")
    if flaw.get("fixed") and flaw.get("fixes"):
        return FLAWS[str(flaw["name"])].removal, "–", "–"
    if not impact:
        none = "not measured" if flaw.get("columns") else "no test row would change, or too few rows"
        return "–", "–", none
    size, low, high = (number(impact.get(key)) or 0.0 for key in ("size", "low", "high"))
    metric = str(impact.get("metric"))
    measure = Measure.fit(metric, True, [size, low, high], step=max(abs(high - low), abs(size), 1e-12) / 20)
    where = f"{clip(impact.get('of'), 40)}, {clip(impact.get('how'), 120)}"
    return f"<b>{measure.gap(size)}</b>", f"{measure.bare(low)} to {measure.gap(high)} {measure.title}", where


def _flaw(flaw: Mapping[str, Any], shown: Sequence[Found], room: Room) -> str:
    rows = "".join(_row(each, room) for each in shown[:SHOWN])
    wide = "" if all(each.images and not each.sounds for each in shown) else " wide"
    gallery = f'<div class="gallery{wide}">{rows}</div>' if rows else ""
    return f"<h3>{_title(flaw)}</h3><p>{clip(flaw.get('message'), 500)}{_fix(flaw)}</p>{gallery}"


def _row(each: Found, room: Room) -> str:
    numbers = [each.row + 1] + ([each.duplicate_of + 1] if each.duplicate_of is not None else [])
    pictures = "".join(room.picture(one, f"row {row}") for one, row in zip(each.images, numbers, strict=False))
    pictures = f'<div class="duplicates">{pictures}</div>' if len(each.images) > 1 else pictures
    pictures += "".join(room.sound(one, f"sound of row {row}") for one, row in zip(each.sounds, numbers, strict=False))
    texts = "".join(
        f'<blockquote dir="auto">{clip(text.strip(), 240) or "(empty)"}</blockquote>' for text in each.texts
    )
    words = [
        f"row {count(each.row + 1)}"
        + (f" repeats row {count(each.duplicate_of + 1)}" if each.duplicate_of is not None else "")
    ]
    words += [f"label <b>{name(each.label, 40)}</b>"] if each.label is not None else []
    words += [f"should be <b>{name(each.suggested_label, 40)}</b>?"] if each.suggested_label is not None else []
    return f"<figure>{pictures}{texts}<figcaption>{', '.join(words)}</figcaption></figure>"


def _fix(flaw: Mapping[str, Any]) -> str:
    if flaw.get("fixed") or not flaw.get("fixes"):
        return ""
    return f" <code>--fix {clip(flaw.get('name'), 20)}</code> removes it, and records what it removed."
