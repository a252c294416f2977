"""What a network is given of the store: rows of unequal length, none shorter than it can read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
import torch

from leadline.contenders.bodies import bodies_of, build, gathered, predict
from leadline.core.kind import CONVOLUTION, RECURRENT


@pytest.fixture(scope="module")
def store(prepare: Any) -> Any:
    """Sixty sounds of 0.05 to 0.15 s, and a few longer ones: most are shorter than the shortest that is read."""
    rng = np.random.default_rng(0)
    cells = []
    for i in range(80):
        file = io.BytesIO()
        length = int(rng.integers(400, 1_200)) if i % 8 else 6_000
        soundfile.write(file, rng.normal(0, 0.1, length), 8_000, format="WAV")
        cells.append(file.getvalue())
    return prepare(pl.DataFrame({"sound": cells, "y": ["a", "b"] * 40}), target="y").store


def test_rows_are_no_longer_than_the_longest_nor_shorter_than_a_network_can_read(store: Any) -> None:
    (block,) = store.blocks
    short, long = np.arange(1, 8), np.arange(0, 9)
    (few,) = gathered(store, [block.name], short)
    assert few.shape == (7, block.settings["least"])
    assert gathered(store, [block.name], long)[0].shape == (9, 6_000)


@pytest.mark.parametrize("architecture", [CONVOLUTION, RECURRENT])
def test_answers_do_not_depend_on_what_is_scored_together(store: Any, architecture: str) -> None:
    names = [block.name for block in store.blocks]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = build(store, bodies_of(store, (architecture,)), 2, 4, ())
    rows = np.arange(80)
    together = predict(net, store, names, rows)
    alone = np.concatenate([predict(net, store, names, rows[i : i + 1]) for i in rows])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(predict(net, store, names, rows[::-1]), together[::-1])
