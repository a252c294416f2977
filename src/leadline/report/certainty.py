"""How sure the answers are: before and after calibration, and what the sets or intervals of the file hold.

Enters: `Facts`. Leaves: HTML; nothing where a run measured none of it.

    >>> facts = Facts.of({"conformal": {"coverage": 0.9, "seen": 0.91, "low": 0.89, "high": 0.93, "size": 1.2}})
    >>> "stated for 90%" in certainty(facts)
    True
"""

from __future__ import annotations

from typing import Any

from leadline.charts.format import clip, count, esc, grid, name, percent, plain
from leadline.charts.svg import Axis, Frame, Series, curves
from leadline.contenders.families import BASELINE, DEEP
from leadline.report.facts import Facts, number

__all__ = ["certainty"]


def certainty(facts: Facts) -> str:
    """The section."""
    return _held(facts) + _calibrated(facts)


def _held(facts: Facts) -> str:
    """The stated coverage and the seen one."""
    found: dict[str, Any] = facts.result.get("conformal") or {}
    stated, seen, size = (number(found.get(key)) for key in ("coverage", "seen", "size"))
    if stated is None or seen is None or size is None:
        return ""
    span = f"{percent(number(found.get('low')))} to {percent(number(found.get('high')))}"
    empty = number(found.get("empty")) or 0.0
    told = "for {} of the rows; on the test it held the truth in"
    if facts.task.multilabel:
        what = f"Each answer comes with a <code>set</code> of labels that the row may bear, {plain(size)} on average"
        told = "to hold {} of the labels that a row bears, on average; on the test it held"
    elif facts.task.numeric:
        what = f"Each answer comes with an interval, <code>low</code> to <code>high</code>, {plain(size)} wide"
    else:
        none = f"; {percent(empty)} of the rows have none, as no class is likely enough" if empty else ""
        what = f"Each answer comes with a <code>set</code> of classes, {plain(size)} of them on average{none}"
    return (
        f"<p>{what}. It is stated {told.format(percent(stated))} <b>{percent(seen)}</b> (95% interval {span}). The "
        f"threshold comes from {count(number(found.get('rows')))} rows{_unseen(facts)}. It holds for rows that are "
        "drawn like these.</p>"
    )


def _unseen(facts: Facts) -> str:
    """Of which rows the threshold was learned: the calib part, or those that other folds test on."""
    if number((facts.result.get("rows") or {}).get("calib")):
        return " that took no part in training"
    return " of other folds, each answered by a contender that was trained without it"


def _changed(found: dict[str, Any]) -> str:
    """How many answers to test rows were changed, as far as that was counted."""
    counts = [number(one.get("changed")) for one in found.values()]
    if None in counts:
        return ""
    many = int(sum(each or 0 for each in counts))
    of = "" if len(counts) == 1 else f", of {len(counts)} contenders together"
    return f" On the test rows it changed {count(many) if many else 'no'} answer{'' if many == 1 else 's'}{of}."


def _calibrated(facts: Facts) -> str:
    """A table of all contenders, and the picture of the shipped one."""
    found: dict[str, Any] = facts.result.get("calibration") or {}
    rows = [
        (
            name(each), clip(one.get("describe"), 120), *(percent(number(v)) for v in one.get("ece", [])[:2]),
            *(plain(number(v) or 0.0) for v in one.get("log_loss", [])[:2]),
        )
        for each, one in found.items()
    ]  # fmt: skip
    if not rows:
        return ""
    head = ("Contender", "Calibration", "Error before", "after", "Log loss before", "after")
    note = (
        f"<p>Calibration is to change how sure an answer is, and not the answer.{_changed(found)} The error is the "
        "expected calibration error on the test rows: by how much the probability of the answers misses the share that "
        "is right.</p>"
    )
    return f"<h3>Calibration</h3>{_picture(facts, found)}{note}{grid(head, rows, 2, 'Calibration')}"


def _picture(facts: Facts, found: dict[str, Any]) -> str:
    """How often answers of the shipped contender are right, by how sure they are."""
    shipped = facts.shipped.get("name")
    mine: dict[str, Any] = found.get(str(shipped)) or {}
    held = mine.get("curve")
    if not held or len(held[0]) < 2:
        return ""
    changed = mine.get("method") != "none"
    kinds = (("before", held[0]), ("after", held[1])) if changed else (("as it is", held[0]),)
    lines = [
        Series(label, DEEP if label != "before" else BASELINE, [(float(s), float(r)) for s, r, _ in curve])
        for label, curve in kinds
    ]
    low = min(min(x, y) for one in lines for x, y in one.points)
    axis = Axis(max(0.0, low - 0.03), 1.0)
    frame = Frame(
        f"Share of right answers of {esc(shipped)} by how sure they are",
        ("probability of the answer", "share that is right"), (percent, percent),
    )  # fmt: skip
    caption = "On the dashed line answers are right as often as they are sure."
    return f"<figure>{curves(lines, axis, axis, frame, agree=True)}<figcaption>{caption}</figcaption></figure>"
