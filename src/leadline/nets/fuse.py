"""Join bodies of any kinds: each yields a vector, the vectors stand side by side, a trunk and a linear head follow."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Fuse(nn.Module):
    """One tensor a body -> outputs [N, out].

    Args:
        bodies: {tensor name: module with `.width` that maps the tensor to [N, width]}; `forward` takes the tensors
            in this order.
        trunk: a module with `.width` from the joined vectors to the head, or None.
        out: number of outputs.
    """

    def __init__(self, bodies: Mapping[str, nn.Module], trunk: nn.Module | None, out: int) -> None:
        super().__init__()
        self.names = list(bodies)
        self.bodies = nn.ModuleList(bodies.values())
        joined = sum(int(body.width) for body in bodies.values())  # type: ignore[arg-type, misc]
        self.trunk = trunk if trunk is not None else nn.Identity()
        self.head = nn.Linear(int(trunk.width) if trunk is not None else joined, out)  # type: ignore[arg-type]
        nn.init.zeros_(self.head.bias)

    def forward(self, *tensors: Tensor) -> Tensor:
        vectors = [body(tensor) for body, tensor in zip(self.bodies, tensors, strict=True)]
        joined = vectors[0] if len(vectors) == 1 else torch.cat(vectors, dim=1)
        out: Tensor = self.head(self.trunk(joined))
        return out
