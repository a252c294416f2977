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

__all__ = [
    "Feature",
    "Form",
    "Place",
    "Price",
    "Printable",
    "PrintedModel",
    "Reading",
    "Slope",
    "Table",
    "TreeNode",
    "place",
    "reading",
]

# raw itself; 1 / (1 + exp(-raw)) of each output, by itself; or the shares of exp(raw)
Link = Literal["identity", "logistic", "softmax"]
Form = Literal["plain", "flag", "count", "year", "date"]  # how a number is meant: 1 or 0, or days since 1970
OF_LISTS: tuple[Form, ...] = ("flag", "count")  # a missing list is an empty one: they are 0, never missing
CODED = 2  # the code of the first value of a category that has a name: 0 is a missing one, 1 any other


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of the matrix that contenders read, in units of the user: (value - centre) / spread was encoded.

    Of a category `names` are its values by their code, from `CODED` on; code 0 is a missing one, 1 any other.
    """

    column: str
    part: str = ""  # of the column's value: 'year', 'holds'
    word: str = ""  # that 'holds' is about
    form: Form = "plain"
    centre: float = 0.0
    spread: float = 1.0
    names: tuple[str, ...] | None = None

    @property
    def codes(self) -> int:
        """How many there are; 0 of a number."""
        return 0 if self.names is None else CODED + len(self.names)

    @property
    def of_list(self) -> bool:
        """Whether it is 0 where the value is missing."""
        return self.form in OF_LISTS


class Reading(TypedDict):
    """What is read of a column."""

    column: str
    part: Annotated[str, "of the column's value, such as 'year'; empty: the value itself"]
    word: Annotated[str, "of the part 'holds': the value is 1 where it is among the words, else 0"]
    form: Annotated[Form, "of the number: any; 1 or 0, or a count, 0 if the list is missing; a year; days since 1970"]


class Slope(Reading):
    """A weight times the value of a column. A missing value counts as `missing`."""

    weights: Annotated[list[float], "a unit of the column, by output"]
    low: Annotated[list[float] | None, "of the 95% intervals; null where terms are too many, or do not vary"]
    high: list[float] | None
    missing: float
    least: Annotated[float, "values below count as this"]
    most: Annotated[float, "values above count as this"]
    size: Annotated[float, "standard deviation of the term over the rows that the model learned from"]


class Place(Reading):
    """How a column's value is looked up in a table.

    Place 0 is for missing values. By `names`, place 2 is for the first of them, and place 1 for any value that is not
    named. By `edges`, place 1 is for values under the first of them, and each edge that is not above a value adds one.
    Without either, place 1 is for all values that are not missing.
    """

    names: list[str]
    edges: list[float]
    rows: Annotated[list[int], "that the model learned from, by place"]


class Table(TypedDict):
    """A value by the place of one column, or of two.

    In a linear model the weights of a category have the mean zero over the rows that it learned from, and their
    intervals are of the difference from this mean.
    """

    axes: list[Place]
    weights: Annotated[list[object], "by place of each axis, then by output"]
    low: Annotated[list[object] | None, "of the 95% intervals; null where none was computed"]
    high: list[object] | None
    size: Annotated[float, "standard deviation of the term over the rows that the model learned from"]


class TreeNode(TypedDict):
    """A split, or a leaf: that has `values`."""

    rows: Annotated[int, "train rows that come here"]
    values: Annotated[list[float] | None, "of a leaf: raw values by output"]
    column: NotRequired[str]
    part: Annotated[NotRequired[str], "as in Place"]
    word: NotRequired[str]
    form: NotRequired[Form]
    most: Annotated[NotRequired[float | None], "rows go left whose value is not above this; null: by what follows"]
    names: Annotated[NotRequired[list[str]], "rows go left whose value is one of these"]
    others: Annotated[NotRequired[list[str]], "rows go right whose value is one of these"]
    missing_left: Annotated[NotRequired[bool], "whether rows go left whose value is missing"]
    other_left: Annotated[NotRequired[bool], "where `most` is null: whether rows with any other value go left"]
    left: NotRequired[TreeNode]
    right: NotRequired[TreeNode]


class Price(TypedDict):
    """What it costs in quality that the model can be read, on the test rows."""

    against: Annotated[str, "the best contender by valid rows that is not interpretable"]
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


def place(feature: Feature, rows: Iterable[int], edges: Iterable[float] = ()) -> Place:
    """How a feature is looked up; `rows` are those of each place, and `edges` are as it is encoded.

    >>> found = place(Feature(column="size", centre=50.0, spread=10.0), [1, 7, 8], edges=[0.5])
    >>> found["edges"], found["names"], place(Feature(column="job", names=("missing",)), [3, 0, 7])["names"]
    ([55.0], [], ['missing'])
    """
    made = [feature.centre + feature.spread * float(edge) for edge in edges]
    return {**reading(feature), "names": list(feature.names or ()), "edges": made, "rows": [int(n) for n in rows]}


def reading(feature: Feature) -> Reading:
    """What a term reads of its column."""
    return {"column": feature.column, "part": feature.part, "word": feature.word, "form": feature.form}


def plain(array: np.ndarray) -> list[object]:
    """An array as lists of floats."""
    return list(np.asarray(array, np.float64).tolist())
