"""What is cut out of a network are the channels that say something, and it answers as the network did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from leadline.contenders.bodies import bodies_of, build, gathered
from leadline.contenders.earlier_network import NETWORK, save
from leadline.core.kind import CONVOLUTION
from leadline.shrink.pruning import cut, wide

WIDTH = 8


@pytest.fixture(scope="module")
def store(prepare: Any, bars: Any) -> Any:
    return prepare(bars(400)).store


def _silenced(store: Any) -> Any:
    """A network of which every second channel is always zero."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        bodies = bodies_of(store, (CONVOLUTION,))
        net = build(store, bodies, 2, WIDTH, ())
    net.bodies[0].prepare(gathered(store, list(bodies), store.split.train)[0])
    with torch.no_grad():
        for module in net.bodies[0].blocks.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.1)
                module.weight[1::2] = 0
            elif isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # a mean of what it sees
    net.train()(*gathered(store, list(bodies), store.split.train))  # the norms see what is there
    return net.eval(), bodies


def _raw(net: Any, store: Any, bodies: Any, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        out = net(*gathered(store, list(bodies), rows))
    return np.asarray((out - out.mean(dim=1, keepdim=True)).numpy())


def test_channels_that_say_nothing_are_cut_and_the_answers_stay(store: Any, tmp_path: Path) -> None:
    net, bodies = _silenced(store)
    save(tmp_path / NETWORK, net, store, bodies, WIDTH)
    rows = store.split.train
    raw = _raw(net, store, bodies, rows)
    full = wide(tmp_path / NETWORK, store, bodies, rows, raw)
    assert full is not None
    narrow = build(store, bodies, 2, WIDTH // 2, ())
    narrow.bodies[0].prepare(gathered(store, list(bodies), rows)[0])
    cut(full, narrow)
    for own, its in zip(narrow.bodies[0].blocks, net.bodies[0].blocks, strict=True):
        torch.testing.assert_close(own.conv1.weight[:, :1], its.conv1.weight[0::2, :1], rtol=1e-2, atol=1e-3)
    made = _raw(narrow.eval(), store, bodies, store.split.test)
    right = _raw(net, store, bodies, store.split.test)
    assert np.corrcoef(made[:, 0], right[:, 0])[0, 1] > 0.95


def test_a_network_that_is_not_the_model_is_not_cut(store: Any, tmp_path: Path) -> None:
    net, bodies = _silenced(store)
    save(tmp_path / NETWORK, net, store, bodies, WIDTH)
    rows = store.split.train
    noise = np.random.default_rng(0).normal(size=(len(rows), 2))
    assert wide(tmp_path / NETWORK, store, bodies, rows, noise) is None
