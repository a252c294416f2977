"""Backpropagation written out: stacks of Linear layers and activations, forward and backward, without autograd.

Enters: an `nn.Sequential` of Linear, ReLU, Tanh and GELU, with an `nn.Flatten` first or not, whose parameters lie in
`Flat`. A batch x [N, ...] goes forward to outputs [N, K]; the derivative of the loss by these outputs [N, K] goes
backward, and each layer fills its part of the flat gradient on the way. Every result is written into memory that was
allocated once, so a step is little more than its matrix products.

The chain rule, layer by layer, where d(t) is the derivative of the loss by t (Rumelhart, Hinton and Williams 1986):

    Linear   y = x Wᵀ + b      d(W) = d(y)ᵀ x     d(b) = sum of d(y) over the rows     d(x) = d(y) W
    ReLU     y = max(x, 0)     d(x) = d(y) where y > 0, else 0
    Tanh     y = tanh(x)       d(x) = d(y) (1 - y²)
    GELU     y = x Φ(x)        d(x) = d(y) (Φ(x) + x φ(x)), Φ the normal distribution, φ its density

    >>> net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    >>> flat, x = Flat(net), torch.ones(5, 3)
    >>> with torch.no_grad():
    ...     stack = Stack(net)
    ...     out = stack.forward(x)
    ...     stack.backward(torch.ones_like(out))
    >>> torch.equal(net[2].bias.grad, torch.full((2,), 5.0))  # each row adds 1
    True
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from leadline.train.flat import Flat

__all__ = ["Flat", "Stack", "why_not"]


class Layer(Protocol):
    """A layer for batches of one size. It keeps what its backward pass needs of the last forward pass."""

    def forward(self, x: Tensor) -> Tensor: ...

    def backward(self, dy: Tensor) -> Tensor:
        """From the derivative by what left to the derivative by what entered."""


class Linear:
    """y = x Wᵀ + b, with W [K, I] and b [K]: x [N, I] -> y [N, K]."""

    def __init__(self, layer: nn.Linear, rows: int, first: bool) -> None:
        bias: Tensor | None = layer.bias
        self._weight, self._dweight = layer.weight.detach(), layer.weight.grad
        self._bias = None if bias is None else bias.detach()
        self._dbias = None if bias is None else bias.grad
        self._transposed = self._weight.t()
        self._y = self._weight.new_empty(rows, layer.out_features)
        # Nobody asks for the derivative by the data, and it would be the largest product of all.
        self._dx = None if first else self._weight.new_empty(rows, layer.in_features)

    def forward(self, x: Tensor) -> Tensor:
        self._x: Tensor | None = x
        if self._bias is None:
            return torch.mm(x, self._transposed, out=self._y)
        return torch.addmm(self._bias, x, self._transposed, out=self._y)

    def backward(self, dy: Tensor) -> Tensor:
        x, self._x = self._x, None  # the batch is let go of: its memory is taken again only where nobody holds it
        assert x is not None
        torch.mm(dy.t(), x, out=self._dweight)
        if self._dbias is not None:
            torch.sum(dy, 0, out=self._dbias)
        return dy if self._dx is None else torch.mm(dy, self._weight, out=self._dx)


class ReLU:
    """y = max(x, 0): [N, K] -> [N, K]."""

    def __init__(self, layer: nn.ReLU, rows: int, width: int, like: Tensor) -> None:
        self._y, self._slope = like.new_empty(rows, width), like.new_empty(rows, width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp_min(x, 0, out=self._y)

    def backward(self, dy: Tensor) -> Tensor:
        into: Tensor = torch.ops.aten.threshold_backward.grad_input(dy, self._y, 0, grad_input=self._slope)
        return into


class Tanh:
    """y = tanh(x): [N, K] -> [N, K]."""

    def __init__(self, layer: nn.Tanh, rows: int, width: int, like: Tensor) -> None:
        self._y, self._slope = like.new_empty(rows, width), like.new_empty(rows, width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x, out=self._y)

    def backward(self, dy: Tensor) -> Tensor:
        return torch.square(self._y, out=self._slope).neg_().add_(1).mul_(dy)


class GELU:
    """y = x Φ(x): [N, K] -> [N, K]. Hendrycks and Gimpel 2016, the exact form."""

    def __init__(self, layer: nn.GELU, rows: int, width: int, like: Tensor) -> None:
        self._y, self._slope = like.new_empty(rows, width), like.new_empty(rows, width)
        self._below, self._density = like.new_empty(rows, width), like.new_empty(rows, width)

    def forward(self, x: Tensor) -> Tensor:
        self._x = x
        torch.mul(x, math.sqrt(0.5), out=self._below).erf_().add_(1).mul_(0.5)  # Φ(x)
        return torch.mul(x, self._below, out=self._y)

    def backward(self, dy: Tensor) -> Tensor:
        torch.square(self._x, out=self._density).mul_(-0.5).exp_().mul_(1 / math.sqrt(2 * math.pi))  # φ(x)
        return torch.addcmul(self._below, self._x, self._density, out=self._slope).mul_(dy)


ACTIVATIONS: dict[type[nn.Module], Callable[..., Layer]] = {nn.ReLU: ReLU, nn.Tanh: Tanh, nn.GELU: GELU}


class Stack:
    """The layers of a module, for batches of any size: each size that comes up gets memory of its own, once."""

    def __init__(self, module: nn.Sequential) -> None:
        self._module = module
        self._sized: dict[int, list[Layer]] = {}
        self._last: list[Layer] = []

    def forward(self, x: Tensor) -> Tensor:
        """x [N, ...] -> outputs [N, K], in memory that the next batch of this size takes again."""
        rows = len(x)
        if rows not in self._sized:
            self._sized[rows] = self._layers(rows)
        self._last = self._sized[rows]
        y = x.view(rows, -1)  # what nn.Flatten does
        for layer in self._last:
            y = layer.forward(y)
        return y

    def backward(self, dy: Tensor) -> None:
        """From the derivative by the outputs [N, K] to the gradient of every parameter."""
        for layer in reversed(self._last):
            dy = layer.backward(dy)

    def _layers(self, rows: int) -> list[Layer]:
        made: list[Layer] = []
        width, like = 0, next(self._module.parameters())
        for layer in self._module:
            if isinstance(layer, nn.Linear):
                made.append(Linear(layer, rows, first=not made))
                width = layer.out_features
            elif not isinstance(layer, nn.Flatten):
                made.append(ACTIVATIONS[type(layer)](layer, rows, width, like))
        return made


def why_not(module: nn.Module, axes: int) -> str:
    """Why a module, given batches of so many axes, is no such stack; '' where it is one.

    Exact types are asked for: a subclass may do anything. So may hooks, which only a call of the module would run.
    """
    if type(module) is not nn.Sequential:
        return f"it is a {type(module).__name__}, not an nn.Sequential"
    layers = list(module)
    if layers and type(layers[0]) is nn.Flatten:
        if (layers[0].start_dim, layers[0].end_dim) != (1, -1):
            return "its Flatten leaves some axes as they are"
        layers = layers[1:]
    elif axes != 2:
        return f"its batches have {axes} axes and no Flatten comes first"
    if not layers or type(layers[0]) is not nn.Linear:
        return "it does not begin with a Linear layer"
    for layer in layers:
        if type(layer) is not nn.Linear and type(layer) not in ACTIVATIONS:
            return f"it holds a layer of type {type(layer).__name__}"
        if isinstance(layer, nn.GELU) and layer.approximate != "none":
            return "its GELU is the approximate one"
        if set(dict(layer.named_parameters(recurse=False))) - {"weight", "bias"} or list(layer.children()):
            return f"one of its {type(layer).__name__} layers is parametrised"
    parameters = [p for layer in layers for p in layer.parameters()]
    if len({id(p) for p in parameters}) < len(parameters):
        return "layers share a parameter"
    if not all(p.requires_grad for p in parameters):
        return "some parameters are frozen"
    if hooked(module):
        return "it has hooks"
    if replaced := next((each for each in module.modules() if not _as_made(each)), None):
        return f"the forward of its {type(replaced).__name__} is replaced"
    if torch.is_autocast_enabled("cpu"):
        return "autocast is on around it"
    return ""


MODULE_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
GLOBAL_HOOKS = (
    "_global_forward_hooks", "_global_forward_pre_hooks", "_global_backward_hooks", "_global_backward_pre_hooks",
)  # fmt: skip


def hooked(module: nn.Module) -> bool:
    """Whether hooks on the module, its parts, its parameters, or on all modules, would run in a step."""
    on_all = any(getattr(nn.modules.module, kind) for kind in GLOBAL_HOOKS)
    on_parts = any(getattr(each, kind) for each in module.modules() for kind in MODULE_HOOKS)
    on_weights = any(p._backward_hooks or p._post_accumulate_grad_hooks for p in module.parameters())
    return on_all or on_parts or on_weights


def _as_made(module: nn.Module) -> bool:
    """Whether a call of the module runs PyTorch's own code: neither it nor its class was given another forward."""
    own = {"forward", "__call__", "_call_impl", "_wrapped_call_impl", "_compiled_call_impl"} & set(vars(module))
    return not own and getattr(type(module).forward, "__module__", "").startswith("torch.nn.modules.")
