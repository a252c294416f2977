"""The first screen: use deep learning or not, how sure, what it costs, and what would change the answer.

Enters: `Facts`. Leaves: HTML.

    >>> facts = Facts.of({"verdict": {"answer": "tie", "winner": "cnn", "why": "Both reach 99%."}})
    >>> "Either will do" in first_screen(facts)
    True
"""

from __future__ import annotations

from leadline.charts.format import chance, clip, count, micros, name, plain, seconds, size, tag
from leadline.charts.svg import interval
from leadline.report.facts import Contender, Facts, number
from leadline.system.text import few

__all__ = ["first_screen", "headline"]

HEADLINES = {
    "deep": "Yes, deep learning",
    "classical": "No, stay classical",
    "tie": "Either will do",
    "unsure": "Too close to call",
}


def headline(facts: Facts) -> str:
    """The answer in a few words."""
    answer = str(facts.verdict.get("answer"))
    measured = answer != "unsure" or number(facts.verdict.get("gap")) is not None
    return HEADLINES[answer] if answer in HEADLINES and measured and not _starved(facts) else "No answer yet"


def _starved(facts: Facts) -> bool:
    """Whether the answer is open although the difference is not: a family lost because it was undertrained."""
    low, high = number(facts.verdict.get("low")), number(facts.verdict.get("high"))
    told = low is not None and high is not None and (low > 0 or high < 0)
    region = number(facts.verdict.get("region")) or 0.0
    inside = told and max(abs(low or 0.0), abs(high or 0.0)) <= region
    return facts.verdict.get("answer") == "unsure" and told and not inside


def first_screen(facts: Facts) -> str:
    """The verdict, its picture, and the key facts."""
    title = name(facts.result.get("title") or facts.result.get("source") or "this data", 48)
    why = facts.verdict.get("why") or "The run ended without a verdict."
    aside = tag("div", _sure(facts) + _changes(facts), "aside")
    return (
        '<section class="first" aria-labelledby="answer">'
        f'<p class="eyebrow">Should you use deep learning on {title}?</p><h1 id="answer">{headline(facts)}</h1>'
        f'<p class="why">{clip(why, 600)}</p>{_three_sides(facts)}<div class="evidence">{_picture(facts)}{aside}</div>'
        f"{_key_facts(facts)}</section>"
    )


def _three_sides(facts: Facts) -> str:
    """What pretraining brought, where it was measured."""
    why = (facts.result.get("sides") or {}).get("why")
    return f'<p class="why">{clip(why, 400)}</p>' if why else ""


def _picture(facts: Facts) -> str:
    """The interval of the difference, or a sentence saying why there is none."""
    verdict, measure = facts.verdict, facts.measure
    gap, low, high = (number(verdict.get(key)) for key in ("gap", "low", "high"))
    if gap is None or low is None or high is None:
        conditions = ", ".join(clip(each, 60) for each in (facts.result.get("needs") or {}).get("conditions", ()))
        satisfy = f" and satisfy {conditions}" if conditions else ""
        said = f"A deep and a classical contender must both finish{satisfy} before they can be compared."
        return f'<p class="nothing">{said}</p>'
    region = number(verdict.get("region")) or 0.0
    interval_is = f"{facts.level} interval {measure.bare(low)} to {measure.gap(high)}"
    label = (
        f"Difference between deep and classical in {measure.title}: {measure.gap(gap)}, {interval_is}; "
        f"differences within {measure.difference(region)} count as none."
    )
    deep, classical = (name(side) for side in _sides(facts))
    over = f" over {facts.over}" if facts.over else ""
    return (
        f'<figure class="picture">{interval(gap, low, high, region, measure, label)}'
        f"<figcaption>{deep} minus {classical}, test {measure.title}{over}: {measure.gap(gap)}, {interval_is}, counted "
        "so that more is better.</figcaption></figure>"
    )


def _sides(facts: Facts) -> tuple[str, str]:
    """The names of the deep and the classical contender that were compared."""
    pair = [facts.named(facts.verdict.get(key)) for key in ("winner", "against")]
    found = {str(c.get("family")): str(c.get("name")) for c in pair}
    return found.get("deep", "deep"), found.get("classical", "classical")


def _sure(facts: Facts) -> str:
    """How the probability is shared between the three states of the world."""
    verdict = facts.verdict
    kinds = {"deep": "deep better", "same": "no practical difference", "classical": "classical better"}
    shares = {kind: number(verdict.get(f"p_{kind}")) for kind in kinds}
    if None in shares.values():
        return ""
    bar = "".join(
        f'<span class="{kind}" style="width:{100 * (p or 0):.2f}%"></span>' for kind, p in shares.items() if p
    )
    rows = "".join(f'<li><i class="{k}"></i><span>{kinds[k]}</span><b>{chance(p)}</b></li>' for k, p in shares.items())
    title = "How sure, of what the time was enough for" if _starved(facts) else "How sure"
    return (
        f'<h2 class="small">{title}</h2><div class="shares" aria-hidden="true">{bar}</div><ul class="sure">{rows}</ul>'
    )


def _changes(facts: Facts) -> str:
    """What would turn the answer, each a sentence that follows from the numbers."""
    found = [
        *_about_starved(facts), *_about_rows(facts), *([] if _starved(facts) else _about_region(facts)),
        *_about_others(facts), *_about_cost(facts), *_about_effort(facts),
    ]  # fmt: skip
    items = "".join(tag("li", text) for text in found[:4])
    return f'<h2 class="small">What would change the answer</h2><ul class="changes">{items}</ul>' if items else ""


def _about_rows(facts: Facts) -> list[str]:
    """What would settle it, and the smallest difference that could have shown."""
    rows, repeats = (number(facts.verdict.get(f"settle_{what}")) for what in ("rows", "repeats"))
    have = facts.result.get("rows") or {}
    over = facts.verdict.get("by") == "folds"
    if not rows and not repeats:
        return []
    least = number(facts.verdict.get("smallest"))
    power = "No difference is detectable at 80% power"
    if least is not None:
        power = f"The smallest detectable difference at 80% power is {facts.measure.difference(least)}"
    found = []
    if rows:
        tested = count(number(sum(have.values()) if over else have.get("test")))
        title, here = ("More rows", f"this run has {tested} in all") if over else ("More test rows", f"here {tested}")
        found.append(f"<b>{title}:</b> if the gap stays as it is, about {count(rows)} settle it in 4 of 5 runs; {here}")
    if repeats:
        spent, what = number(facts.verdict.get("settle_s")), "seed" if facts.verdict.get("by") == "seeds" else "fold"
        total = count((number(facts.verdict.get("repeats")) or 1) + repeats)
        also = "would do as well" if rows else "settle it in 4 of 5 runs, if the gap stays as it is"
        more = f"{count(repeats)} more {what}{'s' if repeats > 1 else ''}{f' ({seconds(spent)})' if spent else ''}"
        found.append(f"<b>More {what}s:</b> {more} {also}: <code>--repeats {total}</code>")
    return [f"{'. '.join(found)}. {power}."]


def _about_region(facts: Facts) -> list[str]:
    """The rule turned round: from which tolerance on would the answer be another one."""
    low, high, region = (number(facts.verdict.get(key)) for key in ("low", "high", "region"))
    if low is None or high is None or not region:
        return []
    turn = max(abs(low), abs(high))
    if region < turn:
        return [
            f"<b>Your tolerance:</b> if differences up to {facts.measure.difference(turn)} do not matter to you "
            f"(now {facts.measure.difference(region)}), either will do."
        ]
    other = "deep learning" if low > 0 else "a classical model" if high < 0 else "too close to call"
    least = facts.measure.difference(turn)
    return [f"<b>Your tolerance:</b> if differences under {least} matter to you, the answer becomes: {other}."]


def _about_cost(facts: Facts) -> list[str]:
    """The rival, where it answers clearly faster."""
    mine, theirs = number(facts.shipped.get("predict_us")), number(facts.rival.get("predict_us"))
    if mine is None or theirs is None or theirs <= 0 or mine < 1.5 * theirs:
        return []
    rival, times = name(facts.rival.get("name")), plain(mine / theirs, 2)
    return [f"<b>Speed:</b> where {micros(mine)} a row is too slow, {rival} answers {times} times as fast."]


def _about_others(facts: Facts) -> list[str]:
    """A contender that did better on the test than the shipped one, and was not the one that valid chose."""
    best, mine = facts.best, facts.shipped
    if not mine or best in (mine, facts.rival) or number(mine.get("score")) is None or best["score"] == mine["score"]:
        return []
    return [
        f"<b>Another contender:</b> {name(best.get('name'))} scored {facts.measure.text(best['score'])} here; the "
        "valid rows, which choose, preferred another of its family, and the test must not choose."
    ]


def _about_effort(facts: Facts) -> list[str]:
    """More seconds or more seeds."""
    cut = [name(c.get("name")) for c in facts.contenders if c.get("status") == "cut"]
    late = [name(c.get("name")) for c in facts.contenders if c.get("code") == "no_time"]
    over = [name(c.get("name")) for c in facts.contenders if c.get("code") == "overran"]
    by = "stopping the race" if (facts.result.get("ended") or {}).get("code") == "stopped" else "the budget"
    found = [f"<b>More time:</b> {by} cut {few(cut)} short."] if cut else []
    found += [f"<b>More time:</b> {few(over)} ran over the time given and had to be ended."] if over else []
    found += [f"<b>More time:</b> the budget left none for {few(late)}."] if late and not cut else []
    compared = number(facts.verdict.get("gap")) is not None
    if facts.verdict.get("of") == "model" and facts.verdict.get("winner") and compared and not _starved(facts):
        short = (facts.result.get("ended") or {}).get("code") in ("used", "late", "no_room")
        how = "for which a larger budget has time" if short else "<code>--repeats 3</code>"
        found.append(
            f"<b>More trainings:</b> this speaks of these trained models; three repeats ({how}) speak of methods."
        )
    return found


def _about_starved(facts: Facts) -> list[str]:
    """A family that had too little time."""
    if not _starved(facts):
        return []
    loser = _sides(facts)[0 if (number(facts.verdict.get("high")) or 0.0) < 0 else 1]
    more = "More passes" if facts.result.get("epochs") else "A larger budget"
    return [f"<b>{more}:</b> {name(loser)} had too little time to learn; the picture shows what it had."]


def _key_facts(facts: Facts) -> str:
    """What is shipped and what it costs, each beside the contender it beat."""
    result, mine, rival = facts.result, facts.shipped, facts.rival
    shipped = result.get("shipped") or {}
    scores = [number(s) for s in (shipped.get("score"), mine.get("score")) if number(s) is not None]
    bytes_ = number(shipped.get("bytes")) or number(mine.get("bytes"))
    cells = [
        ("Shipped", name(shipped.get("contender") or "nothing", 24), clip(shipped.get("file") or "no model", 30)),
        (f"Test {facts.measure.title}", facts.measure.text(scores[0] if scores else None), facts.span(mine)),
        (
            "A row takes",
            micros(number(mine.get("predict_us"))),
            _beside(rival, micros(number(rival.get("predict_us")))),
        ),
        ("File size", size(bytes_), _checked(facts)),
        ("Training", seconds(number(mine.get("fit_s"))), _beside(rival, seconds(number(rival.get("fit_s"))))),
        ("Spent", seconds(number(result.get("spent_s"))), _given(facts)),
    ]
    items = "".join(f'<div><dt>{a}</dt><dd>{b}</dd><dd class="note">{c}</dd></div>' for a, b, c in cells)
    return f'<dl class="facts">{items}</dl>'


def _checked(facts: Facts) -> str:
    """On how many rows the file was held against the trained model."""
    rows = number(((facts.result.get("shipped") or {}).get("parity") or {}).get("rows"))
    return f"checked on {count(rows)} rows" if rows else ""


def _given(facts: Facts) -> str:
    """What the run was given: seconds, or passes over the rows."""
    result = facts.result
    if result.get("epochs"):
        return f"for {result['epochs']} pass{'' if result['epochs'] == 1 else 'es'}"
    return f"of a budget of {seconds(number(result.get('budget_s')))}"


def _beside(rival: Contender, text: str) -> str:
    return f"{name(rival.get('name'), 16)}: {text}" if rival else ""
