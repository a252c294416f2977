"""Layers at work: what each made of a batch on the way forward, and of the gradient on the way back.

Enters: a module, a batch and a loss. Leaves: one `Layer` for each call of a layer, in the order of the forward pass,
and the module exactly as it was: weights, gradients, buffers, modes, hooks and the random generator. Nothing is put
between the layers: tensors are watched by hooks of autograd, so layers that work in place behave as they do unwatched.

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
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from leadline.errors import LeadlineError
from leadline.train.formulas import Formula, formula, known

VANISHED = 1e-4  # share of the layers' median of gradient / weight under which a layer no longer learns
EXPLODED = 1e3  # times the layers' median by outputs, or the norm of the weights themselves
DEAD = 0.1  # share of dead units that is worth a word
SEEN = 16  # values of each unit under which nothing is said of dead ones: a few zeros in a row are chance
FEW = 3  # layers under which they have no median


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One call of a layer on a batch. Norms are Euclidean; the gradient is that of the loss over the batch."""

    name: str  # its path in the module; '' is the module itself
    type: str
    inputs: tuple[tuple[int, ...], ...]  # shapes of all tensors it was given
    output: tuple[int, ...]  # shape of the first tensor it gave
    parameters: int
    flops: int | None  # of the forward pass, multiply-add 2 (see formulas.py); None: not known
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
    units: int  # for which it was looked whether they are dead; 0 where the layer is no ReLU, tanh, sigmoid or like it
    dead: tuple[int, ...]  # units that hand back no gradient: zero, or saturated, on every row and place
    slope: str  # what a dead unit of this layer is: 'zero', 'saturated', 'at a bound'

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
    watch = _Watch()
    with undisturbed(module), torch.inference_mode(False), torch.enable_grad(), ExitStack() as hooks:
        x = tuple(t.clone() if t.is_inference() else t.detach() for t in inputs)
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


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Afterwards buffers, such as the running statistics of batch norm, and the random generator are as before."""
    held = [(each._buffers, dict(each._buffers)) for each in module.modules()]
    values = {id(t): (t, t.detach().clone()) for _, buffers in held for t in buffers.values() if t is not None}
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            for buffers, before in held:
                buffers.clear()
                buffers.update(before)
            with torch.no_grad():
                for tensor, value in values.values():
                    tensor.copy_(value)


@dataclass(kw_only=True, eq=False)
class _Call:
    """One call of one module, filled while it is watched."""

    name: str
    module: nn.Module
    parent: _Call | None
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...] = ()
    formula: Formula = field(default_factory=Formula)
    values: tuple[float, float, float, float] = (math.nan, math.nan, math.nan, math.nan)
    units: int = 0
    dead: tuple[int, ...] = ()
    forward_s: float = 0.0
    backward_s: float = 0.0
    gradient: float | None = None

    def within(self, other: _Call) -> bool:
        """Whether this call is the other one, or was made inside it."""
        return self is other or (self.parent is not None and self.parent.within(other))


class _Watch:
    """Gives every moment of a pass to the innermost call that is at work; its own work counts for nobody.

    Autograd goes back through the nodes in the reverse order of their making, so the layers follow one another in the
    backward pass as they did in the forward pass, and never overlap.
    """

    def __init__(self) -> None:
        self.calls: list[_Call] = []
        self._current: _Call | None = None
        self._forward = False
        self._axis: int | None = None  # of the units, as the last layer that knows it says
        self._edges: dict[tuple[Any, int], list[tuple[bool, _Call]]] = {}  # what enters (True) or leaves there

    def hooks(self, name: str, module: nn.Module) -> list[RemovableHandle]:
        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            if self._forward:  # a module that is called again on the way back only computes its values anew
                self._credit()
                self._enter(name, module, _tensors((args, kwargs)))
                self._tick = time.perf_counter()

        def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
            if self._forward:
                self._credit()
                self._leave(module, _tensors((args, kwargs)), _tensors(out))
                self._tick = time.perf_counter()

        return [
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(after, with_kwargs=True),
        ]

    def begin(self) -> None:
        self._forward, self._spent, self._tick = True, 0.0, time.perf_counter()

    def end_forward(self) -> float:
        self._credit()
        spent, self._spent = self._spent, 0.0
        self._forward, self._current, self._tick = False, None, time.perf_counter()
        return spent

    def end_backward(self) -> float:
        self._credit()
        self._edges.clear()
        return self._spent

    def failed(self, module: nn.Module, inputs: tuple[Tensor, ...], error: Exception) -> str:
        """What could not be read by which layer, in the user's words."""
        reason = (str(error).strip() or type(error).__name__).split("\n")[0].rstrip(".")
        call = self._current
        if call is None:
            if self.calls:
                return f"The loss could not be taken of the module's output and y: {reason}; look at their shapes."
            call = _Call(name="", module=module, parent=None, inputs=tuple(tuple(t.shape) for t in inputs))
        where = f"Layer {call.name} ({type(call.module).__name__})" if call.name else "The module"
        shapes = " and ".join(str(list(shape)) for shape in call.inputs) or "nothing"
        return f"{where} could not read {shapes}: {reason}; reshape X, or change the layer before it."

    def _credit(self) -> None:
        spent = time.perf_counter() - self._tick
        self._spent += spent
        if self._current is not None:
            if self._forward:
                self._current.forward_s += spent
            else:
                self._current.backward_s += spent

    def _enter(self, name: str, module: nn.Module, inputs: list[Tensor]) -> None:
        shapes = tuple(tuple(t.shape) for t in inputs)
        self._current = _Call(name=name, module=module, parent=self._current, inputs=shapes)
        self.calls.append(self._current)
        for tensor in inputs:
            self._follow(tensor, True, self._current)

    def _leave(self, module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        call = self._current
        while call is not None and call.module is not module:  # calls inside that ended by an error the module caught
            call = call.parent
        if call is None:
            return
        self._current = call.parent
        for tensor in outputs:
            self._follow(tensor, False, call)
        if outputs:
            with torch.no_grad():
                self._note(call, inputs, outputs)

    def _note(self, call: _Call, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        """The output as it is now: a layer that works in place may overwrite it."""
        y = outputs[0].detach()
        call.output, call.formula = tuple(y.shape), formula(call.module, inputs, outputs)
        if y.numel():
            values = y.abs().float() if y.is_complex() else y.float()
            std, mean = torch.std_mean(values, correction=0)
            largest = values.abs().max()
            call.values = (float(mean), float(std), float(largest), 1 - int(values.count_nonzero()) / y.numel())
        if call.formula.axis is not None:
            self._axis = call.formula.axis
        if call.formula.flat is not None and y.numel():
            # Units lie along the channels of images, and along the last axis of rows and sequences.
            axis = self._axis
            if y.ndim < 3 or axis is None or not -y.ndim <= axis < y.ndim:
                axis = 1 if y.ndim > 3 else -1
            dead = call.formula.flat.movedim(axis, 0).flatten(1).all(1) if y.ndim > 1 else call.formula.flat
            call.units, call.dead = len(dead), tuple(dead.nonzero().flatten().tolist())

    def _follow(self, tensor: Tensor, enters: bool, call: _Call) -> None:
        """Be told when the gradient by this tensor is there. Tensors without a history, data and weights, have none."""
        if tensor.grad_fn is None:
            return
        edge = (tensor.grad_fn, tensor.output_nr)
        if edge not in self._edges:
            self._edges[edge] = []
            tensor.register_hook(lambda gradient: self._arrived(edge, gradient))
        self._edges[edge].append((enters, call))

    def _arrived(self, edge: tuple[Any, int], gradient: Tensor) -> None:
        self._credit()
        with torch.no_grad():
            norm = _norm(gradient)
        for enters, call in reversed(self._edges.get(edge, [])):
            if not enters:
                call.gradient = math.hypot(call.gradient or 0.0, norm)
                self._current = call
            elif self._current is not None and self._current.within(call):
                self._current = call.parent
        self._tick = time.perf_counter()


def _tensors(value: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists and mappings, in order."""
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _norm(tensor: Tensor) -> float:
    dense = tensor.to_dense() if tensor.is_sparse else tensor
    return float(
        torch.linalg.vector_norm(dense.detach(), dtype=torch.complex128 if dense.is_complex() else torch.float64)
    )


def _layers(module: nn.Module, calls: list[_Call], gradients: dict[int, Tensor | None]) -> list[Layer]:
    """Calls of layers, with the weights that belong to them; `gradients` are those of trained weights, by id."""
    owned = _owned(module, {id(call.module) for call in calls}, gradients)
    whole = {id(call) for call in calls if known(call.module)}
    for call in reversed(calls):
        # What runs inside one of PyTorch's own layers, such as a parametrised weight, is that layer's work.
        if call.parent is not None and (id(call.parent) in whole or _inside(call.parent, whole)):
            call.parent.forward_s += call.forward_s
            call.parent.backward_s += call.backward_s
    return [
        _layer(call, owned.get(id(call.module), []), gradients)
        for call in calls
        if not _inside(call, whole)
        and (id(call) in whole or not any(True for _ in call.module.children()) or id(call.module) in owned)
    ]


def _inside(call: _Call, whole: set[int]) -> bool:
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


def _layer(call: _Call, weights: list[nn.Parameter], gradients: dict[int, Tensor | None]) -> Layer:
    trained = [(p, gradients[id(p)]) for p in weights if id(p) in gradients]
    reached = [(p, gradient) for p, gradient in trained if gradient is not None]
    by_weights = math.hypot(*(_norm(gradient) for _, gradient in reached)) if reached else None
    size = math.hypot(*(_norm(p) for p, _ in reached))
    ratio = None if by_weights is None else by_weights / size if size else math.inf if by_weights else 0.0
    mean, std, largest, zeros = call.values
    return Layer(
        name=call.name, type=type(call.module).__name__, inputs=call.inputs, output=call.output,
        parameters=sum(p.numel() for p in weights), flops=call.formula.flops, forward_s=call.forward_s,
        backward_s=None if call.gradient is None else call.backward_s, product=call.formula.product,
        nonlinearity=call.formula.nonlinearity, mean=mean, std=std, largest=largest, zeros=zeros,
        gradient=call.gradient, weight_gradient=by_weights, ratio=ratio, units=call.units, dead=call.dead,
        slope=call.formula.slope,
    )  # fmt: skip


def warnings_of(layers: list[Layer]) -> list[str]:
    """What is wrong with the layers, a sentence each: which, by what rule, and the remedy.

    - not finite: the first output, or if all are finite the last layer (the first on the way back), that holds NaN or
      infinity; nothing else is said then.
    - dead units: a tenth of a layer's units or more, each looked at on 16 values or more.
    - no gradient: it is exactly zero by a layer's weights, but not by every layer's.
    - vanishing: gradient / weight is under 1e-4 of the layers' median (of three layers or more).
    - exploding: the gradient by the output is over 1,000 times the layers' median (of three or more), or that by the
      weights over 1,000 times their norm, which counts as 1 at least.
    """
    spoiled = [layer for layer in layers if not math.isfinite(layer.largest) and layer.output and 0 not in layer.output]
    if spoiled:
        return [
            f"The output of {spoiled[0]} holds values that are not finite; look at its inputs and weights, and lower "
            "the learning rate."
        ]
    spoiled = [layer for layer in layers if not layer.finite]
    if spoiled:
        return [
            f"The gradient at {spoiled[-1]} is not finite; clip it, lower the learning rate, or mend its backward pass."
        ]
    found = [_dead(layer) for layer in layers if layer.units and _many(layer)]
    learning = {layer.name: layer for layer in layers if layer.ratio is not None and layer.parameters}
    ratios = {name: layer.ratio for name, layer in learning.items() if layer.ratio is not None}
    none = [learning[name] for name, ratio in ratios.items() if ratio == 0]
    if none and len(none) < len(ratios):
        found.append(
            f"No gradient at all reaches the weights of {_names(none)}; look for dead units or weights of zero between "
            "there and the loss."
        )
    if len(ratios) >= FEW:
        middle = median(ratios.values())
        faint = [learning[name] for name, ratio in ratios.items() if 0 < ratio < VANISHED * middle]
        if faint:
            found.append(
                f"The gradient vanishes at {_names(faint)}: beside its weights it is under {VANISHED:g} of the layers' "
                "median; use ReLU for sigmoid or tanh, normalise between the layers, or add shortcuts."
            )
    loud = _exploding(layers)
    if loud:
        found.append(
            f"The gradient explodes at {_names(loud)}; clip it, scale the targets, or make the first weights smaller."
        )
    return list(dict.fromkeys(found))


def _exploding(layers: list[Layer]) -> list[Layer]:
    by_output = [layer.gradient for layer in layers if layer.gradient]
    most = EXPLODED * median(by_output) if len(by_output) >= FEW else math.inf
    loud = {}
    for layer in layers:
        size = 0.0
        if layer.weight_gradient and layer.ratio:
            size = layer.weight_gradient / max(layer.weight_gradient / layer.ratio, 1.0)
        if (layer.gradient or 0.0) > most or size > EXPLODED:
            loud[layer.name] = layer
    return list(loud.values())


def _many(layer: Layer) -> bool:
    return math.prod(layer.output) >= SEEN * layer.units and len(layer.dead) >= max(1, DEAD * layer.units)


def _dead(layer: Layer) -> str:
    count = "All" if len(layer.dead) == layer.units else str(len(layer.dead))
    remedy = {
        "zero": "lower the learning rate, normalise before it, or use LeakyReLU",
        "saturated": "make its inputs smaller, normalise before it, or use ReLU",
    }.get(layer.slope, "normalise before it, or widen its bounds")
    return f"{count} of {layer.units} units of {layer} are {layer.slope} on every row and learn nothing; {remedy}."


def _names(layers: list[Layer]) -> str:
    """Up to three layers by name, and how many more."""
    said, more = [str(layer) for layer in layers[:3]], len(layers) - 3
    if more > 0:
        return f"{', '.join(said)} and {more} more"
    return f"{', '.join(said[:-1])} and {said[-1]}" if len(said) > 1 else said[0]
