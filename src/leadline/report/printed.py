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
from leadline.core.printed import CODED, OF_LISTS, Place, Price, PrintedModel, Slope, Table
from leadline.report.effects import bar, key_of, scale_of, signed
from leadline.report.facts import Facts
from leadline.report.printed_tree import drawn
from leadline.report.printed_words import along, levels, number, part_of, titled

__all__ = ["model_itself"]

OPEN = 12  # levels of a category that are shown without a click
DRAWN = 3  # outputs of one curve
PAIRED = 12  # pairs that are drawn
NAMED = 14  # values of a category that are named beside a map


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
    pairs = any(len(table["axes"]) > 1 for table in model["tables"])
    terms = "the intercept, one term a column, and one a pair of columns" if pairs else (
        "the intercept and one term a column")  # fmt: skip
    if model["link"] == "identity":
        return f"<p>The prediction of {outputs[0]} is the sum of {terms}.</p>"
    if model["link"] == "softmax":
        return f"<p>Each class has a sum of {terms}; its probability is its share of the exponentials of all sums.</p>"
    what = outputs[0] if len(outputs) == 1 else "each label"
    return (
        f"<p>The log odds of {what} are the sum of {terms}: above zero the probability is over a half, and +0.7 "
        "doubles the odds.</p>"
    )


def _price(price: Price | None, measure: Measure) -> str:
    """What it costs that the model can be read."""
    if price is None:
        return "<p>No contender that is not interpretable has finished, so what this costs is not known.</p>"
    points = measure.difference  # without its sign
    other = (
        f"{name(price['against'])}, the best contender that is not interpretable, has {measure.text(price['other'])}"
    )
    own = f"this model has {measure.text(price['score'])}"
    ends = f"95% {measure.gap(price['low'])} to {measure.gap(price['high'])}"
    if price["low"] > 0:
        cost = f"Being interpretable costs {points(price['gap'])} of {esc(price['metric'])} ({ends})"
    elif price["high"] < 0:
        cost = f"Being interpretable costs nothing: this model is better by {points(-price['gap'])} ({ends})"
    else:
        cost = f"These test rows do not show that being interpretable costs anything ({ends})"
    return f'<p class="price">{cost}: on the test rows {other}, and {own}.</p>'


def _terms(model: PrintedModel) -> str:
    first = f"<p>Intercept: {', '.join(_valued(model['outputs'], model['intercept']))}.</p>"
    if model["slopes"] or any(table["low"] is not None for table in model["tables"]) or not _curved(model):
        return f"{first}{_key(model)}{_folded(model, lambda i: _slopes(model, i) + _levels(model, i))}"
    return first + _tables(model)


def _folded(model: PrintedModel, part: Callable[[int], str]) -> str:
    """What there is of each output; of several, all but the first wait for a click."""
    if len(model["outputs"]) == 1:
        return part(0)
    return "".join(
        f"<details{' open' if i == 0 else ''}><summary>{name(each)}</summary>{part(i)}</details>"
        for i, each in enumerate(model["outputs"])
    )


def _key(model: PrintedModel) -> str:
    """What the colours say."""
    return key_of(_favoured(model))


def _favoured(model: PrintedModel) -> str:
    """What a term above zero speaks for."""
    if model["link"] == "identity":
        return "a larger value"
    return name(model["outputs"][0]) if len(model["outputs"]) == 1 else "the class"


def _curved(model: PrintedModel) -> bool:
    """Whether any table is over a number or a pair."""
    return any(len(table["axes"]) > 1 or table["axes"][0]["edges"] for table in model["tables"])


def _valued(outputs: Sequence[str], values: Sequence[float]) -> list[str]:
    if len(outputs) == 1:
        return [plain(values[0], 4)]
    return [f"{name(each)} {plain(value, 4)}" for each, value in zip(outputs, values, strict=True)]


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
        f'<tr><th scope="row">{titled(each)}{_replaced(each)}</th>'
        f'<td class="drawn">{bar(axis, weight * by, _times(low, by), _times(high, by))}</td>'
        f'<td class="num">{_weight(weight, low, high)}</td></tr>'
        for each, weight, low, high, by in zip(slopes, weights, lows, highs, times, strict=True)
    )
    grid = _grid(("Column", "", "Weight of a unit"), rows, "Numbers")
    classes = " Weights are differences from the mean of all classes." if model["link"] == "softmax" else ""
    return (
        "<h3>Numbers</h3><p>The weight of one unit of each column, with its 95% interval; the bar is the effect of one "
        f"standard deviation.{classes} Values over ten standard deviations from the mean count as no further.</p>{grid}"
    )


def _replaced(slope: Slope) -> str:
    """What stands in for a missing value."""
    if slope["form"] in OF_LISTS:
        return ""
    return f"<small>missing counts as {number(slope['missing'], slope['form'])}</small>"


def _levels(model: PrintedModel, output: int, key: str = "") -> str:
    tables = sorted((t for t in model["tables"] if len(t["axes"]) == 1), key=lambda each: -each["size"])
    if not tables:
        return ""
    every = [_level(each, output) for each in tables]
    axis = scale_of(value for rows in every for _, *values in rows for value in values)
    parts = []
    for table, rows in zip(tables, every, strict=True):
        if not any(value for _, value, *_ in rows):  # such as a part of a date that is the same in every row
            continue
        most = max((abs(value) for _, value, *_ in rows), default=1.0)
        body = "".join(
            f'<tr><th scope="row">{label}</th><td class="drawn">{bar(axis, value, low, high)}</td>'
            f'<td class="num">{_weight(value, low, high, most)}</td></tr>'
            for label, value, low, high in rows
        )
        place = table["axes"][0]
        grid = _grid(("Value", "", "Weight"), body, esc(place["column"])) + _unseen(table, output, most)
        if len(rows) > OPEN:
            parts.append(f"<details><summary>{titled(place)}: {count(len(rows))} values</summary>{grid}</details>")
        else:
            parts.append(f"<h4>{titled(place)}</h4>{grid}")
    lead = "What each value adds."
    if any(table["low"] is not None for table in tables):
        classes = ", and from that of all classes" if model["link"] == "softmax" else ""
        lead = (
            "How the weight of each value differs from the mean weight of the rows that the model learned from"
            f"{classes}, with the 95% interval of this difference."
        )
    return f"<h3>Categories</h3><p>{lead}</p>{key}{''.join(parts)}"


def _level(table: Table, output: int) -> list[tuple[str, float, float | None, float | None]]:
    """(value of a category, weight, its interval) of all that the train rows have, the largest first."""
    weights, low, high = (_by_output(table[key], output) for key in ("weights", "low", "high"))
    assert weights is not None
    place = table["axes"][0]
    rows = [
        (label, float(weights[i]), None if low is None else float(low[i]), None if high is None else float(high[i]))
        for i, label in enumerate(levels(place))
        if place["rows"][i]
    ]
    return sorted(rows, key=lambda row: -row[1])


def _unseen(table: Table, output: int, most: float) -> str:
    """What values add that no train row has."""
    place, weights = table["axes"][0], _by_output(table["weights"], output)
    assert weights is not None
    unseen = [
        f"{label} {beside(float(weights[i]), most, sign=True)}"
        for i, label in enumerate(levels(place))
        if not place["rows"][i] and weights[i] != 0 and (i > 0 or place["form"] not in OF_LISTS)
    ]
    return f"<p><small>In no train row: {', '.join(unseen)}.</small></p>" if unseen else ""


def _by_output(values: Any, output: int) -> np.ndarray | None:
    return None if values is None else np.asarray(values, np.float64)[..., output]


def _tables(model: PrintedModel) -> str:
    """Tables of one column as curves and bars, those of two as maps; the largest first."""
    ordered = sorted(model["tables"], key=lambda each: -each["size"])
    singles, pairs = ([each for each in ordered if len(each["axes"]) == n] for n in (1, 2))
    curved = [each for each in singles if _is_curve(each["axes"][0])]
    charts = "".join(_curve(each, model["outputs"]) for each in curved)
    named: PrintedModel = {**model, "tables": [each for each in singles if not _is_curve(each["axes"][0])]}
    maps = "".join(_map(each, model["outputs"]) for each in pairs[:PAIRED])
    found = ""
    if charts:
        few = f" Each chart has the {DRAWN} classes of the largest effects." if len(model["outputs"]) > DRAWN else ""
        lead = f"What each column adds, by its value: above zero it speaks for {_favoured(model)}.{few}"
        found = f'<h3>Numbers</h3><p>{lead}</p><div class="charts">{charts}</div>'
    if named["tables"]:
        found += _folded(model, lambda i: _levels(named, i, _key(model)))
    if maps:
        found += (
            "<h3>Pairs of columns</h3><p>What two columns add together, beyond the sum of both. The fuller, the "
            f"larger; the scale is that of the pair.</p>{_key(model)}<div class=charts>{maps}</div>"
        )
    return found


def _is_curve(place: Place) -> bool:
    """Whether a column has a curve over its numbers; what is 1 or 0 has two values."""
    return len(place["edges"]) > 1 or bool(place["edges"] and place["form"] != "flag")


def _curve(table: Table, outputs: Sequence[str]) -> str:
    """The steps of a number."""
    (place,) = table["axes"]
    values = np.asarray(table["weights"], np.float64)  # [places, outputs]
    edges, form = place["edges"], place["form"]
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
    across = "date" if form == "date" else esc(part_of(place)) or clip(place["column"], 30)
    frame = svg.Frame(f"Term of {esc(place['column'])}", (across, "adds"), (along(x, form), along(y, "plain")))
    missing = ", ".join(_valued(outputs, [float(v) for v in values[0]]))
    counts = form not in OF_LISTS and (place["rows"][0] or values[0].any())
    note = f"<figcaption>A missing value adds {missing}.</figcaption>" if counts else ""
    title = name(place["column"]) if form == "date" else titled(place)
    return f"<figure><h3>{title}</h3>{svg.curves(lines, x, y, frame)}{note}</figure>"


def _map(table: Table, outputs: Sequence[str]) -> str:
    """A pair of columns as a map, the first across, the second up: of values that train rows have."""
    values = np.asarray(table["weights"], np.float64)
    output = int(values.std(axis=(0, 1)).argmax())
    across, up = table["axes"]
    cells = values[np.ix_(_shown(across), _shown(up))][..., output]
    most = float(np.abs(cells).max(initial=0)) or 1.0
    body = "".join(
        f'<rect class="{"for" if cell > 0 else "against"}" x="{i}" y="{cells.shape[1] - 1 - j}" width="1" height="1" '
        f'fill-opacity="{0.9 * abs(cell) / most:.2f}"/>'
        for (i, j), cell in np.ndenumerate(cells)
        if abs(cell) > 0.02 * most
    )
    of = f" for {name(outputs[output])}" if len(outputs) > 1 else ""
    low, high = float(cells.min(initial=0)), float(cells.max(initial=0))
    return (
        f"<figure><h3>{titled(across)} and {titled(up)}</h3>"
        f'<svg class="pairs" role="img" aria-label="{esc(across["column"])} and {esc(up["column"])}" '
        f'viewBox="0 0 {cells.shape[0]} {cells.shape[1]}" preserveAspectRatio="none">{body}</svg>'
        f"<figcaption>Across: {_reach(across)}. Up: {_reach(up)}. From {signed(low)} to {signed(high)}{of}."
        "</figcaption></figure>"
    )


def _shown(place: Place) -> list[int]:
    """The places of an axis of a map: all of a number but the missing one, of a category those that have rows."""
    if place["edges"]:
        return list(range(1, len(place["edges"]) + 2))
    return [i for i, rows in enumerate(place["rows"]) if rows or i >= CODED]


def _reach(place: Place) -> str:
    """What an axis of a map goes over."""
    if _is_curve(place):
        low, high = (number(place["edges"][end], place["form"]) for end in (0, -1))
        return f"{titled(place)} from under {low} to {high}, by rank"
    shown = [levels(place)[i] for i in _shown(place)]
    more = len(shown) - NAMED
    rest = f" and {count(more)} more" if more > 0 else ""
    return f"{titled(place)}: {', '.join(shown[:NAMED])}{rest}"


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
