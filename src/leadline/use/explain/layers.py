"""What depth does: what each layer of a network has learned, from the shipped file.

Sources: linear probes, Alain & Bengio 2016; inputs that excite a unit most, Zeiler & Fergus 2014. Enters: a file, rows
to fit the probes by and rows to measure them by. Leaves: `Depth`. A layer is an activation of the contender's graph, or
one whose pooled states a pretrained body gives; a map [channels, height, width] is averaged into a grid of at most
`FEATURES` numbers, alike for every layer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.graph.builder import with_outputs
from leadline.graph.runtime import Session
from leadline.stats.intervals import share_interval
from leadline.system.errors import ModelError, SourceError
from leadline.use.explain.graph import blocks_of, feeds_of, is_shortened, loaded
from leadline.use.explain.projection import projected
from leadline.use.explain.records import Depth, Layer, Mean, Unit
from leadline.use.explain.sample import Sample, in_a_line

if TYPE_CHECKING:
    import onnx

    from leadline.core.task import Task
    from leadline.use.model import Model

LEARNED, HELD = 1_600, 800  # rows
FEATURES = 512
ACTIVATIONS = {"Gelu", "Relu", "Tanh", "LeakyRelu", "Elu", "Erf"}
UNITS, EXCITING = 4, 5  # units of a layer that are shown, and rows of each
FILTERS = 48
CONTENDER, BODY, STATES = (
    "contender/",
    "contender/body{}/",
    "states",
)  # of the bodies in order (contenders/pretrained.py)
STRENGTHS = 10.0 ** np.arange(-4, 5)  # of ridge, times the mean variance
FEWEST = 30  # rows to fit and to measure


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a layer is in the file: a value of the graph, or a stretch of its columns."""

    name: str
    value: str
    low: int = 0
    high: int | None = None


def check_layers(model: Model, learned: Sample, held: Sample) -> None:
    """Raises ModelError where the file is no network, SourceError where labels are unknown or rows are few."""
    file = loaded(model)
    if is_shortened(file):
        raise ModelError(
            f"{model.path.name} was made smaller and names no layers; --layers explains the file of the run."
        )
    if not _layers(model, file)[0]:
        raise ModelError(
            f"{model.path.name} is {model.contract['contender']}, of which no layers are known; --layers explains "
            "networks and pretrained bodies."
        )
    if learned.labels is None or held.labels is None:
        raise SourceError(f"{held.name} has no labels of {model.contract['target']!r}, which --layers needs.")
    if min(len(learned.rows), len(held.rows)) < FEWEST:
        raise SourceError(
            f"{held.name} has too few rows for --layers: {len(learned.rows)} would fit the probes and {len(held.rows)} "
            f"measure them, where {FEWEST} of each are needed."
        )


def depth_of(model: Model, learned: Sample, held: Sample) -> Depth:
    """Probe every layer; raises as `check_layers`."""
    check_layers(model, learned, held)
    assert learned.labels is not None and held.labels is not None
    file = loaded(model)
    places, inputs = _layers(model, file)
    session = Session(with_outputs(file, [*inputs, *(place.value for place in places)]))
    if len(inputs) == 1 and _amounts(model, session, inputs[0], learned):
        places = [Place(name="input", value=inputs[0]), *places]
    names = list(dict.fromkeys(place.value for place in places))
    before, after = (_outputs(model, session, names, inputs, sample) for sample in (learned, held))
    targets = [_targets(model.task, labels) for labels in (learned.labels, held.labels)]
    layers = []
    for place in places:
        values = [each[place.value][:, place.low : place.high] for each in (before, after)]
        probe = _mean(model.task, _probe(model.task, *map(_pooled, values), *targets))
        units = () if place.value in inputs else _units(values[1], held)
        layers.append(Layer(name=place.name, shape=values[1].shape[1:], probe=probe, units=units))
    classes = () if model.task.numeric else tuple(str(each) for each in _named(model.task, held.labels))
    return Depth(
        learned=len(learned.rows), held=len(held.rows), score=_score(model.task), layers=tuple(layers),
        filters=_filters(file), map=projected(_pooled(values[1])), classes=classes,
        called=held.called,
        inputs={column: (facts["kind"], facts["decode"]) for column, facts in model.contract["inputs"].items()},
    )  # fmt: skip


def _layers(model: Model, file: onnx.ModelProto) -> tuple[list[Place], list[str]]:
    """The layers of the pretrained bodies, or else the contender's activations; and what the first network reads."""
    bodies = [body for body in model.contract.get("bodies", ()) if "layers" in body]
    found, columns = [], blocks_of(file)
    for number, body in enumerate(bodies):
        ends = np.cumsum([0, *body["layers"].values()]).tolist()
        (block,) = _read(file, BODY.format(number))
        of = f"{columns[block][0]}: " if len(bodies) > 1 else ""
        value = BODY.format(number) + STATES
        for layer, low, high in zip(body["layers"], ends[:-1], ends[1:], strict=True):
            found.append(Place(name=of + layer, value=value, low=low, high=high))
    if not found:
        values = [node.output[0] for node in _under(file, CONTENDER) if node.op_type in ACTIVATIONS]
        found = [Place(name=f"layer {i + 1}", value=value) for i, value in enumerate(values)]
    prefix = BODY.format(0) if bodies else CONTENDER
    return found, [f"{CONTENDER}{block}" for block in _read(file, prefix)]


def _under(file: onnx.ModelProto, prefix: str) -> list[onnx.NodeProto]:
    return [node for node in file.graph.node if node.output and node.output[0].startswith(prefix)]


def _read(file: onnx.ModelProto, prefix: str) -> list[str]:
    """The blocks that these nodes read."""
    inputs = {f"{CONTENDER}{block}": block for block in blocks_of(file)}
    return list(dict.fromkeys(inputs[each] for node in _under(file, prefix) for each in node.input if each in inputs))


def _amounts(model: Model, session: Session, name: str, sample: Sample) -> bool:
    """Whether an input is of amounts, such as pixels, that a linear model can read as the layers are read."""
    found = [session(feeds, [name])[name] for feeds in feeds_of(model, sample.rows[:FEWEST])]
    kinds = {facts["kind"] for facts in model.contract["inputs"].values()}
    shapes = {value.shape[1:] for value in found}
    return len(kinds) == len(shapes) == 1 and found[0].dtype in (np.uint8, np.float32)


def _outputs(
    model: Model, session: Session, names: list[str], inputs: list[str], sample: Sample
) -> dict[str, np.ndarray]:  # fmt: skip
    """Pooled outputs of every layer, float32 [rows, channels, ...]."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for feeds in feeds_of(model, sample.rows):
        rows = len(next(iter(feeds.values())))
        for name, value in session(feeds, names).items():
            value = np.asarray(value.reshape(rows, -1) if value.ndim < 2 else value, np.float32)
            if name in inputs and value.ndim == 4:
                value = np.moveaxis(value, -1, 1)  # pixels have their channels last
            found[name].append(_grid(np.nan_to_num(value)))
    return {name: np.concatenate(values) for name, values in found.items()}


def _grid(value: np.ndarray) -> np.ndarray:
    """Maps [n, channels, ...] averaged into grids of at most `FEATURES` numbers."""
    if value.ndim == 2:
        return value
    axes = value.ndim - 2
    side = max(1, int((FEATURES / value.shape[1]) ** (1 / axes)))
    for axis in range(2, value.ndim):
        if value.shape[axis] < side:  # as many as a longer row has
            value = value.take(np.linspace(0, value.shape[axis] - 1, side).round().astype(int), axis=axis)
        edges = np.linspace(0, value.shape[axis], side + 1).astype(int)
        sums = np.add.reduceat(value, edges[:-1], axis=axis)
        sizes = np.diff(edges).reshape([-1 if i == axis else 1 for i in range(value.ndim)])
        value = sums / sizes
    return np.asarray(value, np.float32)


def _pooled(value: np.ndarray) -> np.ndarray:
    """float64 [n, features], at most `FEATURES` of them, evenly chosen where there are more."""
    flat = value.reshape(len(value), -1).astype(np.float64)
    return np.asarray(flat[:, np.unique(np.linspace(0, flat.shape[1] - 1, FEATURES).astype(int))])


def _targets(task: Task, labels: np.ndarray) -> np.ndarray:
    """What probes predict, float64 [n, outputs]; NaN where a label is unknown."""
    if task.numeric:
        return np.asarray(labels, np.float64).reshape(-1, 1)
    if task.multilabel:
        return np.asarray(labels, np.float64)
    found = np.eye(len(task.classes))[np.maximum(labels, 0)]
    return np.where((labels < 0)[:, None], np.nan, found)


def _score(task: Task) -> str:
    return "r2" if task.numeric else "label accuracy" if task.multilabel else "accuracy"


def _mean(task: Task, scores: np.ndarray) -> Mean:
    """Of the scores of rows: of a share its own interval, which is no point where all rows are right."""
    found = Mean.of(scores)
    if task.numeric:
        return replace(found, high=min(found.high, 1.0))
    low, high = share_interval(found.value, (scores - found.value) / len(scores), len(scores))
    return replace(found, low=low, high=high)


def _probe(task: Task, x: np.ndarray, other: np.ndarray, y: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The score of each held-out row, float64 [n], by ridge regression whose strength leave-one-out chooses."""
    known, held = np.isfinite(y).all(axis=1), np.isfinite(truth).all(axis=1)
    x, y, other, truth = x[known], y[known], other[held], truth[held]
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation < 1e-9] = np.inf
    x, other, centre = (x - mean) / deviation, (other - mean) / deviation, y.mean(axis=0)
    u, s, v = np.linalg.svd(x, full_matrices=False)
    uy = u.T @ (y - centre)
    best: tuple[float, Any] = (np.inf, None)
    for strength in STRENGTHS * len(x):
        shrink = s**2 / (s**2 + strength)
        leverage = (u**2 * shrink).sum(axis=1, keepdims=True) + 1 / len(x)
        error = float((((y - centre - u @ (shrink[:, None] * uy)) / np.maximum(1 - leverage, 1e-6)) ** 2).mean())
        if error < best[0]:
            best = error, v.T @ ((s / (s**2 + strength))[:, None] * uy)
    answers = other @ best[1] + centre
    if task.numeric:
        spread = float(((truth - truth.mean()) ** 2).mean()) or 1.0
        return np.asarray(1 - (answers - truth)[:, 0] ** 2 / spread)
    if task.multilabel:
        return np.asarray(((answers > 0.5) == (truth > 0.5)).mean(axis=1))
    return np.asarray(answers.argmax(axis=1) == truth.argmax(axis=1), np.float64)


def _units(value: np.ndarray, held: Sample) -> tuple[Unit, ...]:
    """The units whose strongest outputs stand out most from their usual ones."""
    strongest = value.reshape(*value.shape[:2], -1).max(axis=2)
    count = min(EXCITING, len(strongest))
    usual, spread = strongest.mean(axis=0), strongest.std(axis=0) + 1e-9
    contrast = (np.sort(strongest, axis=0)[-count:].mean(axis=0) - usual) / spread
    found = []
    for unit in np.argsort(-contrast, kind="stable")[:UNITS]:
        rows = np.argsort(-strongest[:, unit], kind="stable")[:count]
        found.append(
            Unit(
                number=int(unit), activations=tuple(float(strongest[i, unit]) for i in rows),
                rows=tuple(int(held.numbers[i]) for i in rows), values=tuple(held.rows[i] for i in rows),
                written=tuple(
                    {name: in_a_line(value) for name, value in held.written.row(int(i), named=True).items()}
                    for i in rows
                ),
            )
        )  # fmt: skip
    return tuple(found)


def _filters(file: onnx.ModelProto) -> np.ndarray | None:
    """Weights of the first convolution that reads grey or colours, float32 [filters, channels, height, width]."""
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in file.graph.initializer}
    for node in file.graph.node:
        if node.op_type == "Conv" and node.output[0].startswith("contender/") and node.input[1] in weights:
            found = np.asarray(numpy_helper.to_array(weights[node.input[1]]))
            return (
                found[:FILTERS] if found.ndim == 4 and found.shape[1] in (1, 3) and min(found.shape[2:]) > 1 else None
            )
    return None


def _named(task: Task, labels: np.ndarray) -> list[str]:
    """The class of each row; of several labels all of them."""
    if task.multilabel:
        return ["|".join(n for n, there in zip(task.classes, row, strict=True) if there) for row in labels]
    return [task.classes[label] if label >= 0 else "" for label in labels]
