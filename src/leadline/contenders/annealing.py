"""The last phase of a network's training: a short annealing on train and valid rows, after all choices.

Linear models, trees and n-grams are fitted again on train and valid rows once the valid rows have chosen. A network
that is trained for the whole budget cannot be trained twice, so it goes back to its best weights and takes the end of
the schedule again, with the valid rows among the rows. The valid score is taken before, and stays the score.

Enters: where the training stands, and the best weights in place. Leaves: weights that are used where the phase came to
its end and some train rows are answered no worse than before it; else the best weights, and the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from leadline.core.contender import Clock, Progress, State
from leadline.train.loop import LoopState, Optimizer, Plan, train

SHARE = 1 / 2  # of the steps until the best weights and of the phase together, at most
KEPT = 0.05  # of a training's time that is kept for the phase where all of it is needed
PLANNED = 0.95  # of the time left; the rest is for a step that takes longer
SAMPLED = 512  # train rows that are answered before and after
WORSE, WORSE_LEAST = 0.1, 0.01  # share of the loss on them, and nats or squared deviations, that it may rise by

WHY_NOT = {
    "no time": "no time was left to anneal on train and valid rows",
    "unfinished": "the annealing on train and valid rows was cut by the clock: the weights from before it are kept",
    "worse": "the annealing on train and valid rows made the train loss worse: the weights from before it are kept",
}


@dataclass(frozen=True, kw_only=True)
class Training:
    """What the phase asks of a training."""

    step_once: Callable[[], None]
    optimizer: Optimizer
    clock: Clock
    loss: Callable[[], float]  # of some train rows, as the weights stand
    state: Callable[[], State]  # all that a checkpoint holds, the phase's own `state` included


class Annealing:
    """The phase of one training. It has begun where `standing` is not None; `outcome` says how it ended."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.standing: LoopState | None = None
        self.best_step = 0  # of the training before
        self.before = math.nan  # loss of some train rows
        self.outcome: str | None = None  # 'used', or a key of `WHY_NOT`

    def begin(self, at: LoopState, of: Training, reserve: float) -> None:
        """Plan the steps, a share of those that led to the best weights, as many as the clock allows.

        Args:
            at: of the training before, which has ended.
            reserve: seconds to leave for what follows.
        """
        most = max(1, round(SHARE / (1 - SHARE) * at.best_step))
        steps = most
        if of.clock.endless:
            steps = 0 if of.clock.left() <= 0 else most
        else:
            left = PLANNED * (of.clock.left() - reserve)
            steps = min(most, int(left * at.step / max(at.training_s, 1e-9)))
        if steps < 1:
            self.outcome = "no time"
            return
        self.best_step, self.before = at.best_step, of.loss()
        self.plan = Plan(steps=steps, most=most, checks=1, patience=1, reserve=reserve)
        self.standing = LoopState.at_first(self.plan)

    def state(self) -> State | None:
        if self.plan is None or self.standing is None:
            return None
        return {
            "plan": asdict(self.plan), "standing": asdict(self.standing), "best_step": self.best_step,
            "before": self.before,
        }  # fmt: skip

    def restore(self, state: Mapping[str, Any] | None) -> None:
        if state is not None:
            self.plan, self.standing = Plan(**state["plan"]), LoopState(**state["standing"])
            self.best_step, self.before = state["best_step"], state["before"]

    def steps(self, of: Training, first: int) -> Iterator[Progress]:
        """Take them, by the one loop; `first` is how many were taken before the phase."""
        if self.plan is None or self.standing is None:
            return
        at = self.standing
        tail = _Tail(of.optimizer, self.plan.steps / (self.plan.steps + self.best_step))
        found = train(
            of.step_once, tail, self.plan, of.clock, of.loss, lambda one, other: one < other, at, of.state
        )  # fmt: skip
        for item in found:
            if item.state is not None:  # its notes and scores are of a whole training
                yield replace(item, step=first + item.step, steps=first + at.steps)
        after = math.inf if at.best is None else at.best
        if at.step < at.steps:
            self.outcome = "unfinished"
        elif not after <= (1 + WORSE) * self.before + WORSE_LEAST:  # false for NaN too
            self.outcome = "worse"
        else:
            self.outcome = "used"

    @property
    def describe(self) -> str:
        """A line for the report."""
        if self.outcome == "used" and self.standing is not None:
            return f"the last {self.standing.steps:,} steps on train and valid rows"
        return WHY_NOT[self.outcome or "no time"]


class _Tail:
    """The last `share` of another optimizer's schedule, as a schedule of its own."""

    def __init__(self, optimizer: Optimizer, share: float) -> None:
        self._optimizer, self._share = optimizer, share

    def step(self, done: float) -> None:
        self._optimizer.step(1 - self._share * (1 - done))
