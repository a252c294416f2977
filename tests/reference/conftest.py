"""What networks that write are held to alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor


@pytest.fixture
def in_chunks() -> Callable[[Any, Tensor, list[int]], None]:
    """in_chunks(net, ids [N, T], sizes): reading chunk by chunk gives the logits and the state of reading at once."""

    def check(net: Any, ids: Tensor, sizes: list[int]) -> None:
        with torch.no_grad():
            whole, end = net(ids, net.initial(len(ids)))
            state, parts = net.initial(len(ids)), []
            for chunk in ids.split(sizes, dim=1):
                logits, state = net(chunk, state)
                parts.append(logits)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)
        for found, want in zip(state, end, strict=True):
            torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-5)

    return check
