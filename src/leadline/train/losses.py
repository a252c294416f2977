"""Losses: what is minimised, the mean over a batch, each with its gradient written out beside it.

Enters: outputs `out` of a module and targets `y`; both [N] or [N, K], or for classes out [N, C, ...] and y [N, ...].
Quantile, CTC and NextToken say their own shapes. N counts rows, C classes, T steps along a row.
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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from leadline.system.errors import LeadlineError

# The kernels of autograd, called by name.
NLL, NLL_BACKWARD = torch.ops.aten.nll_loss_forward.default, torch.ops.aten.nll_loss_backward.default
LOGS_BACKWARD = torch.ops.aten._log_softmax_backward_data.out
MEAN, IGNORED = 1, -100  # PyTorch's codes: the mean over the items, and its class number for none


class Loss(Protocol):
    """A loss of a batch whose gradient is written out."""

    def __call__(self, out: Tensor, y: Tensor) -> Tensor: ...

    def gradient(self, out: Tensor, y: Tensor, into: Tensor) -> Tensor: ...

    def count(self, y: Tensor) -> int:
        """Items that the mean is over: a batch taken in parts weighs each part by its share of them."""


def _by_autograd(loss: Loss, out: Tensor, y: Tensor, into: Tensor) -> Tensor:
    """`gradient` of a loss whose derivative only autograd knows."""
    with torch.enable_grad():
        leaf = out.detach().requires_grad_()
        value = loss(leaf, y)
        into.copy_(torch.autograd.grad(value, leaf)[0])
    return value.detach()


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
        spread = self.label_smoothing / (out.shape[1] * y.numel())
        logs = torch.log_softmax(out, 1)
        rows, classes = (logs, y) if out.ndim == 2 else (logs.movedim(1, -1).reshape(-1, out.shape[1]), y.reshape(-1))
        # These four kernels are what autograd would call: the loss, and its derivative by each logit, which is the
        # probability minus the target, over the items.
        loss: Tensor
        loss, weight = NLL(rows, classes, None, MEAN, IGNORED)
        by_logs = NLL_BACKWARD(torch.ones_like(loss), rows, classes, None, MEAN, IGNORED, weight)
        if spread:
            loss = (1 - self.label_smoothing) * loss - spread * logs.sum()
            by_logs.mul_(1 - self.label_smoothing).sub_(spread)
        by_logs = by_logs if out.ndim == 2 else by_logs.view(*logs.movedim(1, -1).shape).movedim(-1, 1)
        LOGS_BACKWARD(by_logs, logs, 1, out.dtype, out=into)
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


@dataclass(frozen=True, kw_only=True)
class Quantile:
    """The pinball loss of Koenker and Bassett 1978: out [N, Q] has one column a level, y is [N, 1].

    With e = y - out it is level * e where y lies above and (level - 1) * e where it lies below, so that the best
    constant is that quantile of y. Level 0.5, the default, is the median: half the absolute error.
    """

    levels: tuple[float, ...] = (0.5,)

    def __post_init__(self) -> None:
        if not self.levels or not all(0 < level < 1 for level in self.levels):
            raise LeadlineError(
                f"levels={self.levels} was given, where shares between 0 and 1 were expected, such as (0.1, 0.5, 0.9)."
            )

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        levels, error = out.new_tensor(self.levels), y - out
        return torch.maximum(levels * error, (levels - 1) * error).mean()

    def count(self, y: Tensor) -> int:
        return len(y)

    def gradient(self, out: Tensor, y: Tensor, into: Tensor) -> Tensor:
        # By each output: 1 - level where it is above y, -level where it is below.
        torch.sub(out, y, out=into).sign_().div_(2).add_(0.5 - out.new_tensor(self.levels)).div_(out.numel())
        return self(out, y)


@dataclass(frozen=True, kw_only=True)
class CTC:
    """Connectionist temporal classification, Graves et al. 2006: a sequence of classes whose places are not known.

    out [N, T, C] are logits at each of T steps, one class of which is the blank; y [N, S] are the classes of a row in
    their order, filled up with -1. Each row's loss is divided by the length of its target (at least 1).
    """

    blank: int = 0

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        steps, lengths = y.new_full((len(y),), out.shape[1]), (y >= 0).sum(1)
        return F.ctc_loss(torch.log_softmax(out, 2).transpose(0, 1), y, steps, lengths, self.blank)

    def count(self, y: Tensor) -> int:
        return len(y)

    def steps(self, y: Tensor) -> Tensor:
        """Steps [N] that each target [N, S] needs at least: one a class, and a blank between two that are the same."""
        return (y >= 0).sum(1) + ((y[:, 1:] == y[:, :-1]) & (y[:, 1:] >= 0)).sum(1)

    def gradient(self, out: Tensor, y: Tensor, into: Tensor) -> Tensor:
        return _by_autograd(self, out, y, into)


@dataclass(frozen=True, kw_only=True)
class NextToken:
    """Cross-entropy of the token that follows: out [N, T, C] are logits, y [N, T] the tokens that were read.

    The output at t is held against the token at t + 1. Where that is -1, as in rows that are filled up, and at the last
    place nothing is asked; the mean is over the tokens that are, and a batch without any has loss 0.
    """

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        following = self.following(y)
        total = F.cross_entropy(out.flatten(0, 1), following.flatten(), ignore_index=-1, reduction="sum")
        return total / max(1, int((following >= 0).sum()))

    def count(self, y: Tensor) -> int:
        return int((y[:, 1:] >= 0).sum())

    def following(self, y: Tensor) -> Tensor:
        """The token after each place [N, T], -1 after the last; widened first, for bytes know no -1."""
        return F.pad(y[:, 1:].long(), (0, 1), value=-1)

    def gradient(self, out: Tensor, y: Tensor, into: Tensor) -> Tensor:
        following = self.following(y)
        place, asked = following.clamp_min(0).unsqueeze(2), (following >= 0).unsqueeze(2)
        share = asked.to(out.dtype) / max(1, int(asked.sum()))  # of each place in the mean
        logs = torch.log_softmax(out, 2)
        # As in CrossEntropy: probability minus target, at the places that count.
        torch.exp(logs, out=into)
        into.scatter_(2, place, -1.0, reduce="add").mul_(share)
        return -(logs.gather(2, place) * share).sum()


@dataclass(frozen=True)
class Own:
    """The user's own function of outputs and targets: autograd finds its derivative by the outputs."""

    function: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, out: Tensor, y: Tensor) -> Tensor:
        loss = self.function(out, y)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            found = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise LeadlineError(f"The loss function gave {found}, where one number was expected; take its mean.")
        if not loss.is_floating_point():
            raise LeadlineError(f"The loss function gave a number of {loss.dtype}, where a real float was expected.")
        if torch.is_grad_enabled() and out.requires_grad and not loss.requires_grad:
            raise LeadlineError(
                "The loss function gave a number that autograd cannot follow back to the outputs, where one computed "
                "from them was expected; leave out .detach(), .item(), .numpy() and argmax."
            )
        return loss

    def count(self, y: Tensor) -> int:
        return len(y)

    def gradient(self, out: Tensor, y: Tensor, into: Tensor) -> Tensor:
        return _by_autograd(self, out, y, into)

    def gradients(
        self, out: Tensor, y: Tensor, parameters: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """(loss, its derivative by each output, its derivative by each parameter that the function itself uses).

        A penalty on the weights, or a second call of the module, reaches parameters beside the outputs; None where the
        function does not use a parameter.
        """
        with torch.enable_grad():
            leaf = out.detach().requires_grad_()
            value = self(leaf, y)
            by_out, *beside = torch.autograd.grad(value.reshape(()), [leaf, *parameters], allow_unused=True)
        return value.detach().reshape(()), torch.zeros_like(out) if by_out is None else by_out, list(beside)


Known = CrossEntropy | BCE | MSE | L1 | Huber | Quantile | CTC | NextToken
LOSSES: dict[str, type[Known]] = {
    "bce": BCE,
    "cross_entropy": CrossEntropy,
    "ctc": CTC,
    "huber": Huber,
    "l1": L1,
    "mse": MSE,
    "next_token": NextToken,
    "quantile": Quantile,
}


def chosen(loss: str | Loss | Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """A loss by its name, with settings of its own, or the user's function of (out, y)."""
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise LeadlineError(
                f"loss={loss!r} is not known; it can be {', '.join(LOSSES)}, or a function of (out, y)."
            )
        return LOSSES[loss]()
    if isinstance(loss, Known):
        return loss
    given: Any = loss
    if isinstance(given, type) or not callable(given):
        found = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
        raise LeadlineError(
            f"loss={found} was given, where a name, a loss with settings or a function of (out, y) was expected; a "
            "class is made one with ()."
        )
    return Own(given)
