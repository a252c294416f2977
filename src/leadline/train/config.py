"""The settings of `ll.train`, checked before anything is read; and those of the engine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from leadline.system.errors import LeadlineError
from leadline.system.text import enumerated
from leadline.system.threads import Threads
from leadline.train.batches import Normalise
from leadline.train.losses import Loss
from leadline.train.optim import Optimizer
from leadline.train.schedule import Schedule

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a call of `ll.train` asks for."""

    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    lr: float
    batch_size: int
    epochs: int | None
    steps: int | None
    budget: float | None  # seconds
    precision: str
    normalise: Normalise | None
    clip: float | None
    ema: float | None
    accumulate: int
    patience: int | None
    seed: int
    compile: bool | str
    device: str  # as it was found: 'cpu', 'cuda:0'

    def __post_init__(self) -> None:
        given = [f"{name}={value}" for name, value in self._lengths().items() if value is not None]
        if len(given) != 1:
            found = enumerated(given) or "neither epochs, steps nor budget"
            raise LeadlineError(f"{found} was given, where exactly one of epochs, steps and budget was expected.")
        counts: dict[str, Any] = {name: getattr(self, name) for name in ("batch_size", "accumulate", "patience")}
        for name, value in {**counts, **self._lengths()}.items():
            if value is None and name not in ("batch_size", "accumulate"):
                continue
            if not _is_real(value) or value <= 0 or not (name == "budget" or isinstance(value, Integral)):
                raise LeadlineError(f"{name}={value} was given, where a whole number of at least 1 was expected.")
        if self.accumulate > self.batch_size:
            raise LeadlineError(
                f"accumulate={self.accumulate} was given, where at most batch_size={self.batch_size} parts were "
                "expected; a batch is cut into them."
            )
        if not (_is_real(self.lr) and self.lr > 0 and math.isfinite(self.lr)):
            raise LeadlineError(f"lr={self.lr} was given, where a rate above 0 was expected, such as 1e-3.")
        if self.clip is not None and not (_is_real(self.clip) and self.clip > 0):
            raise LeadlineError(f"clip={self.clip} was given, where a norm above 0 was expected, such as 1.0.")
        if self.ema is not None and not (_is_real(self.ema) and 0 < self.ema < 1):
            raise LeadlineError(f"ema={self.ema} was given, where a decay between 0 and 1 was expected, such as 0.999.")
        check_seed(self.seed)
        if self.precision not in PRECISIONS:
            raise LeadlineError(f"precision={self.precision!r} is not known; it can be {', '.join(PRECISIONS)}.")
        if self.compile not in (True, False, "auto"):
            raise LeadlineError(f"compile={self.compile!r} was given, where True, False or 'auto' was expected.")

    def _lengths(self) -> dict[str, float | None]:
        return {"epochs": self.epochs, "steps": self.steps, "budget": self.budget}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How the engine (`trainer.py`) takes its steps, and whom it tells."""

    threads: Threads
    say: Callable[[str, int | None], None]  # what changed, and at which step, where the words do not say it
    parts: int = 1  # of a batch, whose gradients are added up; more where memory is too short for it
    clip: float | None = None  # norm that a gradient has at most
    ema: float | None = None  # decay of the average of the weights
    lr: float | None = None  # for messages
    lost: Callable[[int], None] = lambda step: None  # called where a loss was not finite; may raise
    code_of: str | None = None  # whose code a step runs, where errors in it are not ours
    clock: Callable[[], float] = time.perf_counter  # seconds, by which steps tell of threads


def check_seed(seed: Any) -> None:
    """Raises LeadlineError for what PyTorch cannot seed its generators with."""
    if not isinstance(seed, Integral) or not -(2**63) <= int(seed) < 2**63:
        raise LeadlineError(f"seed={seed!r} was given, where a whole number of 64 bits was expected.")


def _is_real(value: Any) -> bool:
    """Whether this is a number, as Python and NumPy have it."""
    return isinstance(value, Real)
