"""A PyTorch module -> ONNX, by PyTorch's own exporters, with a free number of rows.

There are two: one traces the module in a third of a second, and PyTorch plans to remove it one day; the other takes
seven seconds, five of them before it has looked at the module. The first is tried first, and its graph is run on other
numbers of rows than it was traced with; where it fails, or graph and module disagree, the second one is used
(docs/decisions/0027).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.graph.builder import OPSETS
from leadline.system.process_state import SharedChange, errors_only, torch_threads, warnings_ignored

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    Tensors = tuple[Tensor, ...]

ROWS, FREE = "N", "free"  # axes: the rows; and one that depends on nothing else
CLOSE = 1e-4  # of the largest answer, by which a traced graph may differ from its module: sums run in another order


def export(net: Any, samples: Mapping[str, np.ndarray], unequal: Collection[str] = ()) -> onnx.ModelProto:
    """Export `net` as a graph from the tensors of `samples` (two rows each, by name) to 'raw' [N, out].

    The length of the rows of those named in `unequal` is left free. What the exporters would print, warn and log is not
    shown, since the graph is compared with the module row by row afterwards.
    """
    import torch

    names = list(samples)
    inputs = tuple(torch.from_numpy(samples[name]) for name in names)
    shapes = tuple({0: ROWS, 1: FREE} if name in unequal else {0: ROWS} for name in names)
    one = tuple(x[1:] for x in inputs)
    more = tuple(
        torch.cat((x, x), dim=1)[[0, 1, 0]] if name in unequal else x[[0, 1, 0]]
        for name, x in zip(names, inputs, strict=True)
    )
    return _export(net, inputs, names, ["raw"], (shapes,), (one, more))


def export_step(net: Any) -> onnx.ModelProto:
    """Export a language model as a graph from 'ids' [N, T] and 'state_<i>' to 'log_probabilities' and 'next_<i>'.

    Sizes that the state has for some texts and not for others are free.
    """
    import torch

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, ids: torch.Tensor, *state: torch.Tensor) -> tuple[torch.Tensor, ...]:
            logits, after = self.net(ids, state)
            return (torch.log_softmax(logits, dim=-1), *after)

    ids = torch.zeros(2, 7, dtype=torch.long)
    with torch.no_grad():
        state = net(ids, net.initial(2))[1]
        more = (ids[:1].repeat(3, 1), *net(ids[:1].repeat(3, 2), net.initial(3))[1])
        other = net(more[0], more[1:])[1]
    sizes = [list(zip(part.shape, changed.shape, strict=True)) for part, changed in zip(state, other, strict=True)]
    shapes = tuple({axis: FREE for axis, (a, b) in enumerate(part) if a != b} for part in sizes)
    names = [f"{word}_{i}" for word in ("state", "next") for i in range(len(state))]
    inputs, outputs = ["ids", *names[: len(state)]], ["log_probabilities", *names[len(state) :]]
    others = (more, (more[0][:, :1], *more[1:]))  # three texts; and one token at a time, as a text is written
    model = _export(Step(), (ids, *state), inputs, outputs, ({0: FREE, 1: FREE}, shapes), others)
    named = {"ids": [(2, 3), (7, 8)], **dict(zip(names, [*sizes, *sizes], strict=True))}
    for value in [*model.graph.input, *model.graph.output]:
        for dim, (a, b) in zip(value.type.tensor_type.shape.dim, named.get(value.name, []), strict=False):
            if a != b:  # two texts and three; or a length that grows
                dim.dim_param = "N" if (a, b) == (2, 3) else "T" if value.name == "ids" else f"{value.name}.length"
    return model


def _export(
    net: Any, inputs: Tensors, names: list[str], outputs: list[str], shapes: Any, others: tuple[Tensors, ...]
) -> onnx.ModelProto:
    """`others` are inputs of other sizes, on which a traced graph and `net` must agree."""
    import onnx

    net.eval()
    with (
        errors_only("torch.onnx"), warnings_ignored(), torch_threads(), tempfile.TemporaryDirectory() as folder
    ):  # fmt: skip
        file = Path(folder) / "traced.onnx"  # a graph may have half a gigabyte: it is in memory where it is read
        if _traced(net, inputs, names, outputs, shapes, file) and _agrees(file, net, others, names):
            return onnx.load(file)
        return _exported(net, inputs, names, outputs, shapes)


def _traced(net: Any, inputs: Tensors, names: list[str], outputs: list[str], shapes: Any, file: Path) -> bool:
    """Write the graph by the tracing exporter; False where it is absent, or does not know an operator."""
    import torch
    from torch.utils._pytree import tree_leaves

    free = tree_leaves(shapes, is_leaf=lambda shape: isinstance(shape, dict))
    axes = {name: {axis: f"{name}.{axis}" for axis in shape} for name, shape in zip(names, free, strict=True)}
    try:
        exporter: Any = torch.onnx  # whose types know the other exporter alone
        with _SYMBOLS, _NO_LOG:
            exporter.export(
                net, inputs, file, dynamo=False, opset_version=OPSETS[""], input_names=names, output_names=outputs,
                dynamic_axes=axes,
            )  # fmt: skip
    except Exception:  # an operator that it does not know raises one of many types; the other exporter may know it
        return False
    return True


def _rms_norm(g: Any, x: Any, *_: Any) -> Any:
    """x over its root mean square along the last axis, without weights, in operators that ONNX has in this opset."""
    import torch

    least = g.op("Constant", value_t=torch.tensor(torch.finfo(torch.float32).eps))
    last = g.op("Constant", value_t=torch.tensor([-1]))
    mean = g.op("ReduceMean", g.op("Mul", x, x), last, keepdims_i=1)
    return g.op("Div", x, g.op("Sqrt", g.op("Add", mean, least)))


def _bilinear(g: Any, x: Any, sizes: Any, align_corners: Any, *scales: Any) -> Any:
    """A picture resized as Pillow does it: by a kernel that is as wide as what becomes one pixel."""
    return g.op("Resize", *_to(g, x, sizes), mode_s="linear", **SMOOTH)


def _bicubic(g: Any, x: Any, sizes: Any, align_corners: Any, *scales: Any) -> Any:
    return g.op("Resize", *_to(g, x, sizes), mode_s="cubic", cubic_coeff_a_f=-0.5, **SMOOTH)


SMOOTH: dict[str, Any] = {
    "antialias_i": 1, "exclude_outside_i": 1, "coordinate_transformation_mode_s": "half_pixel"
}  # fmt: skip


def _to(g: Any, x: Any, sizes: Any) -> tuple[Any, ...]:
    """Inputs of a Resize to a height and a width."""
    import torch

    rows = g.op("Slice", g.op("Shape", x), *(g.op("Constant", value_t=torch.tensor([end])) for end in (0, 2)))
    none = g.op("Constant", value_t=torch.tensor([], dtype=torch.float32))
    return x, none, none, g.op("Concat", rows, g.op("Cast", sizes, to_i=7), axis_i=0)


# Operators that the tracing exporter does not have.
SYMBOLS = {
    "aten::rms_norm": _rms_norm,
    "aten::_upsample_bilinear2d_aa": _bilinear,
    "aten::_upsample_bicubic2d_aa": _bicubic,
}


def _register() -> Callable[[], object]:
    import torch

    exporter: Any = torch.onnx
    for name, symbol in SYMBOLS.items():
        exporter.register_custom_op_symbolic(name, symbol, OPSETS[""])
    return lambda: [exporter.unregister_custom_op_symbolic(name, OPSETS[""]) for name in SYMBOLS]


def _silence() -> Callable[[], object]:
    """Where it does not know an operator it would print the whole network."""
    import torch

    switch: Any = torch._C
    before = switch._jit_is_onnx_log_enabled()
    switch._jit_set_onnx_log_enabled(False)
    return lambda: switch._jit_set_onnx_log_enabled(before)


_SYMBOLS, _NO_LOG = SharedChange(_register), SharedChange(_silence)  # the exporter's lists are the process's


def _agrees(file: Path, net: Any, others: tuple[Tensors, ...], names: list[str]) -> bool:
    """Whether the graph in a file answers these inputs as the module does."""
    import torch

    from leadline.graph.runtime import Session

    with torch.no_grad():
        said = [net(*inputs) for inputs in others]
    expected = [[each] if isinstance(each, torch.Tensor) else list(each) for each in said]
    feeds = [{name: x.numpy() for name, x in zip(names, inputs, strict=True)} for inputs in others]
    try:
        session = Session(file)
        answers = [list(session(each).values()) for each in feeds]
    except Exception:  # the runtime raises its own types where a size was held
        return False
    return all(
        a.shape == b.shape and np.allclose(a, b.numpy(), rtol=CLOSE, atol=CLOSE * (1 + float(b.abs().max())))
        for found, right in zip(answers, expected, strict=True)
        for a, b in zip(found, right, strict=True)
    )


def _exported(net: Any, inputs: Tensors, names: list[str], outputs: list[str], shapes: Any) -> onnx.ModelProto:
    import torch
    from torch.utils._pytree import tree_map

    rows = torch.export.Dim("N", min=1)  # imports SymPy, which takes a second: the tracing exporter needs none of it
    dims = tree_map(lambda mark: rows if mark == ROWS else torch.export.Dim.DYNAMIC, shapes)
    program = torch.onnx.export(
        net, inputs, dynamo=True, verbose=False, opset_version=OPSETS[""],
        input_names=names, output_names=outputs, dynamic_shapes=dims,
    )  # fmt: skip
    assert program is not None
    return program.model_proto
