"""What the shipped language model writes, and how well each contender predicts.

Enters: `Facts`. Leaves: HTML.
"""

from __future__ import annotations

from leadline.charts.format import clip, grid, name, plain, tag
from leadline.report.facts import Facts, number

__all__ = ["writing"]

NOTE = (
    "Perplexity is the number of equally likely tokens that would be as hard to predict. Bits a byte is what a "
    "compressor built on the model would need, and can be compared across ways of cutting text into tokens."
)


def writing(facts: Facts) -> str:
    """A passage from the shipped file, and the perplexity of every contender."""
    shipped = facts.result.get("shipped") or {}
    sample = shipped.get("sample") or {}
    text = str(sample.get("passage") or "").strip("\n")
    passage = ""
    if text:
        lead = f"{name(shipped.get('contender'))} continues, from an empty line:"
        passage = f'<p>{lead}</p><blockquote class="written" dir="auto">{clip(text, 2_000)}</blockquote>'
    rows = [
        (name(c.get("name"), 28), facts.measure.text(c["score"]), plain(number(c.get("perplexity")) or 0.0))
        for c in facts.finished
        if number(c.get("perplexity")) is not None
    ]
    unit = clip(sample.get("token_unit") or "token")
    head = ("Contender", f"Test {facts.measure.title}", f"Perplexity a {unit}")
    return passage + (grid(head, rows, 1, "Perplexity") + tag("p", NOTE) if rows else "")
