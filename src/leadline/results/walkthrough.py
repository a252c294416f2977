"""One test row's way through every step of a run, for a reader: cell, decoded, encoded, form, layers, answer.

Enters: table, store and the shipped file. Leaves: a `Journey` for the report. The values are the file's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.metrics.metrics import LIKELY
from leadline.metrics.multilabel import joined, named, unpacked
from leadline.results.examples import Journey, Step
from leadline.use.model import Model
from leadline.use.walk import Passed, walk

LAYERS = 24  # of a model, at most
PEEK = 6  # values of a tensor
NAMES = 3  # columns of a block, by name
LIKELIEST = 3  # classes of the answer


def journey(table: Table, store: Store, model: Model, image: bytes | None, sound: bytes | None) -> Journey:
    """The way of the first test row, whose place says nothing of it; `image` and `sound` are its own, if it has one."""
    row = int(store.split.test[0])
    names = [column.name for column in table.inputs]
    frame = table.take(np.array([row]), names)
    cells = frame.row(0, named=True)
    steps = [
        Step(stage="cell", name=_several(block.columns), shape=block.kind, values=_cells(cells, block.columns))
        for block in store.blocks
    ]
    if store.task.generative:
        held = store.tensor(store.blocks[0].name)[row]
        held = held[held != store.blocks[0].padding]
        steps.append(Step(stage="encoded", name=store.blocks[0].kind, shape=_shape(held), values=_peek(held)))
        return Journey(row=row, steps=tuple(steps), image=image, sound=sound)
    feeds = model.feeds(frame, table.source.root)
    for block in store.blocks:
        values = [feeds[name] for name in block.columns if name in feeds]
        if values:
            peek = _peek(values[0]) if len(values) == 1 else _listed([_peek(value, 1) for value in values])
            steps.append(
                Step(stage="decoded", name=_several(block.columns), shape=_shape(values[0][0]), values=peek)
            )  # fmt: skip
    passed = walk(model.path, feeds)
    kept = {"encode": "encoded", "form": "form", "model": "model"}
    columns = {block.name: _several(block.columns) for block in store.blocks}
    layers = [one for one in passed if one.stage == "model"]
    for one in [*(one for one in passed if one.stage != "model"), *layers[:LAYERS]]:
        steps.append(
            Step(
                stage=kept[one.stage], name=_named(one.name, columns), shape=_shape(one.value[0]),
                values=_peek(one.value[0]), parameters=one.parameters,
            )
        )  # fmt: skip
    if len(layers) > LAYERS:
        steps.append(_rest(layers[LAYERS:]))
    found = model.answer(frame, table.source.root)[0]
    steps.append(_answer(found, model))
    return Journey(row=row, steps=tuple(steps), truth=_truth(table, row), image=image, sound=sound)


def _named(name: str, columns: Mapping[str, str]) -> str:
    """A block or form by the columns that it was made from; a layer by its own name.

    >>> _named("image_0.dense", {"image_0": "photo"}), _named("Gemm", {})
    ('photo, dense', 'Gemm')
    """
    block, _, form = name.partition(".")
    return name if block not in columns else columns[block] + (f", {form}" if form else "")


def _rest(layers: list[Passed]) -> Step:
    """Layers of a deep network that are left out, as one line."""
    last = layers[-1].value[0]
    return Step(
        stage="model", name=f"{len(layers)} more", shape=_shape(last), values=_peek(last),
        parameters=sum(one.parameters for one in layers),
    )  # fmt: skip


def _answer(found: Mapping[str, np.ndarray], model: Model) -> Step:
    """The prediction with its likeliest classes, or with its interval."""
    if not model.classes:
        span = ""
        if "low" in found:
            span = f" (interval {float(found['low'][0]):,.6g} to {float(found['high'][0]):,.6g})"
        return Step(
            stage="answer", name="prediction", shape="float64", values=f"{float(found['prediction'][0]):,.6g}{span}"
        )
    chances = found["probabilities"][0]
    likely = [f"{model.classes[i]} {chances[i]:.1%}" for i in np.argsort(-chances, kind="stable")[:LIKELIEST]]
    if found["prediction"].ndim == 2:
        (said,) = joined(chances[None] >= LIKELY, model.classes)
    else:
        said = str(found["prediction"][0])
    return Step(stage="answer", name=said or "none", shape=f"float32 [{len(chances)}]", values=", ".join(likely))


def _truth(table: Table, row: int) -> str:
    label = table.labels[row]
    if not table.task.classes:
        return f"{float(label):,.6g}"
    if table.task.multilabel:
        return ", ".join(named(unpacked(np.array([label]), len(table.task.classes)), table.task.classes)[0]) or "none"
    return table.task.classes[int(label)]


def _several(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more


def _cells(cells: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Raw cells; of a file its path, or its size."""
    return _listed([_cell(cells[name]) for name in names])


def _cell(cell: Any) -> str:
    if isinstance(cell, dict):
        cell = cell.get("path") or cell.get("bytes")
    if cell is None:
        return "missing"
    if isinstance(cell, bytes):
        return f"{len(cell):,} bytes"
    return str(cell) if isinstance(cell, (str, int, float)) else _peek(np.asarray(cell))


def _listed(words: list[str]) -> str:
    return ", ".join(words[:PEEK]) + (", …" if len(words) > PEEK else "")


def _shape(value: Any) -> str:
    """`float32 [32, 4, 4]`; one value has no brackets."""
    array = np.asarray(value)
    kind = "string" if array.dtype.kind in "OUS" else str(array.dtype)
    return f"{kind} {list(array.shape)}" if array.ndim else kind


def _peek(value: Any, most: int = PEEK) -> str:
    """The first values; where those are all alike, those around the largest, where something is to be seen."""
    flat = np.asarray(value).ravel()
    if flat.dtype.kind in "OUS":
        return " ".join(str(each) for each in flat[:most])
    start = 0
    if len(flat) > most and len(np.unique(flat[:most])) == 1:
        start = int(np.clip(np.nan_to_num(np.abs(flat.astype(np.float64))).argmax() - 1, 0, len(flat) - most))
    some = flat[start : start + most]
    words = [f"{each:,.3g}" if flat.dtype.kind == "f" else str(each) for each in some.tolist()]
    return f"{'… ' if start else ''}{' '.join(words)}{' …' if start + most < len(flat) else ''}"
