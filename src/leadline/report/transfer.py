"""What a pretrained body brings: frozen and trained further, alone, beside the features, layer by layer; whose weights.

Enters: `Facts`, of whose contenders some may have a `transfer`. Leaves: HTML, empty where none has.
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
TUNED = (
    ("both", "A network and a linear model on the features"),
    ("body_alone", "The network alone"),
    ("features_alone", "The linear model alone"),
)
LAYERS = 60  # that are shown, at most
LOST = 0.005  # of a share, from which on what int8 costs is said to be much


def transfer(facts: Facts) -> str:
    """A part for each contender that reads a body; before them, where there are several, how they compare."""
    found = [c for c in facts.contenders if c.get("transfer")]
    return (_beside(facts, found) if len(found) > 1 else "") + "".join(_of(facts, c) for c in found)


def _beside(facts: Facts, found: list[Contender]) -> str:
    rows = [
        (name(c.get("name"), 40), _trained(c["transfer"]), facts.measure.text(score))
        for c in found
        if (score := number(c["transfer"].get("both"))) is not None
    ]
    return grid(("Contender", "Its body", f"Valid {facts.measure.title}"), rows, 2, "Frozen and tuned")


def _trained(held: dict[str, Any]) -> str:
    layers = number(held.get("tuned"))
    return "frozen" if layers is None else f"{count(round(layers))} of its layers trained further on the train rows"


def _of(facts: Facts, c: Contender) -> str:
    held: dict[str, Any] = c["transfer"]
    frozen = held.get("tuned") is None
    of_parts = PARTS if frozen else TUNED
    parts = [(text, score) for key, text in of_parts if (score := number(held.get(key))) is not None]
    layers = [(clip(each.get("name"), 60), number(each.get("score"))) for each in (held.get("layers") or [])[:LAYERS]]
    title = f"Valid {facts.measure.title}"
    tables = ""
    if parts:
        scored = [(text, facts.measure.text(score)) for text, score in parts]
        tables = grid(("A linear model on" if frozen else "What answers", title), scored, 1, "Parts")
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
    if frozen:
        what = (
            "is a linear model on the pooled states of a network that others have trained, which stay as they are. "
            + ("The scores are on the valid rows, which also chose the strength of regularisation." if parts else "")
        )
    else:
        what = (
            f"is a network that others have trained, {_trained(held)}. The scores are on the valid rows, which also "
            "chose the share of the linear model in its answers."
        )
    note = f"<p>{name(c.get('name'))} {what}{_rounded(facts, held)}</p>"
    return f'{note}<div class="pair">{tables}</div>{grid(head, rows, 6, "Bodies")}'


def _rates(rates: dict[str, Any]) -> str:
    found = [f"{clip(key)} {count(round(value))}" for key, value in rates.items() if number(value) is not None]
    return ", ".join(found) or "–"


def _rounded(facts: Facts, held: dict[str, Any]) -> str:
    gain, rows = number(held.get("int8_gain")), number(held.get("int8_rows"))
    if gain is None or not rows:
        return ""
    how = f"{'better' if gain > 0 else 'worse'} by {facts.measure.difference(gain)}" if gain else "the same"
    said = f" On {count(rows)} of the valid rows, the score with int8 is {how}"
    if gain < -LOST and facts.measure.is_percent:
        kept = all(body.get("precision") != "int8" for body in held.get("bodies") or [])
        said += ", which is more than half a point: " + ("float32 is used" if kept else "there was no time for float32")
    return f"{said}."
