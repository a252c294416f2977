"""The loss of a contender's network by autograd: the engine's objective (`train/trainer.py`) of deep contenders.

Enters: a network and the mean loss of a batch. Leaves: that loss, and its gradient in `.grad` of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class NetworkObjective:
    """Gradients begin anew with each batch; over its parts they are added up, each with its share of the rows."""

    least = 2  # rows that a part needs: norms take their statistics from it

    def __init__(self, net: nn.Module, loss_of: Callable[[Any], Tensor]) -> None:
        self._net, self._loss_of, self._share = net, loss_of, 0.0
        self.values = [p.detach() for p in net.parameters()]

    def rows(self, batch: Any) -> int:
        return len(batch) if isinstance(batch, Tensor) else self.rows(batch[0])

    def forward(self, batch: Any) -> Tensor:
        if not self._share:
            self._clear()
        self._value = self._loss_of(batch)
        return self._value.detach()

    def backward(self) -> None:
        value = self._value * self._share if self._share else self._value
        value.backward()  # type: ignore[no-untyped-call]
        del self._value

    def in_parts(self, batch: Any, parts: int, passed: Callable[[Any], Tensor]) -> Tensor:
        self._clear()
        rows, loss = self.rows(batch), torch.zeros(())
        try:
            for part in _cut(batch, max(1, min(parts, rows // self.least))):
                self._share = self.rows(part) / rows
                loss += self._share * passed(part)
        finally:
            self._share = 0.0
        return loss

    def clip(self, most: float) -> None:
        torch.nn.utils.clip_grad_norm_(self._net.parameters(), most)

    def _clear(self) -> None:
        for p in self._net.parameters():
            p.grad = None


def _cut(batch: Any, parts: int) -> list[Any]:
    """Tensors, in tuples and lists, cut along their rows."""
    if isinstance(batch, Tensor):
        return list(torch.tensor_split(batch, parts))
    return [type(batch)(each) for each in zip(*(_cut(each, parts) for each in batch), strict=True)]
