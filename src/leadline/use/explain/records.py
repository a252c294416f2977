"""What an explanation holds: plain frozen records, with `as_dict` for programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Any

import numpy as np

from leadline.core.parts import Layout

LEVEL = 0.95  # of every interval
FEW = 8  # rows, of which a check that does not succeed says nothing
COUNTS = 0.1  # of the strongest column: from there on the parts of a column are shown in full


class Method(StrEnum):
    """How effects were computed."""

    OCCLUSION = auto()
    SHAPLEY = auto()  # sampled
    EXACT_SHAPLEY = auto()  # of all sets of columns
    TREE_SHAP = auto()  # exact
    ADDITIVE = auto()  # exact: the margin is a sum of one term a column
    BANZHAF = auto()
    GRADIENTS = auto()  # integrated along a path


class Margin(StrEnum):
    """What effects of columns add up to."""

    LOG_ODDS = auto()  # of the class or label, against all others
    VALUE = auto()  # in the unit of the target
    UNCALIBRATED = auto()  # log odds before calibration
    CENTRED = auto()  # the score of the class before softmax and calibration, less the mean over all classes


class Loss(StrEnum):
    """By what the importance of a column is measured, where its values are permuted."""

    LOG_LOSS = auto()
    ABSOLUTE_ERROR = auto()
    CHANGE = auto()  # of the margin: no labels are known


@dataclass(frozen=True)
class Mean:
    """A mean over rows with its 95% interval (Student's t); `p` is one-sided, that the mean is not above zero."""

    value: float
    low: float
    high: float
    p: float
    rows: int

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> Mean:
        """The mean of one value a row; of one row alone the interval has no ends."""
        from scipy.special import stdtr, stdtrit

        array = np.asarray(values, np.float64)
        mean, n = float(array.mean()), len(array)
        if n < 2:
            return cls(mean, -np.inf, np.inf, 1.0, n)
        error = float(array.std(ddof=1)) / np.sqrt(n)
        half = float(stdtrit(n - 1, 0.5 + LEVEL / 2)) * error
        p = float(stdtr(n - 1, -mean / error)) if error > 0 else (0.0 if mean > 0 else 1.0)
        return cls(mean, float(mean - half), float(mean + half), p, n)


@dataclass(frozen=True, kw_only=True)
class ColumnEffect:
    """What one column adds to the margin of a row. `columns` are several where the least important are taken together.

    `low` and `high`: 95% interval of a sampled effect. `occlusion`: by how much the margin falls, where the values of
    other rows stand in the column's place.
    """

    columns: tuple[str, ...]
    value: str
    effect: float
    low: float | None
    high: float | None
    occlusion: float

    @property
    def name(self) -> str:
        """The column, or how many there are."""
        return self.columns[0] if len(self.columns) == 1 else f"{len(self.columns):,} other columns"


@dataclass(frozen=True, kw_only=True)
class PartEffects:
    """By how much the margin of a row falls without each part of one column's value."""

    column: str
    kind: str
    layout: Layout
    names: tuple[str, ...]
    shape: tuple[int, ...]
    edges: tuple[float, ...]
    effects: np.ndarray  # float64 [parts]
    method: Method = Method.OCCLUSION
    value: Any = dataclasses.field(repr=False)  # decoded
    settings: Mapping[str, Any] = dataclasses.field(repr=False)  # by which it was decoded

    @property
    def changes(self) -> bool:
        """Whether any part changes the answer."""
        return bool(self.effects.any())

    def strongest(self, count: int) -> list[tuple[str, float]]:
        """The parts of most effect, either way."""
        order = np.argsort(-np.abs(self.effects), kind="stable")[:count]
        return [(self.names[place], float(self.effects[place])) for place in order]


@dataclass(frozen=True, kw_only=True)
class PathEffects:
    """Integrated gradients of a row: effects of columns on the margin before calibration, from a row without content.

    `error` is how far they are from adding up to the `change` of that margin, as a share of it, or of 0.1 log odds (of
    values: of 0.1 standard deviations of the answers) where it is smaller.
    """

    columns: Mapping[str, float]
    change: float
    error: float
    points: int  # at which gradients were computed


@dataclass(frozen=True, kw_only=True)
class RowExplanation:
    """One row. `answer` is the probability of `output`, or the value; `margin` is what `Explanation.margin` says.

    The effects of all columns add up to `margin` less `base`, the mean margin of the rows it is compared with.
    """

    row: int  # from 0
    source_row: int | None  # the same row in the source, from 0, where `row` counts the test rows of a run
    output: str | None  # class or label that is explained, the most probable one; None: the value
    predicted: str | None  # class, or labels joined by '|': '' where none is probable enough
    truth: str | None
    right: bool | None  # whether what is predicted is true; None: a value, or not known
    answer: float
    margin: float
    base: float
    columns: tuple[ColumnEffect, ...]  # the strongest first
    parts: tuple[PartEffects, ...]
    text: str | None = None
    path: PathEffects | None = None

    def weight(self, column: str) -> float:
        """How much a column counts beside the one that counts most: 1 from a tenth of it on, less below.

        The parts of a column are shown by so much: the strongest word of a text that changes nothing is no strong word.
        """
        counts = {name: max(abs(each.effect), abs(each.occlusion)) for each in self.columns for name in each.columns}
        most = max(counts.values(), default=0.0)
        return min(1.0, counts.get(column, most) / (COUNTS * most)) if most > 0 else 1.0


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Answers while players are removed (deletion) or added (insertion), the strongest first, and in random order.

    `gap` is the area between the two curves, above zero where the explanation is better than random.
    """

    of: str  # a column, or '' for the columns of a table
    layout: Layout | None
    deletion: bool
    shares: tuple[float, ...]
    own: tuple[float, ...]
    random: tuple[float, ...]
    gap: Mean

    @property
    def better(self) -> bool:
        """Whether the interval of the gap lies above zero."""
        return bool(self.gap.rows > 1 and self.gap.low > 0)

    @property
    def few(self) -> bool:
        """Whether the rows are too few to show that it does not."""
        return not self.better and self.gap.rows < FEW


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The mean rank correlation of two methods over rows."""

    of: str
    layout: Layout | None
    methods: tuple[Method, Method]
    correlation: Mean


@dataclass(frozen=True, kw_only=True)
class Importance:
    """By how much the loss rises where a column's values are permuted among rows."""

    column: str
    increase: Mean


@dataclass(frozen=True, kw_only=True)
class Dependence:
    """The mean margin where one column has each of some values: partial dependence, and accumulated local effects."""

    column: str
    values: tuple[float, ...]
    partial: tuple[float, ...]
    accumulated: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One unit of a layer, and the rows that excite it most, the strongest first."""

    number: int
    activations: tuple[float, ...]
    rows: tuple[int, ...]  # from 0
    values: tuple[Mapping[str, Any], ...] = dataclasses.field(repr=False)  # decoded, of these rows
    written: tuple[Mapping[str, str], ...] = dataclasses.field(repr=False)  # the same in a line each


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer: how well a linear model on its outputs predicts the target on held-out rows.

    The interval of a share is Wilson's.
    """

    name: str
    shape: tuple[int, ...]
    probe: Mean
    units: tuple[Unit, ...]


@dataclass(frozen=True, kw_only=True)
class Map:
    """Rows in two dimensions, float64 [n, 2]: on principal axes, with their shares of variance, or by UMAP (None)."""

    points: np.ndarray
    shares: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Depth:
    """What the layers of a network have learned.

    Attributes:
        learned, held: rows by which the probes were fitted and measured.
        score: of the probes: 'accuracy', 'label accuracy' or 'r2'.
        filters: of the first convolution, float32 [filters, channels, height, width]; None: it does not see colours.
        map: of the held-out rows by the last layer.
        classes: of each point; empty where answers are values.
    """

    learned: int
    held: int
    score: str
    layers: tuple[Layer, ...]
    filters: np.ndarray | None
    map: Map
    classes: tuple[str, ...]
    called: str  # what a held-out row is, as of an `Explanation`
    inputs: Mapping[str, tuple[str, Mapping[str, Any]]] = dataclasses.field(repr=False)  # kind, and how it is decoded


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a file answers rows of a source as it does, and how far that can be trusted."""

    model: str
    contender: str
    task: str
    target: str | None
    numeric: bool
    source: str
    called: str  # what a row is: a row of the source, or a test row of a run
    total: int
    compared: int  # rows from which values were taken, and by which the model as a whole is explained
    method: Method  # of column effects
    margin: Margin  # what they are effects on; those of parts are on log odds, or values
    against: int  # rows with which every explained one is compared by these effects
    replaced: int  # rows whose values stand in the place of a column that is removed: by occlusion, and in curves
    additive_error: float | None  # of exact terms and trees: how far their sums are from the margins, at most
    rounding: float | None  # the same, from the sums that the file makes in float32
    output: str | None  # of which class the dependences are; None: the value
    loss: Loss
    rows: tuple[RowExplanation, ...]
    importances: tuple[Importance, ...]
    dependences: tuple[Dependence, ...]
    curves: tuple[Curve, ...]
    agreements: tuple[Agreement, ...]
    answered: int  # rows that the file answered for all this
    depth: Depth | None = None

    def as_dict(self) -> dict[str, Any]:
        """Everything but decoded values, for JSON; rows count from 1, as on the command line."""
        found = _plain(self)
        assert isinstance(found, dict)
        for row in found["rows"]:
            row["row"] += 1
            if row["source_row"] is not None:
                row["source_row"] += 1
        return found


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field for field in dataclasses.fields(value) if field.repr)
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, np.ndarray):
        return [_plain(each) for each in value.tolist()]
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value
