"""One test row from its raw values to the answer, a line a step.

Enters: a `Journey`, as `results/walkthrough.py` makes it. Leaves: HTML.

    >>> from leadline.results.examples import Step
    >>> step = Step(stage="encoded", name="image", shape="uint8 [8, 8, 1]", values="0 5 13")
    >>> "uint8 [8, 8, 1]" in journey(Journey(row=6, steps=(step,), truth="3"), Room(0))
    True
"""

from __future__ import annotations

from leadline.charts.format import clip, count, grid, name, tag
from leadline.report.media_budget import Room
from leadline.results.examples import Journey

SAID = {
    "value": "value", "decoded": "decoded", "encoded": "encoded", "view": "feature view", "model": "model",
    "answer": "answer",
}  # fmt: skip
LEAD = (
    "The file answers one test row in these steps: values are decoded, everything after that is the one graph in the "
    "file, which anybody can run. Each step shows its type, its shape and its first values."
)


def journey(made: Journey | None, room: Room) -> str:
    """The section; nothing where no model was shipped."""
    if made is None or not made.steps:
        return ""
    rows, last = [], None
    for step in made.steps:
        stage = f"<b>{SAID.get(step.stage, '')}</b>" if step.stage != last else ""
        last = step.stage
        weights = count(step.parameters) if step.parameters else "–"
        rows.append(
            (
                stage,
                name(step.name, 48),
                f"<code>{clip(step.shape, 60)}</code>",
                f"<bdi>{clip(step.values, 90)}</bdi>",
                weights,
            )
        )
    table = grid(("Step", "Of what", "Type and shape", "First values", "Parameters"), rows, 4, "One row, step by step")
    shown = room.picture(made.image, f"row {made.row + 1}") if made.image is not None else ""
    shown += room.sound(made.sound, f"sound of row {made.row + 1}") if made.sound is not None else ""
    shown = tag("div", shown, "lone") if shown else ""
    truth = f" Its true label is <b>{name(made.truth)}</b>." if made.truth is not None else ""
    return f"{tag('p', LEAD)}<p>Row {count(made.row + 1)}.{truth}</p>{shown}{table}"
