"""A model that a person can read, printed: every number that is needed to compute its answers by hand.

Units are those of the user's table. A sum adds one term a column, or a pair of them, to the intercept; a tree gives the
values of the leaf that a row comes to. `link` makes answers of these raw values, and `knots`, where there are any,
calibrate the probabilities. The names are those of printed_model.json in a run folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal, NotRequired, Protocol, TypedDict, runtime_checkable

import numpy as np

from leadline.core.tensors import Tensors

__all__ = ["Feature", "Place", "Price", "Printable", "PrintedModel", "Slope", "Table", "TreeNode", "place"]

# raw itself; 1 / (1 + exp(-raw)) of each output, by itself; or the shares of exp(raw)
Link = Literal["identity", "logistic", "softmax"]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of the matrix that contenders read, in units of the user: (value - centre) / spread was encoded.

    Of a category `names` are its values by their code: the first is a missing one, the second any other value.
    """

    column: str
    part: str = ""  # of the column's value: 'year', "has 'red'"
    centre: float = 0.0
    spread: float = 1.0
    names: tuple[str, ...] = ()


class Slope(TypedDict):
    """A weight times the value of a column. A missing value counts as `missing`."""

    column: str
    part: Annotated[str, "of the column's value; empty: the value itself"]
    weights: Annotated[list[float], "a unit of the column, by output"]
    low: Annotated[list[float] | None, "of the 95% intervals; null where terms are too many, or do not vary"]
    high: list[float] | None
    missing: float
    least: Annotated[float, "values below count as this"]
    most: Annotated[float, "values above count as this"]
    size: Annotated[float, "standard deviation of the term over the train rows"]


class Place(TypedDict):
    """How a column's value is looked up in a table: by name, or by the number of edges that are not above it.

    Place 0 is for missing values. By names, place 1 is for any that is not named; by edges, for values under the first.
    """

    column: str
    part: str
    names: list[str]
    edges: list[float]


class Table(TypedDict):
    """A value by the place of one column, or of two."""

    axes: list[Place]
    weights: Annotated[list[object], "by place of each axis, then by output"]
    low: Annotated[list[object] | None, "of the 95% intervals; null where none was computed"]
    high: list[object] | None
    size: Annotated[float, "standard deviation of the term over the train rows"]


class TreeNode(TypedDict):
    """A split, or a leaf: that has `values`."""

    rows: Annotated[int, "train rows that come here"]
    values: Annotated[list[float] | None, "of a leaf: raw values by output"]
    column: NotRequired[str]
    part: NotRequired[str]
    most: Annotated[NotRequired[float | None], "rows go left whose value is not above this; null: by `names`"]
    names: Annotated[NotRequired[list[str]], "rows go left whose value is one of these; none: whose number is known"]
    others: Annotated[NotRequired[list[str]], "and right, whose value is one of these; 'any other value' is any else"]
    missing_left: Annotated[NotRequired[bool], "whether missing numbers go left"]
    left: NotRequired[TreeNode]
    right: NotRequired[TreeNode]


class Price(TypedDict):
    """What it costs in quality that the model can be read, on the test rows."""

    against: Annotated[str, "the best contender by valid rows that nobody can read"]
    metric: str
    gap: Annotated[float, "by which that one is better"]
    low: Annotated[float, "of the 95% interval"]
    high: float
    score: Annotated[float, "of the model that is printed"]
    other: Annotated[float, "of the other one"]


class PrintedModel(TypedDict):
    """printed_model.json of a run folder."""

    contender: str
    outputs: Annotated[list[str], "classes or labels, or the target: of each raw value"]
    link: Annotated[Link, "from raw values to answers"]
    intercept: list[float]
    slopes: list[Slope]
    tables: list[Table]
    root: Annotated[TreeNode | None, "of a tree"]
    temperature: Annotated[list[float], "by which raw values were divided already, to calibrate them"]
    knots: Annotated[
        list[tuple[float, float]] | None, "of a line that maps probabilities, which are then scaled to a sum of 1"
    ]
    price: Price | None


@runtime_checkable
class Printable(Protocol):
    """A trained contender that a person can read."""

    def printed(self, store: Tensors) -> PrintedModel | None:
        """Every number of the model; None where a column is of a kind that cannot be read, such as a picture."""


def place(feature: Feature, edges: Iterable[float] = ()) -> Place:
    """How a feature is looked up; `edges` are as it is encoded. A number without edges is missing, or it is not.

    >>> place(Feature(column="size", centre=50.0, spread=10.0), [0.5])["edges"], place(Feature(column="size"))["names"]
    ([55.0], ['missing', 'any number'])
    """
    made = [feature.centre + feature.spread * float(edge) for edge in edges]
    names = feature.names if feature.names or made else ("missing", "any number")
    return {"column": feature.column, "part": feature.part, "names": list(names), "edges": made}


def plain(array: np.ndarray) -> list[object]:
    """An array as lists of floats."""
    return list(np.asarray(array, np.float64).tolist())
