"""The gradient of a whole batch, taken in parts so that the activations of only one part lie in memory at a time.

Enters: a batch in parts, and the way to a gradient (`backward.py`). Leaves: the loss of the whole batch (a scalar), and
the flat gradient of it, whatever the loss is:

- A loss that is a mean over counted items is the mean of the parts' losses, each weighed by its items.
- A function of the user's own may be anything: a mean with class weights, a sum, a comparison of all rows with each
  other. The outputs of all parts are found first, then the loss and its derivative by each output, then each part is
  passed through the module again, with the same noise, and its derivatives go backward (Gao et al. 2021, 'Scaling Deep
  Contrastive Learning Batch Size under Memory Limited Setup'). That is one forward pass more.

Batch norm takes the statistics of a part, not of the batch: nothing but one pass could take them of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from leadline.system.device import noise, set_noise
from leadline.train.backward import Inputs, Way
from leadline.train.flat import Flat
from leadline.train.losses import Loss, Own

Part = tuple[Inputs, Tensor]


def split(x: Inputs, y: Tensor, parts: int, least: int) -> list[Part]:
    """A batch in so many parts, or fewer where they would have under `least` rows."""
    parts = max(1, min(parts, len(y) // least))
    cut = [torch.tensor_split(t, parts) for t in (*x, y)]
    return [(tuple(x_part), y_part) for *x_part, y_part in zip(*cut, strict=True)]


class FlatObjective:
    """The loss of a module whose parameters are one flat tensor: the engine's objective under `ll.train`."""

    def __init__(self, module: nn.Module, flat: Flat, way: Way, loss: Loss, least: int) -> None:
        """
        Args:
            least: rows that a step needs, as `lone_rows.least_rows` found.
        """
        self._module, self._flat, self._way, self._loss, self.least = module, flat, way, loss, least
        self.values, self.clip = [flat.values], flat.clip
        self.backward = way.backward

    def rows(self, batch: Part) -> int:
        return len(batch[1])

    def forward(self, batch: Part) -> Tensor:
        return self._way.forward(*batch)

    def in_parts(self, batch: Part, parts: int, passed: Callable[[Part], Tensor]) -> Tensor:
        cut = split(*batch, parts, self.least)
        if isinstance(self._loss, Own):
            return by_outputs(self._way, self._loss, self._flat, self._module, cut)
        return by_count(lambda x, y: passed((x, y)), self._loss, self._flat, cut)


def by_count(passed: Callable[[Inputs, Tensor], Tensor], loss: Loss, flat: Flat, parts: Sequence[Part]) -> Tensor:
    """Of a loss that is a mean over the items that it counts; `passed` goes forward and backward with a part."""
    counts = [loss.count(y) for _, y in parts]
    total, value = torch.zeros_like(flat.gradient), flat.gradient.new_zeros(())
    for (x, y), count in zip(parts, counts, strict=True):
        share = count / max(1, sum(counts))
        value.add_(passed(x, y), alpha=share)
        total.add_(flat.gradient, alpha=share)
    flat.gradient.copy_(total)
    return value


def by_outputs(way: Way, loss: Own, flat: Flat, module: nn.Module, parts: Sequence[Part]) -> Tensor:
    """Of any function of all outputs and targets."""
    device = flat.values.device
    buffers = [(b, b.clone()) for b in module.buffers()]
    noises, found = [], []
    for x, _ in parts:
        noises.append(noise(device))
        found.append(way.outputs(x).detach().clone())
    for buffer, before in buffers:
        buffer.copy_(before)  # the second pass moves them, as the only one would
    y = torch.cat([y for _, y in parts])
    value, by_out, beside = loss.gradients(torch.cat(found), y, flat.parameters)
    after, total = noise(device), torch.zeros_like(flat.gradient)
    by_part = torch.split(by_out, [len(out) for out in found])
    for (x, _), state, dout in zip(parts, noises, by_part, strict=True):
        set_noise(device, state)
        way.outputs(x)
        way.push(dout)
        total.add_(flat.gradient)
    set_noise(device, after)
    flat.gradient.copy_(total)
    flat.add(beside)
    return value
