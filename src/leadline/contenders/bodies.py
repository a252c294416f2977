"""The bodies of a network: which of those that kinds offer read its blocks, and how their rows are gathered.

What a kind offers, and what a body needs of its training, stands in its own slice (`core/kind.py`, `Body`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.contender import Data
from leadline.core.json_types import whole
from leadline.core.kind import Augmentation, Body
from leadline.core.tensors import Block, Tensors
from leadline.kinds import KINDS

if TYPE_CHECKING:
    from torch import Tensor, nn

SCORED, SCORED_UNEQUAL = 512, 64  # rows in one pass of scoring; of unequal rows, which are long


def block_of(store: Tensors, tensor: str) -> Block:
    return store.block(tensor.split(".")[0])


def bodies_of(store: Tensors, architectures: Sequence[str]) -> dict[str, Body]:
    """{tensor: its body}, of the first of these architectures that a block's kind offers; {} where one has none."""
    found = {}
    for block in store.blocks:
        offered = KINDS[block.kind].bodies
        body = next((offered[each] for each in architectures if each in offered), None)
        if body is None:
            return {}
        found[block.name if body.form is None else f"{block.name}.{body.form}"] = body
    return found


def architecture_of(store: Tensors, tensor: str, body: Body) -> str:
    """The name by which the kind of a block offers this body."""
    return next(name for name, each in KINDS[block_of(store, tensor).kind].bodies.items() if each is body)


def leading(store: Tensors, bodies: dict[str, Body], architecture: str) -> list[Body]:
    """Those of the preferred architecture, which a block has wherever its kind offers it."""
    return [body for name, body in bodies.items() if architecture in KINDS[block_of(store, name).kind].bodies]


def build(store: Tensors, bodies: dict[str, Body], outputs: int, width: int, trunk: tuple[int, ...]) -> Any:
    """The network over the tensors {name: body}.

    Args:
        width: channels of its convolutions.
        trunk: widths of hidden layers over the joined bodies; () is none.
    """
    from leadline.nets.fuse import Fuse
    from leadline.nets.mlp import MLP

    modules: dict[str, Any] = {tensor: body.build(block_of(store, tensor), width) for tensor, body in bodies.items()}
    joined = sum(int(module.width) for module in modules.values())
    return Fuse(modules, MLP(joined, trunk, dropout=0.2) if trunk else None, outputs)


def augmentations(data: Data, bodies: dict[str, Body], seed: int) -> tuple[dict[int, Augmentation], list[str]]:
    """Augmentation of the tensors, by their places, and what is to be said of it."""
    found: dict[int, Augmentation] = {}
    said = []
    for place, (tensor, body) in enumerate(bodies.items()):
        if body.augmentation is not None:
            found[place], what = body.augmentation(data, tensor, seed)
            said.append(what)
    return found, said


def gathered(store: Tensors, names: list[str], rows: np.ndarray) -> list[Tensor]:
    """The tensors of some rows; sounds no longer than the longest among them, nor shorter than a network can read."""
    import torch

    tensors = []
    for name in names:
        held, block = store.tensor(name)[rows], block_of(store, name)
        if block.padding is not None:
            own = int((held != block.padding).any(axis=0).nonzero()[0].max(initial=0)) + 1
            held = held[:, : max(own, whole(block.settings, "least"))]
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
