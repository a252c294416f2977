"""The design matrix of linear models, and the same arithmetic as a graph.

Enters: tensors of the store. Leaves: dense columns scaled, one column a category value, one column an n-gram.

n-grams are cut and weighed by `grams.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.features import Layout
from leadline.contenders.grams import Cutter, Group, cut_graph
from leadline.core.kind import View
from leadline.core.tensors import Tensors

if TYPE_CHECKING:
    from leadline.graph.builder import Graph

MOST_GRAMS, FEWEST_GRAMS = 1 << 17, 1_000  # columns of a group of n-grams at most, however many classes there are
REACH = 10.0  # deviations from the mean, beyond which numbers count as no further
MOST_WEIGHTS = 1 << 21  # of all groups: the search of a fit holds twenty such float64


class Design:
    """The design matrix: dense columns scaled, then one column a category value, then one an n-gram."""

    def __init__(
        self, store: Tensors, plan: Layout, train: np.ndarray, outputs: int = 1,
        cutters: Mapping[str, Cutter] | None = None,
    ) -> None:  # fmt: skip
        """
        Args:
            outputs: columns of weights that each column gets; the more, the fewer n-grams.
            cutters: of some text tensors, by name (default: a new one each).
        """
        self.plan = plan
        self.mean: dict[str, np.ndarray] = {}
        self.deviation: dict[str, np.ndarray] = {}
        self.groups: dict[str, dict[str, Group]] = {}
        self.cutters: dict[str, Cutter] = {}
        self._counted: tuple[np.ndarray, dict[str, Any]] = (train, {})  # what train rows hold, until it is read
        wide = {form: sum(w for w, f in zip(plan.widths, plan.forms, strict=True) if f == form) for form in plan.forms}
        one_hot = sum(sum(sizes) for sizes, form in zip(plan.sizes, plan.forms, strict=True) if form == View.CODES)
        half = one_hot <= wide.get(View.DENSE, 0)  # half of the values or more are not zero
        self._dense = half and View.GRAMS not in wide
        most = MOST_WEIGHTS // max(1, outputs * 2 * plan.forms.count(View.GRAMS))
        for name, form in zip(plan.tensors, plan.forms, strict=True):
            if form == View.DENSE:
                self._scale(name, store.tensor(name)[train].astype(np.float32))
            elif form == View.GRAMS:
                self.cutters[name] = (cutters or {}).get(name) or Cutter(store, name)
                counts = self._counted[1][name] = self.cutters[name](store, train)
                self.groups[name] = {
                    group: Group.of(found, min(MOST_GRAMS, max(FEWEST_GRAMS, most))) for group, found in counts.items()
                }

    def _scale(self, name: str, x: np.ndarray) -> None:
        count = np.isfinite(x).sum(axis=0)
        self.mean[name] = np.where(count, np.nansum(x, axis=0, dtype=np.float64) / np.maximum(count, 1), 0.0)
        spread = np.nansum((x - self.mean[name].astype(np.float32)) ** 2, axis=0, dtype=np.float64)
        self.deviation[name] = np.sqrt(spread / np.maximum(count, 1)) + 1e-6

    def __call__(self, store: Tensors, rows: np.ndarray) -> Any:
        """float32 [n, columns], sparse where most of the values are zero."""
        from scipy import sparse

        parts: list[Any] = []
        for name, form, sizes in zip(self.plan.tensors, self.plan.forms, self.plan.sizes, strict=True):
            if form == View.GRAMS:
                parts += self._grams(store, name, rows)
                continue
            x = store.tensor(name)[rows]
            if form == View.DENSE:
                scaled = (x.astype(np.float32) - self.mean[name]) / self.deviation[name]
                parts.append(np.nan_to_num(scaled, nan=0.0).clip(-REACH, REACH).astype(np.float32))
            else:
                columns = x + np.cumsum([0, *sizes[:-1]])
                parts.append(_rows_of(columns, np.ones(columns.shape, np.float32), sum(sizes)))
        if self._dense:
            return np.concatenate([p if isinstance(p, np.ndarray) else p.toarray() for p in parts], axis=1)
        return sparse.hstack([sparse.csr_matrix(part) for part in parts], format="csr", dtype=np.float32)

    def _grams(self, store: Tensors, name: str, rows: np.ndarray) -> list[Any]:
        counts = self._counted[1].pop(name, None) if rows is self._counted[0] else None
        counts = self.cutters[name](store, rows) if counts is None else counts
        return [group.weighed(counts.pop(key)) for key, group in self.groups[name].items()]

    def width(self, name: str) -> int:
        """Columns of the matrix that a tensor gives."""
        place = self.plan.tensors.index(name)
        form, sizes = self.plan.forms[place], self.plan.sizes[place]
        if form == View.GRAMS:
            return sum(len(group.grams) for group in self.groups[name].values())
        return self.plan.widths[place] if form == View.DENSE else sum(sizes)

    def are_grams(self) -> np.ndarray:
        """bool [columns]: those that count n-grams of a text."""
        forms = zip(self.plan.tensors, self.plan.forms, strict=True)
        return np.concatenate([np.full(self.width(name), form == View.GRAMS) for name, form in forms])

    def learned(self) -> list[np.ndarray]:
        """Every array that was learned from the rows."""
        tables = [
            part for groups in self.groups.values() for group in groups.values() for part in (group.grams, group.idf)
        ]
        return [*self.mean.values(), *self.deviation.values(), *tables]

    @property
    def text(self) -> bool:
        """Whether some columns count n-grams of a text."""
        return View.GRAMS in self.plan.forms

    def add(self, g: Graph, total: str, weights: np.ndarray) -> str:
        """The matrix times its weights [columns, outputs], added to float32 [N, outputs], in a graph."""
        plan, low = self.plan, 0
        for name, width, dtype in zip(plan.tensors, plan.widths, plan.dtypes, strict=True):
            high = low + self.width(name)
            x = g.input(name, dtype, ["N", width])
            total, low = g.op("Add", total, self.score(g, name, x, weights[low:high])), high
        return total

    def score(self, g: Graph, name: str, x: str, weights: np.ndarray) -> str:
        """A tensor's part of the matrix times its weights [columns, outputs], in a graph: float32 [N, outputs]."""
        place = self.plan.tensors.index(name)
        form, sizes = self.plan.forms[place], self.plan.sizes[place]
        if form == View.DENSE:
            return scaled(g, x, self.mean[name], self.deviation[name], weights)
        if form == View.CODES:
            offsets = np.cumsum([0, *sizes[:-1]]).astype(np.int64)
            columns = g.op("Add", g.op("Cast", x, to=7), g.const(offsets))
            return _sum(g, g.op("Gather", g.const(weights), columns))
        numbers = cut_graph(g, self.cutters[name].graph, x, form, f"cut.{name}")
        total, low = g.const(np.zeros((1, weights.shape[1]), np.float32)), 0
        for key, group in self.groups[name].items():
            part = group.score(g, numbers[key], weights[low : low + len(group.grams)])
            total, low = g.op("Add", total, part), low + len(group.grams)
        return str(total)


def _rows_of(columns: np.ndarray, weights: np.ndarray, width: int) -> Any:
    from scipy import sparse

    pointers = np.arange(0, columns.size + 1, columns.shape[1])
    made = sparse.csr_matrix((weights.ravel(), columns.ravel(), pointers), shape=(len(columns), width))
    made.sum_duplicates()
    made.eliminate_zeros()
    return made


def _sum(g: Any, x: str) -> str:
    return str(g.op("ReduceSum", x, g.const(np.array([1], np.int64)), keepdims=0))


def scaled(g: Any, x: str, mean: np.ndarray, deviation: np.ndarray, weights: np.ndarray) -> str:
    """Numbers [N, columns] of any type, scaled and clipped, times their weights, in a graph."""
    x = g.op("Cast", x, to=1)
    x = g.op("Div", g.op("Sub", x, g.const(mean.astype(np.float32))), g.const(deviation.astype(np.float32)))
    x = g.op("Where", g.op("IsNaN", x), g.const(np.float32(0)), x)
    x = g.op("Clip", x, g.const(np.float32(-REACH)), g.const(np.float32(REACH)))
    return str(g.op("MatMul", x, g.const(weights)))
