"""Smaller networks from one network: which there are depends on its operators, and nobody asks for its contender.

    networks with convolutions    int8, static; the calibration that valid chooses; fragile nodes stay float32
    other matrix products, LSTMs  int8, dynamic, with int8 tables
    tables whose rows are read    int8 or 4 bits, a scale a row
    n-grams that are looked up    a half, a quarter, ... of them
    trees                         tables of small integers; the first half, quarter, ... of the rounds, and their tables
    anything with weights         half precision; weights alone in int8 or 4 bits
    students (shrink/distill.py)  the same of each of them

Weights of 4 bits are stored two to a byte, and computed with as those of int8 are; fragile ones keep 8 bits.

Enters: a network, and the rows to calibrate and to choose by (train and valid; no row of the test). Leaves: candidates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leadline.core.tensors import Tensors
from leadline.graph.packing import pack_constants
from leadline.graph.quantize import METHODS, Static, dynamic_int8, recurrent
from leadline.graph.rounding import INT4, INT8, Rounded, main_parts, rounded_weights, seen_inputs
from leadline.graph.spectra import short_transforms
from leadline.shrink.lookups import columns_of, fewer_columns
from leadline.shrink.network import feeds, scores
from leadline.shrink.packed_trees import packed_trees
from leadline.shrink.tables import half_weights, integer_tables, integer_weights, large_weights, matrices
from leadline.shrink.trees import fewer_trees, trees_of

if TYPE_CHECKING:
    import onnx

    from leadline.shrink.distill import Student

__all__ = ["Candidate", "Making", "candidates"]

CALIBRATION, A_BATCH = 256, 32  # train rows, and how many of them in one call
FRAGILE = (1, 2, 4, 8)  # nodes that stay float32, tried in turn
PROBED = 64  # valid rows on which the error of one int8 node is measured
MOST_NODES = 60  # that are probed one by one
HALVINGS = 5  # of the trees
GRAM_HALVINGS = 4  # of the n-grams
QUANTISED = {"QuantizeLinear", "DynamicQuantizeLinear"}  # operators of a network that computes in int8
WORTHWHILE = 0.95  # share of the bytes under which a candidate saves any


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A smaller network."""

    name: str
    describe: str
    network: onnx.ModelProto
    integer: bool = False  # whether it computes in int8, which differs between classes of processors


@dataclass(frozen=True, kw_only=True)
class Making:
    """What candidates are made with: train rows calibrate, valid rows choose among ways to make one."""

    store: Tensors
    distance: Callable[[onnx.ModelProto], float]  # of a network's answers to valid rows from those of the model
    doubtful: Callable[[onnx.ModelProto], bool]  # whether by valid rows the rows that judge may not certify a network
    seed: int
    folder: Path  # for files on the way


def candidates(network: onnx.ModelProto, making: Making, taught: Iterable[Student] = ()) -> Iterator[Candidate]:
    """The network itself, all that are smaller, and last what becomes of students, which are trained meanwhile."""
    size = _stored(network)
    name = "compact" if {node.op_type for node in network.graph.node} & QUANTISED else "float32"
    yield Candidate(name=name, describe="the same network, its tables and names stored in less", network=network)
    for each in chain(_all(network, making), *(_of_student(student, making) for student in taught)):
        if _stored(each.network) < WORTHWHILE * size:
            yield each


def _stored(network: onnx.ModelProto) -> int:
    """Bytes, as a file stores Fourier transforms."""
    made = network.__class__()
    made.CopyFrom(network)
    short_transforms(made)
    return int(made.ByteSize())


def _of_student(student: Student, making: Making) -> Iterator[Candidate]:
    """A student in half precision, and in int8: distilled, then quantised."""
    if trees_of(student.network)[0]:
        yield from _with_tables(Candidate(name=student.name, describe=student.describe, network=student.network))
        return
    for each in _all(student.network, making):
        yield dataclasses.replace(
            each, name=f"{student.name} {each.name}", describe=f"{student.describe}; {each.describe}"
        )


def _with_tables(candidate: Candidate) -> Iterator[Candidate]:
    """Trees as the runtime has an operator for them, which is fast; and as tables of integers, which are small."""
    yield candidate
    tables = packed_trees(candidate.network)
    if tables is not None:
        yield Candidate(
            name=f"{candidate.name} packed", describe=f"{candidate.describe}; splits as tables of integers, leaves in "
            "int8", network=tables,
        )  # fmt: skip


def _all(network: onnx.ModelProto, making: Making) -> Iterator[Candidate]:
    trees, outputs = trees_of(network)
    for halving in range(HALVINGS + 1 if trees else 0):
        rounds = trees // outputs >> halving
        if rounds:
            yield from _with_tables(Candidate(
                name="trees" if not halving else f"trees/{1 << halving}",
                describe=f"the first {rounds:,} of {trees // outputs:,} rounds of trees" if halving else "all trees",
                network=fewer_trees(network, rounds * outputs) if halving else network,
            ))  # fmt: skip
    if columns_of(network):
        for halving in range(1, GRAM_HALVINGS + 1):
            fewer = fewer_columns(network, 1 / (1 << halving))
            yield Candidate(
                name=f"n-grams/{1 << halving}", network=integer_tables(fewer), describe=f"{columns_of(fewer):,} of "
                f"{columns_of(network):,} n-grams, those that weigh most, in int8 tables",
            )  # fmt: skip
    if large_weights(network):
        yield from _weights(network, making)


def _weights(network: onnx.ModelProto, making: Making) -> Iterator[Candidate]:
    """Weights in fewer bits, and arithmetic in int8."""
    yield Candidate(name="float16", describe="weights in half precision", network=half_weights(network))
    kinds = {node.op_type for node in network.graph.node}
    if "Gather" in kinds:
        yield from _tables(network)
    large, computed = matrices(network), recurrent(network)
    if kinds & {"Conv", "MatMul", "Gemm", "LSTM"} and large:
        yield from _rounded(network, making, large, body=bool(kinds & QUANTISED))
    if kinds & QUANTISED:
        return  # a pretrained body computes in int8 already
    if "Conv" in kinds and "LSTM" not in kinds:
        yield from _static(network, making)
    elif computed:

        def quantized(nodes: Sequence[str]) -> onnx.ModelProto:
            return integer_tables(dynamic_int8(network, nodes, making.folder))

        dynamic = Candidate(
            name="dynamic int8", describe="int8 weights in matrix products and recurrences, activations scaled as they "
            "come; other weights in int8 tables or half precision", network=quantized(computed), integer=True,
        )  # fmt: skip
        yield from _relieved(dynamic, network, making, computed, quantized)


def _tables(network: onnx.ModelProto) -> Iterator[Candidate]:
    """Tables whose rows are read, in 8 and in 4 bits."""
    found = [
        Candidate(
            name=f"int{bits} tables", network=integer_tables(network, levels),
            describe=f"tables in {how} with a scale a row, other weights in half precision",
        )
        for bits, levels, how in ((8, INT8, "int8"), (4, INT4, "4 bits, two numbers to a byte,"))
    ]  # fmt: skip
    yield from found[: 2 if _saves(found[1].network, found[0].network) else 1]


def _saves(network: onnx.ModelProto, other: onnx.ModelProto) -> bool:
    return _stored(network) < WORTHWHILE * _stored(other)


def _rounded(network: onnx.ModelProto, making: Making, names: Sequence[str], body: bool) -> Iterator[Candidate]:
    """Weights in int8 and in 4 bits, rounded by what they give to train rows.

    Args:
        names: of the weights.
        body: whether a pretrained body is in the network, whose weights are in int8 already.
    """
    seen: dict[str, np.ndarray] = {}
    if not body and not making.store.task.generative:
        rows = _calibrating([value.name for value in network.graph.input], making)
        nodes = [node.name for node in network.graph.node if not set(names).isdisjoint(node.input)]
        seen = seen_inputs(network, nodes, rows)
    held: dict[bool, dict[str, Rounded]] = {}  # by whether they have 4 bits

    def of(names: Collection[str], four: bool) -> dict[str, Rounded]:
        if four not in held:
            held[four] = rounded_weights(network, seen, INT4 if four else INT8)
        return {name: each for name, each in held[four].items() if name in names}

    def made_of(names: Sequence[str]) -> onnx.ModelProto:
        return integer_weights(network, names, of(names, four=False))

    whole = Candidate(
        name="int8 weights", describe="weights in int8 that are widened on loading, arithmetic in float32",
        network=made_of(names),
    )  # fmt: skip
    yield from _relieved(whole, network, making, names, made_of)

    def packed_of(four: Collection[str]) -> onnx.ModelProto:
        made = integer_weights(
            network, names, {**of(set(names).difference(four), four=False), **of(four, four=True)}, four
        )
        pack_constants(made)
        return made

    counts = {each.name: int(np.prod(each.dims)) for each in network.graph.initializer if each.name in names}
    main = main_parts(counts)
    packed = Candidate(
        name="int4 weights", describe="weights in 4 bits, two to a byte, that are widened on loading, arithmetic in "
        "float32", network=packed_of(main),
    )  # fmt: skip
    if _saves(packed.network, whole.network):
        yield from _relieved(packed, network, making, main, packed_of, "int8")


def _relieved(
    candidate: Candidate, network: onnx.ModelProto, making: Making, names: Sequence[str],
    made_of: Callable[[Sequence[str]], onnx.ModelProto], otherwise: str = "float",
) -> Iterator[Candidate]:  # fmt: skip
    """A candidate, and where it may lose too much, others whose most fragile parts have more bits.

    Args:
        names: of the parts that have few bits.
        made_of: the network of which these alone have.
        otherwise: what the others are.
    """
    yield candidate
    # A language model is read token by token, and takes its state: it has no answers to valid rows in one call.
    if making.store.task.generative or not making.doubtful(candidate.network):
        return
    order = _fragile(names, network, making.store, lambda name: made_of([name]))
    for count in (count for count in FRAGILE if count < len(order)):
        made = made_of([name for name in names if name not in order[:count]])
        yield dataclasses.replace(
            candidate, name=f"{candidate.name}, {count} {otherwise}", network=made,
            describe=f"{candidate.describe}; without the most fragile, of which there are {count}",
        )  # fmt: skip
        if not making.doubtful(made):
            return


def _static(network: onnx.ModelProto, making: Making) -> Iterator[Candidate]:
    """Static int8, by the calibration that is best on valid; with its most fragile nodes in float32; and its weights in
    4 bits, with the most fragile in int8."""
    names = [value.name for value in network.graph.input]
    rows = _calibrating(names, making)
    static = Static(network, rows, making.folder, by_inputs=True)
    if not static.weighed:
        return

    def whole(method: str, packed: Collection[str] = ()) -> onnx.ModelProto:
        """In int8, and the weights of what computes in float32, such as bands of a spectrum, stored in int8."""
        made = static.quantized(method, packed=packed)
        made = integer_weights(made, matrices(made), {})
        if packed:
            pack_constants(made)
        return made

    apart = {method: making.distance(whole(method)) for method in METHODS}
    method = min(apart, key=lambda each: apart[each])
    count = sum(len(batch[names[0]]) for batch in rows)
    how = f"static int8, calibrated by {method} on {count} train rows, by which its weights are rounded too"
    int8 = Candidate(name="int8", describe=how, network=whole(method), integer=True)
    yield from _relieved(
        int8, network, making, static.weighed, lambda names: half_weights(static.quantized(method, names))
    )
    packable = static.packable
    int4 = Candidate(
        name="int4", describe=f"{how}, to 4 bits and stored two to a byte", network=whole(method, packable),
        integer=True,
    )  # fmt: skip
    if packable and _saves(int4.network, int8.network):
        yield from _relieved(int4, network, making, packable, lambda names: whole(method, names), "int8")


def _calibrating(names: list[str], making: Making) -> list[dict[str, np.ndarray]]:
    """Tensors of some train rows, by these names."""
    few = np.sort(np.random.default_rng(making.seed).permutation(making.store.split.train)[:CALIBRATION])
    return list(feeds(making.store, names, few, A_BATCH))


def _fragile(
    names: Sequence[str], network: onnx.ModelProto, store: Tensors, made_of: Callable[[str], onnx.ModelProto]
) -> Sequence[str]:
    """The names, the one first whose few bits alone move the answers to valid rows most."""
    rows = store.split.valid[:PROBED]
    right = scores(network, store, rows)
    moved = {name: float(np.mean((scores(made_of(name), store, rows) - right) ** 2)) for name in names[:MOST_NODES]}
    return sorted(moved, key=lambda name: -moved[name])
