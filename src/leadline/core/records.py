"""What is written for programs to read: result.json of a run, contract and certificate in the metadata of a model.onnx.

The names of a record end with the version of its schema. A key may be added to a version; one that is taken away,
renamed or typed in another way makes a new version. `make schemas` writes them to docs/schemas as JSON Schema. A
result of an earlier version is brought up to date when it is opened (`results/upgrade.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Annotated, Literal, NotRequired, TypedDict

__all__ = ["CONTRACT_VERSIONS", "RESULT_VERSION", "Certificate", "Contract", "ResultV2", "Verdict", "Within"]

Answer = Literal["deep", "classical", "tie", "unsure"]
Scope = Literal["model", "method"]  # these trained contenders, or the method over seeds or folds
Unit = Literal["rows", "seeds", "folds"]  # that a verdict is on
EndingCode = Literal[
    "stopped", "conclusive", "repeats", "one_repeat", "passes", "used", "late", "one_family", "no_room"
]

RESULT_VERSION = 2
CONTRACT_VERSIONS = (1, 2)  # that can be read; graph/digest.py says which is written


class Rows(TypedDict):
    """Rows of each part of the split."""

    train: int
    valid: int
    calib: int
    test: int


class Evaluations(TypedDict):
    """How often labels of test rows were handed out for scores."""

    sets: Annotated[int, "distinct sets of test rows"]
    most: Annotated[int, "evaluations of the set that was evaluated most"]
    rows: Annotated[int, "rows that were evaluated at least once"]
    most_a_row: Annotated[int, "evaluations of the row that was evaluated most"]


class Machine(TypedDict):
    """Where the run took place."""

    processor: str
    cores: int
    memory_gb: float | None
    system: str


class ColumnResult(TypedDict):
    """One column of the table."""

    name: str
    kind: str
    role: str
    missing: Annotated[float, "share of its values"]
    unique: Annotated[int | None, "distinct values; null where they were not counted"]
    note: str | None
    estimated: Annotated[bool, "whether `unique` is an estimate"]


class BodyResult(TypedDict):
    """A pretrained body, and how it was run."""

    block: str
    name: str
    package: Annotated[str, "that carries the weights; empty for a folder of the user's"]
    licence: Annotated[str, "of the weights"]
    source: str
    paper: str
    digest: Annotated[str, "BLAKE2b-128 of the files of the weights, hex"]
    layers: Annotated[NotRequired[dict[str, int]], "name of each layer, in order: how many of the states are its"]
    precision: Annotated[str, "float32 or int8"]
    rows_per_s: Annotated[dict[str, float], "by precision, on all threads of the contender"]


class ProbeResult(TypedDict):
    """A linear model on some columns."""

    name: str
    score: Annotated[float, "on the valid rows"]


class TransferResult(TypedDict):
    """What a pretrained body brings, on the valid rows of the first repeat. Null where there was no time, or no row."""

    bodies: list[BodyResult]
    both: Annotated[
        float | None, "the states beside the features; of a body that was trained further, its head on its states"
    ]
    body_alone: float | None
    features_alone: float | None
    layers: Annotated[list[ProbeResult], "each layer alone, from input to output"]
    int8_gain: Annotated[float | None, "of the score by int8 states over float32 ones, below zero where it costs"]
    int8_rows: Annotated[int, "valid rows on which that was measured"]
    tuned: Annotated[NotRequired[int], "layers that were trained further; absent where the body is frozen"]


class InitResult(TypedDict):
    """What a network took of an earlier run's (--init), before its training."""

    network: Annotated[str, "the file of the earlier run"]
    digest: Annotated[str, "BLAKE2b-128 of it, hex"]
    parameters: Annotated[int, "numbers that were taken"]
    of: Annotated[int, "as many as there are, without the head, which is new"]
    parts: Annotated[list[str], "tensors whose bodies took something, and 'trunk'"]


class ContenderResult(TypedDict):
    """One contender; its scores are of the first repeat."""

    name: str
    family: str
    status: str
    why: Annotated[str | None, "one sentence, where it did not finish"]
    code: Annotated[str | None, "the same for programs"]
    ran_s: Annotated[tuple[float, float] | None, "start and end, seconds after the run began"]
    score: Annotated[float | None, "on the test rows"]
    low: Annotated[float | None, "of the 95% interval"]
    high: float | None
    valid_score: float | None
    seeds: Annotated[int, "from which it was trained in all"]
    fit_s: float | None
    fit_cpu_s: float | None
    predict_us: Annotated[float | None, "microseconds a row, in batches"]
    one_us: Annotated[float | None, "microseconds of a row alone"]
    params: int | None
    bytes: int | None
    peak_mb: float | None
    curve: Annotated[list[tuple[float, int, float]], "seconds, step, score on the valid rows"]
    describe: Annotated[list[str], "what was chosen, a line each"]
    undertrained: bool | None
    trained_on_valid: bool | None
    perplexity: Annotated[NotRequired[float], "a token; of language models"]
    transfer: NotRequired[TransferResult]
    init: NotRequired[InitResult]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to use, and the evidence for it. Gaps are deep minus classical, above zero where deep is better."""

    answer: Answer
    winner: Annotated[str | None, "the contender to ship"]
    against: str | None
    gap: float | None
    low: float | None
    high: float | None
    region: Annotated[float | None, "of practical equivalence"]
    p_deep: float | None
    p_same: float | None
    p_classical: float | None
    of: Annotated[Scope, "model: these trained ones; method: over seeds or folds"]
    why: str
    settle_rows: Annotated[
        int | None,
        "rows that would settle an unsure answer in four runs of five: of the test, or over folds in all",
    ]
    by: Unit = "rows"
    repeats: int = 1
    level: Annotated[float, "of the interval"] = 0.95
    smallest: Annotated[
        float | None, "the smallest detectable difference at 80% power; null where not even the largest is"
    ] = None
    settle_repeats: Annotated[int | None, "more seeds or folds that would settle it, where they can be had"] = None
    settle_s: Annotated[float | None, "and their seconds"] = None
    settle_answer: Annotated[str | None, "the answer that it would come to, where it can be predicted"] = None
    settle_none: Annotated[str | None, "why no rows are given: training_noise or out_of_reach"] = None


@dataclass(frozen=True, kw_only=True)
class Within:
    """Two contenders of one family, the better by valid first, by the same rule; it decides nothing."""

    family: str
    first: str
    second: str
    gap: float
    low: float
    high: float
    answer: Literal["first", "second", "tie", "unsure"]
    why: str


class Measure(StrEnum):
    """What chose a contender for its side, by valid rows alone."""

    METRIC = auto()  # the metric of the run
    BRIER = auto()  # of those that the metric does not tell from the best: the least Brier score of the same answers
    COST = auto()  # over repeats, of those within one standard error of the best: the cheapest
    NO_VALID_ROWS = auto()  # nothing could choose: the first one


@dataclass(frozen=True, kw_only=True)
class ChosenContender:
    """The contender that stands for a side, and that ships if the side does."""

    of: Annotated[str, "classical or deep; and of the deep ones scratch and pretrained"]
    contender: str
    by: Measure


class Side(StrEnum):
    """Where what a contender knows comes from."""

    CLASSICAL = auto()  # no network
    SCRATCH = auto()  # a network that has learned from these rows alone
    PRETRAINED = auto()  # from others' networks, or from those of an earlier run


@dataclass(frozen=True, kw_only=True)
class SidePair:
    """Two sides of a run, each by its best contender by valid; above zero the first one is better."""

    first: Side
    second: Side
    contenders: Annotated[tuple[str, str], "of the first and of the second side"]
    gap: float
    low: float
    high: float
    answer: Literal["first", "second", "tie", "unsure"]


@dataclass(frozen=True, kw_only=True)
class ThreeSides:
    """Classical, deep from scratch and pretrained, where all three were raced; it does not change the verdict."""

    answer: Annotated[Side | Literal["tie", "unsure"], "the side that is better than both others"]
    pairs: list[SidePair]
    why: Annotated[str, "one sentence"]


# How many labelled rows the first of two ways to learn is worth: so many; at least so many, as the curves begin there;
# it costs rows instead; the interval holds both signs.
WorthCode = Literal["worth", "at_least", "costs", "costs_at_least", "open"]


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Why the race ended."""

    code: EndingCode
    why: Annotated[str, "one sentence"]


class Needs(TypedDict):
    """Conditions on the model to ship."""

    conditions: list[str]
    excluded: Annotated[dict[str, str], "contender: why"]
    cost: Annotated[str | None, "of the conditions, in one sentence"]


class RepeatResult(TypedDict):
    """One race on a fold or a seed."""

    repeat: Annotated[int, "from 0"]
    fold: int | None
    seed: int
    seconds: float
    scores: dict[str, float]


class ParityResult(TypedDict):
    """The file against the trained contender, on the test rows."""

    rows: int
    max_difference: float
    decisions_differ: int


class Sample(TypedDict):
    """A passage that a language model wrote."""

    token_unit: str
    passage: str


class Shipped(TypedDict):
    """The model file."""

    file: str
    contender: str
    score: float
    bytes: int
    parity: ParityResult | None
    sample: NotRequired[Sample]


class CalibrationResult(TypedDict):
    """A contender's probabilities before and after calibration."""

    method: str
    rows: int
    describe: str
    log_loss: list[float]
    ece: Annotated[list[float], "expected calibration error"]
    curve: Annotated[list[list[tuple[float, float, int]]], "predicted, observed, rows of a bin"]
    changed: Annotated[int, "rows that are decided otherwise"]


class ConformalResult(TypedDict):
    """Prediction sets or intervals, measured on the test rows."""

    coverage: Annotated[float, "that was asked for"]
    rows: int
    threshold: float
    observed: Annotated[float, "share that was covered"]
    low: float
    high: float
    size: Annotated[float, "classes of a set, or width of an interval, on average"]
    empty: Annotated[float, "share of empty sets"]


class Impact(TypedDict):
    """The score without a flaw less the score with it, with its 95% interval."""

    size: float
    low: float
    high: float
    metric: str
    of: str
    how: str


class FlawExample(TypedDict):
    """A row of a flaw."""

    row: int
    duplicate_of: Annotated[int | None, "the row that it repeats"]
    suggested_label: str | None


class Noise(TypedDict):
    """The share of labels that are wrong, with its bounds."""

    share: float
    low: float
    high: float


class FlawResult(TypedDict):
    """One flaw of the data."""

    name: str
    message: str
    rows: int
    columns: list[str]
    examples: list[FlawExample]
    impact: Impact | None
    fixes: Annotated[int, "rows or columns that --fix removes"]
    fixed: bool
    test_duplicates: Annotated[NotRequired[int], "test rows that also appear in the training data"]
    conflicting_labels: Annotated[NotRequired[int], "pairs of near duplicates with different labels"]
    noise: NotRequired[Noise]
    training_impact: Annotated[NotRequired[Impact], "of training without the suspect labels"]
    file_properties: Annotated[NotRequired[dict[str, float]], "file property: how well it predicts the class"]
    auc: Annotated[NotRequired[float], "of a model that distinguishes test rows from train rows"]


class Reason(TypedDict):
    """One reason of the expectation."""

    finding: str
    points_to: str
    source: str


class Expected(TypedDict):
    """What published findings expect."""

    answer: str
    confidence: Annotated[str, "usually, often or open"]
    why: str
    reasons: list[Reason]


class ResultV2(TypedDict):
    """result.json of a run folder, version 2."""

    schema_version: Literal[2]
    leadline: Annotated[str, "version that wrote it"]
    created: Annotated[str, "UTC, ISO 8601"]
    title: str
    source: str
    target: str | None
    task: str
    metric: str
    higher_is_better: bool
    classes: Annotated[list[str] | None, "null for regression"]
    rows: Rows
    budget_s: Annotated[float | None, "null where epochs were given"]
    epochs: int | None
    spent_s: float
    peak_memory_gb: float
    memory_cap_gb: float
    seed: int
    test_evaluations: Annotated[int, "evaluations of the first set of test rows"]
    evaluations: Evaluations
    command: str
    data_hash: str
    machine: Machine
    versions: dict[str, str]
    columns: list[ColumnResult]
    contenders: list[ContenderResult]
    verdict: Verdict
    needs: Needs | None
    sides: Annotated[ThreeSides | None, "null where no pretrained contender raced beside both others"]
    within: list[Within]
    chosen: Annotated[NotRequired[list[ChosenContender]], "by valid rows; absent in older results"]
    repeats_run: list[RepeatResult]
    ended: Ending
    shipped: Annotated[Shipped | None, "null where no contender could be shipped"]
    calibration: Annotated[dict[str, CalibrationResult] | None, "by contender"]
    conformal: ConformalResult | None
    warnings: list[str]
    flaws: list[FlawResult]
    searched_for: Annotated[list[str], "flaws, each in a few words"]
    quarantined: int
    expected: Expected
    seconds: Annotated[dict[str, float], "by stage"]


class ContractInput(TypedDict):
    """A column that the model takes."""

    kind: str
    dtype: Annotated[str, "NumPy type of the decoded value"]
    decode: Annotated[dict[str, object], "settings of the kind's decode step"]
    levels: Annotated[NotRequired[list[str]], "values of the train rows"]
    missing: Annotated[NotRequired[float], "share of missing values in the train rows"]


class HeldBody(TypedDict):
    """A pretrained body whose weights are in a file."""

    name: str
    package: Annotated[str, "that carries the weights; empty for a folder of the user's"]
    licence: Annotated[str, "of the weights"]
    source: str
    digest: Annotated[str, "BLAKE2b-128 of the files of the weights, hex"]
    layers: Annotated[NotRequired[dict[str, int]], "name of each layer, in order: how many of the states are its"]


class ModelState(TypedDict):
    """One state tensor of a language model."""

    name: str
    next: Annotated[str, "the output that takes its place at the next call"]
    shape: Annotated[list[int | str], "'N': texts; 0: grows with the text"]
    dtype: str


class Contract(TypedDict):
    """The metadata entry `leadline.contract` of a model.onnx, versions 1 and 2."""

    version: Literal[1, 2]
    task: str
    target: str | None
    classes: list[str]
    inputs: dict[str, ContractInput]
    outputs: Annotated[dict[str, str], "role: name in the graph"]
    coverage: Annotated[NotRequired[float], "of sets and intervals"]
    state: NotRequired[list[ModelState]]
    unit: Annotated[NotRequired[str], "of tokens"]
    vocabulary: Annotated[NotRequired[list[str]], "tokens by number"]
    contender: str
    metric: str
    score: float
    leadline: str
    versions: dict[str, str]
    data_hash: str
    licence: str
    bodies: Annotated[NotRequired[list[HeldBody]], "pretrained bodies whose weights are in the file"]


class Certificate(TypedDict):
    """The metadata entry `leadline.certificate` of a model.onnx: the file against what it was made from.

    A file of an earlier version has none.
    """

    of: Annotated[str, "what it was compared with: the trained contender, or the full model of a smaller one"]
    rows: Annotated[int, "test rows that were compared"]
    max_difference: Annotated[float, "of a probability, of a value in the unit of the target, or of bits"]
    decisions_differ: int
    tolerance: Annotated[float, "by which answers elsewhere may differ from `answers`"]
    graph: Annotated[str, "BLAKE2b-256 of the graph, hex"]
    processor: Annotated[str, "class of the machine on which it was compared"]
    certified_rows: Annotated[list[str], "BLAKE2b-64 of the decoded values of a few of these rows, hex"]
    answers: Annotated[str, "what these rows were answered, in base64: float32 little-endian, of values float64"]
    max_drop: Annotated[NotRequired[float], "of a smaller file: the drop of the metric that was excluded"]
    upper: Annotated[NotRequired[float], "of a smaller file: the upper 95% bound of its drop"]
    judged_rows: Annotated[NotRequired[int], "of a smaller file: the rows of the test that judged it alone"]
