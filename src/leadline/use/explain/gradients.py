"""Integrated gradients of a network in a shipped file, and how far they are from adding up.

Source: Sundararajan et al. 2017. The file has no gradients, so its graph is computed by PyTorch
(graph/torch_import.py), from what the encode graphs make of rows to the network's raw outputs, before calibration.

The path goes in a straight line from a row without content (`Kind.emptied`; of columns of a table from the mean of
other rows, of words from no word) to the row, where the first values are that have gradients: pixels, samples, steps,
embeddings, and the bins of numbers. The integral (quadrature.py) is refined until the effects add up to the change of
the margin within `WITHIN` of that change. Where a path ends about where it began, a share of the change says nothing:
then within the same share of `LEAST`.

Enters: a model, a sample and places in it. Leaves: effects by column, and maps of pictures, sounds and series.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from leadline.graph.builder import with_outputs
from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.system.errors import ModelError
from leadline.use.explain.graph import RAW, blocks_of, feeds_of, is_network, is_shortened, loaded
from leadline.use.explain.quadrature import Path, integral
from leadline.use.explain.sample import SHOWN, Row, Sample

if TYPE_CHECKING:
    from torch import Tensor

    from leadline.graph.torch_import import Interpreter
    from leadline.use.model import Model

WITHIN = 0.009  # of the change of the margin: a hundredth is allowed
LEAST = 0.1  # log odds, and of values their standard deviations: the share is of no smaller change
MOST_POINTS, MOST_POINTS_JOINT = 4_096, 8_192  # of a path; of a table a pass costs little
MIXING = {"Concat", "Gemm", "MatMul", "Conv"}  # operators whose outputs depend on several columns
AT_ONCE, AT_ONCE_JOINT = 32, 2_048  # points in one pass
OTHERS = 60  # rows whose mean is the start of a table's columns


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """Of one row: effects by column, maps by column, the margin at both ends of the path, and the points used.

    `least`: the change of the margin that is as good as none.
    """

    columns: Mapping[str, float]
    maps: Mapping[str, np.ndarray]  # float64 [height, width], [samples] or [steps], as they are encoded
    encoded: Mapping[str, np.ndarray]  # the values under each map
    ends: tuple[float, float]
    points: int
    least: float = LEAST

    @property
    def change(self) -> float:
        """Of the margin along the path, to which effects should add up."""
        return self.ends[1] - self.ends[0]

    @property
    def error(self) -> float:
        """How far the effects are from adding up to the change, as a share of it, or of `least` where it is smaller."""
        return abs(sum(self.columns.values()) - self.change) / max(abs(self.change), self.least)


@dataclass(frozen=True, kw_only=True)
class _Leaf:
    """A first value with gradients, of which block it is, and the columns of each of its elements (tables alone)."""

    name: str
    block: str
    owners: np.ndarray | None  # int64 [elements], places of columns, -1: of none


def graded(model: Model, wanted: bool | None, rows: int) -> bool:
    """Whether so many rows get integrated gradients; None: a dozen or fewer of a network do.

    Warns where they would be computed and cannot be.
    """
    if wanted is False or (wanted is None and (rows > SHOWN or not is_network(model))):
        return False
    why = why_not(model)
    if why is not None:
        warnings.warn(f"integrated gradients are left out: {why}", stacklevel=2)
    return why is None


def why_not(model: Model) -> str | None:
    """Why the gradients of a model cannot be had here; None where they can."""
    if is_shortened(loaded(model)):
        return f"{model.path.name} was made smaller; the file of the run may have them."
    if not is_network(model):
        return f"{model.path.name} is {model.contract['contender']}; networks that a run has trained have them."
    try:
        from leadline.graph.torch_import import Interpreter
    except ImportError:
        return "PyTorch is not installed."
    graph = loaded(model).graph
    try:
        Interpreter(graph, [f"contender/{block}" for block in blocks_of(loaded(model))], RAW)
    except ModelError as error:
        return str(error)
    return None


def integrated(model: Model, sample: Sample, places: Sequence[int], outputs: Sequence[int]) -> list[Gradients]:
    """Integrated gradients of the rows at `places`, for the margin of an output each.

    Raises ModelError where the network has an operator without a gradient here.
    """
    rows = [sample.rows[place] for place in places]
    return _Integrating(model, sample.rows[:OTHERS], rows).rows(rows, outputs)


class _Integrating:
    """What the rows share; `others` are those whose mean is the start of a table's columns."""

    def __init__(self, model: Model, others: Sequence[Row], rows: Sequence[Row]) -> None:
        from leadline.graph.torch_import import Interpreter

        self.model, file = model, loaded(model)
        self.blocks = blocks_of(file)
        self.given = [f"contender/{block}" for block in self.blocks]
        self.session = Session(with_outputs(file, self.given))
        self.network = Interpreter(file.graph, self.given, RAW)
        self.others, self.every = others, [*others, *rows]
        self.kinds = {block: KINDS[model.contract["inputs"][columns[0]]["kind"]] for block, columns in
                      self.blocks.items()}  # fmt: skip
        self.leaves = [leaf for block in self.blocks for leaf in self._leaves_of(block)]
        self.starts = self._means()
        self.least = LEAST

    def _encoded(self, row: Row) -> dict[str, np.ndarray]:
        """What the network reads of a row."""
        (feeds,) = feeds_of(self.model, [row])
        return self.session(feeds, self.given)

    def _values(self, encoded: Mapping[str, np.ndarray], network: Interpreter) -> dict[str, Tensor]:
        import torch

        with torch.no_grad():
            return network({name: torch.from_numpy(np.array(array)) for name, array in encoded.items()}, {})

    def _held(self, rows: Sequence[Row], names: Sequence[str]) -> dict[str, Tensor]:
        """Some inner values of rows, which may be of unequal shapes outside of these."""
        import torch

        part = self.network.towards(names)
        found = [self._values(self.session(feeds, self.given), part) for feeds in feeds_of(self.model, rows)]
        return {name: torch.cat([each[name] for each in found]) for name in names}

    def _leaves_of(self, block: str) -> list[_Leaf]:
        kind, some = self.kinds[block], self.every
        values, name = self._values(self._encoded(some[0]), self.network), f"contender/{block}"
        names = (_before_mixing if kind.joint else _first_floats)(self.network, values, name)
        if not kind.joint:
            return [_Leaf(name=each, block=block, owners=None) for each in names]
        before = self._held(some, names)
        owners = {each: np.full(before[each][0].numel(), -1, np.int64) for each in names}
        for place, column in enumerate(self.blocks[block]):
            turned = [{**row, column: some[(i + 1) % len(some)][column]} for i, row in enumerate(some)]
            changed = self._held(turned, names)
            for each in names:
                a, b = (held[each].reshape(len(some), -1) for held in (before, changed))
                same = (a == b) | (a.isnan() & b.isnan())
                owners[each][(~same.all(dim=0)).numpy()] = place
        return [_Leaf(name=each, block=block, owners=owners[each]) for each in names]

    def _means(self) -> dict[str, Tensor]:
        """The mean of each leaf of a table over other rows."""
        names = [leaf.name for leaf in self.leaves if leaf.owners is not None]
        if not names:
            return {}
        found = self._held(self.others, names)
        return {name: value.nanmean(dim=0, keepdim=True).nan_to_num(0.0) for name, value in found.items()}

    def rows(self, rows: Sequence[Row], outputs: Sequence[int]) -> list[Gradients]:
        """One after the other, the points of a path in a batch."""
        found, leading = [], self.network.towards([leaf.name for leaf in self.leaves])
        scale = 1.0
        if self.model.task.numeric:
            scale, self.least = self._scale(rows)
        for row, output in zip(rows, outputs, strict=True):
            encoded = self._encoded(row)
            empty = {
                name: array if (start := self.kinds[block].emptied(array)) is None else start
                for (name, array), block in zip(encoded.items(), self.blocks, strict=True)
            }
            here, there = (self._values(each, leading) for each in (encoded, empty))
            found.append(self._row(encoded, here, there, output, scale))
        return found

    def _scale(self, rows: Sequence[Row]) -> tuple[float, float]:
        """By which a raw value becomes one in the unit of the target, as the file does; and `LEAST` in that unit."""
        from leadline.use.explain.scorer import Scorer

        many = [*rows, *self.others]
        raw = self._held(many, [RAW])[RAW][:, 0].double().numpy()
        answers = Scorer(self.model).scores(many)[:, 0]
        low, high = int(raw.argmin()), int(raw.argmax())
        scale = float((answers[high] - answers[low]) / (raw[high] - raw[low])) if raw[high] > raw[low] else 1.0
        return scale, max(LEAST * float(answers.std()), 1e-9)

    def _row(
        self, encoded: Mapping[str, np.ndarray], here: Mapping[str, Tensor], empty: Mapping[str, Tensor], output: int,
        scale: float,
    ) -> Gradients:  # fmt: skip
        import torch

        ends: dict[str, tuple[Tensor, Tensor]] = {}
        for leaf in self.leaves:
            end = here[leaf.name]
            if leaf.owners is not None:
                start = torch.where(end.isnan(), end, self.starts[leaf.name])
            elif torch.equal(empty[leaf.name], end):
                start = torch.zeros_like(end) if _is_embedding(self.network, leaf.name) else end
            else:
                start = empty[leaf.name]
            ends[leaf.name] = (start, end)
        given = {name: torch.from_numpy(np.array(array)) for name, array in encoded.items()}
        with torch.no_grad():
            first, last = (
                scale * _margin(self.model, self.network(given, {k: v[i] for k, v in ends.items()})[RAW], output)
                for i in (0, 1)
            )
        margins = float(first[0]), float(last[0])
        joint = all(kind.joint for kind in self.kinds.values())
        sums, points = integral(
            self._path(given, ends, output, scale), margins,
            allowed=WITHIN * max(abs(margins[1] - margins[0]), self.least),
            most=MOST_POINTS_JOINT if joint else MOST_POINTS, at_once=AT_ONCE_JOINT if joint else AT_ONCE,
        )  # fmt: skip
        return self._made(sums, encoded, margins, points)

    def _path(
        self, given: Mapping[str, Tensor], ends: Mapping[str, tuple[Tensor, Tensor]], output: int, scale: float
    ) -> Path:  # fmt: skip
        """The margin on the way from start to end, and what each element of each leaf adds to its slope."""
        import torch

        def path(shares: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            held = {name: each.expand(len(shares), *each.shape[1:]) for name, each in given.items()}
            at = {}
            for name, (start, end) in ends.items():
                share = torch.tensor(shares, dtype=end.dtype).reshape(-1, *[1] * (end.ndim - 1))
                at[name] = (start + share * (end - start)).detach().requires_grad_(True)
            margin = _margin(self.model, self.network(held, at)[RAW], output)
            margin.sum().backward()  # type: ignore[no-untyped-call]
            slopes = {}
            for name, (start, end) in ends.items():
                slope = at[name].grad
                moved = torch.zeros_like(at[name]) if slope is None else slope * (end - start)
                slopes[name] = scale * np.nan_to_num(moved.detach().numpy())
            return scale * margin.detach().double().numpy(), slopes

        return path

    def _made(
        self, sums: Mapping[str, np.ndarray], encoded: Mapping[str, np.ndarray], ends: tuple[float, float],
        points: int,
    ) -> Gradients:  # fmt: skip
        columns = {column: 0.0 for names in self.blocks.values() for column in names}
        maps, under = {}, {}
        for leaf in self.leaves:
            effects, names = sums[leaf.name], self.blocks[leaf.block]
            if leaf.owners is not None:
                for place, column in enumerate(names):
                    columns[column] += float(effects.reshape(-1)[leaf.owners == place].sum())
                continue
            columns[names[0]] += float(effects.sum())
            own = encoded[f"contender/{leaf.block}"][0]
            if effects.shape == own.shape:
                maps[names[0]] = effects.sum(axis=-1) if effects.ndim > 1 else effects
                under[names[0]] = own
        return Gradients(
            columns=columns, maps=maps, encoded=under, ends=ends, points=points, least=self.least
        )  # fmt: skip


def _first_floats(network: Interpreter, values: Mapping[str, Tensor], name: str) -> list[str]:
    """The first values with gradients that are computed from one that the network reads, but those of yes and no."""
    import torch

    if values[name].is_floating_point():
        return [name]
    whole, found = {name}, []
    for _, inputs, outputs, _ in network.nodes:
        if not whole & set(inputs):
            continue
        for output in outputs:
            value = values[output]
            if value.is_floating_point():
                found.append(output)
            elif value.dtype is not torch.bool:
                whole.add(output)
    return found


def _before_mixing(network: Interpreter, values: Mapping[str, Tensor], name: str) -> list[str]:
    """The values in which columns of a table lie apart for the last time: numbers by quantile bins, embeddings.

    A path through the numbers themselves would cross bins as narrow as one value, where quadrature sees no slope.
    """
    apart, found = {name}, dict[str, None]()
    for kind, inputs, outputs, _ in network.nodes:
        own = apart & set(inputs)
        if own and kind in MIXING:
            found |= {each: None for each in inputs if each in own and values[each].is_floating_point()}
        elif own:
            apart |= set(outputs)
    return list(found)


def _is_embedding(network: Interpreter, name: str) -> bool:
    """Whether a value is looked up in a table of weights."""
    return any(name in outputs and kind == "Gather" for kind, _, outputs, _ in network.nodes)


def _margin(model: Model, raw: Tensor, output: int) -> Tensor:
    """Of raw outputs [n, outputs]: log odds of a class against all others, of a label, or the value."""
    import torch

    own = raw[:, output if raw.shape[1] > 1 else 0]
    if not model.task.one_class:
        return own
    if raw.shape[1] == 1:
        return own if output else -own
    others = [i for i in range(raw.shape[1]) if i != output]
    return own - torch.logsumexp(raw[:, others], dim=1)
