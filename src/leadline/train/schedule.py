"""Schedules: what share of the peak learning rate a step uses, from the share of the steps that is done alone.

Enters: done = step / steps, in [0, 1). Leaves: a factor in [0, 1]. Nothing else is known to a schedule, so a run that
plans its steps again only stretches it.

    >>> [round(SCHEDULES["linear"](done), 2) for done in (0.0, 0.25, 0.75)]
    [1.0, 0.75, 0.25]
"""

from __future__ import annotations

import math
from collections.abc import Callable

from leadline.system.errors import LeadlineError

Schedule = Callable[[float], float]

LOWEST = 0.01  # of the peak, where a warm-up begins: a first step at no rate at all would be lost
WARMUP, COOLING = 0.1, 0.2  # shares of the steps in which a trapezoid rises and falls
RISE, START, END = 0.3, 1 / 25, 1 / 25e4  # of one cycle: share of the rise, first and last factor


def constant(done: float) -> float:
    """One learning rate throughout."""
    return 1.0


def linear(done: float) -> float:
    """Falls in a straight line to zero."""
    return 1.0 - done


def cosine(done: float) -> float:
    """Falls along half a cosine to zero: Loshchilov and Hutter 2017, 'SGDR', without restarts."""
    return 0.5 * (1.0 + math.cos(math.pi * done))


def one_cycle(done: float) -> float:
    """Rises and falls along half cosines: Smith and Topin 2018, 'Super-convergence'; its momentum stays as it is."""
    if done < RISE:
        return START + (1.0 - START) * (1.0 - cosine(done / RISE))
    return END + (1.0 - END) * cosine((done - RISE) / (1.0 - RISE))


def trapezoid(done: float) -> float:
    """Rises, stays, falls, in straight lines: Hägele et al. 2024, arXiv 2405.18392."""
    return min(1.0, LOWEST + (1.0 - LOWEST) * done / WARMUP, (1.0 - done) / COOLING)


SCHEDULES: dict[str, Schedule] = {f.__name__: f for f in (constant, cosine, linear, one_cycle, trapezoid)}


def chosen(schedule: str | Schedule) -> Schedule:
    """A schedule by its name, or the user's own function of the share that is done."""
    if callable(schedule):
        return schedule
    if not isinstance(schedule, str) or schedule not in SCHEDULES:
        raise LeadlineError(
            f"schedule={schedule!r} is not known; it can be {', '.join(SCHEDULES)}, or a function of step / steps."
        )
    return SCHEDULES[schedule]
