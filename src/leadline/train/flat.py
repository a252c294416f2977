"""All parameters of a module as one flat tensor, so that one fused call moves them all.

Enters: a module. Leaves: `Flat`: `values` [P] and `gradient` [P], of which the module's parameters and their gradients
are views. One call on 235,000 numbers costs less than six calls on the six tensors they belong to.

    >>> net = torch.nn.Linear(3, 2)
    >>> flat = Flat(net)
    >>> net(torch.ones(1, 3)).sum().backward()
    >>> flat.gradient.tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    >>> flat.release()
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from leadline.system.errors import LeadlineError


class Flat:
    """The trained parameters of a module, end to end in one tensor, until they are released."""

    @staticmethod
    def check(module: nn.Module) -> list[nn.Parameter]:
        """The parameters that are trained; a LeadlineError where they cannot be."""
        parameters = [p for p in module.parameters() if p.requires_grad]
        if not parameters:
            raise LeadlineError("The module has no parameter with requires_grad=True, so there is nothing to train.")
        if any(nn.parameter.is_lazy(p) for p in parameters):
            raise LeadlineError(
                "The module has lazy layers whose shapes are not known yet, where weights were expected; call it once "
                "on a batch before it is trained."
            )
        check_made(module)
        _check_apart(parameters)
        kinds = {(p.dtype, str(p.device)) for p in parameters}
        if len(kinds) > 1 or {dtype for dtype, _ in kinds} - {torch.float32, torch.float64}:
            found = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds))
            raise LeadlineError(
                f"The module's parameters are {found}, where all in float32 or all in float64 on one device were "
                "expected; convert it with .to('cpu', torch.float32)."
            )
        return parameters

    def __init__(self, module: nn.Module) -> None:
        self.parameters = self.check(module)
        size = sum(p.numel() for p in self.parameters)
        self.values = self.parameters[0].detach().new_empty(size)
        self.gradient = torch.zeros_like(self.values)
        self.values.grad = self.gradient
        for p, place in zip(self.parameters, self._places(), strict=True):
            values = _view(self.values[place], p)
            p.data, p.grad = values.copy_(p.detach()), _view(self.gradient[place], p)

    def _places(self) -> list[slice]:
        ends = torch.tensor([0, *(p.numel() for p in self.parameters)]).cumsum(0).tolist()
        return [slice(start, end) for start, end in zip(ends, ends[1:], strict=False)]

    def add(self, gradients: Sequence[Tensor | None]) -> None:
        """Add to the gradient of each parameter, where there is something to add."""
        for p, gradient in zip(self.parameters, gradients, strict=False):
            if gradient is not None and p.grad is not None:
                p.grad.add_(gradient)

    def collect(self) -> None:
        """Take gradients that a hook removed (zero), or put elsewhere, back into the flat tensor."""
        for p, place in zip(self.parameters, self._places(), strict=True):
            part = _view(self.gradient[place], p)
            if p.grad is None:
                part.zero_()
            elif p.grad.data_ptr() != part.data_ptr():
                part.copy_(p.grad)
            p.grad = part

    def clip(self, most: float) -> None:
        """Shorten the gradient where its norm is above `most`: Pascanu et al. 2013."""
        norm = float(self.gradient.norm())
        if norm > most:
            self.gradient.mul_(most / norm)

    def release(self) -> None:
        """Give each parameter memory of its own again, and no gradient."""
        for p in self.parameters:
            p.data = p.data.clone()
            p.grad = None


def check_made(module: nn.Module) -> None:
    """A LeadlineError where parameters or buffers are no plain tensors with numbers in memory."""
    for name, t in [*module.named_parameters(), *module.named_buffers()]:
        if t.is_meta:
            raise LeadlineError(
                f"{name} of the module lies on the device 'meta', where numbers were expected; make the module on "
                "'cpu', or call .to_empty(device='cpu') and give it weights."
            )
        if t.is_inference():
            raise LeadlineError(
                f"{name} of the module was made inside torch.inference_mode(), so no gradient can reach it; make the "
                "module outside of it."
            )
        if type(t.data) is not Tensor or t.layout != torch.strided:
            found = type(t.data).__name__ if type(t.data) is not Tensor else str(t.layout)
            raise LeadlineError(f"{name} of the module is a {found}, where a plain dense tensor was expected.")


def _check_apart(parameters: list[nn.Parameter]) -> None:
    """A LeadlineError where two parameters lie in the same memory: one flat tensor would part them."""
    spans = sorted(_span(p) for p in parameters if p.numel() and not nn.parameter.is_lazy(p))
    for (_, end), (start, _) in zip(spans, spans[1:], strict=False):
        if start < end:
            raise LeadlineError(
                "Two parameters of the module share memory, where each was expected to have its own; use one "
                "nn.Parameter in both places to tie weights."
            )
    for p in parameters:
        if not nn.parameter.is_lazy(p) and any(
            step == 0 and size > 1 for step, size in zip(p.stride(), p.shape, strict=True)
        ):
            raise LeadlineError("A parameter of the module is an expanded tensor; make it with .contiguous().")


def _span(p: Tensor) -> tuple[int, int]:
    """First and last address of a parameter."""
    last = sum(step * (size - 1) for step, size in zip(p.stride(), p.shape, strict=True))
    return p.data_ptr(), p.data_ptr() + (last + 1) * p.element_size()


def _view(part: Tensor, p: Tensor) -> Tensor:
    """A stretch of the flat tensor in the shape of a parameter, and with its layout."""
    if p.is_contiguous() or p.ndim != 4:
        return part.view(p.shape)
    n, channels, height, width = p.shape
    return part.view(n, height, width, channels).permute(0, 3, 1, 2)  # channels last
