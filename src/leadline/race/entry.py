"""Which contenders race, and what becomes of each.

Enters: a store, the user's choice. Leaves: names of the contenders that can learn from it, and a `ContenderRun` each.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Contender
from leadline.core.executor import Capacity, Handle
from leadline.dataset.store import Store
from leadline.kinds import KINDS
from leadline.kinds.weights import INSTALL, body_of
from leadline.stats.advice import NO_VALID
from leadline.system.errors import LeadlineError
from leadline.system.text import enumerated

PARENT = 0.35  # GB that the run's own process holds
UNREADABLE = "reads no columns of these kinds."  # what a contender does, as the end of a sentence


@dataclass
class ContenderRun:
    """A contender in the race: what it was given, and what became of it."""

    name: str
    family: str
    folder: Path
    status: str = "waiting"  # waiting, running, finished, cut, failed, skipped
    why: str | None = None
    # Why it has no answers: no_time, stopped, first_repeat, overran, memory, gpus, no_valid, late, crashed or error.
    code: str | None = None
    enough_s: int | None = None  # of a budget, where it had no time
    share: float | None = None  # of the seconds, relative to others', in place of its contender's weight
    needed_s: float | None = None  # that it measured it needs, and with which it learns from all rows
    wanted_s: float = 0.0
    begun_again: bool = False  # with more
    seconds: float = 0.0  # that it has, in this go
    before_s: float = 0.0  # that it had in earlier ones, and that count
    lane_s: float = 0.0  # seconds left in its lane when it started
    began: float = 0.0
    ended: float = 0.0
    curve: list[tuple[float, int, float]] = field(default_factory=list)  # seconds, step, score on valid
    facts: dict[str, Any] = field(default_factory=dict)  # of the `fitted` message
    handle: Handle | None = None  # of its job
    notes: list[str] = field(default_factory=list)
    cut: bool = False  # the clock ended its training before its plan
    exporting: bool = False  # it was asked for its graph

    @property
    def contender(self) -> Contender:
        return PORTFOLIO[self.name]

    @property
    def weight(self) -> float:
        """Its share of the seconds of those that race beside it, relative to theirs."""
        return self.contender.weight if self.share is None else self.share

    @property
    def baseline(self) -> bool:
        """Whether it is what guessing gives, which needs no process and takes no part in a verdict."""
        return self.contender.baseline

    @property
    def done(self) -> bool:
        return self.status in ("finished", "cut")

    @property
    def alive(self) -> bool:
        """Whether its job runs, or waits to be asked for its graph."""
        return self.handle is not None and self.handle.alive

    def lacks(self, store: Store, capacity: Capacity, memory_gb: float) -> tuple[str, str] | None:
        """(why, code) where a contender needs more than there is to learn at all."""
        needs, free = self.contender.resources, max(0.0, memory_gb - PARENT)
        if needs.memory > free:
            why = f"it needs {needs.memory:g} GB of memory, where {free:.2g} GB are free; raise --memory"
            return why, "memory"
        if needs.gpus > capacity.gpus:
            return f"it needs {needs.gpus} GPU, where {capacity.gpus} can be used", "gpus"
        if self.contender.needs_valid and not len(store.split.valid):
            return "it chooses by valid rows, of which there are none; give two rows a class, or a valid part", NO_VALID
        return None

    def scores(self) -> np.ndarray:
        """What it answered on the test rows."""
        return np.asarray(np.load(self.folder / "test.npy"))

    def valid(self) -> np.ndarray | None:
        """What it answered on the valid rows, before it learned from any; None where that was not kept."""
        path = self.folder / "valid.npy"
        return np.asarray(np.load(path)) if path.exists() else None

    def calib(self) -> np.ndarray | None:
        """What it answered on the calib rows, where there are any."""
        path = self.folder / "calib.npy"
        return np.asarray(np.load(path)) if path.exists() else None


def family_of(word: str) -> str | None:
    """The family that a word of --only names, or the contender of that name is of."""
    word = word.strip()
    return PORTFOLIO[word].family if word in PORTFOLIO else word


def words(only: str | None) -> list[str]:
    """What --only names."""
    return [word.strip() for word in only.split(",")] if only else []


def eligible_contenders(
    store: Store, only: str | None, interpretable: bool = False, budget_s: float = math.inf
) -> list[str]:
    """Names of the contenders that can learn from these blocks, of those that the user wants.

    One that races on request takes part where `only` names it, or where it must be `interpretable` and is; so does one
    for which the budget is short.
    """
    wanted = words(only) or None
    families = {contender.family for contender in PORTFOLIO.values()}
    renamed = {contender.formerly: name for name, contender in PORTFOLIO.items() if contender.formerly}
    for word in wanted or []:
        if word in renamed:
            raise LeadlineError(f"--only {word} is now called --only {renamed[word]}.")
        if word not in PORTFOLIO and word not in families:
            known = ", ".join([*PORTFOLIO, *sorted(families)])
            raise LeadlineError(f"--only {word} is not known; contenders and families are {known}.")
    able = [
        name
        for name, contender in PORTFOLIO.items()
        if contender.inputs(store)
        and (
            not (contender.on_request or contender.least_budget > budget_s)
            or name in (wanted or ())
            or (interpretable and contender.interpretable)
        )
    ]
    if wanted is None:
        return able
    chosen = [n for n in able if PORTFOLIO[n].baseline or n in wanted or PORTFOLIO[n].family in wanted]
    bodiless = [word for word in wanted if word in PORTFOLIO and PORTFOLIO[word].pretrained and word not in able]
    if bodiless and not any(PORTFOLIO[name].pretrained for name in chosen):
        raise LeadlineError(f"--only {bodiless[0]} {_no_body(bodiless[0], store)}")
    if chosen != wanted and all(PORTFOLIO[n].baseline for n in chosen):
        raise LeadlineError(f"--only {only} leaves no contender for these columns; {', '.join(able)} could race.")
    return chosen


def incapable(store: Store, only: str | None, names: Sequence[str]) -> list[str]:
    """The messages on contenders that --only names and that cannot learn from these blocks.

    Args:
        names: of those that can.
    """
    missing = [word for word in words(only) if word in PORTFOLIO and word not in names]
    return [
        f"{word} is left out: it {_no_body(word, store) if PORTFOLIO[word].pretrained else UNREADABLE}"
        for word in missing
    ]


def _no_body(word: str, store: Store) -> str:
    """Why a contender that needs a pretrained body cannot race, as the end of a sentence."""
    if not any(KINDS[block.kind].pretrained for block in store.blocks):
        return "needs a pretrained body, and there is none for columns of these kinds."
    found = [(block.columns, body.body.name) for block in store.blocks if (body := body_of(block)) is not None]
    if len(found) > 1:
        read = enumerated(
            [f"{name} reads {enumerated([repr(column) for column in columns])}" for columns, name in found]
        )
        others = " ".join(f"--drop {shlex.quote(column)}" for columns, _ in found[1:] for column in columns)
        return (
            f"trains one body further, and these columns have {len(found)}: {read}; keep those "
            f"of one, as with {others}."
        )
    if found:
        return f"cannot train {found[0][1]} further: only its states can be read."
    if any(body.find() for block in store.blocks for body in KINDS[block.kind].pretrained):
        return "needs a pretrained body, and --weights (or LEADLINE_WEIGHTS) leaves out the installed one."
    return f"needs a pretrained body: {INSTALL}, or name a folder of weights by --weights."
