"""What a network does with each kind of block: the body that reads it, how its rows are gathered, and how varied.

A new kind that networks read is a line in `body` here; whatever it needs beyond that is a line in `varied`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from leadline.core.contender import Data
from leadline.core.tensors import Block, Tensors

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

CONVOLVED = ("image", "audio", "series")  # kinds that convolutions read: costly rows
# Channels of a convolution, by what a step costs.
WIDTHS = {"image": (16, 24, 32, 48, 64), "audio": (8, 12, 16, 24, 32), "series": (8, 12, 16, 24, 32)}
SCORED, SCORED_UNEQUAL = 512, 64  # rows in one pass of scoring; of unequal rows, which are long


class Vary(Protocol):
    """Augmentation of one tensor through a training."""

    generator: torch.Generator  # of all its chance: a checkpoint keeps where it stands

    def __call__(self, batch: Tensor, part: Tensor, epoch: int) -> Tensor:
        """`part` are the places of the batch's rows among the train rows, and the valid rows after them."""


def block_of(store: Tensors, tensor: str) -> Block:
    return store.block(tensor.split(".")[0])


def build(store: Tensors, name: str, names: list[str], outputs: int, width: int, rows: int) -> Any:
    """The network of a contender over the given tensors."""
    from leadline.nets.fuse import Fuse
    from leadline.nets.mlp import MLP

    bodies = {tensor: body(block_of(store, tensor), name, width) for tensor in names}
    trunk = None
    if len(bodies) > 1 or name == "mlp":
        joined = sum(int(body.width) for body in bodies.values())
        hidden = (256, 256) if rows >= 2_000 else (64, 64)
        trunk = MLP(joined, hidden, dropout=0.2)
    return Fuse(bodies, trunk, outputs)


def body(block: Block, name: str, width: int) -> Any:
    """The module that reads a block; `width` is that of a convolution."""
    from leadline.kinds.audio.kind import Frames
    from leadline.kinds.audio.net import ConvSound, RecurrentSound
    from leadline.kinds.series.net import ConvSeries, FlatSeries
    from leadline.kinds.text.net import BagBody
    from leadline.nets.cnn import ConvBody
    from leadline.nets.mlp import PixelBody
    from leadline.nets.tabular import CategoryBody, NumberBody

    settings = block.settings
    if block.kind == "image":
        size = (settings["height"], settings["width"], settings["channels"])
        return PixelBody(*size) if name == "mlp" else ConvBody(*size, base=width)
    if block.kind == "audio":
        frames = Frames(rate=settings["rate"], size=settings["size"], hop=settings["hop"])
        return RecurrentSound(frames, width) if name == "crnn" else ConvSound(frames, width)
    if block.kind == "series":
        return (
            FlatSeries(block.shape[0], block.shape[1])
            if name == "mlp"
            else ConvSeries(block.shape[0], block.shape[1], base=width)
        )
    if block.kind == "text":
        return BagBody(settings["ngrams"])
    if block.kind == "category":
        return CategoryBody(list(settings["sizes"]))
    return NumberBody(block.shape[0])


def varied(data: Data, name: str, names: list[str], seed: int) -> tuple[dict[int, Vary], list[str]]:
    """Augmentation of the tensors, by their places, and what is to be said of it."""
    from leadline.kinds.audio.augment import Sounds
    from leadline.kinds.image.augment import Shift, mirrors

    ways: dict[int, Vary] = {}
    said = []
    for place, tensor in enumerate(names):
        block = block_of(data.store, tensor)
        if block.kind == "image" and name != "mlp":
            axes, why = mirrors(data, tensor, seed)
            said.append(why)
            ways[place] = Shift(len(data.store.split.train), axes, seed, later=len(data.store.split.valid))
        elif block.kind == "audio":
            ways[place] = Sounds(block.settings["usual"], block.settings["least"], seed)
            said.append("sounds: a random stretch, louder or softer, with noise; spectra hidden in part")
    return ways, said


def gathered(store: Tensors, names: list[str], rows: np.ndarray) -> list[Tensor]:
    """The tensors of some rows; sounds no longer than the longest among them, nor shorter than a network can read."""
    import torch

    tensors = []
    for name in names:
        held, block = store.tensor(name)[rows], block_of(store, name)
        if block.padding is not None:
            own = int((held != block.padding).any(axis=0).nonzero()[0].max(initial=0)) + 1
            held = held[:, : max(own, block.settings["least"])]
        tensors.append(torch.from_numpy(np.ascontiguousarray(held)))
    return tensors


def predict(net: nn.Module, store: Tensors, names: list[str], rows: np.ndarray) -> np.ndarray:
    """Raw outputs [n, out] float32 for rows of the store."""
    import torch

    net.eval()
    size, order = SCORED, np.arange(len(rows))
    unequal = next((name for name in names if block_of(store, name).padding is not None), None)
    if unequal is not None:  # alike lengths together: little is padded
        size, padding = SCORED_UNEQUAL, block_of(store, unequal).padding
        order = np.argsort([(store.tensor(unequal)[row] != padding).sum() for row in rows], kind="stable")
    parts = []
    with torch.no_grad():
        for start in range(0, len(rows), size):
            parts.append(net(*gathered(store, names, rows[order[start : start + size]])).float().numpy())
    made = np.concatenate(parts)
    answers = np.empty_like(made)
    answers[order] = made
    return answers
