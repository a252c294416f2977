"""The training loop, whole: steps planned from measured speed, planned again when the speed drifts, cut by the clock.

Every rate is a function of step / steps alone. What depends on the clock, the plan and its changes and the cut, is
yielded as a note and so becomes an event of the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from leadline.contenders.contender import Clock, Progress
from leadline.train.optim import Optimizer

SAFETY = 0.97  # of the time left is planned for
DRIFT = 0.04  # change of the planned steps worth a new plan
LOOK = 20  # steps between two looks at the speed, at most


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to train, and how often to look at the valid rows."""

    steps: int  # that the time allows, or `most`
    most: int  # steps that are worth taking at all
    checks: int  # evaluations, the last one after the last step
    patience: int  # evaluations without a better score before stopping
    reserve: float  # seconds to leave for what follows the training


def train(
    step_once: Callable[[], None], optimizer: Optimizer, plan: Plan, clock: Clock, evaluate: Callable[[], float],
    better: Callable[[float, float], bool],
) -> Iterator[Progress]:  # fmt: skip
    """Train; yields `Progress` at each check.

    Args:
        step_once: forward and backward of one batch.
        evaluate: the score on valid rows; it keeps the best weights itself.
        better: whether one score beats another.
    """
    steps, step, since_best, checked = plan.steps, 0, 0, 0
    best: float | None = None
    began, evaluating, left = time.monotonic(), 0.0, 0.0
    next_check = steps / plan.checks
    while step < steps:
        step_once()
        optimizer.step(step / steps)
        step += 1
        left = clock.left() - plan.reserve
        if left <= 0 and step < steps:
            yield Progress(step=step, steps=steps, note=f"cut by the clock at step {step} of {steps}")
            break
        if step % max(1, min(LOOK, steps // 20)) == 0 and step < steps:
            speed = step / (time.monotonic() - began - evaluating)
            checking = evaluating / max(1, checked) * max(0, plan.checks - checked)
            planned = min(plan.most, step + max(1, int((left - checking) * SAFETY * speed)))
            # In the second half only ever shorter: a rate that has fallen should not rise again.
            if abs(planned - steps) > DRIFT * steps and (planned < steps or step < steps / 2):
                yield Progress(step=step, steps=planned, note=f"planned again: {planned} steps, {speed:.1f} a second")
                steps = planned
        if step >= next_check or step == steps:
            looked = time.monotonic()
            score = evaluate()
            evaluating += time.monotonic() - looked
            checked += 1
            next_check = step + max(1.0, (steps - step) / max(1, plan.checks - checked))
            yield Progress(step=step, steps=steps, score=score)
            since_best = 0 if best is None or better(score, best) else since_best + 1
            best = score if since_best == 0 else best
            if since_best >= plan.patience:
                yield Progress(step=step, steps=steps, note=f"stopped at step {step}: valid stays below its best")
                break
    if best is None or left <= 0:  # cut: what was learned since the last check may be the best
        yield Progress(step=step, steps=steps, score=evaluate())
