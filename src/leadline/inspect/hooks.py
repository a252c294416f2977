"""A forward and backward pass watched from outside: which call is at work when, and what it makes of its tensors.

Enters: a module that is about to be called. Leaves: one `Call` for each call of each of its modules, filled. Nothing is
put between the modules: tensors are watched by hooks of autograd, so modules that work in place behave as they do
unwatched.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from leadline.inspect.flops import Formula, formula
from leadline.system.device import home, noise_kept, wait
from leadline.system.text import enumerated


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Afterwards buffers, such as the running statistics of batch norm, and the random generator are as before."""
    held = [(each._buffers, dict(each._buffers)) for each in module.modules()]
    values = {id(t): (t, t.detach().clone()) for _, buffers in held for t in buffers.values() if t is not None}
    with noise_kept(home(module)):
        try:
            yield
        finally:
            for buffers, before in held:
                buffers.clear()
                buffers.update(before)
            with torch.no_grad():
                for tensor, value in values.values():
                    if not torch.equal(tensor, value):
                        tensor.copy_(value)


@dataclass(kw_only=True, eq=False)
class Call:
    """One call of one module, filled while it is watched."""

    name: str
    module: nn.Module
    parent: Call | None
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...] = ()
    formula: Formula = field(default_factory=Formula)
    values: tuple[float, float, float, float] = (math.nan, math.nan, math.nan, math.nan)
    units: int = 0
    dead: tuple[int, ...] = ()
    forward_s: float = 0.0
    backward_s: float = 0.0
    gradient: float | None = None

    def within(self, other: Call) -> bool:
        """Whether this call is the other one, or was made inside it."""
        return self is other or (self.parent is not None and self.parent.within(other))


class Watch:
    """Gives every moment of a pass to the innermost call that is at work; its own work counts for nobody.

    Autograd goes back through the nodes in the reverse order of their making, so the layers follow one another in the
    backward pass as they did in the forward pass, and never overlap.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.calls: list[Call] = []
        self._current: Call | None = None
        self._forward = False
        self._axis: int | None = None  # of the units, as the last layer that knows it says
        self._edges: dict[tuple[Any, int], list[tuple[bool, Call]]] = {}  # what enters (True) or leaves there

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
            call = Call(name="", module=module, parent=None, inputs=tuple(tuple(t.shape) for t in inputs))
        where = f"Layer {call.name} ({type(call.module).__name__})" if call.name else "The module"
        shapes = enumerated([str(list(shape)) for shape in call.inputs]) or "nothing"
        return f"{where} could not read {shapes}: {reason}; reshape X, or change the layer before it."

    def _credit(self) -> None:
        wait(self._device)
        spent = time.perf_counter() - self._tick
        self._spent += spent
        if self._current is not None:
            if self._forward:
                self._current.forward_s += spent
            else:
                self._current.backward_s += spent

    def _enter(self, name: str, module: nn.Module, inputs: list[Tensor]) -> None:
        shapes = tuple(tuple(t.shape) for t in inputs)
        self._current = Call(name=name, module=module, parent=self._current, inputs=shapes)
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

    def _note(self, call: Call, inputs: list[Tensor], outputs: list[Tensor]) -> None:
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

    def _follow(self, tensor: Tensor, enters: bool, call: Call) -> None:
        """Call back when the gradient by this tensor exists. Tensors without a history, data and weights, have none."""
        if tensor.grad_fn is None:
            return
        edge = (tensor.grad_fn, tensor.output_nr)
        if edge not in self._edges:
            self._edges[edge] = []
            watch: Any = tensor  # PyTorch does not state the types of this one
            watch.register_hook(lambda gradient: self._arrived(edge, gradient))
        self._edges[edge].append((enters, call))

    def _arrived(self, edge: tuple[Any, int], gradient: Tensor) -> None:
        self._credit()
        with torch.no_grad():
            norm = norm_of(gradient)
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


def norm_of(tensor: Tensor) -> float:
    """The Euclidean norm of a tensor, summed in float64."""
    dense = tensor.to_dense() if tensor.is_sparse else tensor
    if dense.device.type == "mps":  # which has no float64
        return float(torch.linalg.vector_norm(dense.detach().cpu(), dtype=torch.float64))
    return float(
        torch.linalg.vector_norm(dense.detach(), dtype=torch.complex128 if dense.is_complex() else torch.float64)
    )
