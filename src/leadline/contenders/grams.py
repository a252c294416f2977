"""n-grams as columns of a linear model: counted, weighed, and the same arithmetic as a graph.

Enters: a text tensor of the store (numbers of characters), which the kind's own graph cuts into numbers of n-grams, in
groups: words, characters. Leaves: a sparse matrix, a column a gram, those of the most rows first. A gram is weighed by
1 + log of its count in the row, times its inverse document frequency, and a row by the norm of each group (sublinear
TF-IDF, as scikit-learn's TfidfVectorizer has it).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.tensors import Tensors
from leadline.graph.runtime import Session

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from leadline.graph.builder import Graph

MOST_PLACES = 1 << 18  # characters that are cut at once: a hundred bytes for each
NORM = np.float32(1e-6)  # added to the norm of a row without grams


class Cutter:
    """Cuts a text tensor into n-grams, as a store's graph says."""

    def __init__(self, store: Tensors, name: str) -> None:
        self.name, self.form = name, name.rpartition(".")[2]
        self.buckets = int(store.block(name.split(".")[0]).settings["buckets"])  # type: ignore[arg-type]
        self.graph = store.graph(f"{name}.cut")
        self.session = Session(self.graph)

    @property
    def groups(self) -> list[str]:
        return self.session.outputs

    def __call__(self, store: Tensors, rows: np.ndarray) -> dict[str, csr_matrix]:
        """{group: counts float32 [rows, buckets]}."""
        from scipy import sparse

        tensor = store.tensor(self.name)
        step = max(1, MOST_PLACES // tensor.shape[1])
        parts: dict[str, list[csr_matrix]] = {group: [] for group in self.groups}
        for start in range(0, len(rows), step):
            numbers = self.session({self.form: tensor[rows[start : start + step]]})
            for group, found in numbers.items():
                parts[group].append(_counted(found, self.buckets))
        empty = sparse.csr_matrix((0, self.buckets), dtype=np.float32)
        return {group: sparse.vstack([empty, *held], format="csr") for group, held in parts.items()}


def _counted(numbers: np.ndarray, buckets: int) -> csr_matrix:
    """Gram numbers [n, K], 0 for none -> how often a row holds each: float32 [n, buckets], rising columns."""
    from scipy import sparse

    ordered = np.sort(np.pad(numbers, ((0, 0), (1, 0))), axis=1)  # one 0 a row at least
    new = np.ones(ordered.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    at = np.flatnonzero(new)
    grams, counts = ordered.ravel()[at], np.diff(at, append=ordered.size)
    pointers = np.concatenate([[0], np.cumsum(new.sum(axis=1) - 1)])
    real = grams > 0
    return sparse.csr_matrix((counts[real].astype(np.float32), grams[real], pointers), (len(numbers), buckets))


@dataclass(frozen=True, kw_only=True)
class Group:
    """Columns of one group: the grams' numbers, rising, and their inverse document frequencies float32."""

    grams: np.ndarray
    idf: np.ndarray
    buckets: int  # above every number

    @classmethod
    def of(cls, counts: csr_matrix, most: int) -> Group:
        """The grams of train rows, or the commonest, at most so many: all that as many rows hold, or none of these."""
        rows, seen = counts.shape[0], np.bincount(counts.indices, minlength=counts.shape[1])
        least = 1
        if int((seen >= 1).sum()) > most:
            least = int(np.partition(seen, -most - 1)[-most - 1]) + 1
        grams = np.flatnonzero(seen >= least)
        idf = (np.log((1 + rows) / (1 + seen[grams])) + 1).astype(np.float32)
        return cls(grams=grams, idf=idf, buckets=counts.shape[1])

    @cached_property
    def _columns(self) -> np.ndarray:
        """The column of each number, int32, -1 of one that is no column. To fill it takes longer than a row does."""
        columns = np.full(self.buckets, -1, np.int32)
        columns[self.grams] = np.arange(len(self.grams), dtype=np.int32)
        return columns

    def weighed(self, counts: csr_matrix) -> csr_matrix:
        """[n, columns]: rows of norm 1, or of nothing."""
        from scipy import sparse

        columns = self._columns[counts.indices]
        real = columns >= 0
        pointers = np.concatenate([[0], np.cumsum(real)])[counts.indptr]
        columns = columns[real]
        values = (1 + np.log(counts.data[real])) * self.idf[columns]
        made = sparse.csr_matrix((values, columns, pointers), (counts.shape[0], len(self.grams)))
        norms = np.sqrt(np.asarray(made.multiply(made).sum(axis=1), np.float32)).ravel() + NORM
        made.data /= np.repeat(norms, np.diff(pointers))
        return made

    def score(self, g: Graph, numbers: str, weights: np.ndarray) -> str:
        """`weighed` times weights [columns, outputs], in a graph: gram numbers [N, K] -> float32 [N, outputs]."""
        one, zero = g.const(np.array([1], np.int64)), g.const(np.float32(0))
        width = g.op("Shape", numbers, start=1, end=2)
        column = g.look(
            g.op("Cast", numbers, to=7),
            self.grams.astype(np.int64),
            np.arange(1, len(self.grams) + 1, dtype=np.float32),
            0.0,
        )
        # A batch without a gram still has a place: nothing is sorted where there is nothing.
        column = g.op("Pad", column, g.const(np.array([0, 0, 0, 1], np.int64)), zero)
        ordered, _ = g.op("TopK", column, g.op("Add", width, one), axis=1, outputs=2)
        before = g.op("Pad", ordered, g.const(np.array([0, 1, 0, -1], np.int64)), g.const(np.float32(-1)))
        new = g.op("Cast", g.op("Not", g.op("Equal", ordered, before)), to=7)
        run = g.op("Sub", g.op("CumSum", new, g.const(np.int64(1))), one)
        most = g.op("Reshape", g.op("ReduceMax", run, keepdims=0), one)
        shape = g.op("Concat", g.op("Shape", numbers, start=0, end=1), g.op("Add", most, one), axis=0)
        empty = g.op("Expand", zero, shape)
        held = g.op("ScatterElements", empty, run, ordered, axis=1, reduction="max")
        ones = g.op("Expand", g.const(np.float32(1)), g.op("Shape", ordered))
        count = g.op("ScatterElements", empty, run, ones, axis=1, reduction="add")
        place = g.op("Cast", held, to=7)
        idf = g.op("Gather", g.const(np.concatenate([[0], self.idf]).astype(np.float32)), place)
        often = g.op("Log", g.op("Max", count, g.const(np.float32(1))))
        value = g.op("Mul", g.op("Add", often, g.const(np.float32(1))), idf)
        norm = g.op("Sqrt", g.op("ReduceSum", g.op("Mul", value, value), one, keepdims=1))
        wide = np.concatenate([np.zeros((1, weights.shape[1]), np.float32), weights])
        rows = g.op("Gather", g.const(wide), place)  # [N, grams, outputs]
        summed = g.op("Squeeze", g.op("MatMul", g.op("Unsqueeze", value, one), rows), one)
        return str(g.op("Div", summed, g.op("Add", norm, g.const(NORM))))


def cut_graph(g: Graph, model: bytes, x: str, form: str, prefix: str) -> dict[str, Any]:
    """{group: gram numbers} of a text tensor, in a graph."""
    import onnx

    return g.add(onnx.load_from_string(model), {form: x}, prefix)
