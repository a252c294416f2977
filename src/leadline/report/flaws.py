"""What is wrong with the data and what each flaw costs: a line a flaw with its impact, then some of its rows.

Enters: `Facts`, and by the flaw's name what there is to show of its rows. Leaves: HTML.

    >>> flaw = {"name": "near_duplicates", "says": "2 rows repeat another.", "rows": 2, "price": None, "fixes": 1}
    >>> "2 rows repeat another." in flaws(Facts.of({"flaws": [flaw]}), {}, Room(0))
    True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leadline.charts.format import Measure, clip, count, grid, name
from leadline.report.facts import Facts, number
from leadline.report.media_budget import Room
from leadline.results.examples import Found

TITLES = {
    "near_duplicates": "Near duplicates",
    "label_errors": "Label errors",
    "target_leakage": "Target leakage",
    "spurious_features": "Spurious features",
    "group_leakage": "Group leakage",
    "temporal_drift": "Temporal drift",
    "covariate_shift": "Covariate shift",
    "rare_classes": "Rare classes",
}
SHOWN = 6


def flaws(facts: Facts, shown: Mapping[str, Sequence[Found]], room: Room) -> str:
    """Every flaw with its impact, then some rows of each; a plain word where there is none."""
    found, looked = facts.result.get("flaws"), _looked_for(facts)
    if found is None:
        return ""
    if not found:
        return f"<p>Nothing was found.{looked}</p>"
    rows = []
    for flaw in found:
        size, span, where = _price(facts, flaw)
        rows.append((TITLES.get(str(flaw["name"]), ""), where, _count(flaw), size, span))
    table = grid(("Flaw", "Measured on", "Rows", "Without it", "95% interval"), rows, 2, "Flaws and their prices")
    return (
        "<p>The impact of a flaw is the score without it, less the score with it. All rows are in "
        f"<code>flaws.csv</code>.{looked}</p>{table}"
        + "".join(_flaw(flaw, shown.get(str(flaw["name"]), ()), room) for flaw in found)
    )


def _looked_for(facts: Facts) -> str:
    """What was looked for: what is not named here may be there."""
    names = facts.result.get("looked_for")
    return f" Looked for: {clip(', '.join(map(str, names)), 400)}." if names else ""


def _count(flaw: Mapping[str, Any]) -> str:
    return count(number(flaw.get("rows"))) if flaw.get("rows") else "–"


def _price(facts: Facts, flaw: Mapping[str, Any]) -> tuple[str, str, str]:
    """What the score would be without it, its interval, and how that was measured."""
    price = flaw.get("price")
    if flaw.get("fixed") and flaw.get("fixes"):
        return "not learned from" if flaw.get("name") == "label_errors" else "taken out", "–", "–"
    if not price:
        none = "not measured" if flaw.get("columns") else "nothing that is scored here would change, or too few rows"
        return "–", "–", none
    size, low, high = (number(price.get(key)) or 0.0 for key in ("size", "low", "high"))
    metric = str(price.get("metric"))
    mine = Measure.fit(metric, True, [size, low, high], step=max(abs(high - low), abs(size), 1e-12) / 20)
    where = f"{clip(price.get('of'), 40)}, {clip(price.get('how'), 120)}"
    return f"<b>{mine.gap(size)}</b>", f"{mine.bare(low)} to {mine.gap(high)} {mine.title}", where


def _flaw(flaw: Mapping[str, Any], shown: Sequence[Found], room: Room) -> str:
    rows = "".join(_row(each, room) for each in shown[:SHOWN])
    wide = "" if all(each.images and not each.sounds for each in shown) else " wide"
    gallery = f'<div class="gallery{wide}">{rows}</div>' if rows else ""
    title = TITLES.get(str(flaw["name"]), "")
    return f"<h3>{title}</h3><p>{clip(flaw.get('says'), 500)}{_fix(flaw)}</p>{gallery}"


def _row(each: Found, room: Room) -> str:
    numbers = [each.row + 1] + ([each.twin + 1] if each.twin is not None else [])
    pictures = "".join(room.picture(one, f"row {row}") for one, row in zip(each.images, numbers, strict=False))
    pictures = f'<div class="twins">{pictures}</div>' if len(each.images) > 1 else pictures
    pictures += "".join(room.sound(one, f"sound of row {row}") for one, row in zip(each.sounds, numbers, strict=False))
    texts = "".join(f'<blockquote dir="auto">{clip(text, 240)}</blockquote>' for text in each.texts)
    words = [f"row {count(each.row + 1)}" + (f" repeats row {count(each.twin + 1)}" if each.twin is not None else "")]
    words += [f"label <b>{name(each.label, 40)}</b>"] if each.label is not None else []
    words += [f"should be <b>{name(each.said, 40)}</b>?"] if each.said is not None else []
    return f"<figure>{pictures}{texts}<figcaption>{', '.join(words)}</figcaption></figure>"


def _fix(flaw: Mapping[str, Any]) -> str:
    if flaw.get("fixed") or not flaw.get("fixes"):
        return ""
    return f" <code>--fix {clip(flaw.get('name'), 20)}</code> takes that out, and records what it took."
