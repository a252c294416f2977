"""Layers at work: what each made of a batch on the way forward, and of the gradient on the way back.

Enters: a module, a batch and a loss. Leaves: one `Layer` for each call of a layer, in the order of the forward pass,
and the module exactly as it was: weights, gradients, buffers, modes, hooks and the random generator (`hooks.py`).

A layer is a module without children, one of PyTorch's own layers, or a module that owns weights itself. A weight
belongs to the deepest module around it that was called, so weights that a module uses by hand are counted as its own.

    >>> net = nn.Sequential(nn.Linear(2, 1, bias=False), nn.ReLU())
    >>> _ = net[0].weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> found = measured(net, (torch.ones(1, 2),), torch.zeros(1, 1), lambda out, y: out.sum())
    >>> [(layer.name, layer.type, layer.mean, layer.gradient) for layer in found]
    [('0', 'Linear', 7.0, 1.0), ('1', 'ReLU', 7.0, 1.0)]
    >>> found[0].product, found[0].ratio
    ('y[1, 1] = x[1, 2] W[2, 1]', 0.282842712474619)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leadline.inspect.flops import known
from leadline.inspect.hooks import Call, Watch, norm_of, undisturbed
from leadline.system.device import home
from leadline.system.errors import LeadlineError


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One call of a layer on a batch. Norms are Euclidean; the gradient is that of the loss over the batch."""

    name: str  # its path in the module; '' is the module itself
    type: str
    inputs: tuple[tuple[int, ...], ...]  # shapes of all tensors it was given
    output: tuple[int, ...]  # shape of the first tensor it gave
    parameters: int
    flops: int | None  # of the forward pass, multiply-add 2 (see flops.py); None: not known
    forward_s: float  # wall time between the call's begin and end, less the layers inside it and the watching
    backward_s: float | None  # from when the gradient by its output was there until that by its input was; as above
    product: str  # the linear product, such as 'y[64, 256] = x[64, 784] W[784, 256] + b[256]'; '' for none or unknown
    nonlinearity: str  # such as 'ReLU: max(x, 0)'; '' for none or unknown
    mean: float  # of the output's values; also the next three
    std: float
    largest: float  # by absolute value
    zeros: float  # share of exact zeros
    gradient: float | None  # norm of the gradient by the output, all its tensors together; None: none came
    weight_gradient: float | None  # norm of the gradient by its weights, from all calls; None: no trained weights
    ratio: float | None  # weight_gradient / norm of these weights; infinite where they are all zero
    units: int  # that were looked at for being dead; 0 where the layer is no ReLU, tanh, sigmoid or the like
    dead: tuple[int, ...]  # units that hand back no gradient: zero, or saturated, on every row and place
    slope: str  # what a dead unit of this layer is: 'zero', 'saturated', 'at a bound'
    holds: int  # layers after it that ran inside it: a module that owns weights and has children, too

    @property
    def finite(self) -> bool:
        """Whether its values and gradients are all finite."""
        found = (self.largest, self.gradient, self.weight_gradient)
        return all(value is None or math.isfinite(value) for value in found)

    def __str__(self) -> str:
        return f"{self.name} ({self.type})" if self.name else self.type


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One forward and backward pass that was watched."""

    layers: list[Layer]
    loss: float
    forward_s: float  # the whole pass with what lies between layers and the loss, less the watching
    backward_s: float | None  # None: nothing is trained
    unused: list[str]  # trained weights that no gradient reached


def measured(module: nn.Module, inputs: tuple[Tensor, ...], y: Tensor, loss: Callable[..., Tensor]) -> list[Layer]:
    """The layers of module(*inputs), each input [N, ...], under loss(out, y), in the mode that the module is in."""
    return watched(module, inputs, lambda out: loss(out, y)).layers


def watched(module: nn.Module, inputs: tuple[Tensor, ...], criterion: Callable[[Tensor], Tensor]) -> Pass:
    """One pass of module(*inputs), and of criterion(out) -> the loss back to the weights."""
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    watch = Watch(home(module))
    with undisturbed(module), torch.inference_mode(False), torch.enable_grad(), ExitStack() as hooks:
        x = tuple(t.detach().clone() for t in inputs)  # a first layer that works in place overwrites them
        for name, each in module.named_modules():
            for handle in watch.hooks(name, each):
                hooks.callback(handle.remove)
        watch.begin()
        try:
            out = module(*x)
            if not isinstance(out, Tensor):
                raise LeadlineError(f"The module gave a {type(out).__name__}, where one tensor was expected; wrap it.")
            loss = criterion(out)
        except (RuntimeError, IndexError, ValueError, TypeError, AssertionError) as error:
            raise LeadlineError(watch.failed(module, x, error)) from error
        forward_s = watch.end_forward()
        gradients: dict[str, Tensor | None] = dict.fromkeys(trained)
        if loss.requires_grad and trained:
            found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
            gradients = dict(zip(trained, found, strict=True))
        backward_s = watch.end_backward()
    return Pass(
        layers=_layers(module, watch.calls, {id(trained[name]): g for name, g in gradients.items()}),
        loss=float(loss.detach()), forward_s=forward_s, backward_s=backward_s if trained else None,
        unused=[name for name, gradient in gradients.items() if gradient is None],
    )  # fmt: skip


def _layers(module: nn.Module, calls: list[Call], gradients: dict[int, Tensor | None]) -> list[Layer]:
    """Calls of layers, with the weights that belong to them; `gradients` are those of trained weights, by id."""
    owned = _owned(module, {id(call.module) for call in calls}, gradients)
    whole = {id(call) for call in calls if known(call.module)}
    for call in reversed(calls):
        # What runs inside one of PyTorch's own layers, such as a parametrised weight, is that layer's work.
        if call.parent is not None and (id(call.parent) in whole or _inside(call.parent, whole)):
            call.parent.forward_s += call.forward_s
            call.parent.backward_s += call.backward_s
    chosen = [
        call
        for call in calls
        if not _inside(call, whole)
        and (id(call) in whole or not any(True for _ in call.module.children()) or id(call.module) in owned)
    ]
    return [
        _layer(call, owned.get(id(call.module), []), gradients, sum(other.within(call) for other in chosen) - 1)
        for call in chosen
    ]


def _inside(call: Call, whole: set[int]) -> bool:
    parent = call.parent
    return parent is not None and (id(parent) in whole or _inside(parent, whole))


def _owned(module: nn.Module, ran: set[int], gradients: dict[int, Tensor | None]) -> dict[int, list[nn.Parameter]]:
    """The weights of each called module, by its id: those whose deepest called module it is."""
    found: dict[int, dict[int, nn.Parameter]] = {}

    def descend(each: nn.Module, owner: nn.Module) -> None:
        if id(each) in ran and not known(owner):
            owner = each
        for p in each._parameters.values():
            # Weights of a module that was never called count where a gradient shows that they were used.
            if p is not None and (id(each) in ran or known(owner) or gradients.get(id(p)) is not None):
                found.setdefault(id(owner), {})[id(p)] = p
        for child in each.children():
            descend(child, owner)

    descend(module, module)
    return {owner: list(weights.values()) for owner, weights in found.items()}


def _layer(call: Call, weights: list[nn.Parameter], gradients: dict[int, Tensor | None], holds: int) -> Layer:
    trained = [(p, gradients[id(p)]) for p in weights if id(p) in gradients]
    reached = [(p, gradient) for p, gradient in trained if gradient is not None]
    by_weights = math.hypot(*(norm_of(gradient) for _, gradient in reached)) if reached else None
    size = math.hypot(*(norm_of(p) for p, _ in reached))
    ratio = None if by_weights is None else by_weights / size if size else math.inf if by_weights else 0.0
    mean, std, largest, zeros = call.values
    return Layer(
        name=call.name, type=type(call.module).__name__, inputs=call.inputs, output=call.output,
        parameters=sum(p.numel() for p in weights), flops=call.formula.flops, forward_s=call.forward_s,
        backward_s=None if call.gradient is None else call.backward_s, product=call.formula.product,
        nonlinearity=call.formula.nonlinearity, mean=mean, std=std, largest=largest, zeros=zeros,
        gradient=call.gradient, weight_gradient=by_weights, ratio=ratio, units=call.units, dead=call.dead,
        slope=call.formula.slope, holds=holds,
    )  # fmt: skip
