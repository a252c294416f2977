"""A pretrained body that is trained further, with a head over its pooled states; and hidden states that are kept.

Enters: stored rows, as the body reads them. Leaves: raw answers [n, outputs]. N: rows of a batch; T: positions of the
longest of them; W: width of a hidden state.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.core.pretrained import TrainableBody

DROPOUT = 0.1  # of the pooled states
SCORED = 64  # rows in one pass without gradients
DEVIATION = 0.02  # of the first weights of the head
A_NUMBER = 2  # bytes of a hidden state


class TunedBody(nn.Module):
    """A body and a linear head."""

    def __init__(self, body: TrainableBody, outputs: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(body.width, outputs)
        nn.init.normal_(self.head.weight, std=DEVIATION)
        nn.init.zeros_(self.head.bias)

    def forward(self, rows: Tensor, hidden: Tensor | None = None, cut: int = 0) -> Tensor:
        """Stored rows [N, T] -> raw [N, outputs]; `hidden` [N, T, W] after `cut` layers need not be computed again."""
        if hidden is None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and cut == 0):
                hidden = self.body.lower(rows, cut)
        pooled = self.body.upper(hidden, rows, cut)
        raw: Tensor = self.head(F.dropout(pooled, DROPOUT, self.training))
        return raw.float()


def alike(lengths: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Places of some rows, batch by batch, those of one length together: little is padded."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), size):
        yield order[start : start + size]


def batch_of(tensor: np.ndarray, rows: np.ndarray, longest: int) -> Tensor:
    """int64 [N, T], or pixels as they are."""
    held = np.asarray(tensor[rows])[:, : max(1, longest)]
    return torch.from_numpy(np.ascontiguousarray(held) if held.dtype == np.uint8 else held.astype(np.int64))


def answers(net: TunedBody, tensor: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Raw answers [n, outputs] float32 to rows of a stored tensor, in the precision that holds around the call."""
    net.eval()
    made = np.empty((len(rows), net.head.out_features), np.float32)
    lengths = net.body.lengths(np.asarray(tensor[rows]))
    with torch.no_grad():
        for places in alike(lengths, SCORED):
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
