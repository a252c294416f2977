"""What is written for programs to read: result.json of a run, and the contract in the metadata of a model.onnx.

The names of a record end with the version of its schema. A key may be added to a version; one that is taken away,
renamed or typed otherwise makes a new version. `make schemas` writes them to docs/schemas as JSON Schema.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypedDict

__all__ = ["CONTRACT_VERSIONS", "RESULT_VERSION", "Contract", "ResultV1"]

RESULT_VERSION = 1
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


class ContenderResult(TypedDict):
    """One contender; its scores are of the first round."""

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


class VerdictResult(TypedDict):
    """What to use, and the evidence. Gaps are deep minus classical, above zero where deep is better."""

    answer: Literal["deep", "classical", "tie", "unsure"]
    winner: Annotated[str | None, "the contender to ship"]
    against: str | None
    gap: float | None
    low: float | None
    high: float | None
    region: Annotated[float | None, "of practical equivalence"]
    p_deep: float | None
    p_same: float | None
    p_classical: float | None
    of: Literal["model", "method"]
    why: str
    settle_rows: Annotated[int | None, "rows that would settle an unsure answer in four runs of five"]
    by: Literal["rows", "seeds", "folds"]
    rounds: int
    level: Annotated[float, "of the interval"]
    smallest: Annotated[float | None, "the smallest detectable difference at 80% power"]
    settle_rounds: int | None
    settle_s: float | None
    settle_answer: str | None
    settle_none: str | None


class WithinResult(TypedDict):
    """Two contenders of one family; decides nothing."""

    family: str
    first: str
    second: str
    gap: float
    low: float
    high: float
    answer: Literal["first", "second", "tie", "unsure"]
    why: str


class Needs(TypedDict):
    """Conditions on the model to ship."""

    asked: list[str]
    ruled_out: Annotated[dict[str, str], "contender: why"]
    price: str | None


class RoundResult(TypedDict):
    """One race on a fold or a seed."""

    number: int
    fold: int | None
    seed: int
    seconds: float
    scores: dict[str, float]


class Ended(TypedDict):
    """Why the race ended."""

    code: str
    why: str


class ParityResult(TypedDict):
    """The file against the trained contender, on the test rows."""

    rows: int
    max_difference: float
    decisions_differ: int


class Sample(TypedDict):
    """A passage that a language model wrote."""

    unit: str
    text: str


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
    seen: Annotated[float, "share that was covered"]
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


class ShownRow(TypedDict):
    """A row of a flaw."""

    row: int
    twin: Annotated[int | None, "the row that it repeats"]
    said: Annotated[str | None, "what its label should be"]


class Noise(TypedDict):
    """The share of labels that are wrong, with its bounds."""

    share: float
    low: float
    high: float


class FlawResult(TypedDict):
    """One flaw of the data."""

    name: str
    says: str
    rows: int
    columns: list[str]
    shown: list[ShownRow]
    price: Impact | None
    fixes: Annotated[int, "rows or columns that --fix takes out"]
    fixed: bool
    across: Annotated[NotRequired[int], "test rows that also appear in the training data"]
    unlike: NotRequired[int]
    noise: NotRequired[Noise]
    learned: NotRequired[Impact]
    tied: Annotated[NotRequired[dict[str, float]], "file property: how well it predicts the class"]
    auc: Annotated[NotRequired[float], "of a model that tells test rows from train rows"]


class Reason(TypedDict):
    """One reason of the expectation."""

    found: str
    points_to: str
    source: str


class Expected(TypedDict):
    """What published findings expect."""

    answer: str
    sure: str
    why: str
    reasons: list[Reason]


class ResultV1(TypedDict):
    """result.json of a run folder, version 1."""

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
    budget_s: Annotated[float | None, "null where epochs were asked for"]
    epochs: int | None
    spent_s: float
    peak_memory_gb: float
    memory_cap_gb: float
    seed: int
    test_openings: Annotated[int, "evaluations of the first set of test rows"]
    evaluations: Evaluations
    command: str
    data_hash: str
    machine: Machine
    versions: dict[str, str]
    columns: list[ColumnResult]
    contenders: list[ContenderResult]
    verdict: VerdictResult
    needs: Needs | None
    within: list[WithinResult]
    rounds_run: list[RoundResult]
    ended: Ended
    shipped: Annotated[Shipped | None, "null where no contender could be shipped"]
    calibration: Annotated[dict[str, CalibrationResult] | None, "by contender"]
    conformal: ConformalResult | None
    warnings: list[str]
    flaws: list[FlawResult]
    looked_for: list[str]
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
