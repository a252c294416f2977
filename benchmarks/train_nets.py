"""Networks of a user's own, trained by `ll.train` and by a plain eager float32 loop, in turns in one process.

Enters: the folder of real data. Leaves: rows of benchmarks/train.py: how many times the rows a second, and for the
convolutional net whether the accuracy is the same.
"""

from __future__ import annotations

import copy
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import leadline as ll

Pair = tuple[Tensor, Tensor]
SEEDS, PASSES = 3, 8  # of the accuracy
IMAGES, TESTED = 4_000, 2_000


def conv() -> nn.Module:
    """Three stages of two 3x3 convolutions with batch norm: what a tutorial builds for 32x32 images."""
    layers: list[nn.Module] = []
    channels = 3
    for width in (32, 64, 128):
        for _ in range(2):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


class Characters(nn.Module):
    """PyTorch's own encoder layers with a causal mask: [N, T] -> logits [N, letters, T]."""

    def __init__(self, layers: int, width: int, letters: int, window: int) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(letters, width), nn.Embedding(window, width)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, width // 32, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, letters)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(window))
        self.register_buffer("place", torch.arange(window))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.letters(ids) + self.places(self.place)
        for block in self.blocks:
            x = block(x, src_mask=self.mask, is_causal=True)
        return self.head(self.norm(x)).transpose(1, 2)


class Recurrent(nn.Module):
    """Two LSTM layers and a head on the last step: [N, T, features] -> [N, classes]."""

    def __init__(self, features: int, width: int, classes: int) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(features, width, 2, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(x)[0][:, -1])


def plain(
    module: nn.Module, data: Pair, batch: int, steps: int, rate: float = 1e-3, seed: int = 0, device: Any = "cpu"
) -> None:
    """What a user would write: everything in the memory of the device, Adam as it comes, eager float32."""
    X, y = (t.to(device) for t in data)
    optimizer, generator = torch.optim.Adam(module.parameters(), lr=rate), torch.Generator().manual_seed(seed)
    module.train()
    taken = 0
    while taken < steps:
        for part in torch.randperm(len(X), generator=generator).to(device).split(batch)[: steps - taken]:
            x = X[part]
            x = x.float() / 255 if x.dtype == torch.uint8 else x
            optimizer.zero_grad()
            F.cross_entropy(module(x), y[part]).backward()
            optimizer.step()
            taken += 1


def faster(make: Callable[[], nn.Module], data: Pair, batch: int, steps: int, pairs: int) -> tuple[Any, Any]:
    """Seconds a step of ours and of the plain loop, turn by turn; the first turn of both warms up."""
    ours, theirs = [], []
    one, other = make(), make()
    for pair in range(pairs + 1):
        turns: list[tuple[list[float], Callable[[], Any]]] = [
            (ours, lambda: ll.train(one, data, batch_size=batch, steps=steps)),
            (theirs, lambda: plain(other, data, batch, steps)),
        ]
        for found, run in turns if pair % 2 else turns[::-1]:
            began = time.perf_counter()
            run()
            found.append((time.perf_counter() - began) / steps)
    return ours[1:], theirs[1:]


def pictures(data: Path, part: str, most: int) -> Pair:
    table = pl.read_parquet(data / "cifar10" / f"cifar10-{part}.parquet", n_rows=most)
    image, label = (next(c for c, t in table.schema.items() if t.is_nested() == nested) for nested in (True, False))
    arrays = [np.asarray(Image.open(io.BytesIO(cell["bytes"]))) for cell in table[image]]
    return torch.from_numpy(np.stack(arrays).transpose(0, 3, 1, 2).copy()), torch.tensor(table[label].to_list())


def windows(data: Path, window: int) -> tuple[Pair, int]:
    """Windows of a text, and the letter after each of theirs."""
    text = next((data / "tinyshakespeare").glob("*.txt")).read_text()
    letters = {letter: place for place, letter in enumerate(sorted(set(text)))}
    tokens = torch.tensor([letters[letter] for letter in text[: 2_000 * window + 1]])
    return (tokens[:-1].view(-1, window), tokens[1:].view(-1, window)), len(letters)


def sounds(data: Path) -> Pair:
    """A made task of real length: 100 steps of 40 features, as a log-mel of a second has."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2_000, 100, 40, generator=generator)
    return x, (x[:, :, :5].mean((1, 2)) > 0).long() + 2 * (x[:, -20:, 5].mean(1) > 0).long()


def accuracy(data: Path) -> tuple[list[float], list[float]]:
    """Test accuracy of the convolutional net by seeds, ours and the plain loop's, after as many passes."""
    train, test = pictures(data, "train", IMAGES), pictures(data, "test", TESTED)
    ours, theirs = [], []
    for seed in range(SEEDS):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            one = conv()
        other = copy.deepcopy(one)
        ours.append(float(ll.train(one, train, batch_size=128, epochs=PASSES, seed=seed).evaluate(test).accuracy or 0))
        plain(other, train, 128, PASSES * -(-IMAGES // 128), seed=seed)
        other.eval()
        with torch.no_grad():
            answers = torch.cat([other(part.float() / 255) for part in test[0].split(500)]).argmax(1)
        theirs.append(float((answers == test[1]).float().mean()))
    return ours, theirs


def nets(name: str, data: Path, pairs: int) -> tuple[list[float], list[float]]:
    """Seconds a step of ours and of theirs."""
    if name == "conv":
        return faster(conv, pictures(data, "train", 2_000), 128, 10, pairs)
    if name == "lstm":
        return faster(lambda: Recurrent(40, 128, 4), sounds(data), 64, 20, pairs)
    layers, width, steps = {"transformer4": (4, 128, 20), "transformer6": (6, 256, 5)}[name]
    held, letters = windows(data, 128)
    return faster(lambda: Characters(layers, width, letters, 128), held, 32, steps, pairs)


def said(ours: list[float], theirs: list[float]) -> str:
    return " and ".join(f"{statistics.mean(f):.2%} ({min(f):.2%} to {max(f):.2%})" for f in (ours, theirs))
