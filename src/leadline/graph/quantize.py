"""int8 arithmetic by ONNX Runtime's quantiser: static for networks with convolutions, dynamic for others.

Static: QDQ format, uint8 activations by affine scales that calibration on train rows gives, int8 weights with a scale a
channel (Jacob et al. 2018; Krishnamoorthi 2018), with levels of 8 or 4 bits. Dynamic: activations are scaled as they
come, which costs little where a product of matrices is large. Enters: a network without strings. Leaves: networks.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.graph.folding import fold
from leadline.graph.gates import gelu_in_int8
from leadline.graph.rounding import (
    INT4,
    INT8,
    PRODUCTS,
    Levels,
    Rounded,
    main_parts,
    put_weights,
    rounded_weights,
    seen_inputs,
)
from leadline.graph.spectra import fourier, spectra_products

if TYPE_CHECKING:
    import onnx

__all__ = ["METHODS", "Static", "dynamic_int8", "recurrent"]

METHODS = ("minmax", "entropy", "percentile")  # of calibration
# What lies between them is quantised too: values stay int8 from one convolution to the next.
BETWEEN = ("Relu", "Clip", "Add", "MaxPool", "AveragePool", "GlobalAveragePool", "Reshape", "Flatten", "Transpose")
RECURRENT = ("LSTM", "MatMul", "Attention")
AS_MATMUL = "_MatMul"  # what the quantiser adds to the name of a Gemm that it makes a MatMul and an Add of


class Static:
    """A network that is prepared, and calibrated once a method.

    Args:
        rows: inputs of the network, a batch each, from train rows.
        by_inputs: round weights so that what they give to these rows changes least (rounding.py).
    """

    def __init__(
        self, network: onnx.ModelProto, rows: Sequence[dict[str, np.ndarray]], folder: Path, by_inputs: bool = False
    ) -> None:  # fmt: skip
        import onnx
        from onnxruntime.quantization.shape_inference import quant_pre_process

        self._rows, self._folder = rows, folder
        self._path = folder / "prepared.onnx"
        source = folder / "network.onnx"
        onnx.save(network, str(source))
        # Symbolic shapes need another package, and only Transformers need them.
        quant_pre_process(str(source), str(self._path), skip_symbolic_shape=True)
        self._model = _flat(onnx.load(str(self._path)))
        fold(self._model)
        onnx.save(self._model, str(self._path))  # from where it is calibrated
        self.weighed = _weighed(self._model)
        self._ranges: dict[str, Any] = {}
        self._seen = seen_inputs(self._model, self.weighed, rows) if by_inputs else {}
        self._rounded: dict[Levels, dict[str, Rounded]] = {}

    @property
    def packable(self) -> list[str]:
        """Names of nodes whose weights may have 4 bits: their inputs are seen, and they are no small part of all."""
        held = {each.name: int(np.prod(each.dims)) for each in self._model.graph.initializer}
        counts = {node.name: held.get(node.input[1], 0) for node in self._model.graph.node if node.name in self._seen}
        return main_parts(counts)

    def quantized(
        self, method: str, names: Sequence[str] | None = None, packed: Collection[str] = ()
    ) -> onnx.ModelProto:  # fmt: skip
        """The network in int8.

        Args:
            method: of calibration, one of `METHODS`.
            names: the nodes with weights that are quantised, among `weighed`; others stay float32 (default: all are).
            packed: those of them whose weights have levels of 4 bits, in int8, among `packable`.
        """
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        names = self.weighed if names is None else names
        inside = self._after(names)
        floats = [node.name for node in self._model.graph.node if node.name not in inside]
        copy = self._model.__class__()
        copy.CopyFrom(self._model)
        weights: dict[str, Rounded] = {}
        for levels, some in ((INT8, set(names).difference(packed)), (INT4, set(names).intersection(packed))):
            read = {node.input[1] for node in copy.graph.node if node.name in some}
            weights |= {name: each for name, each in self._of(levels).items() if name in read}
        put_weights(copy, weights)
        # The runtime rounds biases as it loads: as float32 they need no scales of their own in the file.
        settings = {"ActivationSymmetric": False, "WeightSymmetric": True, "QuantizeBias": False}
        made = QDQQuantizer(
            copy, True, False, QuantType.QInt8, QuantType.QUInt8, self._calibrated(method), [], floats,
            list(PRODUCTS + BETWEEN), settings,
        )  # fmt: skip
        with _quietly():
            made.quantize_model()
        _put_levels(made.model.model, self._model, weights)
        gelu_in_int8(made.model.model)
        return ordered(made.model.model)

    def _of(self, levels: Levels) -> dict[str, Rounded]:
        """Weights that are rounded by their inputs."""
        if levels not in self._rounded:
            self._rounded[levels] = rounded_weights(self._model, self._seen, levels)
        return self._rounded[levels]

    def _after(self, names: Collection[str]) -> set[str]:
        """Names of these nodes, and of those between nodes with weights that come after one of them.

        What lies before the first int8 product stays float32: 8 bits do not hold the range that powers of a sound, or
        other values which a network has not yet brought to one scale, may have.
        """
        inside, reached = set(names), set[str]()
        for node in self._model.graph.node:
            if node.name in inside or (node.name not in self.weighed and reached.intersection(node.input)):
                inside.add(node.name)
            if node.name in inside:
                reached.update(node.output)
        return inside

    def _calibrated(self, method: str) -> Any:
        """Ranges of the activations by one method."""
        from onnxruntime.quantization import CalibrationMethod
        from onnxruntime.quantization.calibrate import create_calibrator

        if method not in self._ranges:
            kinds = {
                "minmax": CalibrationMethod.MinMax, "entropy": CalibrationMethod.Entropy,
                "percentile": CalibrationMethod.Percentile,
            }  # fmt: skip
            with tempfile.TemporaryDirectory(dir=self._folder) as folder:
                calibrator = create_calibrator(
                    self._path, list(PRODUCTS + BETWEEN), str(Path(folder) / "augmented.onnx"), kinds[method],
                )  # fmt: skip
                with _quietly():
                    for feeds in self._rows:  # a batch at a time: the calibrator keeps all activations of a call
                        calibrator.collect_data(_Reader(iter([feeds])))
                    self._ranges[method] = calibrator.compute_data()
                del calibrator
        return self._ranges[method]


def _weighed(model: onnx.ModelProto) -> list[str]:
    """Names of nodes with weights that int8 makes faster: spectra have none, and kernels take channels by fours, so
    that a convolution of one is as fast in float32."""
    constants, bands = {each.name: each for each in model.graph.initializer}, spectra_products(model)
    found = []
    for node in (node for node in model.graph.node if node.op_type in PRODUCTS and node.name not in bands):
        held = [constants[name] for name in node.input[:2] if name in constants]
        lone = node.op_type == "Conv" and held and held[0].dims[1] == 1
        grouped = any(each.name == "group" and each.i > 1 for each in node.attribute)
        if held and (grouped or not lone) and fourier(held[0]) is None:
            found.append(node.name)
    return found


def _put_levels(made: onnx.ModelProto, source: onnx.ModelProto, weights: Mapping[str, Rounded]) -> None:
    """Put levels and scales in place of those that the quantiser took from the largest weights, in place."""
    from onnx import numpy_helper

    constants = {each.name: each for each in made.graph.initializer}
    makers = {name: node for node in made.graph.node for name in node.output}
    products = {node.name: node for node in made.graph.node}
    for node in source.graph.node:
        wide = makers.get(products[node.name].input[1]) if node.name in products and len(node.input) > 1 else None
        if wide is None or wide.op_type != "DequantizeLinear" or node.input[1] not in weights:
            continue
        found, (levels, scale) = weights[node.input[1]], (constants[name] for name in wide.input[:2])
        levels.CopyFrom(numpy_helper.from_array(found.levels, levels.name))
        scale.CopyFrom(numpy_helper.from_array(found.scale.reshape(list(scale.dims)), scale.name))


def _flat(model: onnx.ModelProto) -> onnx.ModelProto:
    """Biases [1, n] as [n], changed in place: the quantiser takes a row of them for a scale."""
    biases = {node.input[2] for node in model.graph.node if node.op_type == "Gemm" and len(node.input) > 2}
    for each in model.graph.initializer:
        if each.name in biases and len(each.dims) == 2 and each.dims[0] == 1:
            del each.dims[0]
    return model


class _Reader:
    """Rows as the calibrator asks for them."""

    def __init__(self, rows: Iterator[dict[str, np.ndarray]]) -> None:
        self._rows = rows

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rows, None)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return self._rows


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """The quantiser prints its steps, and advises to prepare what has been prepared."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(before)


def recurrent(network: onnx.ModelProto) -> list[str]:
    """Names of nodes that `dynamic_int8` changes."""
    constant = {each.name for each in network.graph.initializer}
    nodes = [node for node in network.graph.node if node.op_type in (*RECURRENT, "Gemm")]
    return [node.name for node in nodes if constant & set(node.input)]


def dynamic_int8(network: onnx.ModelProto, nodes: Sequence[str], folder: Path) -> onnx.ModelProto:
    """The network with int8 weights in these matrix products and recurrences, whose activations are scaled as they
    come.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source, target = folder / "float.onnx", folder / "dynamic.onnx"
    onnx.save(network, str(source))
    with _quietly():
        quantize_dynamic(
            str(source), str(target), op_types_to_quantize=list(RECURRENT), per_channel=True,
            nodes_to_quantize=[*nodes, *(f"{name}{AS_MATMUL}" for name in nodes)],
            weight_type=QuantType.QInt8, extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )  # fmt: skip
    return ordered(onnx.load(str(target)))


def ordered(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with every node behind those that it reads, as the checker wants it; changed in place."""
    graph = model.graph
    known = {""} | {each.name for each in [*graph.input, *graph.initializer]}
    waiting, done = list(graph.node), []
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            break  # a branch reads values outside: the runtime orders such a graph itself
        known.update(name for node in ready for name in node.output)
        done += ready
        rest = {id(node) for node in ready}
        waiting = [node for node in waiting if id(node) not in rest]
    del graph.node[:]
    graph.node.extend([*done, *waiting])
    return model
