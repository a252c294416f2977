"""The graph of a shipped file, opened: inner values as outputs, and rows as its inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.kinds import KINDS
from leadline.use.explain.sample import Row

if TYPE_CHECKING:
    import onnx

    from leadline.use.model import Model

BATCH = 128  # rows
INPUT = re.compile(r"^contender/([^/]+)$")
RAW = "contender/net/raw"  # the outputs of every network of ours, before they are probabilities (graph/torch_export.py)


def loaded(model: Model) -> onnx.ModelProto:
    """The file as a graph."""
    import onnx

    return onnx.load(model.path)


def is_network(model: Model) -> bool:
    """Whether the file is a network, of which gradients can be had."""
    return any(node.output and node.output[0] == RAW for node in loaded(model).graph.node)


def is_shortened(file: onnx.ModelProto) -> bool:
    """Whether the names by which parts of the graph are found were given up for fewer bytes (shrink/compact.py)."""
    return not any(node.output and node.output[0].startswith("contender/") for node in file.graph.node)


def blocks_of(file: onnx.ModelProto) -> dict[str, list[str]]:
    """{what the contender reads: the columns it is made of}, by the names of values (ship/assemble.py)."""
    inputs = {value.name for value in file.graph.input}
    found: dict[str, list[str]] = {}
    for node in file.graph.node:
        if (match := INPUT.match(node.output[0])) and not node.input[0].startswith("contender/"):
            found[match[1]] = []
    for node in file.graph.node:
        for block, columns in found.items():
            prefixes = (f"encode.{block.split('.')[0]}/", f"form.{block}/")
            if node.input and node.input[0] in inputs and node.output[0].startswith(prefixes):
                columns += [node.input[0]] if node.input[0] not in columns else []
    return found


def feeds_of(model: Model, rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Rows as inputs, in batches; row by row where values differ in shape."""
    inputs = model.contract["inputs"]
    free = [name for name, facts in inputs.items() if KINDS[facts["kind"]].variable_shape]
    step = BATCH if len({tuple(row[name].shape for name in free) for row in rows}) < 2 else 1
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        yield {
            name: np.array([row[name] for row in part], object if facts["dtype"] == "str" else facts["dtype"])
            for name, facts in inputs.items()
        }
