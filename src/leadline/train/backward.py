"""Two ways to the derivative of a loss: written out for stacks of Linear layers, by autograd for other modules.

Enters: a batch, its inputs x each [N, ...] and y [N, ...]. Leaves: its mean loss (a scalar) from `forward`, and from
`backward` the whole of the flat gradient. `way_for` chooses, and says why.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from leadline.system.errors import LeadlineError
from leadline.train.autotune import Choice
from leadline.train.compiling import compiled
from leadline.train.dense_backward import Stack, hooked, why_not
from leadline.train.flat import Flat
from leadline.train.losses import Loss, Own

Inputs = tuple[Tensor, ...]


class Way(Protocol):
    def forward(self, x: Inputs, y: Tensor) -> Tensor:
        """The loss of a batch, a scalar."""

    def backward(self) -> None:
        """The gradient of that loss, which fills the flat gradient."""

    def outputs(self, x: Inputs) -> Tensor:
        """The outputs alone, in the type of the parameters; the next call may take their memory again."""

    def push(self, dout: Tensor) -> None:
        """From the derivative by the last outputs to the flat gradient."""


class WrittenOut:
    """Without autograd: `dense_backward.py`."""

    def __init__(self, module: nn.Sequential, flat: Flat, loss: Loss) -> None:
        self._stack, self._flat, self._loss = Stack(module), flat, loss
        self._beside: list[Tensor | None] = []  # derivatives by parameters that a loss of the user's own uses itself

    def forward(self, x: Inputs, y: Tensor) -> Tensor:
        out = self.outputs(x)
        if isinstance(self._loss, Own):
            # A function of the user's own may keep what it is given, so it gets memory that nobody takes again.
            loss, self._dout, self._beside = self._loss.gradients(out.clone(), y, self._flat.parameters)
            return loss
        self._dout = torch.empty_like(out)
        return self._loss.gradient(out, y, into=self._dout)

    def backward(self) -> None:
        self.push(self._dout)
        self._flat.add(self._beside)

    def outputs(self, x: Inputs) -> Tensor:
        return self._stack.forward(x[0])

    def push(self, dout: Tensor) -> None:
        self._stack.backward(dout)


class Autograd:
    """Any module, eagerly or compiled; in bfloat16 where that was chosen, with the parameters kept in float32."""

    def __init__(self, module: nn.Module, flat: Flat, loss: Loss, choice: Choice) -> None:
        self._module, self._flat, self._loss, self._choice = module, flat, loss, choice
        self._compiled = compiled(module) if choice.compiled else module
        self._rows = 0  # of a whole batch
        self._moved = hooked(module)  # hooks may put another tensor in the place of a gradient

    def forward(self, x: Inputs, y: Tensor) -> Tensor:
        out = self.outputs(x)
        with torch.enable_grad():
            self._value = self._loss(out, y)
        if not self._value.requires_grad:
            raise LeadlineError(
                "The module gave outputs that autograd cannot follow back to its parameters, where some were expected "
                "that are computed from them; leave out .detach(), torch.no_grad() and argmax."
            )
        return self._value.detach().reshape(())

    def backward(self) -> None:
        self._flat.gradient.zero_()  # autograd adds into the views that the parameters hold
        self._value.backward()  # type: ignore[no-untyped-call]
        del self._value  # and with it all that it keeps for a second backward pass
        if self._moved:
            self._flat.collect()

    def outputs(self, x: Inputs) -> Tensor:
        self._rows = self._rows or len(x[0])
        # The last batch of a pass may be smaller: to compile once more for it would take longer than it gains.
        module = self._compiled if len(x[0]) == self._rows else self._module
        with self._choice.forward(self._flat.values.device):
            self._out: Tensor = module(*x)
        with torch.enable_grad():
            found: Tensor = self._out.to(self._flat.values.dtype)
            return found

    def push(self, dout: Tensor) -> None:
        self._flat.gradient.zero_()
        self._out.backward(dout.to(self._out.dtype))  # type: ignore[no-untyped-call]
        del self._out
        if self._moved:
            self._flat.collect()


def way_for(module: nn.Module, flat: Flat, loss: Loss, axes: list[int], choice: Choice) -> tuple[Way, str]:
    """The way for a module whose inputs have so many axes, and a sentence that says which and why."""
    if choice.compiled:
        return Autograd(module, flat, loss, choice), "autograd, compiled by torch.compile"
    why = "bfloat16" if choice.low else written_out(module, axes)
    if not why and isinstance(module, nn.Sequential):
        return WrittenOut(
            module, flat, loss
        ), "forward and backward written out: a stack of Linear layers and activations"
    return Autograd(module, flat, loss, choice), f"eager autograd: {why}"


def written_out(module: nn.Module, axes: list[int]) -> str:
    """Why a module cannot go the way that is written out; '' where it can."""
    return why_not(module, axes[0]) if len(axes) == 1 else f"it has {len(axes)} inputs"
