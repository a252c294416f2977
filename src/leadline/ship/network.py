"""A PyTorch module -> ONNX, by PyTorch's own exporter, with a free number of rows."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.ship.graph import OPSETS

if TYPE_CHECKING:
    import onnx


def export(net: Any, samples: Mapping[str, np.ndarray], unequal: Collection[str] = ()) -> onnx.ModelProto:
    """Export `net` as a graph from the tensors of `samples` (two rows each, by name) to 'raw' [N, out].

    The length of the rows of those named in `unequal` is left free. The exporter prints its steps; they are swallowed,
    since what matters of them is checked row by row afterwards.
    """
    import torch

    names = list(samples)
    inputs = tuple(torch.from_numpy(samples[name]) for name in names)
    rows, free = torch.export.Dim("N", min=1), torch.export.Dim.DYNAMIC
    shapes = tuple({0: rows, 1: free} if name in unequal else {0: rows} for name in names)
    return _export(net, inputs, names, ["raw"], (shapes,))


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

    free = torch.export.Dim.DYNAMIC
    ids = torch.zeros(2, 7, dtype=torch.long)
    with torch.no_grad():
        state = net(ids, net.initial(2))[1]
        other = net(ids[:1].repeat(3, 1), net(ids[:1].repeat(3, 2), net.initial(3))[1])[1]
    sizes = [list(zip(part.shape, changed.shape, strict=True)) for part, changed in zip(state, other, strict=True)]
    shapes = tuple({axis: free for axis, (a, b) in enumerate(part) if a != b} for part in sizes)
    names = [f"{word}_{i}" for word in ("state", "next") for i in range(len(state))]
    inputs, outputs = ["ids", *names[: len(state)]], ["log_probabilities", *names[len(state) :]]
    model = _export(Step(), (ids, *state), inputs, outputs, ({0: free, 1: free}, shapes))
    named = {"ids": [(2, 3), (7, 8)], **dict(zip(names, [*sizes, *sizes], strict=True))}
    for value in [*model.graph.input, *model.graph.output]:
        for dim, (a, b) in zip(value.type.tensor_type.shape.dim, named.get(value.name, []), strict=False):
            if a != b:  # two texts and three; or a length that grows
                dim.dim_param = "N" if (a, b) == (2, 3) else "T" if value.name == "ids" else f"{value.name}.length"
    return model


def _export(net: Any, inputs: tuple[Any, ...], names: list[str], outputs: list[str], shapes: Any) -> onnx.ModelProto:
    import torch

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            net.eval(), inputs, dynamo=True, verbose=False, opset_version=OPSETS[""],
            input_names=names, output_names=outputs, dynamic_shapes=shapes,
        )  # fmt: skip
    assert program is not None
    return program.model_proto
