"""Places of a finished page that a later command fills: marked by comments, filled as often as it runs.

>>> filled("<p>a</p>" + slot("more"), "more", "<p>b</p>")
'<p>a</p><!--more--><p>b</p><!--/more-->'
"""

from __future__ import annotations

__all__ = ["filled", "slot"]


def slot(name: str, body: str = "") -> str:
    """A place, with what stands in it."""
    return f"<!--{name}-->{body}<!--/{name}-->"


def filled(page: str, name: str, body: str) -> str | None:
    """The page with the place filled anew; None where it has no such place."""
    before, begins, rest = page.partition(f"<!--{name}-->")
    _, ends, after = rest.partition(f"<!--/{name}-->")
    return before + slot(name, body) + after if begins and ends else None
