"""The threads of PyTorch that a training takes: one, or more where a trial shows that they pay (`system/threads.py`).

Enters: a module on the CPU, a batch of its rows and a way to a gradient. Leaves: `Threads`, tried by forward and
backward passes that leave no trace. What was found on a quiet machine is remembered beside the other choices, so that
the same training takes as many threads, and so gives the same bytes, the next time; what other work disturbed is not.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from leadline.system.device import CPU, noise_kept
from leadline.system.process_state import torch_threads
from leadline.system.resources import idle_cores, most_threads, running_elsewhere
from leadline.system.threads import Threads, timed
from leadline.train.autotune import Choice, keep, place
from leadline.train.backward import Way, way_for
from leadline.train.flat import Flat
from leadline.train.losses import Loss

Batch = tuple[tuple[Tensor, ...], Tensor]

SHARE = 0.1  # of the seconds of a training, that a trial of threads may take


@contextmanager
def threads_kept(meanwhile: int | None = None) -> Iterator[int]:
    """Gives how many threads PyTorch may use, and uses `meanwhile` of them; afterwards it has as many as before."""
    most = min(torch.get_num_threads(), most_threads())
    with torch_threads(None if meanwhile is None else min(meanwhile, most)):
        yield most


def untried(most: int) -> Threads:
    """Threads of nothing that runs yet."""
    return Threads(most, lambda threads: math.inf, torch.set_num_threads)


def begin(
    module: nn.Module, batch_of: Callable[[], Batch], loss: Loss, low: bool, most: int, seconds: float = math.inf
) -> Threads:
    """The threads that pay for a module in plain float32 (or, where `low`, bfloat16), tried or remembered.

    Where other work leaves one core, one thread begins without a trial. The trial takes a small share of `seconds`.
    """
    threads = untried(most)
    if threads.fixed or idle_cores() < 2:
        return threads
    batch, before = batch_of(), quiet()
    path = place(module, batch, ["threads", low, most])
    if path.is_file():
        threads.take(**json.loads(path.read_text()))
        return threads
    threads.seconds_on = trial(module, loss, Choice(low=low), lambda: batch)
    threads.begin(seconds * SHARE)
    if threads.now > 1 or (before and quiet()):
        keep(path, {"threads": threads.now, "usual": threads.measured.get(threads.now)})
    return threads


def as_they_are(most: int) -> Threads:
    """Threads that nothing is tried of: of work that an accelerator does."""
    threads = Threads(most, lambda threads: math.inf, torch.set_num_threads, most)
    threads.fixed = True
    return threads


def trial(module: nn.Module, loss: Loss, choice: Choice, batch_of: Callable[[], Batch]) -> Callable[[int], float]:
    """Seconds of forward and backward on so many threads, by a copy: a module may count its own calls."""

    def seconds_on(threads: int) -> float:
        torch.set_num_threads(threads)
        held, y = batch_of()
        x = tuple(each.to(memory_format=choice.layout) if each.ndim == 4 else each for each in held)
        try:
            with noise_kept(CPU):
                copied = copy.deepcopy(module).train()
                way, _ = way_for(copied, Flat(copied), loss, [each.ndim for each in x], choice)
                return timed(lambda: _once(way, x, y), time.perf_counter)
        except Exception:  # it cannot be copied, or does not fit; what else is wrong the training itself will say
            return math.inf

    return seconds_on


def _once(way: Way, x: tuple[Tensor, ...], y: Tensor) -> None:
    way.forward(x, y)
    way.backward()


def quiet() -> bool:
    """Whether nothing but this process seems to run."""
    return running_elsewhere() == 0
