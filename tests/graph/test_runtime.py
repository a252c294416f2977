"""A session of a graph: what it holds."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from leadline.graph.builder import Graph
from leadline.graph.runtime import Session
from leadline.system.resources import used_gb

SIDE = 4_000  # of a matrix: 64 MB

HELD = """
import ctypes, os
from leadline.system.resources import give_back, used_gb
blocks = [bytearray(100_000) for _ in range(2_000)]
kept, blocks = blocks[-1], None
before = used_gb(os.getpid())
give_back()
print(before - used_gb(os.getpid()))
"""


def _product() -> bytes:
    g = Graph("product")
    x = g.input("x", np.float32, ["N", SIDE])
    g.output("y", g.op("MatMul", x, g.const(np.ones((SIDE, SIDE), np.float32))), np.float32, ["N", SIDE])
    return g.model().SerializeToString()


def test_a_session_holds_no_bytes_of_its_file_beside_those_that_it_was_given() -> None:
    """It opens again from these."""
    session = Session(_product())
    assert session._model is not None and session._session._model_bytes is None
    assert session.only({"x": np.ones((1, SIDE), np.float32)})[0, 0] == SIDE
    session._process = -1
    assert session.only({"x": np.ones((2, SIDE), np.float32)})[1, 1] == SIDE


@pytest.mark.skipif(sys.platform != "linux" or os.confstr("CS_GNU_LIBC_VERSION") is None, reason="no glibc")
def test_memory_that_was_freed_goes_back() -> None:
    assert used_gb(os.getpid()) > 0
    told = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True).stdout
    assert float(told) > 0.1
