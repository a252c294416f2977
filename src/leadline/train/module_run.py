"""One training of `ll.train`: its plan, its checks, its health, and where the seconds go.

Enters: a module, its rows and `Settings` to train it. Leaves: the module's parameters moved by the engine
(`trainer.py`), and a `History`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from leadline.inspect.health import warnings_of
from leadline.inspect.layer_stats import Layer
from leadline.system.device import CPU, home, named, noise, peak_gb, seed, set_noise, wait
from leadline.system.errors import LeadlineError
from leadline.system.resources import peak_mb
from leadline.system.text import enumerated
from leadline.system.threads import Threads
from leadline.train.accumulate import FlatObjective
from leadline.train.autotune import Choice
from leadline.train.backward import way_for
from leadline.train.batches import Batches, Rows
from leadline.train.config import Settings, TrainConfig
from leadline.train.flat import Flat
from leadline.train.foreign import foreign
from leadline.train.history import PARTS, Check, History, Scores
from leadline.train.loop import Plan
from leadline.train.optim import Scheduled
from leadline.train.scoring import score, type_of
from leadline.train.threads import Batch, as_they_are, trial
from leadline.train.trainer import Trainer

TRIED, SKIPPED = 12, 4  # steps of the trial under a budget, and those of them that are not timed
TRIAL, FEW = 0.05, 2  # share of the budget after which the trial ends, and the steps that it has at least
CHECKS = 10  # of a run under a budget
SAFETY = 0.95  # of the time left that a first plan fills
FIRST_LOOK = 100  # steps before the layers are measured: it takes as long as a few of them


class ModuleRun:
    """A training from `plan` to `finish`; its `trainer` takes the steps."""

    def __init__(
        self, module: nn.Module, flat: Flat, rows: Rows, held: Rows | None, how: Settings, choice: Choice,
        least: int = 1,
    ) -> None:  # fmt: skip
        """
        Args:
            least: rows that a step needs, as `lone_rows.least_rows` found.
        """
        self._least = least
        self._module, self._flat, self._rows, self._held, self._how = module, flat, rows, held, how
        self._choice, self._began, self._device = choice, time.perf_counter(), home(module)
        self.history = History()
        self.layers: Callable[[], list[Layer]] = list  # measures them on a batch of the rows
        self._threads = as_they_are(torch.get_num_threads())
        way, why = way_for(module, flat, how.loss, [x.ndim for x in rows.x], choice)
        self._objective = FlatObjective(module, flat, way, how.loss, least)
        self._start()
        shapes = enumerated([f"{list(x.shape[1:])} {str(x.dtype).split('.')[1]}" for x in rows.x])
        chosen = str(choice) if type_of(module) == torch.float32 else "float64"
        self.history.facts |= {
            "path": why,
            "precision": chosen + ", weights in float32" * choice.low + (choice.why and f"; {choice.why}"),
            "rows": f"{len(rows):,} of {shapes}",
            "batches": f"{len(self._batches):,} of {self._batches.size} a pass",
            "weights": f"{flat.values.numel():,}, moved by {how.optimizer}",
        }
        if self._device != CPU:
            kept = "the rows lie there" if rows.y.device != CPU else "the rows follow batch by batch"
            self.history.facts["device"] = f"{named(self._device)}; {kept}"

    def take(self, threads: Threads, batch: Callable[[], Batch]) -> None:
        """Train on these threads, and try others on a batch where steps become slow."""
        self._threads = self.trainer.threads = threads
        threads.seconds_on = trial(self._module, self._how.loss, self._choice, batch)
        threads.fixed = threads.fixed or self._choice.compiled  # compiled code is made for a number of threads
        self.history.facts["threads"] = str(threads)

    def _start(self) -> None:
        """A fresh order of the rows, fresh noise, and fresh states of the optimizer and the average."""
        how = self._how
        seed(self._device, how.seed)
        self._batches = Batches(
            self._rows, how.batch_size, type_of(self._module), how.normalise, how.seed, self._choice.layout,
            self._device, self._least,
        )  # fmt: skip
        rules = how.optimizer.begin(self._module, self._flat)
        self.trainer = Trainer(
            self._module, self._batches, self._objective,
            Scheduled([(rule, self._rate(share)) for rule, share in rules]),
            TrainConfig(
                threads=self._threads, parts=how.accumulate, clip=how.clip, ema=how.ema, lr=how.lr, say=self._say,
                lost=self._lost, code_of="the module and its loss",
            ),
        )  # fmt: skip
        self.history.losses = self.trainer.losses
        self._next_look = FIRST_LOOK  # a step
        self._valid, self._seen = 0.0, 0
        self._module.train()

    def _rate(self, share: float) -> Callable[[float], float]:
        """The rate of a rule that has such a share of it."""

        def rate(done: float) -> float:
            with foreign("The schedule"):
                return share * (self._how.lr * float(self._how.schedule(done)))

        return rate

    def _say(self, what: str, step: int | None) -> None:
        self.history.notes.append(what if step is None else f"step {step:,}: {what}")

    def _lost(self, step: int) -> None:
        """A loss was not finite: are the rows?"""
        if not all(bool(torch.isfinite(t).all()) for t in self._rows.x if t.is_floating_point()):
            raise LeadlineError(
                f"X of data holds values that are not finite, met at step {step}; leave those rows out."
            )

    def plan(self, left: float) -> Plan:
        """How many steps and checks; under a budget from a trial, which leaves no trace."""
        how, a_pass = self._how, len(self._batches)
        if how.budget is None:
            steps = most = how.steps or (how.epochs or 0) * a_pass
            checks = how.epochs or -(-steps // a_pass)
        else:
            a_step, trial = self._trial(TRIAL * left)
            steps, most, checks = max(1, int(SAFETY * (left - trial) / a_step)), sys.maxsize, CHECKS
            self.history.notes.append(f"{steps:,} step{'s' * (steps != 1)} planned, {1e3 * a_step:.3g} ms each")
        return Plan(steps=steps, most=most, checks=checks, patience=how.patience or checks + 1, reserve=0.0)

    def _trial(self, most: float) -> tuple[float, float]:
        """(seconds a step, seconds of the trial): some steps as they will be, then all is put back as it was.

        After `most` seconds it ends, and long steps are timed from the second on.
        """
        began = time.perf_counter()
        before = {name: value.clone() for name, value in self._module.state_dict().items()}
        times = []
        for _ in range(TRIED):
            tick = time.perf_counter()
            self.trainer.step_once()
            self.trainer.step(0.0)
            wait(self._device)
            times.append(time.perf_counter() - tick)
            if len(times) >= FEW and time.perf_counter() - began > most:
                break
        self._module.load_state_dict(before)  # copies into the views, so the flat tensor is as it was, too
        self._start()
        timed = sorted(times[min(SKIPPED, len(times) - 1) :])
        return timed[len(timed) // 2], time.perf_counter() - began

    def evaluate(self) -> float:
        """The loss on valid rows, or the mean of the train losses since the last check; kept as a `Check`."""
        self.trainer.settle()
        began, losses = time.perf_counter(), self.history.losses
        recent = [loss for loss in losses[self._seen :] or losses[-1:] if math.isfinite(loss)]
        self._seen = len(losses)
        found = None
        if self._held is not None:
            kept = self._flat.values.clone()
            self.trainer.keep_average()
            with foreign("The module or its loss, on valid rows,"):
                found = score(self._module, self._held, self._how.loss, self._how.normalise)
            best = self.trainer.best
            if self._how.patience is not None and (best is None or found.loss < best[0]):
                self.trainer.keep_best(found.loss)
            self._flat.values.copy_(kept)
        now = time.perf_counter()
        self._valid += now - began
        check = Check(
            step=len(losses), epoch=len(losses) / len(self._batches), valid=found, seconds=now - self._began,
            loss=sum(recent) / len(recent) if recent else math.nan,
        )  # fmt: skip
        self.history.checks.append(check)
        return check.loss if found is None else found.loss

    def look(self) -> None:
        """At the first check after 100 steps, 200, 400, ...: what the layers say of their health, each thing once."""
        if len(self.history.losses) < self._next_look:
            return
        began, notes = time.perf_counter(), self.history.notes
        notes.extend(warning for warning in warnings_of(self.layers()) if warning not in notes)
        self._next_look = 2 * len(self.history.losses)
        self._valid += time.perf_counter() - began

    def state(self) -> dict[str, Any]:
        """The complete state between two steps."""
        engine, history = self.trainer.state(), self.history
        average = self.trainer.average
        return {
            **engine, "module": self._module.state_dict(), "average": average and average[0],
            "best": self.trainer.best, "batches": self._batches.state(), "noise": noise(self._device),
            "losses": torch.tensor(history.losses, dtype=torch.float64),
            "checks": [asdict(check) for check in history.checks], "notes": history.notes,
            "spent": self.trainer.seconds, "valid": self._valid, "seen": self._seen, "next_look": self._next_look,
            "elapsed": time.perf_counter() - self._began,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Stand where a checkpoint stood."""
        self._module.load_state_dict(state["module"])
        self.history.losses[:] = state["losses"].tolist()
        older = {"threads": {"threads": self._threads.most}}  # an older version trained on all of them
        self.trainer.restore({**older, **state, "taken": len(self.history.losses)})
        self.trainer.restore_weights(state["best"], None if state["average"] is None else [state["average"]])
        self._batches.restore(state["batches"])
        set_noise(self._device, state["noise"])
        self.history.notes[:] = state["notes"]
        for check in state["checks"]:
            valid = None if check["valid"] is None else Scores(**check["valid"])
            self.history.checks.append(Check(**{**check, "valid": valid}))
        self.trainer.seconds[:], self._valid, self._seen = state["spent"], state["valid"], state["seen"]
        self._next_look = state["next_look"]
        self.history.facts["threads"] = str(self._threads)
        self._began = time.perf_counter() - state["elapsed"]

    def finish(self) -> None:
        """Keep the average, or the best weights where patience is set, and say where the seconds went."""
        self.trainer.settle()
        if not any(map(math.isfinite, self.history.losses)):
            raise LeadlineError(f"No step had a finite loss; lower lr={self._how.lr:g}, or look at the loss function.")
        self.trainer.keep_average()
        if self.trainer.best is not None:
            self.trainer.load_best()
        whole, spent = time.perf_counter() - self._began, self.trainer.seconds
        if self._device != CPU:  # estimated from a few steps, each of which waited for the device
            over = sum(spent) / max(1e-9, whole - self._valid)
            spent = [part / max(1.0, over) for part in spent]
        seconds = dict(zip(PARTS, spent, strict=True)) | {"valid": self._valid}
        self.history.seconds |= {**seconds, "other": max(0.0, whole - sum(seconds.values()))}
        self.history.facts["memory"] = f"{peak_mb():,.0f} MB at most in this process"
        if (held := peak_gb(self._device)) is not None:
            self.history.facts["memory"] += f", {held:.2f} GB at most on the device"
