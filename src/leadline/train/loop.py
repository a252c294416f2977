"""The whole training loop: steps are planned from measured speed, again when it drifts, and end at the time limit.

Every rate is a function of step / steps alone. What depends on the clock, the plan and its changes and the cut, is
yielded as a note and so becomes an event of the journal. Between two steps all that the loop knows lies in `LoopState`:
a checkpoint of it, of the network and of the optimizer is enough to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from leadline.core.contender import Clock, Progress, State
from leadline.core.note import CONVERGED, CUT, Note

SAFETY = 0.97  # of the time left is planned for
DRIFT = 0.04  # change of the planned steps worth a new plan
LOOK = 20  # steps between two looks at the speed, at most


class Optimizer(Protocol):
    """Turns the gradients in place into a step of the weights."""

    def step(self, done: float) -> None:
        """Update from the gradients; `done` is step / steps, in [0, 1)."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to train, and how often to look at the valid rows."""

    steps: int  # that the time allows, or `most`
    most: int  # steps that are worth taking at all
    checks: int  # evaluations, the last one after the last step
    patience: int  # evaluations without a better score before stopping
    reserve: float  # seconds to leave for what follows the training


@dataclass(kw_only=True)
class LoopState:
    """Where a training stands."""

    steps: int
    next_check: float
    step: int = 0
    checked: int = 0
    since_best: int = 0
    best: float | None = None
    best_step: int = 0  # at which it was measured
    training_s: float = 0.0  # of the clock, without the looks at the valid rows
    evaluating_s: float = 0.0
    ticked: float | None = None  # reading of the clock at the end of the last look
    ended: bool = False

    @classmethod
    def at_first(cls, plan: Plan) -> LoopState:
        return cls(steps=plan.steps, next_check=plan.steps / plan.checks)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def train(
    step_once: Callable[[], None], optimizer: Optimizer, plan: Plan, clock: Clock, evaluate: Callable[[], float],
    better: Callable[[float, float], bool], at: LoopState, state: Callable[[], State] | None = None,
) -> Iterator[Progress]:  # fmt: skip
    """Train from where `at` stands; yields `Progress` at each check, and now and then a chance for a checkpoint.

    Args:
        step_once: forward and backward of one batch.
        evaluate: the score on valid rows; it keeps the best weights itself.
        better: whether one score beats another.
        state: all that a checkpoint holds.
    """
    left = 1.0
    ticked = clock.spent() if at.ticked is None else at.ticked
    while at.step < at.steps and not at.ended:
        step_once()
        optimizer.step(at.step / at.steps)
        at.step += 1
        left = clock.left() - plan.reserve
        if left <= 0 and at.step < at.steps:
            cut = Note(CUT, f"stopped at the time limit at step {at.step} of {at.steps}")
            yield Progress(step=at.step, steps=at.steps, note=cut)
            break
        look = at.step % max(1, min(LOOK, at.steps // 20)) == 0 and at.step < at.steps
        if look and not clock.endless:
            now = clock.spent()
            at.training_s, ticked = at.training_s + now - ticked, now
            speed = at.step / max(at.training_s, 1e-9)
            checking = at.evaluating_s / max(1, at.checked) * max(0, plan.checks - at.checked)
            planned = min(plan.most, at.step + max(1, int((left - checking) * SAFETY * speed)))
            # In the second half only ever shorter: a rate that has fallen should not rise again.
            if abs(planned - at.steps) > DRIFT * at.steps and (planned < at.steps or at.step < at.steps / 2):
                note = f"planned again: {planned} step{'s' * (planned != 1)}, {speed:.1f} a second"
                yield Progress(step=at.step, steps=planned, note=note)
                at.steps = planned
        if at.step >= at.next_check or at.step == at.steps:
            looked = clock.spent()
            at.training_s += looked - ticked
            score = evaluate()
            ticked = clock.spent()
            at.evaluating_s += ticked - looked
            at.checked += 1
            at.next_check = at.step + max(1.0, (at.steps - at.step) / max(1, plan.checks - at.checked))
            at.since_best = 0 if at.best is None or better(score, at.best) else at.since_best + 1
            if at.since_best == 0:
                at.best, at.best_step = score, at.step
            yield Progress(step=at.step, steps=at.steps, score=score)
            if at.since_best >= plan.patience and at.step < at.steps:
                stopped = Note(CONVERGED, f"stopped at step {at.step}: valid stays below its best")
                yield Progress(step=at.step, steps=at.steps, note=stopped)
                break
        at.ticked = ticked
        if look:
            yield Progress(step=at.step, steps=at.steps, state=state)
    if not at.ended and (at.best is None or left <= 0):  # cut: what was learned since the last check may be the best
        score = evaluate()
        if at.best is None or better(score, at.best):
            at.best, at.best_step = score, at.step
        yield Progress(step=at.step, steps=at.steps, score=score)
    at.ended = True
