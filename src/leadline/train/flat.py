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

import torch
from torch import Tensor, nn

from leadline.errors import LeadlineError


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


def _view(part: Tensor, p: Tensor) -> Tensor:
    """A stretch of the flat tensor in the shape of a parameter, and with its layout."""
    if p.is_contiguous() or p.ndim != 4:
        return part.view(p.shape)
    n, channels, height, width = p.shape
    return part.view(n, height, width, channels).permute(0, 3, 1, 2)  # channels last
