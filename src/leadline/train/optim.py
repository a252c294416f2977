"""Optimizers: rules that move tensors from their gradients at a rate that somebody else sets, and nothing else.

Enters: parameters, each with its gradient in `.grad`. Leaves: the parameters moved. What a rule remembers between two
steps lies in its `tensors`, so a checkpoint can keep it. The sums are PyTorch's fused and batched kernels;
`torch.optim` would do the same but imports PyTorch's compiler on first use, which takes seconds.

    >>> net = torch.nn.Linear(3, 2)
    >>> [(rule, share)] = SGD().begin(net, Flat(net))
    >>> net(torch.ones(1, 3)).sum().backward()
    >>> before = net.bias.clone()
    >>> with torch.no_grad():
    ...     rule(0.1)
    >>> bool((net.bias == before - 0.1).all())
    True
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from leadline.system.errors import LeadlineError
from leadline.train.flat import Flat

UNFUSED = ("xla",)  # devices without PyTorch's fused kernels


class Rule(Protocol):
    """Call it, under no_grad, with the learning rate; gradients stay as they are."""

    parameters: list[Tensor]
    tensors: list[Tensor]  # what it remembers

    def __call__(self, rate: float) -> None: ...


class SGDRule:
    """SGD with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013); decay is added to the gradient."""

    def __init__(
        self, parameters: Iterable[Tensor], momentum: float, nesterov: bool, weight_decay: float = 0.0
    ) -> None:
        self.parameters = list(parameters)
        self._momentum, self._nesterov, self._decay = momentum, nesterov, weight_decay
        self.tensors = [torch.zeros_like(p) for p in self.parameters] if momentum else []

    def __call__(self, rate: float) -> None:
        if self.parameters[0].device.type in UNFUSED:
            return self.plain(rate)
        torch._fused_sgd_(
            self.parameters, gradients(self.parameters), self.tensors, weight_decay=self._decay,
            momentum=self._momentum, lr=rate, dampening=0.0, nesterov=self._nesterov, maximize=False,
            is_first_step=False,
        )  # fmt: skip

    def plain(self, rate: float) -> None:
        """The same in plain operations."""
        for place, (p, gradient) in enumerate(zip(self.parameters, gradients(self.parameters), strict=True)):
            move = gradient.add(p, alpha=self._decay)
            if self._momentum:
                held = self.tensors[place].mul_(self._momentum).add_(move)
                move = move.add(held, alpha=self._momentum) if self._nesterov else held
            p.sub_(rate * move)


class AdamRule:
    """Adam (Kingma and Ba 2015); or AdamW (Loshchilov and Hutter 2019), with decoupled weight decay."""

    def __init__(
        self, parameters: Iterable[Tensor], beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool
    ) -> None:
        self.parameters = list(parameters)
        self._settings, self._decoupled = (beta1, beta2, eps, weight_decay), decoupled
        fused = torch._fused_adamw_ if decoupled else torch._fused_adam_
        self._fused = partial(
            fused, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay, amsgrad=False, maximize=False
        )
        self._first = [torch.zeros_like(p) for p in self.parameters]
        self._second = [torch.zeros_like(p) for p in self.parameters]
        self._steps = [p.new_zeros((), dtype=torch.float32) for p in self.parameters]
        self.tensors = [*self._first, *self._second, *self._steps]

    def __call__(self, rate: float) -> None:
        torch._foreach_add_(self._steps, 1.0)
        if self.parameters[0].device.type in UNFUSED:
            return self.plain(rate)
        self._fused(self.parameters, gradients(self.parameters), self._first, self._second, [], self._steps, lr=rate)

    def plain(self, rate: float) -> None:
        """The same in plain operations."""
        beta1, beta2, eps, decay = self._settings
        each = zip(self.parameters, gradients(self.parameters), self._first, self._second, self._steps, strict=True)
        for p, gradient, first, second, step in each:
            if self._decoupled:
                p.mul_(1 - rate * decay)
            else:
                gradient = gradient.add(p, alpha=decay)
            first.lerp_(gradient, 1 - beta1)
            second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            young = [-torch.expm1(step * math.log(beta)) for beta in (beta1, beta2)]  # 1 - beta**step, exactly
            p.sub_(rate / young[0] * first / (second / young[1]).sqrt_().add_(eps))


class MuonRule:
    """Muon: Jordan et al., 'Muon: an optimizer for hidden layers in neural networks' (2024).

    Each matrix moves by its momentum made nearly orthogonal. Matrices of one shape are made so together, in bfloat16:
    a fifth of the time of one by one in float32. Filters of a convolution count as matrices [outputs, the rest].
    """

    def __init__(self, parameters: Iterable[Tensor], momentum: float, weight_decay: float) -> None:
        self.parameters = list(parameters)
        self._momentum, self._decay = momentum, weight_decay
        shapes: dict[tuple[int, int], list[Tensor]] = {}
        for p in self.parameters:
            shapes.setdefault((len(p), p[0].numel()), []).append(p)
        self._groups = list(shapes.values())
        self.tensors = [group[0].new_zeros(len(group), *shape) for shape, group in shapes.items()]

    def __call__(self, rate: float) -> None:
        for group, momentum in zip(self._groups, self.tensors, strict=True):
            stacked = torch.stack([gradient.flatten(1) for gradient in gradients(group)])
            momentum.lerp_(stacked, 1 - self._momentum)
            moves = orthogonalise(stacked.lerp(momentum, self._momentum).bfloat16(), iterations=5).to(stacked.dtype)
            tall = max(1.0, momentum.shape[1] / momentum.shape[2]) ** 0.5
            torch._foreach_mul_(group, 1 - rate * self._decay)
            torch._foreach_add_(group, [m.view(p.shape) for m, p in zip(moves, group, strict=True)], alpha=-rate * tall)


class Filters:
    """Muon for filters whose norm is held fixed, as in airbench94: the norm that follows them makes their scale moot.

    Jordan, '94% on CIFAR-10 in 3.29 Seconds on a Single GPU' (arXiv:2404.00498).
    """

    def __init__(self, parameters: Iterable[Tensor], momentum: float) -> None:
        self.parameters, self._momentum = list(parameters), momentum
        self.tensors = [torch.zeros_like(p) for p in self.parameters]

    def __call__(self, rate: float) -> None:
        for p, gradient, momentum in zip(self.parameters, gradients(self.parameters), self.tensors, strict=True):
            momentum.mul_(self._momentum).add_(gradient)
            move = gradient.add(momentum, alpha=self._momentum)
            p.mul_(len(p) ** 0.5 / p.norm())
            p.add_(orthogonalise(move.flatten(1)).view(p.shape), alpha=-rate)


class Rows:
    """Tables with sparse gradients: each row moves by its gradient over the root mean square of those it has had."""

    def __init__(self, parameters: Iterable[Tensor], beta: float) -> None:
        self.parameters, self._beta = list(parameters), beta
        self.tensors = [torch.zeros(len(p), 1) for p in self.parameters]

    def __call__(self, rate: float) -> None:
        for table, spread in zip(self.parameters, self.tensors, strict=True):
            assert table.grad is not None
            gradient = table.grad.coalesce()
            rows, values = gradient.indices()[0], gradient.values()
            squares = spread[rows].mul_(self._beta).add_(values.square().mean(1, keepdim=True), alpha=1 - self._beta)
            spread[rows] = squares
            table.index_add_(0, rows, values / (squares.sqrt() + 1e-10), alpha=-rate)


def gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradient of each; zeros where nothing reached it."""
    return [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]


def orthogonalise(gradient: Tensor, iterations: int = 3) -> Tensor:
    """The nearest semi-orthogonal matrix to each of [..., R, C], roughly, by Muon's quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = gradient.shape[-2] <= gradient.shape[-1]
    x = gradient if wide else gradient.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    multiply = torch.addmm if x.ndim == 2 else torch.baddbmm
    for _ in range(iterations):
        gram = x @ x.mT
        x = multiply(x, multiply(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT


Rate = Callable[[float], float]  # of the share of the steps that is done


class Scheduled:
    """Rules, each with its rate: what the engine (`trainer.py`) moves weights by."""

    def __init__(self, rules: Iterable[tuple[Rule, Rate]]) -> None:
        self._rules = [(rule, rate) for rule, rate in rules if rule.parameters]

    @torch.no_grad()
    def step(self, done: float, share: float = 1.0) -> None:
        """Move everything; `done` is step / steps, in [0, 1), and `share` what every rate is multiplied by."""
        for rule, rate in self._rules:
            rule(share * rate(done))

    @property
    def tensors(self) -> list[Tensor]:
        """What the rules remember, for a checkpoint."""
        return [tensor for rule, _ in self._rules for tensor in rule.tensors]


class Optimizer(Protocol):
    """Settings of `ll.train`; `begin` makes the rules of one run, each with its share of the learning rate."""

    def begin(self, module: nn.Module, flat: Flat) -> list[tuple[Rule, float]]: ...


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent."""

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0  # added to the gradient, times the value

    def __post_init__(self) -> None:
        if self.nesterov and not self.momentum:
            raise LeadlineError("SGD(nesterov=True) has momentum 0, where more was expected; give it momentum=0.9.")

    def begin(self, module: nn.Module, flat: Flat) -> list[tuple[Rule, float]]:
        return [(SGDRule([flat.values], self.momentum, self.nesterov, self.weight_decay), 1.0)]


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Weight decay is added to the gradient."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def begin(self, module: nn.Module, flat: Flat) -> list[tuple[Rule, float]]:
        return [(AdamRule([flat.values], self.beta1, self.beta2, self.eps, self.weight_decay, decoupled=False), 1.0)]


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """Each value shrinks by rate times weight decay, apart from the gradient."""

    weight_decay: float = 0.01

    def begin(self, module: nn.Module, flat: Flat) -> list[tuple[Rule, float]]:
        return [(AdamRule([flat.values], self.beta1, self.beta2, self.eps, self.weight_decay, decoupled=True), 1.0)]


@dataclass(frozen=True, kw_only=True)
class Muon:
    """Muon for the matrices and filters of hidden layers, at the learning rate; AdamW for the rest at a share of it.

    The rest: biases, gains, embeddings, and the last matrix, which gives the outputs.
    """

    momentum: float = 0.95
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    rest: float = 0.15  # share of the learning rate that AdamW gets

    def begin(self, module: nn.Module, flat: Flat) -> list[tuple[Rule, float]]:
        tables = [m for m in module.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)]
        embedded = {id(p) for table in tables for p in table.parameters()}
        matrices = [p for p in flat.parameters if p.ndim >= 2 and id(p) not in embedded][:-1]
        if not matrices:
            raise LeadlineError(
                "optimizer='muon' was given for a module without a hidden matrix, where at least two layers of weights "
                "were expected; use 'adamw'."
            )
        hidden = {id(p) for p in matrices}
        rest = [p for p in flat.parameters if id(p) not in hidden]
        return [
            (MuonRule(matrices, self.momentum, self.weight_decay), 1.0),
            (AdamRule(rest, self.beta1, self.beta2, self.eps, self.weight_decay, decoupled=True), self.rest),
        ]


OPTIMIZERS: dict[str, type[SGD] | type[Adam] | type[AdamW] | type[Muon]] = {
    "adam": Adam,
    "adamw": AdamW,
    "muon": Muon,
    "sgd": SGD,
}


def chosen(optimizer: str | Optimizer) -> Optimizer:
    """An optimizer by its name, with PyTorch's defaults, or with the user's own settings."""
    if not isinstance(optimizer, str | type) and hasattr(optimizer, "begin"):
        return optimizer
    if not isinstance(optimizer, str) or optimizer not in OPTIMIZERS:
        raise LeadlineError(
            f"optimizer={optimizer!r} is not known; it can be {', '.join(OPTIMIZERS)}, or one of "
            "leadline.train.optim with settings, such as SGD(momentum=0.9)."
        )
    return OPTIMIZERS[optimizer]()
