"""The same network with less to compute: what scales a channel beside a convolution becomes a part of its weights.

A norm behind a maximum over areas scales every channel by a number above zero, so that the largest stays the largest:
it may as well come before the maximum, where it is a part of the convolution. What brings channels of pixels to one
scale is a part of a convolution too, unless that pads with zeros. One number is still taken from all pixels, about
their mean: weights of 8 bits would lose the differences between pixels beside what all of these have in common.
A ReLU behind a maximum may come before it too: then the convolution takes it in, and the maximum reads what the
convolution gives in its own 8 bits; a maximum whose input may be below zero and whose output may not is taken in
float32.
Enters: a graph whose other norms the runtime has folded. Leaves: the same graph, changed in place; what is multiplied
in another order differs in the last bits.

    conv ─► max ─► norm                          ─►  conv' ─► max
    conv ─► max ─► ReLU                          ─►  conv ─► ReLU ─► max
    cast ─► - channels ─► x channels ─► conv     ─►  cast ─► - one number ─► conv'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

__all__ = ["fold"]


def fold(model: onnx.ModelProto) -> None:
    """Fold norms behind maxima, and scales before convolutions, into weights; and move ReLUs before maxima."""
    graph = model.graph
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        _fold_norm(graph, norm)
    for relu in [node for node in graph.node if node.op_type == "Relu"]:
        _move_relu(graph, relu)
    for conv in [node for node in graph.node if node.op_type == "Conv"]:
        _fold_scale(graph, conv)
    read = {name for node in graph.node for name in node.input}
    kept = [each for each in graph.initializer if each.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]  # shapes of values that may be others now


def _fold_norm(graph: onnx.GraphProto, norm: onnx.NodeProto) -> None:
    """A norm that reads the maxima of a convolution, which nobody else reads, becomes a part of the convolution."""
    pool = _maker(graph, norm.input[0], "MaxPool")
    conv = None if pool is None else _maker(graph, pool.input[0], "Conv")
    if pool is None or conv is None or _facts(norm).get("training_mode", 0):
        return
    weight, bias = _weights(graph, conv)
    stated = [_constant(graph, name) for name in norm.input[1:5]]
    if weight is None or bias is None or any(each is None for each in stated):
        return
    gain, offset, mean, variance = (np.asarray(each, np.float64) for each in stated)
    factor = gain / np.sqrt(variance + _facts(norm).get("epsilon", 1e-5))
    if factor.min() <= 0:  # what was largest would be smallest
        return
    weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
    _set_weights(graph, conv, weight, (bias - mean) * factor + offset)
    pool.output[0] = norm.output[0]
    graph.node.remove(norm)


def _move_relu(graph: onnx.GraphProto, relu: onnx.NodeProto) -> None:
    """A ReLU that reads the maxima of a convolution, which nobody else reads, comes before them."""
    pool = _maker(graph, relu.input[0], "MaxPool")
    conv = None if pool is None else _maker(graph, pool.input[0], "Conv")
    if pool is None or conv is None:
        return
    made, between = relu.output[0], pool.output[0]
    relu.input[0], relu.output[0] = conv.output[0], between
    pool.input[0], pool.output[0] = between, made
    graph.node.remove(relu)
    graph.node.insert(list(graph.node).index(pool), relu)


def _fold_scale(graph: onnx.GraphProto, conv: onnx.NodeProto) -> None:
    """(x - mean) * scale along the last axis, which then comes first, as a part of the convolution that reads it."""
    from onnx import numpy_helper

    facts = _facts(conv)
    padded = any(facts.get("pads", [])) or facts.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    turn = _maker(graph, conv.input[0], "Transpose")
    if turn is None or padded or facts.get("group", 1) != 1:
        return
    shaped = _maker(graph, turn.input[0], "Reshape")  # a line of pixels is scaled at a time
    scaled = _maker(graph, (shaped or turn).input[0], "Mul")
    shifted = None if scaled is None else _maker(graph, scaled.input[0], "Sub")
    weight, bias = _weights(graph, conv)
    perm = list(_facts(turn).get("perm", []))
    if scaled is None or shifted is None or weight is None or bias is None or perm[1:2] != [len(perm) - 1]:
        return
    mean, scale = (_of_channels(_constant(graph, node.input[1]), weight.shape[1]) for node in (shifted, scaled))
    if mean is None or scale is None:
        return
    across = (1, -1, *[1] * (weight.ndim - 2))
    weight, centre = weight * scale.astype(np.float64).reshape(across), np.float32(np.round(mean.mean()))
    beside = mean.astype(np.float64).reshape(across) - centre
    _set_weights(graph, conv, weight, bias - (weight * beside).sum(axis=tuple(range(1, weight.ndim))))
    shifted.input[1] = f"{conv.output[0]}.centre"
    graph.initializer.append(numpy_helper.from_array(np.asarray(centre), shifted.input[1]))
    (shaped or turn).input[0] = shifted.output[0]
    graph.node.remove(scaled)


def _of_channels(values: np.ndarray | None, channels: int) -> np.ndarray | None:
    """One number, or one a channel, of a constant that may have them for each pixel of a line; None for any other."""
    if values is None or values.size == 1:
        return values
    if values.shape[-1] % channels or (values.reshape(-1, channels) != values.reshape(-1)[:channels]).any():
        return None
    return values.reshape(-1)[:channels]


def _maker(graph: onnx.GraphProto, name: str, kind: str) -> onnx.NodeProto | None:
    """The node that makes a value, if it is of this kind and one other node alone reads what it makes."""
    if name in {value.name for value in graph.output} or sum(name in node.input for node in graph.node) != 1:
        return None
    return next((node for node in graph.node if node.op_type == kind and name in node.output), None)


def _facts(node: onnx.NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _constant(graph: onnx.GraphProto, name: str) -> np.ndarray | None:
    from onnx import numpy_helper

    return next((numpy_helper.to_array(each) for each in graph.initializer if each.name == name), None)


def _weights(graph: onnx.GraphProto, conv: onnx.NodeProto) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Weights and biases of a convolution, float64; None for what is no constant."""
    weight = _constant(graph, conv.input[1])
    if weight is None:
        return None, None
    bias = _constant(graph, conv.input[2]) if len(conv.input) > 2 else np.zeros(len(weight))
    return weight.astype(np.float64), None if bias is None else bias.astype(np.float64)


def _set_weights(graph: onnx.GraphProto, conv: onnx.NodeProto, weight: np.ndarray, bias: np.ndarray) -> None:
    """New constants, as other nodes may read the old ones."""
    from onnx import numpy_helper

    names = [f"{conv.output[0]}.{part}.{len(graph.initializer)}" for part in ("weight", "bias")]
    for name, values in zip(names, (weight, bias), strict=True):
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    conv.input[:] = [conv.input[0], *names]
