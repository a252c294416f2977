"""A decision tree as a drawing: the first question at the left, the leaves below each other at the right.

Enters: a `TreeNode` (core/printed.py). Leaves: HTML. Letters keep their size; a phone scrolls the drawing sideways.
What has no room in its box stands below the drawing, by a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from leadline.charts.format import clip, count, esc, name, percent
from leadline.core.printed import TreeNode
from leadline.report.printed_words import asked, part_of, titled

WIDE, HIGH, BOX = 218, 48, 182  # pixels of a level, of a leaf, and of a box
LETTERS = 24  # of a line in a box
MARK = 5  # letters of a number in brackets
WHOLE = 10_000  # letters of a name that is not cut
Answered = Callable[[Sequence[float]], tuple[str, float | None]]


@dataclass
class _Page:
    """The drawing so far, and where the next leaf goes."""

    answered: Answered
    total: int
    leaves: int = 0
    deepest: int = 0
    body: str = ""
    notes: dict[str, int] = field(default_factory=dict)  # what stands below, and its number

    def mark(self, note: str) -> str:
        """The number of a note, which may be new."""
        return f" ({self.notes.setdefault(note, len(self.notes) + 1)})"


def drawn(root: TreeNode, answered: Answered) -> str:
    """The drawing; `answered` says what a leaf answers and how likely it is."""
    page = _Page(answered=answered, total=root["rows"])
    _node(page, root, 0)
    width, height = page.deepest * WIDE + BOX + 2, page.leaves * HIGH + 8
    below = "".join(f"<li>{note}</li>" for note in page.notes)
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="The tree"><svg class="tree" role="img" '
        f'aria-label="A decision tree of {page.leaves} leaves" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{page.body}</svg></div>'
        + (f'<p>In full, by their numbers in the drawing:</p><ol class="questions">{below}</ol>' if below else "")
    )


def _node(page: _Page, node: TreeNode, depth: int) -> float:
    """Draw a node and all below it; the height of its middle."""
    page.deepest = max(page.deepest, depth)
    if node["values"] is not None:
        return _leaf(page, node, depth)
    lines = _question(page, node)  # numbers rise from the left
    words = ("no", "yes") if node["form"] == "flag" else ("yes", "no")
    sides = [_node(page, node["left"], depth + 1), _node(page, node["right"], depth + 1)]
    here = sum(sides) / 2
    for there, said, under in zip(sides, words, (-5, 14), strict=True):
        a, b, middle = depth * WIDE + BOX, (depth + 1) * WIDE, depth * WIDE + BOX + 9
        page.body += f'<path d="M{a} {here:.1f}H{middle}V{there:.1f}H{b}"/>'
        page.body += f'<text class="tick" x="{middle + 2}" y="{there + under:.1f}">{said}</text>'
    page.body += _box(depth, here, *lines, "question")
    return here


def _leaf(page: _Page, node: TreeNode, depth: int) -> float:
    assert node["values"] is not None
    here = page.leaves * HIGH + HIGH / 2
    page.leaves += 1
    said, likely = page.answered(node["values"])
    chance = "" if likely is None else f" {percent(likely)}"
    room = LETTERS - len(chance)
    first = esc(said) if len(said) <= room else clip(said, room - MARK) + page.mark(name(said, WHOLE))
    rows = f"{count(node['rows'])} rows, {percent(node['rows'] / max(1, page.total))}"
    page.body += _box(depth, here, first + chance, rows, "leaf")
    if likely is not None:
        level = here + HIGH / 2 - 7
        page.body += f'<rect class="likely" x="{depth * WIDE}" y="{level:.1f}" width="{BOX * likely:.1f}" height="3"/>'
    return here


def _question(page: _Page, node: TreeNode) -> tuple[str, str]:
    """The two lines of a question: what is read, and what is asked of it."""
    part = "" if node["form"] in ("flag", "date") else part_of(node)  # which the second line says
    what = f"{node['column']}: {part}" if part else node["column"]
    spans, short = asked(node)
    whole = sum(len(span.text) for span in spans)
    if len(what) <= LETTERS and whole <= LETTERS:
        return esc(what), "".join(span.svg() for span in spans)
    column = titled(node, WHOLE) if part else name(node["column"], WHOLE)
    mark = page.mark(f"{column}: {''.join(span.html() for span in spans)}")
    fits = whole + MARK <= LETTERS
    return clip(what, LETTERS), ("".join(span.svg() for span in spans) if fits else esc(short)) + mark


def _box(depth: int, middle: float, first: str, second: str, css: str) -> str:
    x, y = depth * WIDE, middle - HIGH / 2 + 4
    return (
        f'<g class="{css}"><rect x="{x}" y="{y:.1f}" width="{BOX}" height="{HIGH - 8}"/>'
        f'<text x="{x + 8}" y="{y + 16:.1f}">{first}</text>'
        f'<text class="tick" x="{x + 8}" y="{y + 31:.1f}">{second}</text></g>'
    )
