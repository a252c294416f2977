"""A run's result as one self-contained HTML page.

Enters: the parsed result.json, the test predictions, the worst mistakes. Leaves: the text of a page that needs no
network and no script; its own policy forbids both, so that not even a hostile class name could run.

    >>> verdict = {"answer": "tie", "winner": "cnn", "why": "Both reach 99%."}
    >>> page = render({"title": "demo", "verdict": verdict}, pl.DataFrame(), [])
    >>> "Either will do" in page and "Both reach 99%." in page
    True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import polars as pl

from leadline.charts.format import clip, count, esc, name, tag
from leadline.charts.slots import slot
from leadline.report import leaderboard, provenance
from leadline.report.certainty import certainty
from leadline.report.expected import expected
from leadline.report.explained import why_section
from leadline.report.facts import Facts
from leadline.report.flaws import flaws
from leadline.report.gallery import gallery
from leadline.report.generation import writing
from leadline.report.journey import journey
from leadline.report.media_budget import Room
from leadline.report.mistakes import agreement, answers
from leadline.report.printed import model_itself
from leadline.report.readable import Readable
from leadline.report.spent import spent
from leadline.report.summary import first_screen, headline
from leadline.report.transfer import transfer
from leadline.results.examples import Example, Found, Journey
from leadline.shrink.run_report import SMALLER, SMALLER_LINK

PAGE = 5_000_000  # bytes of a page, at most
TEXT = 1_000_000  # bytes kept for the first screen, for the columns, and for what stands beside pictures and sounds
EXPLAINED = 0.3  # of the room for pictures and sounds may go to the rows that are explained
MISTAKES = 0.7  # of the room for pictures and sounds may go to mistakes; the rest is left for flaws
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
STYLES = ("style.css", "explanation.css")
LOGO = (  # a leadline: the line, its marks, the weight
    '<svg aria-hidden="true" width="14" height="26" stroke-width="1.5"><line x1="7" x2="7" y1="0" y2="18"/>'
    '<line x1="3" x2="11" y1="5" y2="5"/><line x1="3" x2="11" y1="11" y2="11"/><path d="M5 17h4l1.5 8h-7z"/></svg>'
)


def render(
    result: dict[str, Any], predictions: pl.DataFrame, examples: list[Example],
    found: Mapping[str, Sequence[Found]] = MappingProxyType({}), way: Journey | None = None,
    readable: Readable = Readable(),  # noqa: B008
) -> str:  # fmt: skip
    """The report as HTML text, under 5 MB whatever comes in.

    Args:
        result: the parsed result.json; fields that a run did not reach may be missing.
        predictions: a row a test row, with `truth`, `prediction` and `prediction_<contender>`.
        examples: the worst mistakes, worst first.
        found: rows of each flaw, by its name.
        way: one row's way through the shipped file.
        readable: what lets a person understand the shipped model.

        >>> render({}, pl.DataFrame(), []).startswith("<!doctype html>")
        True
    """
    facts = Facts.of(result)
    first = first_screen(facts)
    every = _sections(facts, predictions, examples, found, way, readable)
    sections = [(key, title, body) for key, title, body in every if body]
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title, _ in sections)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>{text}</section>\n'
        for key, title, text in sections
    )
    subject = clip(result.get("title") or result.get("source") or "report", 60)
    made_by = f"Made by Leadline {clip(result.get('leadline') or '')}".rstrip()
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{subject}: {headline(facts)} · Leadline</title>\n<style>\n{style()}</style></head>\n"
        f"<body>{_top(facts)}<main>{first}"
        f'<nav aria-label="Sections">{links}{slot(SMALLER_LINK)}</nav>\n{body}{slot(SMALLER)}</main>\n'
        f"<footer>{made_by}. Measure before you go deep.</footer></body></html>\n"
    )


def _sections(
    facts: Facts, predictions: pl.DataFrame, examples: list[Example], found: Mapping[str, Sequence[Found]],
    way: Journey | None, readable: Readable,
) -> list[tuple[str, str, str]]:  # fmt: skip
    """Anchor, title and HTML of what follows the first screen, in reading order."""
    warned = count(len(facts.result.get("warnings") or []))
    asked = "Predicted and true" if facts.task.numeric else "Right and wrong"
    if facts.task.generative:
        told = ("writing", "What it writes", writing(facts))
    else:
        told = ("answers", asked, answers(facts, predictions) + agreement(facts, predictions))
    worst = "Hardest passages" if facts.task.generative else "Worst mistakes"
    printed = "".join(tag("p", esc(sentence)) for sentence in readable.omitted)
    if readable.model is not None:
        printed = model_itself(readable.model, facts)
    before = [
        ("contenders", "Contenders", leaderboard.contenders(facts)),
        ("cost", "Cost against quality", leaderboard.cost(facts)),
        ("learning", "Scores during training", leaderboard.learning(facts)),
        ("transfer", "What a pretrained body brings", transfer(facts)),
        told,
        ("certainty", "How sure the answers are", certainty(facts)),
        ("printed", "The model itself", printed),
    ]
    after = [
        ("expected", "What the textbook expected", expected(facts)),
        ("seconds", "Where the seconds went", spent(facts)),
        ("warnings", f"Warnings ({warned})", provenance.warnings(facts)),
        ("reproduce", "Do it again", provenance.reproduce(facts)),
        ("rule", "How the verdict is made", provenance.rule(facts)),
    ]
    data = provenance.data(facts)
    # What is known to be written leaves the room for pictures and sounds: first the one row's, then both galleries'.
    room = Room(PAGE - TEXT - sum(len(body.encode()) for _, _, body in (*before, *after)) - len(data.encode()))
    one = journey(way, room)
    why = "" if readable.why is None else why_section(readable.why, room.part(EXPLAINED))
    mistakes = gallery(examples, facts, room.part(MISTAKES))
    return [
        *before,
        ("why", "Why it answers so", why),
        ("mistakes", worst, mistakes),
        ("flaws", "What is wrong with the data", flaws(facts, found, room)),
        ("data", "Data", data),
        ("journey", "One row, step by step", one),
        *after,
    ]


def _top(facts: Facts) -> str:
    """The line above the fold: whose report, of what, when."""
    result = facts.result
    rows = sum(int(n) for n in (result.get("rows") or {}).values() if isinstance(n, int))
    told = [
        name(result.get("source") or "memory", 48),
        f"{count(rows)} rows",
        clip(str(result.get("created") or "")[:10]),
    ]
    items = "".join(tag("span", text) for text in told if text)
    return (
        f'<header><span class="brand">{LOGO}Leadline</span>{items}</header>'
        '<div class="neatline" aria-hidden="true"></div>'
    )


@cache
def style() -> str:
    """The style sheet of every page."""
    return "\n".join(files("leadline.report").joinpath(name).read_text(encoding="utf-8") for name in STYLES)
