"""The one engine: what a step of a training does, whatever module, rows, loss and optimizer it has.

Enters: a module, `Batches` to draw from, an `Objective` that gives the gradient of a batch, and an `Optimizer`. Leaves:
the module's weights moved. `ll.train` (`module_run.py`) and the deep contenders (`contenders/network_run.py`) plan,
score and tell; what all of them need lives here: threads that pay, a step back from a loss that is not finite, steps
too large for memory taken in parts, the average and the best of the weights, and the state for a checkpoint.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from leadline.system.device import CPU, LOOKED, hand_over, home, wait
from leadline.system.errors import LeadlineError
from leadline.system.threads import Threads
from leadline.train.checkpoint import restore
from leadline.train.config import TrainConfig
from leadline.train.foreign import foreign
from leadline.train.history import PARTS
from leadline.train.memory import too_large

SAVED = 100  # steps between two copies of the state that a loss that is not finite can go back to
STRIKES = 3  # times that it may go back
BEHIND = 20  # steps on an accelerator after which their losses are read: to read each at once would make it wait
TINY = 1e-30  # what an optimizer remembers under this is zero: it never moves a weight, and slows processors down


class Batches(Protocol):
    def draw(self) -> Any:
        """The next batch, as the objective takes it."""


class Objective(Protocol):
    """The loss of a batch, and a way to its gradient."""

    values: list[Tensor]  # the weights that a step moves
    least: int  # rows that a part of a batch needs

    def rows(self, batch: Any) -> int:
        """The rows of a batch."""

    def forward(self, batch: Any) -> Tensor:
        """The loss of a batch, a scalar without its graph."""

    def backward(self) -> None:
        """The gradient of that loss, in the place of what was there."""

    def in_parts(self, batch: Any, parts: int, passed: Callable[[Any], Tensor]) -> Tensor:
        """Loss and gradient of a whole batch, part by part; `passed` goes forward and backward with a part."""

    def clip(self, most: float) -> None:
        """Shorten the gradient to this norm."""


class Optimizer(Protocol):
    def step(self, done: float, share: float) -> None:
        """Move the weights; `done` is step / steps, `share` a part of the rate."""

    @property
    def tensors(self) -> list[Tensor]:
        """What it remembers."""


class DivergenceError(LeadlineError):
    """The loss is not finite, however often the weights went back."""


class Trainer:
    """The state of a training between two steps; for `loop.train` it is the optimizer too."""

    def __init__(
        self, module: nn.Module, batches: Batches, objective: Objective, optimizer: Optimizer, config: TrainConfig
    ) -> None:  # fmt: skip
        self.module, self.batches, self.objective, self.optimizer = module, batches, objective, optimizer
        self.config, self.device = config, home(module)
        self.threads: Threads = config.threads
        self.average = None if config.ema is None else [value.clone() for value in objective.values]
        self.best: tuple[float, list[Tensor]] | None = None  # a score and `weights`
        self.parts, self.share, self.strikes = config.parts, 1.0, 0  # of a batch; of the rate; steps back
        self.good: list[Tensor] = []
        self.taken = 0  # steps
        self.losses: list[float] = []  # of all steps
        self.seconds = [0.0] * len(PARTS)
        self._unread: list[Tensor] = []  # losses of the last steps
        self._lost = False  # whether one of these was not finite, so that the weights went back
        self._began: float | None = None  # the last step, where threads are watched

    @property
    def weights(self) -> list[Tensor]:
        """All of the module that a step changes."""
        return [*self.objective.values, *self.module.buffers()]

    def step_once(self) -> None:
        """Forward and backward of the next batch; where the loss is not finite, back to where all was well."""
        self._lost = False
        if (changed := self.threads.check()) is not None:
            self.config.say(changed, self.taken + 1)
        if self.taken % SAVED == 0 or not self.good:
            self.settle()
            self._save()
        self._began = None if self.threads.fixed else self.config.clock()
        loss = self.gradient()
        self.taken += 1
        self._unread.append(loss)
        if self.device == CPU or len(self._unread) == BEHIND:
            self.settle()

    def gradient(self) -> Tensor:
        """Loss and gradient of the next batch, in as many parts as fit into memory."""
        began = self._now()
        batch = self.batches.draw()
        self._note(0, began, self._now())
        while True:
            try:
                return self._pass(batch) if self.parts == 1 else self._in_parts(batch)
            except Exception as error:  # whatever the user's module or loss raises
                self._smaller(error, self.objective.rows(batch))

    def _now(self) -> float:
        """The time; in the measured steps of an accelerator, once its work is done."""
        if self.device != CPU and self.taken % LOOKED == 0:
            wait(self.device)
        return time.perf_counter()

    def _note(self, part: int, began: float, ended: float) -> None:
        if self.device == CPU:
            self.seconds[part] += ended - began
        elif self.taken % LOOKED == 0:
            self.seconds[part] += (ended - began) * LOOKED

    def _pass(self, batch: Any) -> Tensor:
        began = self._now()
        loss = self.objective.forward(batch)
        forward = self._now()
        self.objective.backward()
        self._note(1, began, forward)
        self._note(2, forward, self._now())
        return loss

    def _in_parts(self, batch: Any) -> Tensor:
        began, before = self._now(), self.seconds[2]
        loss = self.objective.in_parts(batch, self.parts, self._pass)
        if self.seconds[2] == before:  # all parts in one go
            self._note(2, began, self._now())
        return loss

    def _smaller(self, error: Exception, rows: int) -> None:
        """After a step that did not fit into memory, halve its parts; any other error is not ours."""
        if not too_large(error):
            if self.config.code_of is None:
                raise error
            with foreign(f"Step {self.taken + 1:,} of {self.config.code_of}"):
                raise error
        if self.parts >= rows // self.objective.least:
            raise LeadlineError(
                "One row alone does not fit into memory; make the module smaller, or its rows."
            ) from error
        self.parts *= 2
        self.config.say(
            f"{rows} rows at once did not fit into memory: gradients of {self.parts} parts are added up", None
        )

    def step(self, done: float) -> None:
        """Move the weights; `done` is step / steps."""
        if self._lost:
            return
        began, config = self._now(), self.config
        if config.clip is not None:
            self.objective.clip(config.clip)
        self.optimizer.step(done, self.share)
        if self.average is not None and config.ema is not None:
            # A young average follows closely, or it would hold on to the first weights.
            for mean, value in zip(self.average, self.objective.values, strict=True):
                mean.lerp_(value, 1 - min(config.ema, (1 + self.taken) / (10 + self.taken)))
        hand_over(self.device)
        self._note(3, began, self._now())
        if self._began is not None:
            self.threads.note(config.clock() - self._began)

    def settle(self) -> None:
        """Read the losses that are not read yet; from one that is not finite, go back."""
        if not self._unread:
            return
        losses = [self._unread[0].item()] if len(self._unread) == 1 else torch.stack(self._unread).tolist()
        self._unread.clear()
        self.losses.extend(losses)
        for step, loss in enumerate(losses, self.taken - len(losses) + 1):
            if not math.isfinite(loss):
                self._lost = True
                return self._step_back(step, loss)

    def _held(self) -> list[Tensor]:
        """All tensors that a step moves."""
        return [*self.objective.values, *self.optimizer.tensors, *(self.average or ()), *self.module.buffers()]

    def _save(self) -> None:
        for tensor in self.optimizer.tensors if self.device == CPU else ():
            torch.hardshrink(tensor, TINY, out=tensor)
        if not all(math.isfinite(float(value.sum())) for value in self.objective.values):
            return  # the next loss will tell
        if self.good:
            restore(self.good, self._held())
        else:
            self.good = [tensor.clone() for tensor in self._held()]

    def _step_back(self, step: int, loss: float) -> None:
        config = self.config
        config.lost(step)
        if not self.good:
            raise LeadlineError("The module's weights are not finite before its training; give it others.")
        self.strikes += 1
        if self.strikes > STRIKES:
            remedy = "" if config.lr is None else f"; lower lr={config.lr:g}, or clip the gradient with clip=1.0"
            raise DivergenceError(
                f"The loss became {loss} at step {step}, and {STRIKES} times before, each time at half the rate, where "
                f"a finite number was expected{remedy}."
            )
        restore(self._held(), self.good)
        rates = "half the rate"
        if config.lr is not None:
            rate = config.lr * self.share
            rates = f"a rate of {rate / 2:.3g}, not {rate:.3g}"
        self.share /= 2
        back = (step - 1) // SAVED * SAVED
        config.say(f"the loss became {loss} at step {step}: back to the weights of step {back}, at {rates}", None)

    def keep_average(self) -> None:
        """Put the averaged weights in place, where an average was asked for."""
        if self.average is not None:
            restore(self.objective.values, self.average)

    def keep_best(self, score: float) -> None:
        """Remember the weights as they are, which have this score."""
        self.best = (score, [tensor.clone() for tensor in self.weights])

    def load_best(self) -> None:
        """Put the best weights in place."""
        assert self.best is not None
        restore(self.weights, self.best[1])

    def state(self) -> dict[str, Any]:
        """The state between two steps, except weights, row order and random generators."""
        self.settle()
        # `good` is 40% of a checkpoint of a convolutional network; without it, a loss that is not finite soon after a
        # resumption would go back to other weights than in an uninterrupted training.
        return {
            "rules": self.optimizer.tensors, "good": self.good, "parts": self.parts, "share": self.share,
            "strikes": self.strikes, "threads": self.threads.state(), "taken": self.taken,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """Stand where a checkpoint stood."""
        restore(self.optimizer.tensors, state["rules"])
        self.good = self._there(state["good"])
        self.parts, self.share, self.strikes = state["parts"], state["share"], state["strikes"]
        self.taken = state["taken"]
        self.threads.restore(state["threads"])

    def restore_weights(self, best: Sequence[Any] | None, average: list[Tensor] | None) -> None:
        """The best and the average of them, as a checkpoint has them."""
        self.best = None if best is None else (best[0], self._there(best[1]))
        self.average = None if average is None else self._there(average)

    def _there(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [tensor.to(self.device) for tensor in tensors]
