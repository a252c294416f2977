"""A PyTorch module -> ONNX, by PyTorch's own exporter, with a free number of rows."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.ship.graph import OPSETS

if TYPE_CHECKING:
    import onnx


def export(net: Any, samples: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """Export `net` as a graph from the tensors of `samples` (two rows each, by name) to 'raw' [N, out].

    The exporter prints its steps; they are swallowed, since what matters of them is checked row by row afterwards.
    """
    import torch

    names = list(samples)
    inputs = tuple(torch.from_numpy(samples[name]) for name in names)
    rows = torch.export.Dim("N", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            net.eval(), inputs, dynamo=True, verbose=False, opset_version=OPSETS[""],
            input_names=names, output_names=["raw"], dynamic_shapes=(tuple({0: rows} for _ in names),),
        )  # fmt: skip
    assert program is not None
    return program.model_proto
