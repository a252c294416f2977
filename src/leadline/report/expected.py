"""What the textbook expected, and whether the measurement agreed.

Enters: `Facts`, of whose result `expected` is as `textbook.py` made it. Leaves: HTML. The verdict stands whatever
was expected.
"""

from __future__ import annotations

from leadline.charts.format import clip, grid, tag
from leadline.report.facts import Facts

__all__ = ["expected"]

AGREES = "The measurement above agrees."
TIE = "Measured on these rows, the two make no practical difference. What was measured counts."
UNSURE = "The measurement could not tell the two apart, so it neither confirms nor refutes this."
AGAINST = "The measurement above says otherwise. What was measured on these rows counts, not what usually happens."
SETTLED = "The measurement above settles it for these rows."


def expected(facts: Facts) -> str:
    """The sentence of the textbook, what became of it, and the reasons."""
    found = facts.result.get("expected") or {}
    if not found:
        return ""
    rows = [
        (
            clip(reason.get("finding"), 200),
            clip(reason.get("points_to")),
            clip(reason.get("source"), 120),
        )
        for reason in found.get("reasons") or []
    ]
    said = tag(
        "p", f"{clip(found.get('why'), 600)} <b>{outcome(str(found.get('answer')), facts.verdict.get('answer'))}</b>"
    )
    return said + (grid(("Found", "Speaks for", "Source"), rows, 3, "What the textbook looks at") if rows else "")


def outcome(expects: str, measured: object) -> str:
    """What the verdict makes of an expectation.

    Example:
        >>> outcome("deep", "deep")
        'The measurement above agrees.'
    """
    if measured not in ("deep", "classical", "tie"):
        return UNSURE
    if expects == "either":
        return AGREES if measured == "tie" else SETTLED
    if measured == "tie":
        return TIE
    return AGREES if measured == expects else AGAINST
