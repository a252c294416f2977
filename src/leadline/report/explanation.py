"""An explanation as one self-contained HTML page: what it says, and beside it how far to trust it.

Enters: an `Explanation`. Leaves: the text of a page that needs no network and no script.
"""

from __future__ import annotations

from leadline.charts.format import clip, count, esc, name
from leadline.readers.part import counted
from leadline.report.explained import checks, how, model, rows, trust
from leadline.report.layers import depth_section
from leadline.report.media_budget import Room
from leadline.report.page import PAGE, TEXT
from leadline.report.shell import html_page
from leadline.use.explain.records import Explanation


def render(found: Explanation) -> str:
    """The page as HTML text."""
    room = Room(PAGE - TEXT)
    own = room if found.depth is None else room.part(0.5)
    sections = [
        ("rows", "Row by row", rows(found, own)),
        ("model", "The model as a whole", model(found)),
        ("depth", "What depth does", "" if found.depth is None else depth_section(found.depth, room)),
        ("trust", "How far to trust it", trust(found)),
        ("how", "How it was computed", how(found)),
    ]
    links = "".join(f'<a href="#{key}">{title}</a>' for key, title, body in sections if body)
    body = "".join(
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>{text}</section>\n'
        for key, title, text in sections
        if text
    )
    return html_page(
        f"Why {clip(_file(found), 48)} answers as it does", [name(found.source, 48), counted(found.total, "row")],
        f'{_first(found)}<nav aria-label="Sections">{links}</nav>\n{body}',
    )  # fmt: skip


def _file(found: Explanation) -> str:
    return found.model.replace("\\", "/").rsplit("/", 1)[-1]


def _first(found: Explanation) -> str:
    """What is explained, and in a sentence each whether it can be trusted."""
    target = f" of '{name(found.target)}'" if found.target else ""
    return (
        f'<div class="first"><p class="eyebrow">{count(len(found.rows))} of {counted(found.total, found.called)} of '
        f"{name(found.source)}</p><h1>Why it answers so</h1>"
        f'<p class="why">What the predictions{target} depend on, and how far to trust each explanation. The model is '
        f"{esc(found.contender)}.</p>{checks(found)}</div>"
    )
