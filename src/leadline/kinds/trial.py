"""A body answers made-up rows: whether it can, what it says, and how long it takes.

Enters: its graphs, the fastest first, and rows. Leaves: a `Trial`. Seconds are those of the processor, so that other
work on the machine does not count.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from leadline.core.pretrained import Trial
from leadline.graph.runtime import Session

if TYPE_CHECKING:
    import onnx

TURNS = 3  # of which the fastest counts


def tried(graphs: Sequence[Callable[[], onnx.ModelProto]], rows: np.ndarray, usual: np.ndarray, size: float) -> Trial:
    """
    Args:
        graphs: of each precision, from 'x' to 'states'.
        rows: that each of them answers [n, ...].
        usual: a row [1, ...] by which the first graph is timed.
        size: of that row.
    """
    states, ready_s, a_row = [], 0.0, 0.0
    for number, graph in enumerate(graphs):
        began = time.thread_time()
        session = Session(graph())
        ready = time.thread_time() - began
        states.append(session.only({"x": rows}))
        if not number:
            ready_s, a_row = ready, min(_spent(session, usual) for _ in range(TURNS))
    return Trial(states=np.concatenate(states), ready_s=ready_s, a_row_s=a_row / size)


def _spent(session: Session, row: np.ndarray) -> float:
    began = time.thread_time()
    session.only({"x": row})
    return time.thread_time() - began
