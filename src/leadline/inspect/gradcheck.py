"""The chain rule put to the test: derivatives by backpropagation beside derivatives by central finite differences.

Enters: a module, a batch and a loss. Leaves: for some of the weights the same derivative found twice. By definition
dL/dw is the limit of (L(w + h) - L(w - h)) / 2h, whose error falls as h²; a backward pass that is wrong anywhere
between the weight and the loss disagrees with it.

All of it runs on a copy of the module in float64, dropout off and batch norm in the mode that it is in. Two steps h are
tried and the better agreement is kept: a long step may cross the kink of a ReLU, a short one drowns in rounding, and a
wrong derivative agrees with neither. Errors are relative to the derivative, but to no less than 1e-7 of the loss,
which is what differences can tell apart.

    >>> net = nn.Linear(2, 1)
    >>> found = differences(net, (torch.ones(3, 2),), lambda out: out.square().mean(), checks=3, seed=0)
    >>> len(found), max(each.error for each in found) < 1e-6
    (3, True)
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from leadline.inspect.hooks import undisturbed

STEPS = (1e-4, 1e-6)  # times the weight, or as they are for weights under 1
RESOLVED = 1e-7  # of the loss


@dataclass(frozen=True, kw_only=True)
class Derivative:
    """dL/dw of one weight, found twice."""

    weight: str  # its path in the module
    index: tuple[int, ...]
    by_backpropagation: float
    by_difference: float
    error: float  # relative

    def __str__(self) -> str:
        return f"{self.weight}{list(self.index)}" if self.index else self.weight


def differences(
    module: nn.Module, inputs: tuple[Tensor, ...], criterion: Callable[[Tensor], Tensor], *, checks: int, seed: int
) -> list[Derivative]:
    """A sample of `checks` weights from all trained parameters: each parameter once before any a second time."""
    double = copy.deepcopy(module).double()
    for each in double.modules():
        if isinstance(each, _DropoutNd):
            each.eval()
        elif isinstance(each, nn.RNNBase | nn.MultiheadAttention):
            each.dropout = 0.0
    x = tuple(t.detach().double() if t.is_floating_point() else t for t in inputs)
    trained = {name: p for name, p in double.named_parameters() if p.requires_grad and p.numel()}

    def loss() -> Tensor:
        torch.default_generator.manual_seed(seed)  # noise that is left is the same in every pass
        return criterion(double(*(t.clone() for t in x)))  # a first layer that works in place overwrites them

    def at() -> float:
        # So are buffers that a pass moves, and the way through the module, which may be another without gradients.
        with undisturbed(double), torch.enable_grad():
            return float(loss().detach())

    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # for modules that make tensors of their own, such as a first state
    try:
        with torch.inference_mode(False), torch.enable_grad(), undisturbed(double):
            value = loss()
            if not trained or not value.requires_grad:
                return []
            found = torch.autograd.grad(value, list(trained.values()), allow_unused=True)
        with torch.inference_mode(False), torch.no_grad():
            floor = RESOLVED * abs(float(value))
            gradients: dict[str, Tensor | None] = dict(zip(trained, found, strict=True))
            return [
                _compared(name, trained[name], gradients[name], place, at, floor)
                for name, place in _sampled(gradients, trained, checks, torch.Generator().manual_seed(seed))
            ]
    finally:
        torch.set_default_dtype(default)


def _sampled(
    gradients: dict[str, Tensor | None], trained: dict[str, nn.Parameter], checks: int, generator: torch.Generator
) -> list[tuple[str, int]]:
    """Names and flat places. Every other time only weights that the batch moves can be drawn, if there are any."""
    names, drawn = list(trained), []
    order = torch.randperm(len(names), generator=generator).tolist()
    for count in range(checks):
        turn, name = count // len(names), names[order[count % len(names)]]
        gradient = gradients[name]
        moved = None if gradient is None or turn % 2 else gradient.to_dense().flatten().nonzero().flatten()
        size = trained[name].numel() if moved is None or not len(moved) else len(moved)
        place = int(torch.randint(size, (), generator=generator))
        drawn.append((name, place if moved is None or not len(moved) else int(moved[place])))
    return drawn


def _compared(
    name: str, parameter: nn.Parameter, gradient: Tensor | None, place: int, at: Callable[[], float], floor: float
) -> Derivative:
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(place), parameter.shape)) if parameter.ndim else ()
    analytic = 0.0 if gradient is None else float(gradient.to_dense()[index])
    weight = float(parameter[index])
    best = (float("inf"), float("nan"))
    for step in STEPS:
        step *= max(1.0, abs(weight))
        sides = []
        for moved in (weight + step, weight - step):
            parameter[index] = moved
            sides.append(at())
        parameter[index] = weight
        numeric = (sides[0] - sides[1]) / (2 * step)
        size = max(abs(analytic), abs(numeric), floor)
        error = abs(analytic - numeric) / size if size else 0.0
        best = min(best, (error, numeric)) if error == error else best
    return Derivative(weight=name, index=index, by_backpropagation=analytic, by_difference=best[1], error=best[0])
