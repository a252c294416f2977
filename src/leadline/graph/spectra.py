"""Power spectra by two short Fourier transforms instead of one long one, whose constants are made when the file loads.

A network that hears holds its Fourier transform as a convolution with windowed cosines and sines: of windows of 1,024
samples these are 4 MB, which may be most of the file and most of its time. The same powers come from two steps (Cooley
and Tukey 1965): a sample n = n1 * B + n2 of a window of A * B, and a frequency k = k1 + A * k2; a transform over n1,
then one over n2 for each k1, which also turns by what n2 lags behind. Of real samples, k1 up to A / 2 is enough. Both
steps are products of matrices, whose numbers are one period of the cosine, gathered. Enters: the graph of a file.
Leaves: the same graph, changed in place; what is added up in another order differs in the last bits.

    samples        over n1              over n2           powers          bands
    [N, 1, L] ─► [N, k1, 2 * B, T] ─► [N, k1, 2 * B, T] ─► [N, k1 * B, T] ─► [N, T, M]

Powers are not put in order: what adds them up to bands has its rows in theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leadline.graph.builder import Graph

if TYPE_CHECKING:
    import onnx

__all__ = ["fourier", "short_transforms", "spectra_products"]

SMALLEST = 64  # samples of a window that is worth it
APART = 1e-5  # of the largest, by which a number may differ from the Fourier transform's


@dataclass(frozen=True, kw_only=True)
class _Power:
    """Where a graph adds up powers to bands: real and imaginary parts by one convolution are squared and added up."""

    nodes: list[onnx.NodeProto]  # the convolution, two slices, two squares, their sum, a transposition; a product
    window: np.ndarray  # float32 [size]
    hop: int


def fourier(constant: onnx.TensorProto) -> np.ndarray | None:
    """The window float32 [size] of a constant [size + 2, 1, size] of windowed cosines, then negative sines; or None."""
    from onnx import TensorProto, numpy_helper

    dims = list(constant.dims)
    if constant.data_type != TensorProto.FLOAT or len(dims) != 3 or dims[1] != 1 or dims[0] != dims[2] + 2:
        return None
    size = dims[2]
    if size < SMALLEST or size & (size - 1):
        return None
    values = numpy_helper.to_array(constant)[:, 0]
    window, half = values[0], size // 2 + 1
    if not np.isfinite(values).all():
        return None
    angles = 2 * np.pi * (np.outer(np.arange(half), np.arange(size)) % size) / size
    expected = np.concatenate([np.cos(angles), -np.sin(angles)]) * window
    return window if np.abs(values - expected).max() <= APART * np.abs(window).max() else None


def spectra_products(model: onnx.ModelProto) -> set[str]:
    """Names of the products that add up powers to bands."""
    return {power.nodes[-1].name for power in _powers(model.graph)}


def short_transforms(model: onnx.ModelProto) -> None:
    """Replace every power spectrum by two short transforms."""
    graph = model.graph
    for power in list(_powers(graph)):
        name, size = power.nodes[-1].output[0], len(power.window)
        g = Graph(f"{name}.spectra")
        samples = g.input(power.nodes[0].input[0], np.float32, ["N", 1, "L"])
        bands = g.input(power.nodes[-1].input[1], np.float32, [size // 2 + 1, "M"])
        g.output(name, _short(g, samples, bands, power.window, power.hop), np.float32, ["N", "T", "M"])
        made = g.model().graph
        place = next(place for place, node in enumerate(graph.node) if node.output[0] == name)
        gone = {node.output[0] for node in power.nodes}
        before, after = graph.node[:place], graph.node[place + 1 :]
        nodes = [*(node for node in before if node.output[0] not in gone), *made.node, *after]
        del graph.node[:]
        graph.node.extend(nodes)
        graph.initializer.extend(made.initializer)
        _drop_unread(graph, power.nodes[0].input[1])


def _powers(graph: onnx.GraphProto) -> Iterator[_Power]:
    """Every place where powers are computed, and nothing but their sum is read."""
    windows = {each.name: window for each in graph.initializer if (window := fourier(each)) is not None}
    kept = {value.name for value in graph.output}

    def readers(*nodes: onnx.NodeProto) -> list[onnx.NodeProto]:
        made = {node.output[0] for node in nodes}
        return [] if made & kept else [node for node in graph.node if made.intersection(node.input)]

    for conv in [node for node in graph.node if node.op_type == "Conv" and node.input[1] in windows]:
        window, hop = windows[conv.input[1]], _hop(conv)
        halves = readers(conv)
        squares = readers(*halves)
        total = readers(*squares)
        turned = readers(*total)
        product = readers(*turned)
        if (
            hop and hop % _parts(len(window))[1] == 0
            and [node.op_type for node in (*total, *turned, *product)] == ["Add", "Transpose", "MatMul"]
            and list(turned[0].attribute[0].ints) == [0, 2, 1] and product[0].input[0] == turned[0].output[0]
            and [node.op_type for node in squares] == ["Mul", "Mul"]
            and all(len(set(node.input)) == 1 for node in squares)
            and sorted(_starts(graph, node) for node in halves) == [0, len(window) // 2 + 1]
        ):  # fmt: skip
            yield _Power(nodes=[conv, *halves, *squares, *total, *turned, *product], window=window, hop=hop)


def _hop(conv: onnx.NodeProto) -> int:
    """Samples from one window to the next; 0 where the convolution does more than that."""
    from onnx import helper

    settings = {each.name: helper.get_attribute_value(each) for each in conv.attribute}
    plain = settings.get("group", 1) == 1 and not any(settings.get("pads", [])) and len(conv.input) == 2
    dilated = max(settings.get("dilations", [1])) > 1 or settings.get("auto_pad", b"NOTSET") != b"NOTSET"
    return int(settings.get("strides", [1])[0]) if plain and not dilated else 0


def _starts(graph: onnx.GraphProto, node: onnx.NodeProto) -> int:
    """Where a slice along the channels starts; -1 for what is no such slice."""
    if node.op_type != "Slice" or len(node.input) < 4:
        return -1
    start, axis = (_constant(graph, node.input[place]) for place in (1, 3))
    return int(start[0]) if start is not None and axis is not None and axis.tolist() == [1] else -1


def _constant(graph: onnx.GraphProto, name: str) -> np.ndarray | None:
    from onnx import numpy_helper

    for each in graph.initializer:
        if each.name == name:
            return numpy_helper.to_array(each)
    for node in graph.node:
        if node.op_type == "Constant" and node.output[0] == name and node.attribute[0].name == "value":
            return numpy_helper.to_array(node.attribute[0].t)
    return None


def _parts(size: int) -> tuple[int, int]:
    """The lengths of the two transforms: the longer one is that of real numbers."""
    first = 1 << (round(math.log2(size)) + 1) // 2
    return first, size // first


def _short(g: Graph, samples: str, bands: str, window: np.ndarray, hop: int) -> str:
    """Powers of samples [N, 1, L], added up by bands [size / 2 + 1, M]: float32 [N, T, M]."""
    size = len(window)
    first, second = _parts(size)
    half = first // 2 + 1
    # One period of the cosine, and of the negative sine, which lags by a quarter.
    table = g.const(np.cos(2 * np.pi * np.arange(size) / size).astype(np.float32))

    def turned(steps: str, quarters: int) -> str:
        """Cosines of whole numbers of steps, later by quarters of the circle."""
        later = g.op("Add", steps, g.const(np.int64(quarters * size // 4)))
        return str(g.op("Gather", table, g.op("Mod", later, g.const(np.int64(size)))))

    def interleaved(real: str, imaginary: str, shape: list[int], axis: int) -> str:
        """What real and what imaginary parts count, one beside the other, as an array of the shape."""
        ends = [g.op("Unsqueeze", each, g.const(np.array([axis]))) for each in (real, imaginary)]
        return str(g.op("Reshape", g.op("Concat", *ends, axis=axis), g.const(np.array(shape))))

    # Over n1, for each n2 apart, as its samples lie so far from each other: filters [second * 2 * half, 1, first].
    length = g.op("Shape", samples, start=2)
    whole = g.op("Sub", length, g.op("Mod", length, g.const(np.array([second]))))
    rows = g.op("Slice", samples, g.const(np.array([0])), whole, g.const(np.array([2])))
    rows = g.op("Transpose", g.op("Reshape", rows, g.const(np.array([0, -1, second]))), perm=[0, 2, 1])
    steps = g.op("Mul", g.const(np.arange(half)[:, None] * second), g.const(np.arange(first)))
    early = interleaved(turned(steps, 0), turned(steps, 1), [2 * half, first], 1)
    filters = g.op("Mul", early, g.const(np.ascontiguousarray(window.reshape(first, second).T)[:, None]))
    filters = g.op("Reshape", filters, g.const(np.array([-1, 1, first])))
    inner = g.op("Conv", rows, filters, group=second, strides=[hop // second])
    inner = g.op("Reshape", inner, g.const(np.array([0, second, half, 2, -1])))
    inner = g.op("Transpose", inner, perm=[0, 2, 1, 3, 4])
    inner = g.op("Reshape", inner, g.const(np.array([0, half, 2 * second, -1])))
    # Over n2, for each k = k1 + first * k2: [half, 2 * second, 2 * second].
    k = np.arange(half)[:, None] + first * np.arange(second)
    steps = g.op("Mul", g.const(k[:, :, None]), g.const(np.arange(second)))
    shape = [half, second, 2 * second]
    real = interleaved(turned(steps, 0), turned(steps, 3), shape, 3)
    imaginary = interleaved(turned(steps, 1), turned(steps, 0), shape, 3)
    outer = g.op("MatMul", g.op("Concat", real, imaginary, axis=1), inner)
    squares = g.op("Mul", outer, outer)
    ends = [g.const(np.array([each])) for each in (0, second, 2 * second)]
    parts = [
        g.op("Slice", squares, *bounds, g.const(np.array([2]))) for bounds in zip(ends[:-1], ends[1:], strict=True)
    ]
    powers = g.op("Reshape", g.op("Add", *parts), g.const(np.array([0, half * second, -1])))
    # The powers of k and size - k are the same: the first that is there counts, and others meet a row of zeros.
    row = np.minimum(k, size - k).ravel()
    row[np.setdiff1d(np.arange(row.size), np.unique(row, return_index=True)[1])] = size // 2 + 1
    places = row.astype(np.int32)
    padded = g.op("Pad", bands, g.const(np.array([0, 0, 1, 0])))
    weights = g.op("Transpose", g.op("Gather", padded, g.const(places), axis=0), perm=[1, 0])
    return str(g.op("Transpose", g.op("MatMul", weights, powers), perm=[0, 2, 1]))


def _drop_unread(graph: onnx.GraphProto, name: str) -> None:
    """Remove a constant that no node reads any more."""
    if any(name in node.input for node in graph.node):
        return
    kept = [each for each in graph.initializer if each.name != name]
    del graph.initializer[:]
    graph.initializer.extend(kept)
