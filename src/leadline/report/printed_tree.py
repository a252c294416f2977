"""A decision tree as a drawing: the first question at the left, the leaves below each other at the right.

Enters: a `TreeNode` (core/printed.py). Leaves: HTML. Letters keep their size; a phone scrolls the drawing sideways.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leadline.charts.format import clip, count, esc, percent, plain
from leadline.core.printed import TreeNode

WIDE, HIGH, BOX = 208, 48, 164  # pixels of a level, of a leaf, and of a box
LETTERS = 22  # of a line in a box
NAMES = 3  # of a set of values
UNNAMED = ("missing", "any other value")
Answered = Callable[[Sequence[float]], tuple[str, float | None]]


@dataclass
class _Page:
    """The drawing so far, and where the next leaf goes."""

    answered: Answered
    total: int
    leaves: int = 0
    deepest: int = 0
    body: str = ""


def drawn(root: TreeNode, answered: Answered) -> str:
    """The drawing; `answered` says what a leaf answers and how likely it is."""
    page = _Page(answered=answered, total=root["rows"])
    _node(page, root, 0)
    width, height = page.deepest * WIDE + BOX + 2, page.leaves * HIGH + 8
    return (
        '<div class="scroll" role="region" tabindex="0" aria-label="The tree"><svg class="tree" role="img" '
        f'aria-label="A decision tree of {page.leaves} leaves" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{page.body}</svg></div>'
    )


def _node(page: _Page, node: TreeNode, depth: int) -> float:
    """Draw a node and all below it; the height of its middle."""
    page.deepest = max(page.deepest, depth)
    if node["values"] is not None:
        here = page.leaves * HIGH + HIGH / 2
        page.leaves += 1
        said, likely = page.answered(node["values"])
        first = clip(said, LETTERS - 7) + ("" if likely is None else f" {percent(likely)}")
        rows = f"{count(node['rows'])} rows, {percent(node['rows'] / max(1, page.total))}"
        page.body += _box(depth, here, first, rows, "leaf")
        if likely is not None:
            level = here + HIGH / 2 - 7
            page.body += (
                f'<rect class="likely" x="{depth * WIDE}" y="{level:.1f}" width="{BOX * likely:.1f}" height="3"/>'
            )
        return here
    sides = [(_node(page, node[side], depth + 1), said) for side, said in (("left", "yes"), ("right", "no"))]  # type: ignore[literal-required]
    here = (sides[0][0] + sides[1][0]) / 2
    for there, said in sides:
        a, b, middle = depth * WIDE + BOX, (depth + 1) * WIDE, depth * WIDE + BOX + 12
        page.body += f'<path d="M{a} {here:.1f}H{middle}V{there:.1f}H{b}"/>'
        level = there - 5 if said == "yes" else there + 14
        page.body += f'<text class="tick" x="{middle + 3}" y="{level:.1f}">{said}</text>'
    page.body += _box(depth, here, *_question(node), "question")
    return here


def _question(node: TreeNode) -> tuple[str, str]:
    """The two lines of a question."""
    what = clip(f"{node['column']}{' ' + node['part'] if node['part'] else ''}", LETTERS)
    if node["most"] is not None:
        tail = " or missing" if node["missing_left"] else ""
        return what, f"≤ {plain(node['most'], 6)}{tail}?"
    if not node["names"]:
        return what, "is known?" if not node["missing_left"] else "is anything?"
    left, right = ([each for each in node[side] if each not in UNNAMED] for side in ("names", "others"))
    word, shown = ("is", left) if left and (len(left) <= len(right) or not right) else ("is not", right)
    for few in range(min(NAMES, len(shown)), 0, -1):  # as many names as a line has room for
        more = len(shown) - few
        told = f"{word} {', '.join(shown[:few])}{f' or {more} more' if more > 0 else ''}?"
        if len(told) <= LETTERS:
            return what, esc(told)
    return what, clip(f"{word} {shown[0]}", LETTERS - 9) + (f" or {more} more?" if more else "?")


def _box(depth: int, middle: float, first: str, second: str, css: str) -> str:
    x, y = depth * WIDE, middle - HIGH / 2 + 4
    return (
        f'<g class="{css}"><rect x="{x}" y="{y:.1f}" width="{BOX}" height="{HIGH - 8}"/>'
        f'<text x="{x + 8}" y="{y + 16:.1f}">{first}</text>'
        f'<text class="tick" x="{x + 8}" y="{y + 31:.1f}">{second}</text></g>'
    )
