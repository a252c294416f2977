"""The settings of a run: one frozen dataclass, shared by Python, the command line and config.yaml."""

from __future__ import annotations

import math
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from leadline.system.arguments import shown
from leadline.system.errors import BudgetError, LeadlineError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from leadline.metrics.cost import Need

LEAST_GB = 0.2  # of memory: the process of the run and one of a classical contender, with their libraries
FIXES = ("near_duplicates", "label_errors", "target_leakage")
UNITS = ("character", "byte", "pair")
# Names of earlier versions. Where one is used, the error says the name of today; in files of old runs it is translated.
RENAMED = dict(rounds="repeats", unit="token_unit", time="time_column")  # noqa: C408
RENAMED_FIXES = {"twins": "near_duplicates", "labels": "label_errors", "leak": "target_leakage"}
RENAMED_NEEDS = {
    "latency": "max_latency", "size": "max_size", "memory": "max_memory", "training": "max_train_time",
    "interpretable": "interpretable",
}  # fmt: skip


def _setting(default: Any, text: str, **facts: Any) -> Any:
    return field(default=default, metadata={"help": text, **facts})


EDGE = 0.2  # share of the budget that --edge takes


def option_of(name: str) -> str:
    """The option of a setting on the command line."""
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a run. Field names are the options of `leadline fit`; each carries its one line of help."""

    target: str | None = _setting(
        None, "column to predict, or several columns of yes and no: a,b,c (default: the one that the layout defines)"
    )
    test: str | None = _setting(None, "test rows (default: a predefined test part, else a fifth of the rows)")
    budget: str = _setting("5m", "time for the whole run, from reading to report: 90, 90s, 5m, 1h")
    epochs: int | None = _setting(
        None, "passes of every network over the train rows, instead of a budget; reproducible"
    )
    metric: str | None = _setting(
        None,
        "metric for scores, stopping and selection: accuracy, auc, rmse, … (default: accuracy, rmse or bits a byte)",
    )
    repeats: int | None = _setting(
        None, "number of races: on other folds, or from other seeds if the test part is predefined (default: as many "
        "as there is time for, 25 at most)"
    )  # fmt: skip
    coverage: float = _setting(0.9, "share of new rows whose true value lies in the predicted set or interval")
    until_sure: bool = _setting(
        False, "keep repeating on new folds or seeds until the verdict is conclusive or the budget is spent"
    )
    memory: str | None = _setting(
        None, "memory limit of the run: 800MB, 4GB (default: three quarters of the machine's)"
    )
    only: str | None = _setting(None, "contenders or families in the race, separated by commas: deep,boosting")
    max_latency: str | None = _setting(None, "ship only a contender that predicts one row in less time: 5ms")
    max_size: str | None = _setting(None, "ship only a contender whose file is smaller: 2MB")
    max_memory: str | None = _setting(None, "ship only a contender that used less memory in training: 500MB")
    max_train_time: str | None = _setting(None, "ship only a contender that was trained in less time: 60s")
    interpretable: bool = _setting(False, "ship only a contender that people can interpret")
    edge: bool = _setting(
        False, "also make the smallest file that is proved not worse, in a fifth of the budget (see leadline shrink)"
    )
    fix: str | None = _setting(
        None, "fix flaws: all, or some of near_duplicates,label_errors,target_leakage (default: only report them)",
    )  # fmt: skip
    seed: int = _setting(0, "random seed of the split and of every contender")
    out: str | None = _setting(None, "run folder to create (default: runs/NAME-TIME)")
    kind: tuple[str, ...] = _setting((), "the kind of a column, COLUMN=KIND; may be repeated")
    drop: tuple[str, ...] = _setting((), "a column to ignore; may be repeated")
    group: str | None = _setting(None, "column of groups: rows of one group stay in one part of the split", splits=True)
    split: str | None = _setting(
        None,
        "column with the part of each row (train, valid, test), or COLUMN=VALUE to test on the rows with this value",
        splits=True,
    )
    time_column: str | None = _setting(
        None, "column of times: train on the oldest rows, test on the most recent ones", splits=True
    )
    task: str | None = _setting(
        None, "binary, multiclass, multilabel, regression or language (default: inferred from the source)"
    )
    token_unit: str | None = _setting(
        None, "tokens of a text corpus: character, byte or pair (default: inferred from the text)"
    )
    weights: str | None = _setting(
        None, "folder with the weights of a pretrained body, or the name of a model in the local Hugging Face cache, "
        "or none to race without any (default: $LEADLINE_WEIGHTS, else what is installed)",
    )  # fmt: skip
    init: str | None = _setting(
        None, "folder of an earlier run, on other data: networks begin from the bodies that it trained"
    )
    data: str | None = _setting(None, "folder of data sets that can be read by name")
    cache: str | None = _setting(
        None, "folder of converted and encoded data (default: $LEADLINE_CACHE, else the user's cache)"
    )

    def __post_init__(self) -> None:
        from leadline.tasks import TASKS

        check_types(self)
        if self.task is not None and self.task not in TASKS:
            raise LeadlineError(f"--task {self.task} is not known; it can be {', '.join(TASKS)}.")
        if self.token_unit is not None and self.token_unit not in UNITS:
            raise LeadlineError(f"--token-unit {self.token_unit} is not known; it can be {', '.join(UNITS)}.")
        for option, value in (("--test", self.test), ("--time-column", self.time_column)):
            if self.split is not None and value is not None:
                raise LeadlineError(f"--split and {option} both say what is tested on; leave out one of them.")
        seconds(self.budget)
        if self.memory is not None:
            gigabytes(self.memory)
        if self.seed < 0:
            raise LeadlineError(f"--seed {self.seed} was given, where a whole number from 0 up was expected.")
        if self.repeats is not None and self.repeats < 1:
            raise LeadlineError(f"--repeats {self.repeats} was given, where a whole number of at least 1 was expected.")
        if not 0.5 <= self.coverage < 1:
            raise LeadlineError(f"--coverage {self.coverage} was given, where a share of 0.5 to below 1 was expected.")
        if self.until_sure and self.repeats is not None:
            raise LeadlineError("--repeats and --until-sure both say how often to repeat the race; leave out one.")
        if self.epochs is not None and self.epochs < 1:
            raise BudgetError(f"--epochs {self.epochs} was given, where a whole number of at least 1 was expected.")
        self.fixes  # noqa: B018
        self.needs  # noqa: B018  nor a wrong bound
        self.kinds  # noqa: B018  a wrong --kind should fail before any data is read

    @property
    def seconds(self) -> float:
        """The budget of the run in seconds, without what --edge takes of it; inf where passes were asked for."""
        return math.inf if self.whole is None else self.whole - self.edge_seconds

    @property
    def whole(self) -> float | None:
        """The budget in seconds as it was given; None where passes were asked for."""
        return None if self.epochs is not None else seconds(self.budget)

    @property
    def given(self) -> float:
        """How many times the seconds of the run the budget is: --edge has the rest of it."""
        return 1.0 if self.whole is None else self.whole / self.seconds

    @property
    def edge_seconds(self) -> float:
        """Seconds that --edge takes of the budget; inf where passes were asked for."""
        if not self.edge:
            return 0.0
        return math.inf if self.whole is None else EDGE * self.whole

    @property
    def running(self) -> bool | None:
        """Whether text files are to be read as a text corpus; None: as they look."""
        if self.task is None and self.target is None:
            return None
        from leadline.tasks import TASKS

        return self.task is not None and TASKS[self.task].generative

    @property
    def fixes(self) -> tuple[str, ...]:
        """The flaws that --fix takes out."""
        if self.fix is None:
            return ()
        names = FIXES if self.fix == "all" else tuple(name.strip() for name in self.fix.split(","))
        if renamed := [name for name in names if name in RENAMED_FIXES]:
            raise LeadlineError(f"--fix {renamed[0]} is now called --fix {RENAMED_FIXES[renamed[0]]}.")
        if wrong := [name for name in names if name not in FIXES]:
            raise LeadlineError(f"--fix {wrong[0]} is not known; it can be all, or some of {', '.join(FIXES)}.")
        return names

    @property
    def needs(self) -> list[Need]:
        """The conditions on what is shipped."""
        from leadline.metrics.cost import BOUNDS, INTERPRETABLE, Need

        bounds = [(name, getattr(self, name)) for name in BOUNDS]
        needs = [Need.bound(name, text) for name, text in bounds if text is not None]
        return [*needs, INTERPRETABLE] if self.interpretable else needs

    @property
    def kinds(self) -> dict[str, str]:
        """{column: kind} of the overrides."""
        from leadline.kinds import FORMER, KINDS

        chosen = dict[str, str]()
        for item in map(str, self.kind):
            column, equals, kind = item.rpartition("=")
            if equals and kind in FORMER:
                raise LeadlineError(f"--kind {item} is now called --kind {column}={FORMER[kind]}.")
            if not equals or kind not in KINDS:
                raise LeadlineError(f"--kind {item} is not COLUMN=KIND; kinds are {', '.join(KINDS)}.")
            if chosen.setdefault(column, kind) != kind:
                raise LeadlineError(f"--kind gives {column!r} two kinds, {chosen[column]} and {kind}; give it one.")
        return chosen

    def as_dict(self) -> dict[str, Any]:
        """Plain values by field name, for config.yaml."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


SPLIT_BY = tuple(each.name for each in fields(Settings) if "splits" in each.metadata)  # options that name a column
COLUMNS = ("target", *SPLIT_BY)
PATHS = ("out", "test", "weights", "init", "data", "cache")
SEVERAL = ("only", "fix", "kind", "drop")  # lists in Python, or one text
LISTS = ("target", "only", "fix")  # on the command line one text, separated by commas
TYPES: dict[str, tuple[Any, str]] = {
    "int": (Integral, "a whole number"), "float": (Real, "a number"), "bool": (bool, "True or False"),
    "str": ((str, Real), "a text"), "tuple[str,": (tuple, "several texts"), "Callable[[str],": (Callable, "a function"),
}  # fmt: skip
MADE: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "str": str}


def from_mapping(values: Mapping[str, Any]) -> Settings:
    """Settings from loose values, with the names checked.

    Example:
        >>> from_mapping({"budget": 30}).seconds
        30.0
    """
    known = {f.name for f in fields(Settings)}
    if renamed := [name for name in values if name in RENAMED or name == "need"]:
        new = ", ".join(RENAMED.get(name, ", ".join(RENAMED_NEEDS.values())) for name in renamed)
        warnings.warn(f"{', '.join(renamed)} is now called {new}.", FutureWarning, stacklevel=4)
        values = translated(values)
    check_names(values, known)
    values = {name: value for name, value in values.items() if value is not None}
    if "budget" in values and "epochs" in values:
        raise BudgetError("--budget and --epochs both say how long to train; leave out one of them.")
    if isinstance(values.get("kind"), Mapping):
        values["kind"] = tuple(f"{column}={kind}" for column, kind in values["kind"].items())
    for name in (each for each in SEVERAL if each in values):
        several = [values[name]] if isinstance(values[name], str) else values[name]
        if not isinstance(several, Iterable) or isinstance(several, bytes):
            raise LeadlineError(
                f"{_option(name)} {shown(values[name])} was given, where a text or several were expected."
            )
        texts = tuple(map(str, several))
        values[name] = texts if name in ("kind", "drop") else ",".join(texts)
    for name in COLUMNS:  # columns of a frame may have names that are no text
        if name in values:
            values[name] = str(values[name])
    return Settings(**values)


def check_types(settings: DataclassInstance) -> None:
    """Make every value the type of its setting; LeadlineError where it is of another."""
    for each in fields(settings):
        value, wanted = getattr(settings, each.name), str(each.type).split(" ")[0]
        if value is None and each.default is None:
            continue
        value = os.fspath(value) if isinstance(value, os.PathLike) else value
        of, what = (str, "a path") if each.name in PATHS else TYPES.get(wanted, (object, ""))
        if not isinstance(value, of) or (isinstance(value, bool) and of is not bool and of is not object):
            raise LeadlineError(f"{_option(each.name)} {shown(value)} was given, where {what} was expected.")
        object.__setattr__(settings, each.name, MADE.get(wanted, _same)(value))


def _same(value: Any) -> Any:
    return value


def check_names(values: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises LeadlineError for a setting of another name."""
    if unknown := sorted(set(values) - set(known)):
        raise LeadlineError(f"Unknown setting {unknown[0]!r}; settings are {', '.join(sorted(known))}.")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def translated(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that an earlier version wrote, by the names of today.

    Example:
        >>> translated({"rounds": 3, "need": ["latency<5ms", "interpretable"], "fix": "labels,leak"})
        {'repeats': 3, 'fix': 'label_errors,target_leakage', 'max_latency': '5ms', 'interpretable': True}
    """
    from leadline.kinds import FORMER

    settings = {RENAMED.get(name, name): value for name, value in values.items() if name != "need"}
    if settings.get("kind"):
        pairs = [item.rpartition("=") for item in settings["kind"]]
        settings["kind"] = [f"{column}={FORMER.get(kind, kind)}" for column, _, kind in pairs]
    if settings.get("fix"):
        settings["fix"] = ",".join(RENAMED_FIXES.get(name.strip(), name.strip()) for name in settings["fix"].split(","))
    needs = values.get("need") or ()
    for text in (needs,) if isinstance(needs, str) else needs:
        name, _, bound = text.partition("<")
        settings[RENAMED_NEEDS[name.strip()]] = bound.lstrip("=").strip() or True
    return settings


def seconds(text: str, option: str = "--budget") -> float:
    """'90', '90s', '5m' or '1.5h' in seconds; the option is named where it is no time."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|m|min|h)?\s*", str(text))
    if match is None or float(match[1]) <= 0:
        raise BudgetError(f"{option} {text} is not a time; write seconds or a unit, as in 90, 90s, 5m or 1h.")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[(match[2] or "s")[0]]


def gigabytes(text: str) -> float:
    """'800MB' or '4GB' in GB (10^9 bytes)."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt])i?b?\s*", str(text), re.IGNORECASE)
    if match is None or float(match[1]) <= 0:
        raise LeadlineError(f"--memory {text} is not a size; write a number and a unit, as in 800MB or 4GB.")
    size = round(float(match[1]) * {"k": 1e-6, "m": 1e-3, "g": 1.0, "t": 1e3}[match[2].lower()], 6)
    if size < LEAST_GB:
        raise LeadlineError(
            f"--memory {text} is less than any run takes; give {1e3 * LEAST_GB:.0f}MB at the least, which is enough "
            "for the classical contenders on a small table."
        )
    return size
