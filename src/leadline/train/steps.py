"""The two ways to take the derivative of a loss: written out for stacks of Linear layers, by autograd for all else.

Enters: a batch, its inputs x each [N, ...] and y [N, ...]. Leaves: its mean loss (a scalar) from `forward`, and from
`backward` the whole of the flat gradient. `way_for` chooses, and says why.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from leadline.train.choice import Choice
from leadline.train.compiling import compiled
from leadline.train.dense import Stack, why_not
from leadline.train.flat import Flat
from leadline.train.losses import Loss

Inputs = tuple[Tensor, ...]


class Way(Protocol):
    def forward(self, x: Inputs, y: Tensor) -> Tensor: ...

    def backward(self) -> None: ...


class WrittenOut:
    """Without autograd: `dense.py`."""

    def __init__(self, module: nn.Sequential, loss: Loss) -> None:
        self._stack, self._loss = Stack(module), loss

    def forward(self, x: Inputs, y: Tensor) -> Tensor:
        out = self._stack.forward(x[0])
        self._dout = torch.empty_like(out)
        return self._loss.gradient(out, y, into=self._dout)

    def backward(self) -> None:
        self._stack.backward(self._dout)


class Autograd:
    """Any module, eagerly or compiled; in bfloat16 where that was chosen, with the parameters kept in float32."""

    def __init__(self, module: nn.Module, flat: Flat, loss: Loss, choice: Choice) -> None:
        self._module, self._flat, self._loss, self._choice = module, flat, loss, choice
        self._compiled = compiled(module) if choice.compiled else module
        self._rows = 0  # of a whole batch

    def forward(self, x: Inputs, y: Tensor) -> Tensor:
        self._rows = self._rows or len(y)
        # The last batch of a pass may be smaller: to compile once more for it would take longer than it gains.
        module = self._compiled if len(y) == self._rows else self._module
        with self._choice.forward(self._flat.values.device):
            out = module(*x)
        with torch.enable_grad():
            self._value = self._loss(out.to(self._flat.values.dtype), y)
        return self._value.detach().reshape(())

    def backward(self) -> None:
        self._flat.gradient.zero_()  # autograd adds into the views that the parameters hold
        self._value.backward()  # type: ignore[no-untyped-call]
        del self._value  # and with it all that it keeps for a second backward pass


def way_for(module: nn.Module, flat: Flat, loss: Loss, axes: list[int], choice: Choice) -> tuple[Way, str]:
    """The way for a module whose inputs have so many axes, and a sentence that says which and why."""
    if choice.compiled:
        return Autograd(module, flat, loss, choice), "autograd, compiled by torch.compile"
    why = "bfloat16" if choice.low else written_out(module, axes)
    if not why and isinstance(module, nn.Sequential):
        return WrittenOut(module, loss), "forward and backward written out: a stack of Linear layers and activations"
    return Autograd(module, flat, loss, choice), f"eager autograd: {why}"


def written_out(module: nn.Module, axes: list[int]) -> str:
    """Why a module cannot go the way that is written out; '' where it can."""
    return why_not(module, axes[0]) if len(axes) == 1 else f"it has {len(axes)} inputs"
