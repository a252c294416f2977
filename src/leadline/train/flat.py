"""All parameters of a module as one flat tensor, and the optimizers that move it by one fused call.

Enters: a module. Leaves: `Flat`: `values` [P] and `gradient` [P], of which the module's parameters and their gradients
are views. One call on 235,000 numbers costs less than six calls on the six tensors they belong to. `torch.optim` would
do the same sums but imports PyTorch's compiler on first use, which takes seconds.

    >>> net = torch.nn.Linear(3, 2)
    >>> flat = Flat(net)
    >>> update = SGD().begin(flat)
    >>> net(torch.ones(1, 3)).sum().backward()
    >>> before = net.bias.clone(); update(0.1); bool((net.bias == before - 0.1).all())
    True
    >>> flat.release()
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from leadline.errors import LeadlineError

Update = Callable[[float], None]  # move the values from the gradient, at this learning rate


class Flat:
    """The trained parameters of a module, end to end in one tensor, until they are released."""

    def __init__(self, module: nn.Module) -> None:
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        if not self._parameters:
            raise LeadlineError("The module has no parameter with requires_grad=True, so there is nothing to train.")
        if any(nn.parameter.is_lazy(p) for p in self._parameters):
            raise LeadlineError(
                "The module has lazy layers whose shapes are not known yet, where weights were expected; call it once "
                "on a batch before it is trained."
            )
        kinds = {(str(p.dtype), str(p.device)) for p in self._parameters}
        if len(kinds) > 1 or kinds - {("torch.float32", "cpu"), ("torch.float64", "cpu")}:
            found = ", ".join(f"{dtype} on {device}" for dtype, device in sorted(kinds))
            raise LeadlineError(
                f"The module's parameters are {found}, where all in float32 or all in float64 on the CPU were "
                "expected; convert it with .to('cpu', torch.float32)."
            )
        self.values = torch.cat([p.detach().reshape(-1) for p in self._parameters])
        self.gradient = torch.zeros_like(self.values)
        for p, place in zip(self._parameters, self._places(), strict=True):
            p.data = self.values[place].view(p.shape)
            p.grad = self.gradient[place].view(p.shape)

    def _places(self) -> list[slice]:
        ends = torch.tensor([0, *(p.numel() for p in self._parameters)]).cumsum(0).tolist()
        return [slice(start, end) for start, end in zip(ends, ends[1:], strict=False)]

    def clip(self, most: float) -> None:
        """Shorten the gradient where its norm is above `most`: Pascanu et al. 2013."""
        norm = float(self.gradient.norm())
        if norm > most:
            self.gradient.mul_(most / norm)

    def release(self) -> None:
        """Give each parameter memory of its own again, and no gradient."""
        for p in self._parameters:
            p.data = p.data.clone()
            p.grad = None


class Optimizer(Protocol):
    """Settings; `begin` makes the state for one run."""

    def begin(self, flat: Flat) -> Update: ...


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013)."""

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0  # added to the gradient, times the value

    def __post_init__(self) -> None:
        if self.nesterov and not self.momentum:
            raise LeadlineError("SGD(nesterov=True) has momentum 0, where more was expected; give it momentum=0.9.")

    def begin(self, flat: Flat) -> Update:
        velocity = [torch.zeros_like(flat.values)] if self.momentum else []

        def update(rate: float) -> None:
            torch._fused_sgd_(
                [flat.values], [flat.gradient], velocity, weight_decay=self.weight_decay, momentum=self.momentum,
                lr=rate, dampening=0.0, nesterov=self.nesterov, maximize=False, is_first_step=False,
            )  # fmt: skip

        return update


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Kingma and Ba 2015; weight decay is added to the gradient."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def begin(self, flat: Flat) -> Update:
        return _moments(torch._fused_adam_, self, flat)


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Loshchilov and Hutter 2019: each value shrinks by rate times weight decay, apart from the gradient."""

    weight_decay: float = 0.01

    def begin(self, flat: Flat) -> Update:
        return _moments(torch._fused_adamw_, self, flat)


def _moments(fused: Callable[..., None], settings: Adam, flat: Flat) -> Update:
    first, second, steps = torch.zeros_like(flat.values), torch.zeros_like(flat.values), torch.zeros(())

    def update(rate: float) -> None:
        steps.add_(1.0)
        fused(
            [flat.values], [flat.gradient], [first], [second], [], [steps], lr=rate, beta1=settings.beta1,
            beta2=settings.beta2, weight_decay=settings.weight_decay, eps=settings.eps, amsgrad=False, maximize=False,
        )  # fmt: skip

    return update


OPTIMIZERS: dict[str, type[SGD] | type[Adam] | type[AdamW]] = {"adam": Adam, "adamw": AdamW, "sgd": SGD}


def chosen(optimizer: str | Optimizer) -> Optimizer:
    """An optimizer by its name, with PyTorch's defaults, or with the user's own settings."""
    if not isinstance(optimizer, str):
        return optimizer
    if optimizer not in OPTIMIZERS:
        raise LeadlineError(
            f"optimizer={optimizer!r} is not known; it can be {', '.join(OPTIMIZERS)}, or one of "
            "leadline.train.flat with settings, such as SGD(momentum=0.9)."
        )
    return OPTIMIZERS[optimizer]()
