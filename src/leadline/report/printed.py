"""The model itself, where a person can read it: a linear model as a table, tables as curves, a tree as a drawing.

Enters: a `PrintedModel` (core/printed.py). Leaves: HTML. All numbers are in printed_model.json.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leadline.charts import svg
from leadline.charts.format import Measure, beside, clip, count, esc, name, percent, plain
from leadline.contenders.families import BASELINE, CLASSICAL, DEEP
from leadline.core.printed import Place, Price, PrintedModel, Slope, Table
from leadline.report.effects import bar, key_of, scale_of, signed
from leadline.report.facts import Facts
from leadline.report.printed_tree import drawn

__all__ = ["model_itself"]

OPEN = 12  # levels of a category that are shown without a click
DRAWN = 3  # outputs of one curve
PAIRED = 12  # pairs that are drawn
NAMED = 14  # values of a category that are named beside a map
TELLING = 40  # characters of a term's name


def model_itself(model: PrintedModel, facts: Facts) -> str:
    """The section."""
    body = _tree(model) if model["root"] is not None else _terms(model)
    where = (
        "<p>Every number is in <code>printed_model.json</code> of the run folder: with it the answers of the file can "
        "be computed by hand.</p>"
    )
    return f"{_how(model)}{_price(model['price'], facts.measure)}{body}{_knots(model)}{where}"


def _how(model: PrintedModel) -> str:
    """From the terms to an answer, in words."""
    outputs = [name(each) for each in model["outputs"]]
    if model["root"] is not None:
        said = {"identity": "the prediction", "softmax": "the likeliest class"}.get(model["link"], "a probability")
        return f"<p>Begin at the left and follow the answers; a leaf has {said}, and its train rows.</p>"
    if model["link"] == "identity":
        return f"<p>The prediction of {outputs[0]} is the sum of one term a column.</p>"
    if model["link"] == "softmax":
        return (
            "<p>Each class has a sum of one term a column; its probability is its share of the exponentials of all "
            "sums.</p>"
        )
    what = outputs[0] if len(outputs) == 1 else "each label"
    return (
        f"<p>The log odds of {what} are the sum of one term a column: above zero the probability is over a half, and "
        "+0.7 doubles the odds.</p>"
    )


def _price(price: Price | None, measure: Measure) -> str:
    """What it costs that the model can be read."""
    if price is None:
        return "<p>No contender that nobody can read has finished, so what this costs is not known.</p>"
    points = measure.difference  # without its sign
    other = f"{name(price['against'])}, the best that nobody can read, has {measure.text(price['other'])}"
    own = f"this model {measure.text(price['score'])}"
    ends = f"95% {measure.gap(price['low'])} to {measure.gap(price['high'])}"
    if price["low"] > 0:
        told = f"It costs {points(price['gap'])} of {esc(price['metric'])} that this model can be read ({ends})"
    elif price["high"] < 0:
        told = f"It costs nothing that this model can be read: it is better by {points(-price['gap'])} ({ends})"
    else:
        told = f"These test rows do not show that it costs anything that this model can be read ({ends})"
    return f'<p class="price">{told}: on the test {other}, {own}.</p>'


def _terms(model: PrintedModel) -> str:
    several = len(model["outputs"]) > 1
    first = f"<p>Intercept: {', '.join(_valued(model['outputs'], model['intercept']))}.</p>"
    if model["slopes"] or any(table["low"] is not None for table in model["tables"]) or not _curved(model):
        parts = [_linear(model, i) for i in range(len(model["outputs"]))]
        if several:
            shown = "".join(
                f"<details{' open' if i == 0 else ''}><summary>{name(each)}</summary>{part}</details>"
                for i, (each, part) in enumerate(zip(model["outputs"], parts, strict=True))
            )
        else:
            shown = parts[0]
        return f"{first}{_key(model)}{shown}"
    return first + _tables(model)


def _key(model: PrintedModel) -> str:
    """What the colours say."""
    if model["link"] == "identity":
        return key_of("a larger value")
    return key_of(name(model["outputs"][0]) if len(model["outputs"]) == 1 else "the class")


def _curved(model: PrintedModel) -> bool:
    """Whether any table is over a number or a pair."""
    return any(len(table["axes"]) > 1 or table["axes"][0]["edges"] for table in model["tables"])


def _valued(outputs: Sequence[str], values: Sequence[float]) -> list[str]:
    if len(outputs) == 1:
        return [plain(values[0], 4)]
    return [f"{name(each)} {plain(value, 4)}" for each, value in zip(outputs, values, strict=True)]


def _titled(place: Place | Slope) -> str:
    return f"{name(place['column'], TELLING)}{': ' + esc(place['part']) if place['part'] else ''}"


def _linear(model: PrintedModel, output: int) -> str:
    """A linear model: one table of numbers, one of categories."""
    return _slopes(model, output) + _levels(model, output)


def _slopes(model: PrintedModel, output: int) -> str:
    slopes = sorted((each for each in model["slopes"] if each["size"] > 0), key=lambda each: -each["size"])
    if not slopes:
        return ""
    # What a bar shows: the effect of one standard deviation, in which columns of any unit compare.
    times = [each["size"] / (max(map(abs, each["weights"])) or 1.0) for each in slopes]
    lows = [None if each["low"] is None else each["low"][output] for each in slopes]
    highs = [None if each["high"] is None else each["high"][output] for each in slopes]
    weights = [each["weights"][output] for each in slopes]
    axis = scale_of(
        value * by for by, *ends in zip(times, weights, lows, highs, strict=True) for value in ends if value is not None
    )
    rows = "".join(
        f'<tr><th scope="row">{_titled(each)}<small>missing counts as {plain(each["missing"])}</small></th>'
        f'<td class="drawn">{bar(axis, weight * by, _times(low, by), _times(high, by))}</td>'
        f'<td class="num">{_weight(weight, low, high)}</td></tr>'
        for each, weight, low, high, by in zip(slopes, weights, lows, highs, times, strict=True)
    )
    grid = _grid(("Column", "", "Weight of a unit"), rows, "Numbers")
    return (
        "<h3>Numbers</h3><p>The weight of one unit of each column, with its 95% interval; the bar is the effect of one "
        f"standard deviation. Values over ten standard deviations from the mean count as no further.</p>{grid}"
    )


def _levels(model: PrintedModel, output: int) -> str:
    tables = sorted((t for t in model["tables"] if len(t["axes"]) == 1), key=lambda each: -each["size"])
    if not tables:
        return ""
    every = [_level(each, output) for each in tables]
    axis = scale_of(value for rows in every for _, *values in rows for value in values)
    parts = []
    for table, rows in zip(tables, every, strict=True):
        if not rows:  # a part of a date that is the same in every row
            continue
        most = max((abs(value) for _, value, *_ in rows), default=1.0)
        body = "".join(
            f'<tr><th scope="row">{name(label, TELLING)}</th><td class="drawn">{bar(axis, value, low, high)}</td>'
            f'<td class="num">{_weight(value, low, high, most)}</td></tr>'
            for label, value, low, high in rows
        )
        grid = _grid(("Value", "", "Weight"), body, esc(table["axes"][0]["column"]))
        title = _titled(table["axes"][0])
        if len(rows) > OPEN:
            parts.append(f"<details><summary>{title}: {count(len(rows))} values</summary>{grid}</details>")
        else:
            parts.append(f"<h4>{title}</h4>{grid}")
    lead = (
        "<p>The weight of each value; a value that no train row has, or a missing one, adds 0 where none is given.</p>"
    )
    return f"<h3>Categories</h3>{lead}{''.join(parts)}"


def _level(table: Table, output: int) -> list[tuple[str, float, float | None, float | None]]:
    """(value of a category, weight, its interval), the largest first."""
    weights, low, high = (_by_output(table[key], output) for key in ("weights", "low", "high"))
    assert weights is not None
    rows = [
        (label, float(weights[i]), None if low is None else float(low[i]), None if high is None else float(high[i]))
        for i, label in enumerate(table["axes"][0]["names"])
        if i > 1 or weights[i] != 0  # the first two are for missing and unknown values
    ]
    return sorted(rows, key=lambda row: -row[1])


def _by_output(values: Any, output: int) -> np.ndarray | None:
    return None if values is None else np.asarray(values, np.float64)[..., output]


def _tables(model: PrintedModel) -> str:
    """Tables of one column as curves and bars, those of two as maps; the largest first."""
    ordered = sorted(model["tables"], key=lambda each: -each["size"])
    singles, pairs = ([each for each in ordered if len(each["axes"]) == n] for n in (1, 2))
    charts = "".join(_curve(each, model["outputs"]) for each in singles if each["axes"][0]["edges"])
    named: PrintedModel = {**model, "tables": [each for each in singles if each["axes"][0]["names"]]}
    levels = "".join(
        (f"<h3>{name(output)}</h3>" if len(model["outputs"]) > 1 else "") + _levels(named, i)
        for i, output in enumerate(model["outputs"][:DRAWN])
    )
    maps = "".join(_map(each, model["outputs"]) for each in pairs[:PAIRED])
    found = f'<h3>Numbers</h3><div class="charts">{charts}</div>' if charts else ""
    if named["tables"]:
        found += _key(model) + levels
    if maps:
        found += (
            "<h3>Pairs of columns</h3><p>What two columns add together, beyond the sum of both. The fuller, the "
            f"larger; the scale is that of the pair.</p>{_key(model)}<div class=charts>{maps}</div>"
        )
    return found


def _curve(table: Table, outputs: Sequence[str]) -> str:
    """The steps of a number."""
    (place,) = table["axes"]
    values = np.asarray(table["weights"], np.float64)  # [places, outputs]
    edges = place["edges"]
    span = (edges[-1] - edges[0]) or 1.0
    room = max(0.04, 0.5 / len(edges)) * span
    ends = [edges[0] - room, *edges, edges[-1] + room]
    chosen = np.argsort(-values.std(axis=0), kind="stable")[:DRAWN].tolist()
    lines = []
    for family, output in zip((DEEP, CLASSICAL, BASELINE), chosen, strict=False):
        points = [
            (x, float(value))
            for value, a, b in zip(values[1:, output], ends[:-1], ends[1:], strict=True)
            for x in (a, b)
        ]
        lines.append(svg.Series(outputs[output] if len(outputs) > 1 else "", family, points, chosen=True))
    x, y = svg.Axis(ends[0], ends[-1]), svg.Axis.over(values[1:].ravel().tolist(), pad=0.08)
    frame = svg.Frame(f"Term of {esc(place['column'])}", (clip(place["column"], 30), "adds"), (plain, plain))
    missing = ", ".join(_valued(outputs, [float(v) for v in values[0]]))
    note = f"<figcaption>A missing value adds {missing}.</figcaption>"
    return f"<figure><h3>{_titled(place)}</h3>{svg.curves(lines, x, y, frame)}{note}</figure>"


def _map(table: Table, outputs: Sequence[str]) -> str:
    """A pair of columns as a map: the first across, the second up; without missing values."""
    values = np.asarray(table["weights"], np.float64)
    output = int(values.std(axis=(0, 1)).argmax())
    across, up = table["axes"]
    cells = values[int(not across["names"]) :, int(not up["names"]) :, output]
    most = float(np.abs(cells).max()) or 1.0
    body = "".join(
        f'<rect class="{"for" if cell > 0 else "against"}" x="{i}" y="{cells.shape[1] - 1 - j}" width="1" height="1" '
        f'fill-opacity="{0.9 * abs(cell) / most:.2f}"/>'
        for (i, j), cell in np.ndenumerate(cells)
        if abs(cell) > 0.02 * most
    )
    of = f" for {name(outputs[output])}" if len(outputs) > 1 else ""
    low, high = float(cells.min()), float(cells.max())
    return (
        f"<figure><h3>{_titled(across)} and {_titled(up)}</h3>"
        f'<svg class="pairs" role="img" aria-label="{esc(across["column"])} and {esc(up["column"])}" '
        f'viewBox="0 0 {cells.shape[0]} {cells.shape[1]}" preserveAspectRatio="none">{body}</svg>'
        f"<figcaption>Across: {_reach(across)}. Up: {_reach(up)}. From {signed(low)} to {signed(high)}{of}."
        "</figcaption></figure>"
    )


def _reach(place: Place) -> str:
    """What an axis of a map goes over."""
    if place["names"]:
        more = len(place["names"]) - NAMED
        rest = f" and {count(more)} more" if more > 0 else ""
        return f"{name(place['column'])}: {', '.join(name(each, 20) for each in place['names'][:NAMED])}{rest}"
    edges = place["edges"]
    return f"{name(place['column'])} from under {plain(edges[0])} to {plain(edges[-1])}, by rank"


def _tree(model: PrintedModel) -> str:
    assert model["root"] is not None
    return drawn(model["root"], answered(model))


def answered(model: PrintedModel) -> Callable[[Sequence[float]], tuple[str, float | None]]:
    """Raw values of a leaf -> (what it says, how likely; None of a value)."""

    def of(raw: Sequence[float]) -> tuple[str, float | None]:
        values = np.asarray(raw, np.float64)
        if model["link"] == "identity":
            return plain(float(values[0]), 4), None
        if model["link"] == "softmax":
            shares = np.exp(values - values.max())
            shares = mapped(model, shares / shares.sum())
        else:
            own = 1 / (1 + np.exp(-values))
            shares = mapped(model, np.array([1 - own[0], own[0]]))[1:] if len(own) == 1 else own
        best = int(shares.argmax())
        return model["outputs"][best], float(shares[best])

    return of


def mapped(model: PrintedModel, shares: np.ndarray) -> np.ndarray:
    """Probabilities by the line of knots, where there is one."""
    if model["knots"] is None:
        return shares
    x, y = np.array(model["knots"], np.float64).T
    found = np.interp(shares, x, y)
    return np.asarray(found / found.sum())


def _knots(model: PrintedModel) -> str:
    """The line by which probabilities are calibrated, or the temperature."""
    if model["knots"] is None:
        if all(each == 1.0 for each in model["temperature"]):
            return ""
        return "<p>All terms are already divided by the temperature that calibrates the probabilities.</p>"
    if model["root"] is not None:
        return "<p>The probabilities are already calibrated.</p>"
    points = [(float(x), float(y)) for x, y in model["knots"]]
    frame = svg.Frame("Calibration", ("probability by the sum", "probability in the answer"), (percent, percent))
    chart = svg.curves([svg.Series("", DEEP, points, chosen=True)], svg.Axis(0, 1), svg.Axis(0, 1), frame, agree=True)
    return (
        "<h3>From the sum to the probability</h3><p>The probability by the sum is read off this line, for every class; "
        f'then all are scaled so that they add up to 1.</p><figure class="knots">{chart}</figure>'
    )


def _grid(head: Sequence[str], rows: str, label: str) -> str:
    """Terms below each other: a name, a bar, numbers."""
    css = ("", ' class="drawn"', ' class="num"')
    titles = "".join(f'<th scope="col"{of}>{each}</th>' for each, of in zip(head, css, strict=True))
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table class="effects terms"><thead><tr>'
        f"{titles}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _weight(value: float, low: float | None, high: float | None, largest: float | None = None) -> str:
    """A weight with its interval, all to the same decimals; without one to those of the largest beside it."""
    if low is None or high is None:
        return signed(value) if largest is None else beside(value, largest, sign=True)
    most = max(map(abs, (value, low, high)))
    return f"{beside(value, most, sign=True)}<small>{beside(low, most)} to {beside(high, most)}</small>"


def _times(value: float | None, by: float) -> float | None:
    return None if value is None else value * by
