"""A body answers made-up rows: whether it can, what it says, and how long it takes.

Enters: a graph and rows. Leaves: a `Trial`. Seconds are those of the processor, so that other
work on the machine does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from leadline.core.pretrained import Trial
from leadline.graph.runtime import Session

if TYPE_CHECKING:
    import onnx

TURNS = 3  # of which the fastest counts


def tried(graph: Callable[[], onnx.ModelProto], rows: np.ndarray, usual: np.ndarray, size: float) -> Trial:
    """
    Args:
        graph: from 'x' to 'states'.
        rows: that it answers [n, ...].
        usual: a row [1, ...] by which it is timed.
        size: of that row.
    """
    began = time.thread_time()
    session = Session(graph())
    ready_s = time.thread_time() - began
    states = session.only({"x": rows})
    a_row_s = min(_spent(session, usual) for _ in range(TURNS))
    return Trial(states=states, ready_s=ready_s, a_row_s=a_row_s / size)


def _spent(session: Session, row: np.ndarray) -> float:
    began = time.thread_time()
    session.only({"x": row})
    return time.thread_time() - began
