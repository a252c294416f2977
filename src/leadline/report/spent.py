"""Where the seconds went: every stage of the run as a bar, the contenders beneath their race, and why it ended.

Enters: `Facts`, of whose result `seconds` is {stage: s} as `race/stages.py` counted them. Leaves: HTML; nothing where a
run holds none of it.

    >>> facts = Facts.of({"seconds": {"read": 1.0, "race": 3.0}, "spent_s": 4.0})
    >>> "75%" in spent(facts)
    True
"""

from __future__ import annotations

from leadline.charts.format import clip, esc, name, percent, scroll, seconds, tag
from leadline.race.stages import STAGES
from leadline.report.facts import Facts, family, number

__all__ = ["spent"]

LEAST = 0.3  # percent of the width, of a bar that can be seen


def spent(facts: Facts) -> str:
    """The section."""
    stages = {key: value for key in STAGES if (value := number((facts.result.get("seconds") or {}).get(key)))}
    total = sum(stages.values())
    if not total:
        return ""
    rows, began = "", 0.0
    for key, value in stages.items():
        rows += _row(esc(STAGES[key]), began, value, total, "stage")
        rows += _contenders(facts, total) if key == "race" else ""
        began += value
    head = '<th scope="col">Stage</th><th scope="col" class="num">Took</th><th scope="col" class="num">Share</th>'
    table = f'<table class="spent"><thead><tr>{head}<th scope="col" class="drawn">From start to end</th></tr></thead>'
    return f"{_ended(facts)}{scroll(f'{table}<tbody>{rows}</tbody></table>', 'Where the seconds went')}"


def _ended(facts: Facts) -> str:
    """What was spent of what was given, and why the race ended."""
    result = facts.result
    budget, ended = number(result.get("budget_s")), result.get("ended") or {}
    given = f" of a budget of {seconds(budget)}" if budget else ""
    why = f" The race ended for this reason: {clip(ended.get('why'), 300)}" if ended.get("why") else ""
    return f"<p>The run took {seconds(number(result.get('spent_s')))}{given}.{why}</p>"


def _contenders(facts: Facts, total: float) -> str:
    """When each contender ran; those that ran side by side overlap, so theirs do not add up."""
    rows = ""
    for each in facts.contenders:
        ran = [number(value) for value in each.get("ran_s") or []]
        if len(ran) == 2 and ran[0] is not None and ran[1] is not None:
            rows += _row(name(each.get("name"), 28), ran[0], ran[1] - ran[0], total, family(each))
    return rows


def _row(words: str, began: float, took: float, total: float, css: str) -> str:
    """A stage, or a contender beneath one."""
    left = min(100.0 - LEAST, 100 * began / total)
    width = min(100.0 - left, max(LEAST, 100 * took / total))
    bar = f'<div class="when"><i class="{css}" style="left:{left:.2f}%;width:{width:.2f}%"></i></div>'
    share = percent(took / total) if css == "stage" else ""
    return (
        f'<tr class="{"" if css == "stage" else "part"}"><th scope="row">{words}</th>'
        f'{tag("td", seconds(took), "num")}{tag("td", share, "num")}<td class="drawn">{bar}</td></tr>'
    )
