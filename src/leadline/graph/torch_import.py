"""An ONNX graph computed by PyTorch, so that it has gradients: as many operators as our own networks export.

Source: the operators' specification (opset 20). Enters: nodes and constants. Leaves: values by name. Tests compare it
with ONNX Runtime for every network of the portfolio. Shapes follow each batch, as in ONNX.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from leadline.system.errors import ModelError

if TYPE_CHECKING:
    import onnx

TYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool,
    10: torch.float16, 11: torch.float64,
}  # fmt: skip
Inputs = Sequence[Tensor | None]
Operator = Callable[[Inputs, Mapping[str, Any]], Tensor | tuple[Tensor, ...]]


class Interpreter:
    """The nodes from some values of a graph to one other value.

    Raises ModelError where a node on the way is of an operator that is not known here.
    """

    def __init__(self, graph: onnx.GraphProto, given: Sequence[str], wanted: str) -> None:
        """
        Args:
            given: values that are known when it is run.
            wanted: the value that is computed.
        """
        from onnx import helper, numpy_helper

        made = {output: node for node in graph.node for output in node.output}
        held = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = []
        self.constants: dict[str, Tensor] = {}
        self._wanted, seen, stack = wanted, set(given), [wanted]
        needed: set[int] = set()
        while stack:
            name = stack.pop()
            if name in seen or not name:
                continue
            seen.add(name)
            if name in held:
                self.constants[name] = torch.from_numpy(np.array(numpy_helper.to_array(held[name])))
            elif name in made:
                needed.add(id(made[name]))
                stack += made[name].input
            else:
                raise ModelError(f"the value {name!r} of the graph does not follow from {', '.join(given)}.")
        for node in graph.node:
            if id(node) not in needed:
                continue
            facts = {each.name: helper.get_attribute_value(each) for each in node.attribute}
            if node.op_type == "Constant":
                (value,) = facts.values()
                array = numpy_helper.to_array(value) if hasattr(value, "dims") else np.asarray(value)
                self.constants[node.output[0]] = torch.from_numpy(np.array(array))
            elif node.op_type not in OPERATORS:
                raise ModelError(f"the operator {node.op_type} of the graph has no gradient here.")
            else:
                self.nodes.append((node.op_type, list(node.input), list(node.output), facts))

    def towards(self, names: Sequence[str]) -> Interpreter:
        """The same, which computes no more than what these values need."""
        needed, kept = set(names), []
        for node in reversed(self.nodes):
            if needed & set(node[2]):
                kept.append(node)
                needed |= set(node[1])
        made = copy.copy(self)
        made.nodes = kept[::-1]
        return made

    def __call__(self, values: Mapping[str, Tensor], overrides: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All values by name; those of `overrides` stand in place of what is computed."""
        found: dict[str, Tensor] = {**self.constants, **values, **overrides}
        for kind, inputs, outputs, facts in self.nodes:
            if outputs[0] in overrides:
                continue
            made = OPERATORS[kind]([found[name] if name else None for name in inputs], facts)
            made = made if isinstance(made, tuple) else (made,)
            found |= {name: value for name, value in zip(outputs, made, strict=False) if name not in overrides}
        return found


def _tensor(value: Tensor | None) -> Tensor:
    assert value is not None
    return value


def _whole(value: Tensor | None) -> list[int]:
    """A list of numbers: axes, shapes, places."""
    return [] if value is None else [int(each) for each in value.reshape(-1)]


def _one(call: Callable[[Tensor], Tensor]) -> Operator:
    return lambda x, facts: call(_tensor(x[0]))


def _two(call: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    return lambda x, facts: call(_tensor(x[0]), _tensor(x[1]))


def _shift(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    call = torch.bitwise_right_shift if facts["direction"] == b"RIGHT" else torch.bitwise_left_shift
    return call(_tensor(x[0]), _tensor(x[1]))


def _div(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    a, b = _tensor(x[0]), _tensor(x[1])
    whole = not a.is_floating_point() and not b.is_floating_point()
    return torch.div(a, b, rounding_mode="trunc") if whole else a / b


def _clip(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    low, high = (x[i] if len(x) > i else None for i in (1, 2))
    return torch.clamp(_tensor(x[0]), low, high)


def _axes(x: Inputs, facts: Mapping[str, Any]) -> list[int]:
    """Axes of a reduction: an input, or all of them."""
    found = _whole(x[1]) if len(x) > 1 else list(facts.get("axes", ()))
    return found or list(range(_tensor(x[0]).ndim))


def _reduce(call: Callable[..., Tensor]) -> Operator:
    return lambda x, facts: call(_tensor(x[0]), dim=_axes(x, facts), keepdim=bool(facts.get("keepdims", 1)))


def _unsqueeze(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    found = _tensor(x[0])
    size = found.ndim + len(_whole(x[1]))
    for axis in sorted(each % size for each in _whole(x[1])):
        found = found.unsqueeze(axis)
    return found


def _squeeze(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    found = _tensor(x[0])
    axes = _whole(x[1]) if len(x) > 1 else [i for i, size in enumerate(found.shape) if size == 1]
    for axis in sorted((each % found.ndim for each in axes), reverse=True):
        found = found.squeeze(axis)
    return found


def _reshape(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    found, shape = _tensor(x[0]), _whole(x[1])
    return found.reshape(torch.Size([found.shape[i] if size == 0 else size for i, size in enumerate(shape)]))


def _gather(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    table, places, axis = _tensor(x[0]), _tensor(x[1]).long(), int(facts.get("axis", 0)) % _tensor(x[0]).ndim
    places = torch.where(places < 0, places + table.shape[axis], places)
    found = table.index_select(axis, places.reshape(-1))
    return found.reshape(table.shape[:axis] + places.shape + table.shape[axis + 1 :])


def _gather_elements(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    return torch.gather(_tensor(x[0]), int(facts.get("axis", 0)), _tensor(x[1]).long())


def _slice(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    found, starts, ends = _tensor(x[0]), _whole(x[1]), _whole(x[2])
    axes = _whole(x[3]) if len(x) > 3 and x[3] is not None else list(range(len(starts)))
    steps = _whole(x[4]) if len(x) > 4 else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        places = range(*slice(start, end if abs(end) < 2**62 else None, step).indices(found.shape[axis]))
        found = found.index_select(axis % found.ndim, torch.tensor(list(places), dtype=torch.int64))
    return found


def _shape(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    shape = list(_tensor(x[0]).shape)
    return torch.tensor(shape[facts.get("start", 0) : facts.get("end", len(shape))], dtype=torch.int64)


def _range(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    start, end, step = (_tensor(each) for each in x)
    return torch.arange(start.item(), end.item(), step.item(), dtype=start.dtype)


def _conv(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    found, weight, bias = _tensor(x[0]), _tensor(x[1]), x[2] if len(x) > 2 else None
    dims = weight.ndim - 2
    pads = list(facts.get("pads", [0] * 2 * dims))
    found = F.pad(found, [p for i in reversed(range(dims)) for p in (pads[i], pads[i + dims])]) if any(pads) else found
    call: Any = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
    made: Tensor = call(
        found, weight, bias, stride=list(facts.get("strides", [1] * dims)),
        dilation=list(facts.get("dilations", [1] * dims)), groups=int(facts.get("group", 1)),
    )  # fmt: skip
    return made


def _pool(call: Any, value: float) -> Operator:
    def pool(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
        found, kernel = _tensor(x[0]), list(facts["kernel_shape"])
        dims = len(kernel)
        pads = list(facts.get("pads", [0] * 2 * dims))
        if any(pads):
            found = F.pad(found, [p for i in reversed(range(dims)) for p in (pads[i], pads[i + dims])], value=value)
        strides = list(facts.get("strides", [1] * dims))
        made: Tensor = call[dims - 1](found, kernel, strides, ceil_mode=bool(facts.get("ceil_mode", 0)))
        return made

    return pool


def _batch_norm(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    found, weight, bias, mean, variance = (_tensor(each) for each in x)
    return F.batch_norm(found, mean, variance, weight, bias, False, 0.0, float(facts.get("epsilon", 1e-5)))


def _layer_norm(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    found, weight = _tensor(x[0]), _tensor(x[1])
    return F.layer_norm(found, weight.shape, weight, x[2] if len(x) > 2 else None, float(facts.get("epsilon", 1e-5)))


def _gemm(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    a, b = _tensor(x[0]), _tensor(x[1])
    a = a.T if facts.get("transA") else a
    b = b.T if facts.get("transB") else b
    found = float(facts.get("alpha", 1.0)) * (a @ b)
    return found if len(x) < 3 else found + float(facts.get("beta", 1.0)) * _tensor(x[2])


def _gelu(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    return F.gelu(_tensor(x[0]), approximate=facts.get("approximate", b"none").decode())


def _split(x: Inputs, facts: Mapping[str, Any]) -> tuple[Tensor, ...]:
    found, axis = _tensor(x[0]), int(facts.get("axis", 0))
    if len(x) > 1:
        return torch.split(found, _whole(x[1]), axis)
    return torch.chunk(found, int(facts["num_outputs"]), axis)


def _filled(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    from onnx import numpy_helper

    value = numpy_helper.to_array(facts["value"]) if "value" in facts else np.zeros(1, np.float32)
    return torch.full(_whole(x[0]), value.item(), dtype=torch.from_numpy(np.array(value)).dtype)


def _expand(x: Inputs, facts: Mapping[str, Any]) -> Tensor:
    found, shape = _tensor(x[0]), _whole(x[1])
    own = [1] * (len(shape) - found.ndim) + list(found.shape)
    return found.expand(torch.Size([size if here == 1 else here for size, here in zip(shape, own, strict=True)]))


def _lstm(x: Inputs, facts: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """[steps, rows, inputs] -> outputs [steps, directions, rows, hidden], and the last two states."""
    found, weights, returns = (_tensor(each) for each in x[:3])
    hidden, rows = int(facts["hidden_size"]), found.shape[1]
    biases = x[3] if len(x) > 3 else None
    if (len(x) > 4 and x[4] is not None) or "clip" in facts or len(x) > 7:
        raise ModelError("an LSTM with lengths, a clip or peepholes has no gradient here.")
    way = facts.get("direction", b"forward").decode()
    outputs, ends, cells = [], [], []
    for d in range(weights.shape[0]):
        backward = way == "reverse" or d == 1
        zero = torch.zeros(rows, hidden, dtype=found.dtype)
        given = [x[place] if len(x) > place else None for place in (5, 6)]
        state, cell = (zero if each is None else each[d] for each in given)
        bias = 0.0 if biases is None else biases[d].reshape(2, -1).sum(0)
        fed, told = found @ weights[d].T + bias, []
        for step in reversed(range(len(found))) if backward else range(len(found)):
            i, o, f, c = (fed[step] + state @ returns[d].T).chunk(4, dim=-1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(c)
            state = torch.sigmoid(o) * torch.tanh(cell)
            told.append(state)
        outputs.append(torch.stack(told[::-1] if backward else told))
        ends.append(state)
        cells.append(cell)
    return torch.stack(outputs, 1), torch.stack(ends), torch.stack(cells)


def _max_of(tensor: Tensor, dim: list[int], keepdim: bool) -> Tensor:
    return tensor.amax(dim=dim, keepdim=keepdim)


OPERATORS: dict[str, Operator] = {
    "Identity": _one(lambda x: x), "Not": _one(torch.logical_not), "Neg": _one(torch.neg), "Exp": _one(torch.exp),
    "Log": _one(torch.log), "Sqrt": _one(torch.sqrt), "Abs": _one(torch.abs), "Sin": _one(torch.sin),
    "Cos": _one(torch.cos), "Tanh": _one(torch.tanh), "Sigmoid": _one(torch.sigmoid), "Relu": _one(torch.relu),
    "Erf": _one(torch.erf), "Floor": _one(torch.floor), "IsNaN": _one(torch.isnan),
    "Reciprocal": _one(torch.reciprocal), "LSTM": _lstm,
    "Add": _two(torch.add), "Sub": _two(torch.sub), "Mul": _two(torch.mul), "Div": _div, "Pow": _two(torch.pow),
    "MatMul": _two(torch.matmul), "Equal": _two(torch.eq), "Less": _two(torch.lt), "Greater": _two(torch.gt),
    "BitwiseAnd": _two(torch.bitwise_and), "BitShift": _shift,
    "LessOrEqual": _two(torch.le), "GreaterOrEqual": _two(torch.ge), "And": _two(torch.logical_and),
    "Or": _two(torch.logical_or), "Max": _two(torch.maximum), "Min": _two(torch.minimum), "Clip": _clip,
    "Mod": _two(torch.remainder), "Where": lambda x, f: torch.where(_tensor(x[0]), _tensor(x[1]), _tensor(x[2])),
    "Cast": lambda x, f: _tensor(x[0]).to(TYPES[int(f["to"])]), "Gelu": _gelu, "Softmax":
    lambda x, f: torch.softmax(_tensor(x[0]), int(f.get("axis", -1))), "ReduceSum": _reduce(torch.sum),
    "ReduceMean": _reduce(torch.mean), "ReduceMax": _reduce(_max_of), "Unsqueeze": _unsqueeze, "Squeeze": _squeeze,
    "Reshape": _reshape, "Gather": _gather, "GatherElements": _gather_elements, "Slice": _slice, "Shape": _shape,
    "Range": _range, "Conv": _conv, "MaxPool": _pool((F.max_pool1d, F.max_pool2d, F.max_pool3d), -np.inf),
    "AveragePool": _pool((F.avg_pool1d, F.avg_pool2d, F.avg_pool3d), 0.0), "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm, "Gemm": _gemm, "Split": _split, "ConstantOfShape": _filled,
    "Transpose": lambda x, f: _tensor(x[0]).permute(*f.get("perm", range(_tensor(x[0]).ndim)[::-1])),
    "Concat": lambda x, f: torch.cat([_tensor(each) for each in x], int(f["axis"])),
    "Expand": _expand,
    "Flatten": lambda x, f: _tensor(x[0]).flatten(int(f.get("axis", 1))),
}  # fmt: skip
