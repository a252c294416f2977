"""One training of one network of a contender: what is the same whatever it reads.

Enters: the data of a contender and a seed. Leaves: `Progress` as it goes, a trained network with its best weights, and
what the report says of it. A subclass has the network, its batches and its loss, and plans how long to train; the steps
are the engine's (`train/trainer.py`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast

import numpy as np

from leadline.contenders import annealing
from leadline.contenders.annealing import Annealing
from leadline.contenders.fitted_network import Learned
from leadline.core.contender import Data, Fitted, Progress, State
from leadline.core.task import Scale
from leadline.metrics.metrics import METRICS
from leadline.system.threads import Threads, timed
from leadline.train.loop import LoopState, Plan, train

if TYPE_CHECKING:
    from torch import Tensor

    from leadline.contenders.recipes import Recipe
    from leadline.train.trainer import Trainer

UNTOUCHED = {"good": [], "parts": 1, "share": 1.0, "strikes": 0}  # of the engine, where a checkpoint is from before it


class NetworkState(TypedDict):
    """A checkpoint of a network's training, besides what a subclass adds."""

    plan: dict[str, Any]
    standing: dict[str, Any]
    bf16: bool
    describe: list[str]
    net: dict[str, Tensor]
    optimizer: list[Tensor]
    noise: Tensor  # the state of the global generator
    threads: dict[str, Any]
    trainer: NotRequired[Mapping[str, Any]]  # absent in older checkpoints
    best: tuple[float, dict[str, Tensor]] | None  # a score, and all that a step changes
    reserve: float
    on_valid: NotRequired[Tensor | None]  # absent in older checkpoints
    score: float
    undertrained: bool
    last: dict[str, Any] | None


def trained(start: Callable[[], NetworkRun], state: State | None) -> Iterator[Progress | Fitted]:
    """One training; afterwards the process has as many threads, and the same random state, as before."""
    from leadline.system.device import CPU, noise_kept
    from leadline.system.process_state import torch_threads

    with torch_threads(), noise_kept(CPU):
        yield from start().fit(state)


class NetworkRun(ABC):
    """A training from `prepare` or `restore` to `fitted`."""

    net: Any
    trainer: Trainer
    plan: Plan
    standing: LoopState

    def __init__(self, data: Data, seed: int) -> None:
        import torch

        self.data, self.seed, self.store = data, seed, data.store
        self.metric, self.valid = METRICS[data.store.task.metric], data.store.split.valid
        self.bf16 = False
        self.describe: list[str] = []
        self.last = Annealing()
        self.threads = Threads(data.threads, self._seconds_on, torch.set_num_threads, data.threads)
        self.threads.fixed = self.threads.fixed or data.clock.endless  # without a clock nothing is tried
        self.messages: list[str] = []  # what the engine says of its steps
        self.training = False  # whether its steps are those of the plan
        self.reserve, self.score, self.undertrained = 0.0, math.nan, False
        self.on_valid: np.ndarray | None = None  # raw answers of the best weights, from before the last phase

    @abstractmethod
    def prepare(self) -> Progress:
        """Choose size, precision and the number of steps; by a trial, or without a budget by rule."""

    @abstractmethod
    def fitted(self) -> Fitted:
        """The trained network."""

    @abstractmethod
    def _build(self) -> Any:
        """A fresh network; its initial weights come from the global generator, which is seeded."""

    @abstractmethod
    def _optimizer(self) -> Recipe:
        """The optimizer of that network, which is made ready for its training."""

    @abstractmethod
    def draw(self) -> Any:
        """The next batch: tensors whose first axis is that of the rows, in tuples and lists."""

    @abstractmethod
    def loss_of(self, batch: Any) -> Tensor:
        """The mean loss of a batch, as it is trained."""

    @abstractmethod
    def _look(self) -> float:
        """The score of the weights as they are, on some or all of the valid rows."""

    @abstractmethod
    def _final_score(self) -> float:
        """The score of the best weights, which are in place, on all valid rows, in the precision that ships.

        Keeps their raw answers `on_valid`, where a row is of one class, has labels or a value.
        """

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
    def _own_state(self) -> State:
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

        from leadline.contenders.network_objective import NetworkObjective
        from leadline.train.config import TrainConfig
        from leadline.train.trainer import Trainer

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.net = self._build()
            noise = torch.get_rng_state()
        optimizer = self._optimizer()
        self.generator = torch.Generator().manual_seed(self.seed)
        config = TrainConfig(threads=self.threads, say=lambda what, step: self.messages.append(what), clock=self._spent)
        self.trainer = Trainer(self.net, self, NetworkObjective(self.net, self.loss_of), optimizer, config)
        torch.set_rng_state(noise)

    def _begin(self, steps: int, most: int, checks: int, patience: int, reserve: float) -> None:
        self.plan = Plan(steps=steps, most=most, checks=checks, patience=patience, reserve=reserve)
        self.standing = LoopState.at_first(self.plan)

    def state(self) -> State:
        """The complete state between two steps."""
        import torch

        engine, best = self.trainer.state(), self.trainer.best
        return {
            "plan": asdict(self.plan), "standing": asdict(self.standing), "bf16": self.bf16,
            "describe": self.describe, "net": self.net.state_dict(), "optimizer": engine.pop("rules"),
            "noise": torch.get_rng_state(), "threads": engine.pop("threads"), "trainer": engine,
            "best": best and (best[0], dict(zip(self._names(), best[1], strict=True))), "reserve": self.reserve,
            "on_valid": None if self.on_valid is None else torch.from_numpy(self.on_valid),
            "score": self.score, "undertrained": self.undertrained, "last": self.last.state(), **self._own_state(),
        }  # fmt: skip

    def restore(self, found: State) -> None:
        """Stand where a checkpoint stood."""
        import torch

        state = cast("NetworkState", found)
        self.plan, self.standing = Plan(**state["plan"]), LoopState(**state["standing"])
        self.bf16, self.describe = state["bf16"], list(state["describe"])
        self._restore_sizes(found)
        self._start()
        self.net.load_state_dict(state["net"])
        engine = state.get("trainer") or UNTOUCHED | {"taken": self.standing.step}
        self.trainer.restore({**engine, "rules": state["optimizer"], "threads": state["threads"]})
        self.reserve, self.score, self.undertrained = state["reserve"], state["score"], state["undertrained"]
        self.last.restore(state["last"])
        on_valid = state.get("on_valid")
        self.on_valid = None if on_valid is None else on_valid.numpy()
        if self.last.standing is not None:
            self._add_valid()
        self._restore_order(found)
        best = state["best"]
        now = dict(zip(self._names(), self.trainer.weights, strict=True))  # some buffers are in no older checkpoint
        self.trainer.restore_weights(best and (best[0], [best[1].get(name, now[name]) for name in now]), None)
        torch.set_rng_state(state["noise"])

    def _names(self) -> list[str]:
        """Of the engine's `weights`."""
        return [name for name, _ in [*self.net.named_parameters(), *self.net.named_buffers()]]

    def _spent(self) -> float:
        return self.data.clock.spent()

    def _precision(self) -> AbstractContextManager[None]:
        """What holds while the network is called in its training."""
        from leadline.train.autotune import Choice

        return Choice(low=self.bf16).forward()

    def _step_once(self, done: float = 0.5) -> None:
        """A step of a trial: it is learned from like all others, but does not count."""
        self.trainer.gradient()
        self.trainer.optimizer.step(done, self.trainer.share)

    def _seconds_on(self, threads: int) -> float:
        """Seconds of a step on so many threads, measured on steps that train the network like all others."""
        import torch

        torch.set_num_threads(threads)
        return self._step_seconds()

    def _step_seconds(self) -> float:
        """Seconds of a usual step."""
        done = self.standing.step / self.standing.steps if self.training else 0.5
        return timed(lambda: self._step_once(done), self._spent)

    def train(self) -> Iterator[Progress]:
        """The loop, as planned; where its loss stays not finite it ends with what was best."""
        from leadline.train.trainer import DivergenceError

        self.training, at = True, self.standing
        try:
            for progress in train(
                self.trainer.step_once, self.trainer, self.plan, self.data.clock, self._evaluate, self.metric.better,
                at, self.state,
            ):  # fmt: skip
                yield progress
                yield from self._notes(at)
        except DivergenceError as error:
            if self.trainer.best is None:
                raise
            at.ended = True
            self.messages.append(f"stopped at step {at.step}: {error}")
        yield from self._notes(at)

    def _notes(self, at: LoopState) -> Iterator[Progress]:
        """What the engine says, for the journal."""
        while self.messages:
            yield Progress(step=at.step, steps=at.steps, note=self.messages.pop(0))

    def _evaluate(self) -> float:
        """Score the weights as they are; the best ones are kept."""
        score, best = self._look(), self.trainer.best
        if best is None or self.metric.better(score, best[0]):
            self.trainer.keep_best(score)
        return score

    def judged(self) -> None:
        """Score the best weights, and see what a last phase may take."""
        self.trainer.load_best()
        self.trainer.good = []  # the last phase begins from these weights
        self.score = self._final_score()
        short = self._too_little()
        self.undertrained = short is not None
        if short is not None:
            self.describe.append(f"{short}: too little time to learn")
        self.last.begin(self.standing, self._training(), self.reserve)
        if self.last.standing is not None:
            self._add_valid()

    def learned(self, scale: Scale = (0.0, 1.0)) -> Learned:
        """How the training ended; `scale` is that of the target."""
        return Learned(
            scale=scale, score=self.score, valid=self._answers_kept(scale), describe=self.describe,
            undertrained=self.undertrained, trained_on_valid=self.last.outcome == "used", threads=self.threads.now,
        )  # fmt: skip

    def _answers_kept(self, scale: Scale) -> np.ndarray | None:
        return None if self.on_valid is None else self.data.task.activate(self.on_valid, scale)

    def annealed(self) -> Iterator[Progress]:
        """The end of the schedule on train and valid rows (`annealing.py`)."""
        from leadline.train.trainer import DivergenceError

        self.threads.fixed = True  # it is too short for trials
        try:
            yield from self.last.steps(self._training(), self.standing.step)
        except DivergenceError:
            self.last.outcome = "worse"
        yield from self._notes(self.standing)
        if self.last.outcome != "used":
            self.trainer.load_best()
        self.describe.append(self.last.describe)

    def _training(self) -> annealing.Training:
        return annealing.Training(
            step_once=self.trainer.step_once, optimizer=self.trainer, clock=self.data.clock, loss=self._loss,
            state=self.state,
        )  # fmt: skip
