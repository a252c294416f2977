"""What a pretrained body brings: alone, beside the features, layer by layer; and whose weights it has.

Enters: `Facts`, of whose contenders one may have a `transfer`. Leaves: HTML, empty where none has.
"""

from __future__ import annotations

from typing import Any

from leadline.charts.format import clip, count, grid, name
from leadline.report.facts import Contender, Facts, number

__all__ = ["transfer"]

PARTS = (
    ("both", "Its states beside the features"),
    ("body_alone", "Its states alone"),
    ("features_alone", "The features alone"),
)
LAYERS = 60  # that are shown, at most


def transfer(facts: Facts) -> str:
    """A part for each contender that reads a body."""
    return "".join(_of(facts, c) for c in facts.contenders if c.get("transfer"))


def _of(facts: Facts, c: Contender) -> str:
    held: dict[str, Any] = c["transfer"]
    parts = [(text, score) for key, text in PARTS if (score := number(held.get(key))) is not None]
    layers = [(clip(each.get("name"), 60), number(each.get("score"))) for each in (held.get("layers") or [])[:LAYERS]]
    title = f"Valid {facts.measure.title}"
    tables = grid(
        ("A linear model on", title), [(text, facts.measure.text(score)) for text, score in parts], 1, "Parts"
    )
    if layers:
        alone = [(layer, facts.measure.text(score)) for layer, score in layers if score is not None]
        tables += grid(("Layer alone", title), alone, 1, "Layers")
    bodies = held.get("bodies") or []
    rows = [
        (
            name(body.get("name"), 40), clip(body.get("source"), 160), clip(body.get("licence"), 40),
            clip(body.get("precision")), _rates(body.get("rows_per_s") or {}), clip(body.get("paper"), 120),
        )
        for body in bodies
    ]  # fmt: skip
    head = ("Body", "Trained on", "Licence", "Run in", "Rows a second", "Paper")
    note = (
        f"<p>{name(c.get('name'))} is a linear model on the pooled states of a network that others have trained, which "
        "stay as they are. The scores are on the valid rows, which also chose the strength of regularisation."
        f"{_rounded(facts, held)}</p>"
    )
    return f'{note}<div class="pair">{tables}</div>{grid(head, rows, 6, "Bodies")}'


def _rates(rates: dict[str, Any]) -> str:
    return ", ".join(f"{clip(key)} {count(round(value))}" for key, value in rates.items() if number(value) is not None)


def _rounded(facts: Facts, held: dict[str, Any]) -> str:
    gain, rows = number(held.get("int8_gain")), number(held.get("int8_rows"))
    if gain is None or not rows:
        return ""
    return f" On {count(rows)} of these rows, states in int8 change the score by {facts.measure.gap(gain)}."
