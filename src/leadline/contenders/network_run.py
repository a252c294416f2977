"""One training of one network of a contender: what is the same whatever it reads.

Enters: the data of a contender and a seed. Leaves: `Progress` as it goes, a trained network with its best weights, and
what the report says of it. A subclass has the network, its batches and its loss, and plans how long to train.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from leadline.contenders import annealing
from leadline.contenders.annealing import Annealing
from leadline.core.contender import Data, Fitted, Progress, State
from leadline.metrics.metrics import METRICS
from leadline.system.threads import Threads, timed
from leadline.train.loop import Plan, Standing, train

if TYPE_CHECKING:
    from torch import Tensor

    from leadline.contenders.recipes import Recipe


class NetworkRun(ABC):
    """A training from `prepare` or `restore` to `fitted`."""

    net: Any
    optimizer: Recipe
    plan: Plan
    standing: Standing

    def __init__(self, data: Data, seed: int) -> None:
        import torch

        self.data, self.seed, self.store = data, seed, data.store
        self.metric, self.valid = METRICS[data.store.task.metric], data.store.split.valid
        self.low_precision = False
        self.describe: list[str] = []
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self.last = Annealing()
        self.threads = Threads(data.threads, self._seconds_on, torch.set_num_threads, data.threads)
        self.threads.fixed = self.threads.fixed or data.clock.endless  # without a clock nothing is tried
        self.changed: str | None = None  # a change of threads that is not told yet
        self.training = False  # whether its steps are those of the plan
        self.reserve, self.score, self.undertrained = 0.0, math.nan, False

    @abstractmethod
    def prepare(self) -> Progress:
        """Choose size, precision and the number of steps; by a trial, or without a budget by rule."""

    @abstractmethod
    def fitted(self) -> Fitted:
        """The trained network."""

    @abstractmethod
    def _build(self) -> Any:
        """A fresh network; its weights are drawn from the global generator, which is seeded."""

    @abstractmethod
    def _optimizer(self) -> Recipe:
        """The optimizer of that network, which is made ready for its training."""

    @abstractmethod
    def _step_once(self) -> None:
        """Forward and backward of the next batch."""

    @abstractmethod
    def _look(self) -> float:
        """The score of the weights as they are, on some or all of the valid rows."""

    @abstractmethod
    def _final_score(self) -> float:
        """The score of the best weights, which are in place, on all valid rows, in the precision that ships."""

    @abstractmethod
    def _too_little(self) -> str | None:
        """What was too short to learn from, for the report; None where it was long enough."""

    @abstractmethod
    def _loss(self) -> float:
        """Mean loss of some train rows, the same ones at every call, without noise of any sort."""

    @abstractmethod
    def _add_valid(self) -> None:
        """Train on the valid rows too, from here on."""

    @abstractmethod
    def _own_state(self) -> dict[str, Any]:
        """Its sizes and the order of its rows, for a checkpoint."""

    @abstractmethod
    def _restore_sizes(self, state: State) -> None:
        """What `_start` needs of `_own_state`."""

    @abstractmethod
    def _restore_order(self, state: State) -> None:
        """The rest of `_own_state`."""

    def fit(self, state: State | None) -> Iterator[Progress | Fitted]:
        """Train, from the first step or from a state; the last item is the trained network."""
        if state is None:
            yield self.prepare()
        else:
            self.restore(state)
        if self.last.standing is None:
            yield from self.train()
            self.judged()
        yield from self.annealed()
        yield self.fitted()

    def _start(self) -> None:
        """A fresh network, its optimizer and its generators."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.net = self._build()
            noise = torch.get_rng_state()
        self.optimizer = self._optimizer()
        self.generator = torch.Generator().manual_seed(self.seed)
        self.best = None
        torch.set_rng_state(noise)

    def _begin(self, steps: int, most: int, checks: int, patience: int, reserve: float) -> None:
        self.plan = Plan(steps=steps, most=most, checks=checks, patience=patience, reserve=reserve)
        self.standing = Standing.at_first(self.plan)

    def state(self) -> State:
        """All that it takes to go on from between two steps."""
        import torch

        return {
            "plan": asdict(self.plan), "standing": asdict(self.standing), "low_precision": self.low_precision,
            "describe": self.describe, "net": self.net.state_dict(), "optimizer": self.optimizer.tensors,
            "noise": torch.get_rng_state(), "best": self.best, "threads": self.threads.state(),
            "reserve": self.reserve, "score": self.score, "undertrained": self.undertrained,
            "last": self.last.state(), **self._own_state(),
        }  # fmt: skip

    def restore(self, state: State) -> None:
        """Stand where a checkpoint stood."""
        import torch

        from leadline.train.checkpoint import restore

        self.plan, self.standing = Plan(**state["plan"]), Standing(**state["standing"])
        self.low_precision, self.describe = state["low_precision"], list(state["describe"])
        self._restore_sizes(state)
        self._start()
        self.net.load_state_dict(state["net"])
        restore(self.optimizer.tensors, state["optimizer"])
        self.reserve, self.score, self.undertrained = state["reserve"], state["score"], state["undertrained"]
        self.last.restore(state["last"])
        if self.last.standing is not None:
            self._add_valid()
        self._restore_order(state)
        self.best = None if state["best"] is None else (state["best"][0], state["best"][1])
        self.threads.restore(state["threads"])
        torch.set_rng_state(state["noise"])

    def _seconds_on(self, threads: int) -> float:
        """Seconds of a step on so many threads, told by steps that are learned from like all others."""
        import torch

        torch.set_num_threads(threads)
        done = self.standing.step / self.standing.steps if self.training else 0.5

        def once() -> None:
            self._step_once()
            self.optimizer.step(done)

        return timed(once, self.data.clock.spent)

    def train(self) -> Iterator[Progress]:
        """The loop, as planned."""
        self.training = True
        for progress in train(
            self._step, self.optimizer, self.plan, self.data.clock, self._evaluate, self.metric.better,
            self.standing, self.state,
        ):  # fmt: skip
            yield progress
            if self.changed is not None:
                yield Progress(step=progress.step, steps=progress.steps, note=self.changed)
                self.changed = None

    def _step(self) -> None:
        """A step of the training, on as many threads as pay now."""
        if self.threads.fixed:
            return self._step_once()
        self.changed = self.threads.check() or self.changed
        began = self.data.clock.spent()
        self._step_once()
        self.threads.note(self.data.clock.spent() - began)

    def _evaluate(self) -> float:
        """Score the weights as they are; the best ones are kept."""
        score = self._look()
        if self.best is None or self.metric.better(score, self.best[0]):
            self.best = (score, {name: value.clone() for name, value in self.net.state_dict().items()})
        return score

    def judged(self) -> None:
        """Score the best weights, and see what a last phase may take."""
        assert self.best is not None
        self.net.load_state_dict(self.best[1])
        self.score = self._final_score()
        short = self._too_little()
        self.undertrained = short is not None
        if short is not None:
            self.describe.append(f"{short}: too little time to learn")
        self.last.begin(self.standing, self._training(), self.reserve)
        if self.last.standing is not None:
            self._add_valid()

    def annealed(self) -> Iterator[Progress]:
        """The end of the schedule on train and valid rows (`annealing.py`)."""
        assert self.best is not None
        yield from self.last.steps(self._training(), self.standing.step)
        if self.last.outcome != "used":
            self.net.load_state_dict(self.best[1])
        self.describe.append(self.last.describe)

    def _training(self) -> annealing.Training:
        return annealing.Training(
            step_once=self._step_once, optimizer=self.optimizer, clock=self.data.clock, loss=self._loss,
            state=self.state,
        )  # fmt: skip
