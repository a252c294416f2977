"""One training of one module: what the loop calls at every step and every check, and where the seconds go.

Enters: a module, its rows and `How` to train it. Leaves: the module's parameters moved, and a `History`.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from numbers import Integral

import torch
from torch import nn

from leadline.errors import LeadlineError
from leadline.train.batches import Batches, Normalise, Rows
from leadline.train.flat import Flat, Optimizer
from leadline.train.history import PARTS, Check, History
from leadline.train.loop import Plan
from leadline.train.losses import Loss
from leadline.train.schedule import Schedule
from leadline.train.scoring import score, type_of
from leadline.train.steps import way_for

PRECISIONS = ("auto", "float32", "bfloat16")
TRIED, SKIPPED = 12, 4  # steps of the trial under a budget, and those of them that are not timed
CHECKS = 10  # of a run under a budget
SAFETY = 0.95  # of the time left that a first plan fills


@dataclass(frozen=True, kw_only=True)
class How:
    """The settings of `train`, checked."""

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
    seed: int

    def __post_init__(self) -> None:
        given = [f"{name}={value}" for name, value in self._lengths().items() if value is not None]
        if len(given) != 1:
            found = " and ".join(given) or "neither epochs, steps nor budget"
            raise LeadlineError(f"{found} was given, where exactly one of epochs, steps and budget was expected.")
        for name, value in {"batch_size": self.batch_size, **self._lengths()}.items():
            whole = name == "budget" or isinstance(value, Integral)
            if value is not None and (value <= 0 or not whole):
                raise LeadlineError(f"{name}={value} was given, where a whole number of at least 1 was expected.")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise LeadlineError(f"lr={self.lr} was given, where a rate above 0 was expected, such as 1e-3.")
        if self.clip is not None and not self.clip > 0:
            raise LeadlineError(f"clip={self.clip} was given, where a norm above 0 was expected, such as 1.0.")
        if self.ema is not None and not 0 < self.ema < 1:
            raise LeadlineError(f"ema={self.ema} was given, where a decay between 0 and 1 was expected, such as 0.999.")
        if self.precision not in PRECISIONS:
            raise LeadlineError(f"precision={self.precision!r} is not known; it can be {', '.join(PRECISIONS)}.")

    def _lengths(self) -> dict[str, float | None]:
        return {"epochs": self.epochs, "steps": self.steps, "budget": self.budget}


class Course:
    """The state of a run; `Optimizer` of `loop.train` in its own person."""

    def __init__(self, module: nn.Module, flat: Flat, rows: Rows, held: Rows | None, how: How) -> None:
        self._module, self._flat, self._rows, self._held, self._how = module, flat, rows, held, how
        self._began = time.perf_counter()
        self.history = History()
        dtype = type_of(module)
        if how.precision != "auto" and dtype != torch.float32:
            raise LeadlineError(
                f"precision={how.precision!r} was given for a module in {dtype}, where 'auto' or a module in "
                "float32 was expected; convert it with .float()."
            )
        self._way, why = way_for(module, flat, how.loss, rows.x.ndim, how.precision == "bfloat16")
        self._start()
        self.history.facts |= {
            "path": why,
            "precision": "bfloat16, weights in float32" if how.precision == "bfloat16" else str(dtype).split(".")[1],
            "rows": f"{len(rows):,} of {list(rows.x.shape[1:])} {str(rows.x.dtype).split('.')[1]}",
            "batches": f"{len(self._batches):,} of {self._batches.size} a pass",
            "weights": f"{flat.values.numel():,}, moved together by {how.optimizer}",
            "threads": str(torch.get_num_threads()),
        }

    def _start(self) -> None:
        """A fresh order of the rows, fresh noise, and fresh states of the optimizer and the average."""
        how = self._how
        torch.default_generator.manual_seed(how.seed)
        self._batches = Batches(self._rows, how.batch_size, type_of(self._module), how.normalise, how.seed)
        self._update = how.optimizer.begin(self._flat)
        self._average = None if how.ema is None else self._flat.values.clone()
        self._spent, self._valid, self._seen = [0.0] * len(PARTS), 0.0, 0
        self.history.losses.clear()
        self._module.train()

    def plan(self, left: float) -> Plan:
        """How many steps and checks; under a budget from a trial, which leaves no trace."""
        how, a_pass = self._how, len(self._batches)
        if how.budget is None:
            steps = how.steps or (how.epochs or 0) * a_pass
            checks = how.epochs or -(-steps // a_pass)
            return Plan(steps=steps, most=steps, checks=checks, patience=checks + 1, reserve=0.0)
        a_step, trial = self._trial()
        steps = max(1, int(SAFETY * (left - trial) / a_step))
        self.history.notes.append(f"{steps:,} steps planned, {1e3 * a_step:.3g} ms each")
        return Plan(steps=steps, most=sys.maxsize, checks=CHECKS, patience=CHECKS + 1, reserve=0.0)

    def _trial(self) -> tuple[float, float]:
        """(seconds a step, seconds of the trial): some steps as they will be, then all is put back as it was."""
        began = time.perf_counter()
        before = {name: value.clone() for name, value in self._module.state_dict().items()}
        times = []
        for _ in range(TRIED):
            tick = time.perf_counter()
            self.step_once()
            self.step(0.0)
            times.append(time.perf_counter() - tick)
        self._module.load_state_dict(before)  # copies into the views, so the flat tensor is as it was, too
        self._start()
        return sorted(times[SKIPPED:])[len(times[SKIPPED:]) // 2], time.perf_counter() - began

    def step_once(self) -> None:
        """Forward and backward of the next batch."""
        spent, tick = self._spent, time.perf_counter
        began = tick()
        x, y = self._batches.draw()
        drawn = tick()
        loss = self._way.forward(x, y)
        forward = tick()
        if not math.isfinite(loss):
            self._lost(loss, bool(torch.isfinite(x).all()) if x.is_floating_point() else True)
        self.history.losses.append(loss)
        self._way.backward()
        spent[0] += drawn - began
        spent[1] += forward - drawn
        spent[2] += tick() - forward

    def step(self, done: float) -> None:
        """Move the weights; `done` is step / steps."""
        began, how = time.perf_counter(), self._how
        if how.clip is not None:
            self._flat.clip(how.clip)
        self._update(how.lr * how.schedule(done))
        if self._average is not None and how.ema is not None:
            taken = len(self.history.losses)
            # A young average follows closely, or it would hold on to the first weights.
            self._average.lerp_(self._flat.values, 1 - min(how.ema, (1 + taken) / (10 + taken)))
        self._spent[3] += time.perf_counter() - began

    def _lost(self, loss: float, finite: bool) -> None:
        step = len(self.history.losses) + 1
        if not finite:
            raise LeadlineError(
                f"X of data holds values that are not finite, met at step {step}; leave those rows out."
            )
        raise LeadlineError(
            f"The loss became {loss} at step {step}, where a finite number was expected; lower lr={self._how.lr:g}, "
            "or clip the gradient with clip=1.0."
        )

    def evaluate(self) -> float:
        """The loss on valid rows, or the mean of the train losses since the last check; kept as a `Check`."""
        began = time.perf_counter()
        losses = self.history.losses
        recent = losses[self._seen :] or losses[-1:]
        self._seen = len(losses)
        found = None
        if self._held is not None:
            kept = self._flat.values.clone()
            self.keep_average()
            found = score(self._module, self._held, self._how.loss, self._how.normalise)
            self._flat.values.copy_(kept)
        now = time.perf_counter()
        self._valid += now - began
        check = Check(
            step=len(losses), epoch=len(losses) / len(self._batches), loss=sum(recent) / len(recent), valid=found,
            seconds=now - self._began,
        )  # fmt: skip
        self.history.checks.append(check)
        return check.loss if found is None else found.loss

    def keep_average(self) -> None:
        """Put the averaged weights in place, where an average was asked for."""
        if self._average is not None:
            self._flat.values.copy_(self._average)

    def finish(self) -> None:
        """Keep the average, and say where the seconds went."""
        self.keep_average()
        seconds = dict(zip(PARTS, self._spent, strict=True)) | {"valid": self._valid}
        whole = time.perf_counter() - self._began
        self.history.seconds |= {**seconds, "other": whole - sum(seconds.values())}
