"""What depth does, as it is seen: probes by layer, first filters, the rows that excite units, a map of the rows.

Enters: a `Depth` (use/explain/records.py). Leaves: HTML.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from leadline.charts import svg
from leadline.charts.format import count, esc, name, percent, plain
from leadline.contenders.families import DEEP
from leadline.kinds import KINDS
from leadline.report.effects import SIDE
from leadline.report.media_budget import Room
from leadline.results.thumbnails import packed_picture
from leadline.use.explain.records import Depth, Layer, Unit

ZOOM = 8  # screen pixels of a filter's weight
COLOURS = 10  # classes with a colour of their own
PALETTE = ("#1c5c94", "#ad1567", "#8d6100", "#2e8b57", "#7a4fb5", "#d2691e", "#0a8f9c", "#9c2f2f", "#5c7a1f", "#4c6075")


def depth_section(depth: Depth, room: Room) -> str:
    """The section."""
    return "".join((_probes(depth), _filters(depth, room), _units(depth, room), _map(depth)))


def _probes(depth: Depth) -> str:
    first, last = depth.layers[0].probe, depth.layers[-1].probe
    shares = depth.score != "r2"
    said = percent if shares else plain
    lead = (
        f"<p>A linear model on the outputs of one layer, fitted to {count(depth.learned)} rows and measured by "
        f"{depth.score} on {count(depth.held)} others (Alain &amp; Bengio 2016): {said(first.value)} at the "
        f"first ({esc(depth.layers[0].name)}), {said(last.value)} at the last. What rises from layer to layer is what "
        "depth adds; where it stays level, a shallower network would do.</p>"
    )
    values = [v for layer in depth.layers for v in (layer.probe.low, layer.probe.high) if np.isfinite(v)]
    x, y = svg.Axis(0.0, max(1.0, len(depth.layers) - 1.0)), svg.Axis.over([*values, last.value], pad=0.05)
    y = svg.Axis(max(y.low, 0.0) if shares else y.low, min(y.high, 1.0))  # no score is above 1, and no share below 0
    marks = [
        svg.Mark(float(i), layer.probe.value, "", DEEP, f"{layer.name}: {said(layer.probe.value)}", layer.probe.low,
                 layer.probe.high)
        for i, layer in enumerate(depth.layers)
    ]  # fmt: skip
    names = [layer.name.removeprefix("layer ") for layer in depth.layers]
    frame = svg.Frame(
        "Score of a linear probe by layer", ("layer", depth.score),
        (lambda v: names[int(v)] if v == int(v) and 0 <= int(v) < len(names) else "",
         (lambda v: f"{100 * v:.3g}%") if shares else plain),
    )  # fmt: skip
    caption = "; ".join(f"{esc(layer.name)} {said(layer.probe.value)}" for layer in depth.layers)
    chart = f"<figure>{svg.scatter(marks, x, y, [], frame)}<figcaption>{caption}.</figcaption></figure>"
    return f"<h3>A linear probe of each layer</h3>{lead}{chart}"


def _filters(depth: Depth, room: Room) -> str:
    if depth.filters is None:
        return ""
    pictures = []
    for number, weights in enumerate(depth.filters):
        pixels = weights.transpose(1, 2, 0)
        reach = float(np.abs(pixels).max()) or 1.0
        levels = np.round(127.5 + 127.5 * pixels / reach).astype(np.uint8)
        large = np.kron(levels, np.ones((ZOOM, ZOOM, 1), np.uint8))
        pictures.append(room.picture(packed_picture(large), f"filter {number + 1}"))
    return (
        "<h3>First filters</h3><p>What the first convolution looks for; grey is no weight.</p>"
        f'<div class="filters">{"".join(pictures)}</div>'
    )


def _units(depth: Depth, room: Room) -> str:
    bodies = "".join(
        f"<h4>{esc(layer.name)}</h4>{_units_of(layer, depth, room)}" for layer in depth.layers if layer.units
    )
    if not bodies:
        return ""
    return (
        "<h3>What excites a unit most</h3><p>Of each layer the units whose strongest outputs stand out most, and the "
        f"held-out rows with these outputs.</p>{bodies}"
    )


def _units_of(layer: Layer, depth: Depth, room: Room) -> str:
    rows = "".join(
        f'<div class="unit"><b>unit {unit.number + 1}</b>{_exciting(unit, depth, room)}</div>' for unit in layer.units
    )
    return f'<div class="units">{rows}</div>'


def _exciting(unit: Unit, depth: Depth, room: Room) -> str:
    found, inputs = [], depth.inputs
    for row, values, written in zip(unit.rows, unit.values, unit.written, strict=True):
        body = next(filter(None, (_seen(values[column], *facts, room) for column, facts in inputs.items())), "")
        if not body:
            caption = ", ".join(f"{column} {written[column]}" for column in list(inputs)[:3])
            body = f"<small>{name(caption, 90)}</small>"
        found.append(f"<figure>{body}<figcaption>{depth.called} {count(row + 1)}</figcaption></figure>")
    return f'<div class="exciting">{"".join(found)}</div>'


def _seen(value: Any, kind_name: str, settings: Mapping[str, Any], room: Room) -> str:
    """One value as a picture or a text; '' where there is nothing to see."""
    kind = KINDS[kind_name]
    if isinstance(value, str):
        return f"<small>{name(value, 90)}</small>" if kind.prose and value else ""
    array = np.asarray(value)
    if array.ndim == 0:
        return ""
    pixels = kind.picture(array, settings, SIDE)
    if pixels is None:
        return ""
    return room.picture(packed_picture(pixels), "an exciting row")


def _map(depth: Depth) -> str:
    """Held-out rows in two dimensions, the commonest classes in colour."""
    x = svg.Axis.over(depth.map.points[:, 0].tolist(), pad=0.04)
    y = svg.Axis.over(depth.map.points[:, 1].tolist(), pad=0.04)
    common = sorted(set(depth.classes), key=lambda each: -depth.classes.count(each))[:COLOURS]
    colours = dict(zip(common, PALETTE, strict=False))
    names = depth.classes or ("",) * len(depth.map.points)
    dots = "".join(
        f'<circle cx="{x.at(a):.1f}%" cy="{svg.down(y, b):.1f}" r="3" style="fill:{colours.get(each, "#93a4b7")}">'
        f"<title>{esc(each)}</title></circle>"
        for (a, b), each in zip(depth.map.points.tolist(), names, strict=True)
    )
    key = "".join(f'<span><i style="background:{colour}"></i>{name(each)}</span>' for each, colour in colours.items())
    other = " Other classes are grey." if len(set(depth.classes)) > COLOURS else ""
    shares = depth.map.shares
    how = "on the two principal axes of the last layer, with their shares of its variance."
    if shares is None:
        how = (
            "by UMAP of the last layer (McInnes et al. 2018): neighbours stay together; how far apart groups lie says "
            "little."
        )
    frame = svg.Frame(
        "Held-out rows by the last layer",
        ("first axis", "second axis")
        if shares is None
        else (f"first axis ({percent(shares[0])})", f"second axis ({percent(shares[1])})"),
        (plain, plain),
    )
    return (
        f"<h3>A map of the last layer</h3><p>{count(len(depth.map.points))} held-out rows {how}{other}</p>"
        f'<div class="key">{key}</div>'
        f"<figure>{svg.plot(x, y, f'<g>{dots}</g>', frame)}</figure>"
    )
