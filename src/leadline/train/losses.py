"""Losses: what is minimised, the mean over a batch, each with its gradient written out beside it.

Enters: outputs `out` of a module and targets `y`; both [N] or [N, K], or for classes out [N, C, ...] and y [N, ...].
Leaves: the mean loss (a scalar), by `__call__` for autograd; or the same by `gradient`, which also fills `into` with
the derivative of that mean by each output, for a backward pass that is written out.

    >>> out, y = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> into = torch.empty_like(out)
    >>> float(CrossEntropy().gradient(out, y, into)) - float(CrossEntropy()(out, y))
    0.0
    >>> into  # softmax(out) minus the target
    tensor([[-0.1192,  0.1192]])
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from leadline.errors import LeadlineError


class Loss(Protocol):
    def __call__(self, out: Tensor, y: Tensor) -> Tensor: ...

    def gradient(self, out: Tensor, y: Tensor, into: Tensor) -> Tensor: ...

    def count(self, y: Tensor) -> int:
        """Items that the mean is over: a batch taken in parts weighs each part by its share of them."""


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Softmax and the negative log-likelihood of the class; y holds class numbers.

    With label smoothing e (Szegedy et al. 2016) the target is 1 - e + e/C at the class and e/C elsewhere.
    """

    label_smoothing: float = 0.0

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(out, y, label_smoothing=self.label_smoothing)

    def count(self, y: Tensor) -> int:
        return y.numel()

    def gradient(self, out: Tensor, y: Tensor, into: Tensor) -> Tensor:
        n, classes = out.shape
        sure, spread = 1.0 - self.label_smoothing, self.label_smoothing / classes
        logs = torch.log_softmax(out, 1)
        place = y.unsqueeze(1)
        loss = logs.gather(1, place).mean().mul_(-sure)
        if spread:
            loss -= spread / n * logs.sum()
        # The derivative of the loss by each logit is its probability minus its target, over the rows.
        torch.exp(logs, out=into)
        into.scatter_(1, place, -sure, reduce="add")
        if spread:
            into.sub_(spread)
        into.div_(n)
        return loss


@dataclass(frozen=True, kw_only=True)
class BCE:
    """Binary cross-entropy of logits; y holds 0 and 1, or shares between them."""

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(out, y)

    def count(self, y: Tensor) -> int:
        return y.numel()

    def gradient(self, out: Tensor, y: Tensor, into: Tensor) -> Tensor:
        torch.sigmoid(out, out=into).sub_(y).div_(out.numel())
        return self(out, y)


@dataclass(frozen=True, kw_only=True)
class MSE:
    """Mean squared error."""

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(out, y)

    def count(self, y: Tensor) -> int:
        return y.numel()

    def gradient(self, out: Tensor, y: Tensor, into: Tensor) -> Tensor:
        torch.sub(out, y, out=into)
        loss = into.square().mean()
        into.mul_(2 / out.numel())
        return loss


@dataclass(frozen=True, kw_only=True)
class L1:
    """Mean absolute error."""

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        return F.l1_loss(out, y)

    def count(self, y: Tensor) -> int:
        return y.numel()

    def gradient(self, out: Tensor, y: Tensor, into: Tensor) -> Tensor:
        torch.sub(out, y, out=into)
        loss = into.abs().mean()
        into.sign_().div_(out.numel())
        return loss


@dataclass(frozen=True, kw_only=True)
class Huber:
    """Squared near zero, absolute beyond `delta`: Huber 1964."""

    delta: float = 1.0

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        return F.huber_loss(out, y, delta=self.delta)

    def count(self, y: Tensor) -> int:
        return y.numel()

    def gradient(self, out: Tensor, y: Tensor, into: Tensor) -> Tensor:
        loss = self(out, y)
        torch.sub(out, y, out=into).clamp_(-self.delta, self.delta).div_(out.numel())
        return loss


@dataclass(frozen=True)
class Own:
    """The user's own function of outputs and targets: autograd finds its derivative by the outputs."""

    function: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        loss = self.function(out, y)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            found = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise LeadlineError(f"The loss function gave {found}, where one number was expected; take its mean.")
        return loss

    def count(self, y: Tensor) -> int:
        return len(y)

    def gradient(self, out: Tensor, y: Tensor, into: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = out.detach().requires_grad_()
            loss = self(leaf, y)
            into.copy_(torch.autograd.grad(loss, leaf)[0])
        return loss.detach()


LOSSES: dict[str, type[CrossEntropy] | type[BCE] | type[MSE] | type[L1] | type[Huber]] = {
    "bce": BCE,
    "cross_entropy": CrossEntropy,
    "huber": Huber,
    "l1": L1,
    "mse": MSE,
}


def chosen(loss: str | Loss | Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """A loss by its name, with settings of its own, or the user's function of (out, y)."""
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise LeadlineError(
                f"loss={loss!r} is not known; it can be {', '.join(LOSSES)}, or a function of (out, y)."
            )
        return LOSSES[loss]()
    return loss if isinstance(loss, CrossEntropy | BCE | MSE | L1 | Huber) else Own(loss)
