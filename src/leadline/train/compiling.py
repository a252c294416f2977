"""Whether `torch.compile` pays: what it takes to compile against what the steps that are left would gain.

Enters: a module, a batch of its rows, the way that was chosen for it and the seconds that are left to train. Leaves:
the same way, or that way compiled. Compiling takes from seconds to minutes, so under five minutes of work it is not
even tried; and where there is no compiler for PyTorch to call, the module runs eagerly and the history says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from leadline.system.errors import LeadlineError
from leadline.train.autotune import GAIN, Choice, remember, remembered, seconds_of
from leadline.train.losses import Loss

WORTH = 300.0  # seconds of training under which it is not tried
LONGEST = 1.0  # seconds of a step that may be expected before one was measured


def compiled(module: nn.Module) -> Callable[..., Any]:
    """The module, compiled at its first call; weights stay its own."""
    made: Callable[..., Any] = torch.compile(module, dynamic=False)
    return made


def compile_or_not(
    module: nn.Module, batch: tuple[tuple[Tensor, ...], Tensor], loss: Loss, choice: Choice, setting: bool | str,
    left: Callable[[float], float],
) -> Choice:  # fmt: skip
    """`setting`: True, False or 'auto'; `left`: seconds of training left, estimated from those of a step."""
    if setting is False or (setting == "auto" and left(LONGEST) < WORTH):
        return choice
    option = replace(choice, compiled=True, attention=False)
    found = remembered(module, batch, [option])
    if found is not None and (found.compiled or setting == "auto"):
        return found
    eager = seconds_of(module, batch, loss, choice)
    if setting == "auto" and left(eager) < WORTH:
        return choice
    began = time.perf_counter()
    try:
        first = seconds_of(module, batch, loss, option, compiled(module))
    except Exception as error:  # compilers fail in ways of their own, and then the module runs as it is
        reason = (str(error).strip() or type(error).__name__).split("\n")[0].rstrip(".")[:200]
        if setting is True:
            raise LeadlineError(
                f"compile=True was given, but the module could not be compiled: {reason}; leave compile out, or "
                "install a compiler (g++, or Triton for an accelerator)."
            ) from error
        return replace(choice, why=f"{choice.why}; not compiled: {reason}".lstrip("; "))
    took = time.perf_counter() - began
    said = f"{choice.why}; compiled in {took:.3g} s, then {1e3 * first:.3g} ms a step against {1e3 * eager:.3g}"
    gained = left(eager) * (1 - first / eager)
    better = setting is True or (first * GAIN < eager and gained > 2 * took)
    chosen = replace(option if better else choice, why=said.lstrip("; "))
    remember(module, batch, [option], chosen)
    return chosen
