"""What a network takes of one that an earlier run trained: by role and shape, tables of tokens by token."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from leadline.contenders.bodies import bodies_of, build
from leadline.contenders.earlier_network import NETWORK, EarlierNetwork, differs, parts_of, save, take
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Continued, Data
from leadline.core.kind import CONVOLUTION, DENSE, EMBEDDING, TOKEN_ATTENTION
from leadline.core.note import FROM_SCRATCH, code_of
from leadline.system.errors import SourceError

WIDTH = 8


def _pictures(bars: Any, side: int, channels: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    images, labels = bars(80, side, seed)
    if channels == 1:
        return images, labels
    noise = np.random.default_rng(seed).integers(0, 99, (*images.shape, channels))
    return np.clip(images[..., None] + noise, 0, 255).astype(np.uint8), labels


def _network(store: Any, architectures: tuple[str, ...], seed: int, width: int = WIDTH) -> tuple[Any, Any]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        bodies = bodies_of(store, architectures)
        return build(store, bodies, 2, width, ()), bodies


def _kept(store: Any, architectures: tuple[str, ...], path: Path, width: int = WIDTH) -> tuple[Any, EarlierNetwork]:
    net, bodies = _network(store, architectures, seed=1, width=width)
    save(path, net, store, bodies, width)
    return net, EarlierNetwork.read(path)


def test_a_body_is_taken_and_the_head_and_the_scale_are_not(prepare: Any, bars: Any, tmp_path: Path) -> None:
    there = prepare(_pictures(bars, 28)).store
    here = prepare(_pictures(bars, 24, seed=1)).store
    old, earlier = _kept(there, (CONVOLUTION,), tmp_path / NETWORK)
    net, bodies = _network(here, (CONVOLUTION,), seed=2)
    head, mean = net.head.weight.clone(), net.bodies[0].mean.clone().add_(3)
    net.bodies[0].mean.copy_(mean)
    taken = take(net, here, bodies, earlier)
    for name, tensor in old.bodies[0].blocks.state_dict().items():
        if "num_batches" not in name:
            torch.testing.assert_close(net.bodies[0].blocks.state_dict()[name], tensor, rtol=1e-3, atol=1e-3)
    assert torch.equal(net.head.weight, head) and torch.equal(net.bodies[0].mean, mean)
    assert taken.parameters == taken.of and taken.parts == (here.blocks[0].name,)


def test_the_stem_of_larger_pictures_covers_as_much_of_them(prepare: Any, bars: Any, tmp_path: Path) -> None:
    small, large = prepare(_pictures(bars, 28, 3)).store, prepare(_pictures(bars, 64, 3)).store
    old, earlier = _kept(small, (CONVOLUTION,), tmp_path / NETWORK)
    net, bodies = _network(large, (CONVOLUTION,), seed=2)
    taken = take(net, large, bodies, earlier)
    stem = net.bodies[0].whiten
    assert (
        taken.parameters >= 0.9 * taken.of and stem.kernel_size == (4, 4) and old.bodies[0].whiten.kernel_size == (2, 2)
    )
    flat = [each.bodies[0].whiten.weight.sum((2, 3)) for each in (old, net)]
    torch.testing.assert_close(flat[0], flat[1], rtol=1e-2, atol=1e-2)  # a plain patch is answered alike at each scale
    assert net(torch.zeros(2, 64, 64, 3, dtype=torch.uint8)).shape == (2, 2)


def test_channels_that_differ_are_one_sentence(prepare: Any, bars: Any, tmp_path: Path) -> None:
    grey, coloured = prepare(_pictures(bars, 16)).store, prepare(_pictures(bars, 16, 3)).store
    _, earlier = _kept(grey, (CONVOLUTION,), tmp_path / NETWORK)
    assert differs(parts_of(grey, bodies_of(grey, (CONVOLUTION,))), earlier) is None
    why = differs(parts_of(coloured, bodies_of(coloured, (CONVOLUTION,))), earlier)
    assert why == "channels are 1 there, and 3 here"


def test_other_kinds_have_nothing_in_common(prepare: Any, bars: Any, messages: Any, tmp_path: Path) -> None:
    pictures, texts = prepare(_pictures(bars, 16)).store, prepare(messages(80), target="label").store
    _, earlier = _kept(pictures, (CONVOLUTION,), tmp_path / NETWORK)
    assert differs(parts_of(texts, bodies_of(texts, (EMBEDDING,))), earlier) == "it reads image, and this one text"


@pytest.mark.parametrize("architecture", [EMBEDDING, TOKEN_ATTENTION])
def test_a_token_takes_the_vector_that_it_had(architecture: str, prepare: Any, tmp_path: Path) -> None:
    def texts(words: list[str]) -> Any:
        rng = np.random.default_rng(len(words))
        rows = [" ".join(rng.choice(words, 6)) for _ in range(300)]
        return prepare(pl.DataFrame({"text": rows, "label": [f"c{i % 2}" for i in range(300)]}), target="label").store

    there, here = texts(["Apple", "pear", "plum", "fig"]), texts(["plum", "quince", "Fig", "nut", "date", "medlar"])
    old, earlier = _kept(there, (architecture,), tmp_path / NETWORK)
    net, bodies = _network(here, (architecture,), seed=2)
    fresh = net.state_dict()
    fresh = {name: tensor.clone() for name, tensor in fresh.items()}
    taken = take(net, here, bodies, earlier)
    (table,) = earlier.entries
    entries = bodies_of(here, (architecture,))
    (body,) = entries.values()
    assert body.entries is not None
    rows = body.entries(here, here.blocks[0])[table.removeprefix("bodies.0.")]
    now, before, its = net.state_dict()[table], fresh[table], old.state_dict()[table]
    assert {"plum", "fig", "quince"} <= set(rows)
    for place, token in enumerate(rows):
        known = token is not None and token in earlier.entries[table]
        expected = its[earlier.entries[table].index(token)] if known else before[place]
        torch.testing.assert_close(now[place], expected, rtol=1e-3, atol=1e-3)
    assert 0 < taken.parameters < taken.of


def _fit(name: str, store: Any, init: Path | None = None) -> Any:
    data = Data(store=store, clock=Clock(math.inf), threads=1, epochs=1, init=init)
    return list(PORTFOLIO[name].fit(data, 0))[-1]


def test_a_training_begins_from_what_another_kept(prepare: Any, bars: Any, tmp_path: Path) -> None:
    there, here = prepare(_pictures(bars, 16)).store, prepare(_pictures(bars, 17, seed=3)).store
    first = _fit("cnn", there)
    assert isinstance(first, Continued) and first.init is None
    path = tmp_path / "run" / "contenders" / "cnn" / NETWORK
    path.parent.mkdir(parents=True)
    first.save(path)
    second = _fit("cnn", here, path)
    init = second.init
    assert init["digest"] == EarlierNetwork.read(path).digest and init["parameters"] == init["of"]
    assert any("began from the cnn of run" in line for line in second.describe)
    assert _fit("cnn", here, path).digest() == second.digest() != _fit("cnn", here).digest()


def test_where_nothing_fits_it_says_so(prepare: Any, bars: Any, tmp_path: Path) -> None:
    there, here = prepare(_pictures(bars, 16)).store, prepare(_pictures(bars, 20, seed=3)).store
    path = tmp_path / "run" / "contenders" / "mlp" / NETWORK
    path.parent.mkdir(parents=True)
    net, bodies = _network(there, (DENSE,), seed=1)  # all that it has is a head
    save(path, net, there, bodies, 0)
    fitted = _fit("mlp", here, path)
    (said,) = [line for line in fitted.describe if code_of(line) == FROM_SCRATCH]
    assert said == "nothing of the mlp of run fits here: it began from scratch" and fitted.init is None


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NETWORK
    path.write_bytes(b"no zip")
    with pytest.raises(SourceError, match="is damaged, or of another version of Leadline"):
        EarlierNetwork.read(path)


@pytest.mark.parametrize("name", ["bag", "transformer", "rnn", "cnn", "crnn", "mlp", "vit"])
def test_every_network_can_begin(name: str, messages: Any, tones: Any, bars: Any, prepare: Any, tmp_path: Path) -> None:
    sources: dict[str, Any] = {
        "text": lambda seed: (messages(120, seed=seed), "label"), "audio": lambda seed: (tones(60, seed=seed), "label"),
        "image": lambda seed: (_pictures(bars, 16, seed=seed), None),
    }  # fmt: skip
    kind = {"bag": "text", "transformer": "text", "rnn": "text", "crnn": "audio"}.get(name, "image")
    there, here = (prepare(source, target=target).store for source, target in map(sources[kind], (0, 1)))
    path = tmp_path / "run" / "contenders" / name / NETWORK
    path.parent.mkdir(parents=True)
    _fit(name, there).save(path)
    init = _fit(name, here, path).init
    assert init is not None and 0.5 * init["of"] < init["parameters"] <= init["of"]


def test_behind_a_layer_that_is_new_nothing_is_taken(prepare: Any, waves: Any, tmp_path: Path) -> None:
    one, two = (prepare(waves(120, steps), target="label").store for steps in (24, 24))
    net, bodies = _network(one, (CONVOLUTION,), seed=1)
    save(tmp_path / NETWORK, net, one, bodies, WIDTH)
    earlier = EarlierNetwork.read(tmp_path / NETWORK)
    other, bodies = _network(two, (CONVOLUTION,), seed=2)
    first = other.bodies[0].blocks[0]
    first.conv2 = torch.nn.Conv2d(first.conv2.in_channels, first.conv2.out_channels, (1, 3), bias=False)
    fresh = {name: tensor.clone() for name, tensor in other.bodies[0].named_parameters()}
    take(other, two, bodies, earlier)
    changed = {name for name, tensor in other.bodies[0].named_parameters() if not torch.equal(tensor, fresh[name])}
    assert changed == {"blocks.0.conv1.weight"}  # norms begin alike
