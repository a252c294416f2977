"""Learning curves as one self-contained HTML page: the picture first, then what each pair says, then the scores.

Enters: what curves.json holds. Leaves: the text of a page that needs no network and no script.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leadline.charts.format import Measure, clip, count, esc, grid, name, tag
from leadline.charts.svg import Axis, Frame, Series, curves
from leadline.contenders.families import CLASSICAL, DEEP
from leadline.core.records import Side
from leadline.metrics.metrics import METRICS
from leadline.report.shell import html_page
from leadline.tasks import TASKS

FAMILIES = {Side.CLASSICAL: CLASSICAL, Side.SCRATCH: DEEP, Side.PRETRAINED: DEEP}
SIDES = {Side.CLASSICAL: "classical", Side.SCRATCH: "deep, from scratch", Side.PRETRAINED: "deep, pretrained"}


def render(found: Mapping[str, Any]) -> str:
    """The page as HTML text."""
    metric = METRICS[found["metric"]]
    scores = [score for curve in found["curves"] for point in curve["points"] for score in point["scores"]]
    measure = Measure.fit(metric.name, metric.higher_is_better, scores, step=(max(scores) - min(scores)) / 200 or 1e-3)
    answers = "".join(tag("p", esc(each["why"]), "why") for each in found["worth"])
    answers += "".join(tag("p", esc(note)) for note in found["notes"])
    how = (
        f"Each point is the mean of {_draws(found)} draws of so many labelled rows (train and valid together"
        f"{_shares(found)}), trained anew, encoding included, and scored on the same {count(found['test'])} test rows. "
        f"These were scored {count(found['evaluations'])} times for this page, after the verdict: nothing was chosen "
        "by it. The small numbers are the lowest and the highest score of the draws, not an interval. All draws of "
        f"{count(found['labelled'])} rows are the same rows, in which only the seed of the training differs: they have "
        "no such range."
    )
    body = (
        f'<div class="first"><p class="eyebrow">{name(found["title"], 48)}</p><h1>What more rows are worth</h1>'
        f"{answers}</div>\n<section><h2>Learning curves</h2>{_chart(found, measure)}{_table(found, measure)}"
        f"<p>{how}</p></section>"
    )
    return html_page(f"Learning curves of {clip(found['title'], 48)}", [name(found["title"], 48)], body)


def _draws(found: Mapping[str, Any]) -> int:
    return max(len(point["scores"]) for curve in found["curves"] for point in curve["points"])


def _shares(found: Mapping[str, Any]) -> str:
    """How the draws are stratified."""
    task = TASKS[found["task"]]
    if task.numeric:
        return ""
    return ", rare labels with their shares" if task.multilabel else ", every class with its share"


def _means(curve: Mapping[str, Any]) -> list[tuple[float, float]]:
    return [(float(point["rows"]), sum(point["scores"]) / len(point["scores"])) for point in curve["points"]]


def _chart(found: Mapping[str, Any], measure: Measure) -> str:
    lines = [Series(curve["contender"], FAMILIES[curve["side"]], _means(curve)) for curve in found["curves"]]
    points = [point for one in lines for point in one.points]
    across = Axis.over([x for x, _ in points], log=True)
    title = f"test {measure.title}" + ("" if measure.higher else ", lower is better")
    frame = Frame(
        f"{title} over the number of labelled rows", ("labelled rows", title), (lambda x: f"{x:,.0f}", measure.text)
    )
    return f"<figure>{curves(lines, across, Axis.over([y for _, y in points], pad=0.12), frame)}</figure>"


def _table(found: Mapping[str, Any], measure: Measure) -> str:
    sizes = [f"{count(point['rows'])} rows" for point in found["curves"][0]["points"]]
    rows = [
        (
            esc(curve["contender"]), SIDES[curve["side"]],
            *(
                measure.text(mean) + (_range(point["scores"], measure) if point["rows"] < found["labelled"] else "")
                for (_, mean), point in zip(_means(curve), curve["points"], strict=True)
            ),
        )
        for curve in found["curves"]
    ]  # fmt: skip
    return grid(("contender", "side", *sizes), rows, 2, "Mean of the draws, with their lowest and highest score")


def _range(scores: list[float], measure: Measure) -> str:
    """The lowest and the highest score of draws of different rows."""
    return f"<br><small>{measure.text(min(scores))} to {measure.text(max(scores))}</small>"
