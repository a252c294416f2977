"""One training of one module: what the loop calls at every step and every check, and where the seconds go.

Enters: a module, its rows and `How` to train it. Leaves: the module's parameters moved, and a `History`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from leadline.inspect.health import warnings_of
from leadline.inspect.layer_stats import Layer
from leadline.system.device import CPU, LOOKED, hand_over, home, named, noise, peak_gb, seed, set_noise, wait
from leadline.system.errors import LeadlineError
from leadline.system.resources import peak_mb
from leadline.system.threads import Threads
from leadline.train.accumulate import by_count, by_outputs, split
from leadline.train.autotune import Choice
from leadline.train.backward import way_for
from leadline.train.batches import Batches, Rows
from leadline.train.checkpoint import restore
from leadline.train.config import How
from leadline.train.flat import Flat
from leadline.train.foreign import foreign
from leadline.train.history import PARTS, Check, History, Scores
from leadline.train.loop import Plan
from leadline.train.losses import Own
from leadline.train.memory import too_large
from leadline.train.scoring import score, type_of
from leadline.train.threads import Batch, as_they_are, trial

TRIED, SKIPPED = 12, 4  # steps of the trial under a budget, and those of them that are not timed
TRIAL, FEW = 0.05, 2  # share of the budget after which the trial ends, and the steps that it has at least
CHECKS = 10  # of a run under a budget
SAFETY = 0.95  # of the time left that a first plan fills
SAVED = 100  # steps between two copies of the state that a loss that is not finite can go back to
STRIKES = 3  # times that it may go back
FIRST_LOOK = 100  # steps before the layers are looked at: it takes as long as a few of them
BEHIND = 20  # steps on an accelerator after which their losses are read: to read each at once would make it wait
TINY = 1e-30  # what an optimizer remembers under this is zero: it never moves a weight, and slows processors down


class Course:
    """The state of a run; `Optimizer` of `loop.train` in its own person."""

    def __init__(
        self, module: nn.Module, flat: Flat, rows: Rows, held: Rows | None, how: How, choice: Choice, least: int = 1
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
        self.threads = as_they_are(torch.get_num_threads())
        self._way, why = way_for(module, flat, how.loss, [x.ndim for x in rows.x], choice)
        self._start()
        shapes = " and ".join(f"{list(x.shape[1:])} {str(x.dtype).split('.')[1]}" for x in rows.x)
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
        self.threads = threads
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
        self._rules = how.optimizer.begin(self._module, self._flat)
        self._average = None if how.ema is None else self._flat.values.clone()
        self._best: tuple[float, list[Tensor]] | None = None  # where patience asks for it
        self.parts, self._share, self._strikes = how.accumulate, 1.0, 0  # of a batch; of the rate; steps back
        self._good: list[Tensor] = []
        self._next_look = FIRST_LOOK  # a step
        self._taken = 0  # steps
        self._unread: list[Tensor] = []  # losses of the last of them
        self._lost = False  # whether one of these was not finite, so that the weights went back
        self._spent, self._valid, self._seen = [0.0] * len(PARTS), 0.0, 0
        self.history.losses.clear()
        self._module.train()

    def plan(self, left: float) -> Plan:
        """How many steps and checks; under a budget from a trial, which leaves no trace."""
        how, a_pass = self._how, len(self._batches)
        if how.budget is None:
            steps = most = how.steps or (how.epochs or 0) * a_pass
            checks = how.epochs or -(-steps // a_pass)
        else:
            a_step, trial = self._trial(TRIAL * left)
            steps, most, checks = max(1, int(SAFETY * (left - trial) / a_step)), sys.maxsize, CHECKS
            self.history.notes.append(f"{steps:,} steps planned, {1e3 * a_step:.3g} ms each")
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
            self.step_once()
            self.step(0.0)
            wait(self._device)
            times.append(time.perf_counter() - tick)
            if len(times) >= FEW and time.perf_counter() - began > most:
                break
        self._module.load_state_dict(before)  # copies into the views, so the flat tensor is as it was, too
        self._start()
        timed = sorted(times[min(SKIPPED, len(times) - 1) :])
        return timed[len(timed) // 2], time.perf_counter() - began

    def step_once(self) -> None:
        """Forward and backward of the next batch; where the loss is not finite, back to where all was well."""
        self._lost = False
        if (changed := self.threads.check()) is not None:
            self.history.notes.append(f"step {self._taken + 1:,}: {changed}")
        if self._taken % SAVED == 0:
            self._settle()
            self._save()
        began = self._step_began = self._now()
        x, y = self._batches.draw()
        self._note(0, began, self._now())
        loss = None
        while loss is None:
            try:
                loss = self._pass(x, y) if self.parts == 1 else self._in_parts(x, y)
            except Exception as error:  # whatever the user's module or loss raises
                self._smaller(error, len(y))
        self._taken += 1
        self._unread.append(loss)
        if self._device == CPU or len(self._unread) == BEHIND:
            self._settle()

    def _now(self) -> float:
        """The time; in the steps of an accelerator that are looked at, once it has done what it was asked to."""
        if self._device != CPU and self._taken % LOOKED == 0:
            wait(self._device)
        return time.perf_counter()

    def _note(self, part: int, began: float, ended: float) -> None:
        if self._device == CPU:
            self._spent[part] += ended - began
        elif self._taken % LOOKED == 0:
            self._spent[part] += (ended - began) * LOOKED

    def _settle(self) -> None:
        """Read the losses that are not read yet; from one that is not finite, go back."""
        if not self._unread:
            return
        losses = [self._unread[0].item()] if len(self._unread) == 1 else torch.stack(self._unread).tolist()
        self._unread.clear()
        self.history.losses.extend(losses)
        first = next((place for place, loss in enumerate(losses, 1 - len(losses)) if not math.isfinite(loss)), None)
        if first is not None:
            self._lost = True
            self._step_back(len(self.history.losses) + first)

    def _pass(self, x: tuple[Tensor, ...], y: Tensor) -> Tensor:
        began = self._now()
        loss = self._way.forward(x, y)
        forward = self._now()
        self._way.backward()
        self._note(1, began, forward)
        self._note(2, forward, self._now())
        return loss

    def _in_parts(self, x: tuple[Tensor, ...], y: Tensor) -> Tensor:
        """The gradient of the whole batch, part by part."""
        parts, loss = split(x, y, self.parts, self._least), self._how.loss
        if not isinstance(loss, Own):
            return by_count(self._pass, loss, self._flat, parts)
        began = self._now()
        value = by_outputs(self._way, loss, self._flat, self._module, parts)
        self._note(2, began, self._now())
        return value

    def _smaller(self, error: Exception, rows: int) -> None:
        """After a step that did not fit into memory, halve its parts; any other error is not ours."""
        if not too_large(error):
            with foreign(f"Step {self._taken + 1:,} of the module and its loss"):
                raise error
        if self.parts >= rows // self._least:
            raise LeadlineError(
                "One row alone does not fit into memory; make the module smaller, or its rows."
            ) from error
        self.parts *= 2
        self.history.notes.append(
            f"{rows} rows at once did not fit into memory: gradients of {self.parts} parts are added up"
        )

    def step(self, done: float) -> None:
        """Move the weights; `done` is step / steps."""
        if self._lost:
            return
        began, how = self._now(), self._how
        if how.clip is not None:
            self._flat.clip(how.clip)
        with foreign("The schedule"):
            rate = self._share * how.lr * float(how.schedule(done))
        for rule, share in self._rules:
            rule(share * rate)
        if self._average is not None and how.ema is not None:
            # A young average follows closely, or it would hold on to the first weights.
            self._average.lerp_(self._flat.values, 1 - min(how.ema, (1 + self._taken) / (10 + self._taken)))
        hand_over(self._device)
        ended = self._now()
        self._note(3, began, ended)
        self.threads.note(ended - self._step_began)

    def _held_state(self) -> list[Tensor]:
        """All tensors that a step moves."""
        average = [] if self._average is None else [self._average]
        remembered = [tensor for rule, _ in self._rules for tensor in rule.tensors]
        return [self._flat.values, *remembered, *average, *self._module.buffers()]

    def _save(self) -> None:
        for rule, _ in self._rules if self._device == CPU else ():
            for tensor in rule.tensors:
                torch.hardshrink(tensor, TINY, out=tensor)
        held = self._held_state()
        if not math.isfinite(float(held[0].sum())):
            return  # the next loss will tell
        if self._good:
            restore(self._good, held)
        else:
            self._good = [tensor.clone() for tensor in held]

    def _step_back(self, step: int) -> None:
        loss = self.history.losses[step - 1]
        if not all(bool(torch.isfinite(t).all()) for t in self._rows.x if t.is_floating_point()):
            raise LeadlineError(
                f"X of data holds values that are not finite, met at step {step}; leave those rows out."
            )
        if not self._good:
            raise LeadlineError("The module's weights are not finite before its training; give it others.")
        self._strikes += 1
        rate = self._how.lr * self._share
        if self._strikes > STRIKES:
            raise LeadlineError(
                f"The loss became {loss} at step {step}, and {STRIKES} times before, each time at half the rate, where "
                f"a finite number was expected; lower lr={self._how.lr:g}, or clip the gradient with clip=1.0."
            )
        restore(self._held_state(), self._good)
        self._share /= 2
        back = (step - 1) // SAVED * SAVED
        self.history.notes.append(
            f"the loss became {loss} at step {step}: back to the weights of step {back}, at a rate of {rate / 2:.3g}, "
            f"not {rate:.3g}"
        )

    def evaluate(self) -> float:
        """The loss on valid rows, or the mean of the train losses since the last check; kept as a `Check`."""
        self._settle()
        began, losses = time.perf_counter(), self.history.losses
        recent = [loss for loss in losses[self._seen :] or losses[-1:] if math.isfinite(loss)]
        self._seen = len(losses)
        found = None
        if self._held is not None:
            kept = self._flat.values.clone()
            self._keep_average()
            with foreign("The module or its loss, on valid rows,"):
                found = score(self._module, self._held, self._how.loss, self._how.normalise)
            if self._how.patience is not None and (self._best is None or found.loss < self._best[0]):
                self._best = (found.loss, [self._flat.values.clone(), *(b.clone() for b in self._module.buffers())])
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

    def _keep_average(self) -> None:
        """Put the averaged weights in place, where an average was asked for."""
        if self._average is not None:
            self._flat.values.copy_(self._average)

    def state(self) -> dict[str, Any]:
        """All that it takes to go on from between two steps."""
        self._settle()
        history = self.history
        return {
            "module": self._module.state_dict(), "rules": [t for rule, _ in self._rules for t in rule.tensors],
            "average": self._average, "best": self._best, "good": self._good, "batches": self._batches.state(),
            "noise": noise(self._device), "losses": torch.tensor(history.losses, dtype=torch.float64),
            "checks": [asdict(check) for check in history.checks], "notes": history.notes, "spent": self._spent,
            "valid": self._valid, "seen": self._seen, "parts": self.parts, "share": self._share,
            "next_look": self._next_look, "strikes": self._strikes, "elapsed": time.perf_counter() - self._began,
            "threads": self.threads.state(),
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Stand where a checkpoint stood."""
        self._module.load_state_dict(state["module"])
        restore([t for rule, _ in self._rules for t in rule.tensors], state["rules"])
        there = self._device
        self._average = None if state["average"] is None else state["average"].to(there)
        self._good = [tensor.to(there) for tensor in state["good"]]
        self._best = None if state["best"] is None else (state["best"][0], [t.to(there) for t in state["best"][1]])
        self._batches.restore(state["batches"])
        set_noise(there, state["noise"])
        self.history.losses[:] = state["losses"].tolist()
        self._taken = len(self.history.losses)
        self.history.notes[:] = state["notes"]
        for check in state["checks"]:
            valid = None if check["valid"] is None else Scores(**check["valid"])
            self.history.checks.append(Check(**{**check, "valid": valid}))
        self._spent, self._valid, self._seen = list(state["spent"]), state["valid"], state["seen"]
        self.parts, self._share, self._strikes = state["parts"], state["share"], state["strikes"]
        self._next_look = state["next_look"]
        self.threads.restore(state.get("threads", {"threads": self.threads.most}))  # of an older version: all
        self.history.facts["threads"] = str(self.threads)
        self._began = time.perf_counter() - state["elapsed"]

    def finish(self) -> None:
        """Keep the average, or the best weights where patience is set, and say where the seconds went."""
        self._settle()
        if not any(map(math.isfinite, self.history.losses)):
            raise LeadlineError(f"No step had a finite loss; lower lr={self._how.lr:g}, or look at the loss function.")
        self._keep_average()
        if self._best is not None:
            restore([self._flat.values, *self._module.buffers()], self._best[1])
        whole = time.perf_counter() - self._began
        if self._device != CPU:  # told from a few steps, which the device was waited for in
            over = sum(self._spent) / max(1e-9, whole - self._valid)
            self._spent = [spent / max(1.0, over) for spent in self._spent]
        seconds = dict(zip(PARTS, self._spent, strict=True)) | {"valid": self._valid}
        self.history.seconds |= {**seconds, "other": max(0.0, whole - sum(seconds.values()))}
        self.history.facts["memory"] = f"{peak_mb():,.0f} MB at most in this process"
        if (held := peak_gb(self._device)) is not None:
            self.history.facts["memory"] += f", {held:.2f} GB at most on the device"
