"""A pretrained body that is trained further, with a head over its pooled states; and hidden states that are kept.

Enters: stored rows, as the body reads them. Leaves: raw answers [n, outputs]. N: rows of a batch; T: positions of the
longest of them; W: width of a hidden state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.core.pretrained import TrainableBody

DROPOUT = 0.1  # of the pooled states
BATCH, FEWEST = 32, 16  # rows of a step; and steps of a pass, at least: few rows are cut into smaller ones
LONG = 0.9  # quantile of the lengths, by which a batch is made smaller where rows are long
SCORED = 64  # rows in one pass without gradients
DEVIATION = 0.02  # of the first weights of the head
SPREAD = 0.3  # deviation of states that are standardised, as that of a text's states is about
LEAST = 0.01  # of the mean deviation, that a state's own counts as at least
A_NUMBER = 2  # bytes of a hidden state
AS_THEY_ARE = (np.uint8, np.int16)  # pixels, samples


Moments = tuple[Tensor, Tensor]  # means and deviations of pooled states, [width] each


class TunedBody(nn.Module):
    """A body and a linear head."""

    def __init__(self, body: TrainableBody, outputs: int, moments: Moments | None = None) -> None:
        """`moments`: by which the head reads the states standardised (default: as they are)."""
        super().__init__()
        self.body, self.head = body, nn.Linear(body.width, outputs)
        nn.init.normal_(self.head.weight, std=DEVIATION)
        nn.init.zeros_(self.head.bias)
        mean, deviation = moments or (torch.zeros(body.width), torch.full((body.width,), SPREAD))
        self._mean, self._scale = mean, SPREAD / deviation.clamp_min(LEAST * deviation.mean())  # no state: not learned

    def forward(self, rows: Tensor, hidden: Tensor | None = None, cut: int = 0) -> Tensor:
        """Stored rows [N, T] -> raw [N, outputs]; `hidden` [N, T, W] after `cut` layers need not be computed again."""
        if hidden is None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and cut == 0):
                hidden = self.body.lower(rows, cut)
        pooled = (self.body.upper(hidden, rows, cut) - self._mean) * self._scale
        raw: Tensor = self.head(F.dropout(pooled, DROPOUT, self.training))
        return raw.float()

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """Of the body's own states: weights float32 [width, outputs], and what is added [outputs]."""
        with torch.no_grad():
            weight = self.head.weight * self._scale
            return weight.T.numpy(), (self.head.bias - weight @ self._mean).numpy()


def batch_size(lengths: np.ndarray, room: int | None) -> int:
    """Rows of a step, of train rows of these lengths; `room`: positions that it has memory for."""
    fitting = BATCH if room is None else int(room / max(1.0, float(np.quantile(lengths, LONG))))
    return max(2, min(BATCH, len(lengths) // FEWEST, fitting))


def alike(lengths: np.ndarray, size: int, room: int | None = None) -> Iterator[np.ndarray]:
    """Places of some rows, batch by batch, those of one length together: little is padded.

    Args:
        size: rows of a batch, at most.
        room: positions of a batch, at most, if it is of several rows.
    """
    order = np.argsort(lengths, kind="stable")
    while len(order):
        count = min(size, len(order))
        while room is not None and count > 1 and count * lengths[order[count - 1]] > room:
            count //= 2
        yield order[:count]
        order = order[count:]


def batch_of(tensor: np.ndarray, rows: np.ndarray, longest: int) -> Tensor:
    """Pixels and samples as they are, and numbers of a table's rows as int64: [N, T, ...]."""
    held = np.asarray(tensor[rows])[:, : max(1, longest)]
    return torch.from_numpy(np.ascontiguousarray(held) if held.dtype in AS_THEY_ARE else held.astype(np.int64))


def answers(net: TunedBody, tensor: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Raw answers [n, outputs] float32 to rows of a stored tensor, in the precision that holds around the call."""
    return _passed(net.eval(), net.body, tensor, rows, net.head.out_features)


def moments_of(body: TrainableBody, tensor: np.ndarray, rows: np.ndarray) -> Moments:
    """Of the states that it gives for rows of a stored tensor."""
    cast("nn.Module", body).eval()
    found = _passed(lambda x: body.upper(body.lower(x, 0), x, 0), body, tensor, rows, body.width)
    states = torch.from_numpy(found)
    return states.mean(0), states.std(0)


def _passed(
    net: Callable[[Tensor], Tensor], body: TrainableBody, tensor: np.ndarray, rows: np.ndarray, width: int
) -> np.ndarray:  # fmt: skip
    """What a network gives for stored rows: float32 [n, width]."""
    made = np.empty((len(rows), width), np.float32)
    lengths = body.lengths(np.asarray(tensor[rows]))
    with torch.no_grad():
        for places in alike(lengths, SCORED, body.room):
            made[places] = net(batch_of(tensor, rows[places], int(lengths[places].max()))).numpy()
    return made


class HiddenStates:
    """Hidden states of rows at one cut, in float16, each row as long as it is."""

    def __init__(self, rows: np.ndarray, lengths: np.ndarray, width: int) -> None:
        """
        Args:
            rows: that may come, rising.
            lengths: of each of them.
        """
        self._rows, self._lengths = rows, lengths
        self._first = np.concatenate([[0], np.cumsum(lengths)])
        self._states = torch.zeros(int(self._first[-1]) + 1, width, dtype=torch.float16)  # the last fills up

    def keep(self, rows: np.ndarray, hidden: Tensor) -> None:
        """Those of some rows [N, T, W]."""
        for states, place in zip(hidden.half(), np.searchsorted(self._rows, rows), strict=True):
            low, high = self._first[place], self._first[place + 1]
            self._states[low:high] = states[: high - low]

    def of(self, rows: np.ndarray) -> Tensor:
        """float32 [N, T, W]."""
        places = np.searchsorted(self._rows, rows)
        lengths, steps = self._lengths[places], np.arange(max(1, self._lengths[places].max()))
        at = np.where(steps < lengths[:, None], self._first[places][:, None] + steps, len(self._states) - 1)
        return self._states[torch.from_numpy(at)].float()
