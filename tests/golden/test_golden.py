"""The first ten losses of each architecture, as they were: a change that moves them is seen, and meant.

`make golden` writes them anew. Other processors round otherwise, so they are held to a part in a hundred.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leadline as ll
from leadline.contenders import recipes
from leadline.contenders.bodies import bodies_of, build, gathered
from leadline.contenders.portfolio import PORTFOLIO
from leadline.nets.embed import Embed
from leadline.nets.rnn import LSTM
from leadline.nets.transformer import Transformer

GOLDEN = Path(__file__).with_name("golden.json")
STEPS = 10


def _seeded(make: Callable[[], Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def _ten(loss: Callable[[], Tensor], optimizer: recipes.Recipe) -> list[float]:
    found = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)  # of dropout
        for step in range(STEPS):
            value = loss()
            value.backward()
            optimizer.step(step / STEPS)
            found.append(value.item())
    return found


def _of_table(name: str, store: Any) -> list[float]:
    """A contender's network on the first train rows of a store."""
    bodies, trunk = bodies_of(store, PORTFOLIO[name].architectures), (256, 256) if name == "mlp" else ()
    rows = store.split.train[:32]
    net = _seeded(lambda: build(store, bodies, 2, 8, trunk))
    inputs, y = gathered(store, list(bodies), rows), torch.from_numpy(store.labels[rows].copy())
    for body, x in zip(net.bodies, inputs, strict=True):
        body.prepare(x)
    if name in ("cnn", "crnn"):
        optimizer = recipes.convolutional(net, net.head)
    else:
        optimizer = recipes.adam(net, peak=1e-2, decay=1e-2)
    return _ten(lambda: F.cross_entropy(net(*inputs).float(), y), optimizer)


def _of_text(make: Callable[[Embed], Any]) -> list[float]:
    net = _seeded(lambda: make(Embed(20, 32, (2, 3), 1 << 10, 0.2)))
    generator = torch.Generator().manual_seed(0)
    windows = torch.randint(1, 20, (8, 16 + net.before + 1), generator=generator).cumsum(1) % 19 + 1
    tables = list(net.embed.grams.parameters())
    hidden = list(net.blocks.parameters()) if isinstance(net, Transformer) else []
    taken = {id(p) for p in [*tables, *hidden]}
    others = [p for p in net.parameters() if id(p) not in taken]
    return _ten(lambda: net.losses(windows), recipes.transformer(hidden, tables, others))


def _of_engine(precision: str) -> list[float]:
    net = _seeded(lambda: nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 3)))
    generator = torch.Generator().manual_seed(0)
    X, y = torch.randn(64, 20, generator=generator), torch.arange(64) % 3
    return ll.train(net, (X, y), batch_size=16, steps=STEPS, lr=1e-2, precision=precision).history.losses


@pytest.fixture(scope="module")
def found(mixed: Any, messages: Any, bars: Any, tones: Any, prepare: Any) -> dict[str, list[float]]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    losses = {
        "mlp": _of_table("mlp", prepare(mixed(200), target="y").store),
        "bag": _of_table("bag", prepare(messages(160), target="label").store),
        "transformer": _of_table("transformer", prepare(messages(160), target="label").store),
        "rnn": _of_table("rnn", prepare(messages(160), target="label").store),
        "cnn": _of_table("cnn", prepare(bars(120)).store),
        "cnn of sounds": _of_table("cnn", prepare(tones(60), target="label").store),
        "vit": _of_table("vit", prepare(bars(120)).store),
        "crnn": _of_table("crnn", prepare(tones(60), target="label").store),
        "gpt": _of_text(lambda embed: Transformer(embed, 2, 1, 16)),
        "lstm": _of_text(lambda embed: LSTM(embed, 1)),
        "written out": _of_engine("float32"),
    }
    torch.set_num_threads(before)
    if os.environ.get("LEADLINE_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(losses, indent=1) + "\n")
    return losses


def test_the_losses_are_those_of_before(found: dict[str, list[float]]) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert golden.keys() == found.keys()
    for name, losses in golden.items():
        assert len(losses) == STEPS and losses[-1] < losses[0], name
        assert found[name] == pytest.approx(losses, rel=1e-2, abs=1e-3), name
