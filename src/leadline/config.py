"""The settings of a run: one frozen dataclass, shared by Python, the command line and config.yaml."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from leadline.system.errors import BudgetError, LeadlineError

if TYPE_CHECKING:
    from leadline.metrics.cost import Need

LEAST_GB = 0.2  # of memory: the process of the run and one of a classical contender, with their libraries
FIXES = ("twins", "labels", "leak")
UNITS = ("character", "byte", "pair")


def _setting(default: Any, text: str, **facts: Any) -> Any:
    return field(default=default, metadata={"help": text, **facts})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the user asked for. Field names are the options of `leadline fit`; each carries its one line of help."""

    target: str | None = _setting(
        None, "column to predict, or with commas several of yes and no (default: the one that the layout gives)"
    )
    test: str | None = _setting(None, "test rows (default: a predefined test part, else a fifth of the rows)")
    budget: str = _setting("5m", "time for the whole run, from reading to report: 90, 90s, 5m, 1h")
    epochs: int | None = _setting(
        None, "passes of every network over the rows, in place of a budget: as long as it takes, and the same each time"
    )
    metric: str | None = _setting(
        None,
        "what is scored, stops and selects: accuracy, auc, log loss, rmse, … (default: accuracy, rmse or bits a byte)",
    )
    rounds: int | None = _setting(
        None, "races to judge by: other folds, or other seeds where the test part is predefined (default: as many as "
        "there is time for, 25 at most)"
    )  # fmt: skip
    coverage: float = _setting(0.9, "share of the rows whose truth lies in the shipped file's sets or intervals")
    until_sure: bool = _setting(
        False, "keep repeating on new folds or seeds until the verdict is conclusive or the budget is spent"
    )
    memory: str | None = _setting(None, "memory the run may use: 800MB, 4GB (default: three quarters of the machine's)")
    only: str | None = _setting(None, "contenders or families to race, with commas: deep,boosting")
    need: tuple[str, ...] = _setting(
        (), "what the shipped contender must satisfy: latency<5ms (one row), size<2MB, memory<500MB, training<60s, "
        "interpretable; may be given again"
    )  # fmt: skip
    fix: str | None = _setting(
        None,
        "take out flaws of the data: all, or some of twins,labels,leak (default: they are reported with their impact)",
    )
    seed: int = _setting(0, "seed of the split and of every contender")
    out: str | None = _setting(None, "run folder to make (default: runs/NAME-TIME)")
    kind: tuple[str, ...] = _setting((), "the kind of a column, COLUMN=KIND; may be given again")
    drop: tuple[str, ...] = _setting((), "a column to leave out; may be given again")
    group: str | None = _setting(None, "column whose equal values stay in one part of the split", splits=True)
    split: str | None = _setting(
        None,
        "column that states the part of each row (train, valid, test), or COLUMN=VALUE: test on the rows of VALUE",
        splits=True,
    )
    time: str | None = _setting(None, "column to split by: train on the past, test on what came after", splits=True)
    task: str | None = _setting(
        None, "binary, multiclass, multilabel, regression or language (default: inferred from the source)"
    )
    unit: str | None = _setting(
        None, "what text corpus is cut into: character, byte or pair (default: inferred from it)"
    )
    data: str | None = _setting(None, "folder that holds samples, by name")
    cache: str | None = _setting(None, "folder of encoded data (default: $LEADLINE_CACHE, else the user's cache)")

    def __post_init__(self) -> None:
        from leadline.tasks import TASKS

        if self.task is not None and self.task not in TASKS:
            raise LeadlineError(f"--task {self.task} is not known; it can be {', '.join(TASKS)}.")
        if self.unit is not None and self.unit not in UNITS:
            raise LeadlineError(f"--unit {self.unit} is not known; it can be {', '.join(UNITS)}.")
        for option, given in (("--test", self.test), ("--time", self.time)):
            if self.split is not None and given is not None:
                raise LeadlineError(f"--split and {option} both say what is tested on; leave out one of them.")
        seconds(self.budget)
        if self.memory is not None:
            gigabytes(self.memory)
        if self.seed < 0:
            raise LeadlineError(f"--seed {self.seed} was given, where a whole number from 0 up was expected.")
        if self.rounds is not None and self.rounds < 1:
            raise LeadlineError(f"--rounds {self.rounds} was given, where a whole number of at least 1 was expected.")
        if not 0.5 <= self.coverage < 1:
            raise LeadlineError(f"--coverage {self.coverage} was given, where a share of 0.5 to below 1 was expected.")
        if self.until_sure and self.rounds is not None:
            raise LeadlineError(
                "--rounds and --until-sure both say how many rounds to judge by; leave out one of them."
            )
        if self.epochs is not None and self.epochs < 1:
            raise BudgetError(f"--epochs {self.epochs} was given, where a whole number of at least 1 was expected.")
        self.fixes  # noqa: B018
        self.needs  # noqa: B018  nor a wrong --need
        self.kinds  # noqa: B018  a wrong --kind should fail before any data is read

    @property
    def seconds(self) -> float:
        """The budget in seconds; inf where passes were asked for."""
        return seconds(self.budget) if self.epochs is None else math.inf

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
        if wrong := [name for name in names if name not in FIXES]:
            raise LeadlineError(f"--fix {wrong[0]} is not known; it can be all, or some of {', '.join(FIXES)}.")
        return names

    @property
    def needs(self) -> list[Need]:
        """The conditions of --need."""
        from leadline.metrics.cost import Need

        return [Need.parse(text) for text in self.need]

    @property
    def kinds(self) -> dict[str, str]:
        """{column: kind} of the overrides."""
        from leadline.kinds import KINDS

        chosen = {}
        for item in self.kind:
            column, equals, kind = item.rpartition("=")
            if not equals or kind not in KINDS:
                raise LeadlineError(f"--kind {item} is not COLUMN=KIND; kinds are {', '.join(KINDS)}.")
            chosen[column] = kind
        return chosen

    def as_dict(self) -> dict[str, Any]:
        """Plain values by field name, for config.yaml."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


SPLIT_BY = tuple(each.name for each in fields(Settings) if "splits" in each.metadata)  # options that name a column
COLUMNS = ("target", *SPLIT_BY)


def from_mapping(values: Mapping[str, Any]) -> Settings:
    """Settings from loose values, with the names checked.

    Example:
        >>> from_mapping({"budget": 30}).seconds
        30.0
    """
    known = {f.name for f in fields(Settings)}
    if unknown := sorted(set(values) - known):
        raise LeadlineError(f"Unknown setting {unknown[0]!r}; settings are {', '.join(sorted(known))}.")
    values = {name: value for name, value in values.items() if value is not None}
    values = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in values.items()}
    if "budget" in values and "epochs" in values:
        raise BudgetError("--budget and --epochs both say how long to train; leave out one of them.")
    if "budget" in values:
        values["budget"] = str(values["budget"])
    if isinstance(values.get("kind"), Mapping):
        values["kind"] = tuple(f"{column}={kind}" for column, kind in values["kind"].items())
    for name in ("kind", "drop", "need"):
        if name in values:
            values[name] = (values[name],) if isinstance(values[name], str) else tuple(map(str, values[name]))
    for name in COLUMNS:  # columns of a frame may have names that are no text
        if name in values:
            values[name] = str(values[name])
    if not isinstance(values.get("only", ""), str):
        values["only"] = ",".join(values["only"])
    return Settings(**values)


def seconds(text: str) -> float:
    """'90', '90s', '5m' or '1.5h' in seconds."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|m|min|h)?\s*", str(text))
    if match is None or float(match[1]) <= 0:
        raise BudgetError(f"--budget {text} is not a time; write seconds or a unit, as in 90, 90s, 5m or 1h.")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[(match[2] or "s")[0]]


def gigabytes(text: str) -> float:
    """'800MB' or '4GB' in GB (10^9 bytes)."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt])i?b?\s*", str(text), re.IGNORECASE)
    if match is None or float(match[1]) <= 0:
        raise LeadlineError(f"--memory {text} is not a size; write a number and a unit, as in 800MB or 4GB.")
    found = round(float(match[1]) * {"k": 1e-6, "m": 1e-3, "g": 1.0, "t": 1e3}[match[2].lower()], 6)
    if found < LEAST_GB:
        raise LeadlineError(
            f"--memory {text} is less than any run takes; give {1e3 * LEAST_GB:.0f}MB at the least, which is enough "
            "for the classical contenders on a small table."
        )
    return found
