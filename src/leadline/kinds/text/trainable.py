"""A BERT encoder as a module of PyTorch, to train it further; its weights go back into the graph of `bert.py`.

Enters: numbers of word pieces [N, T], 0 for none at the end. Leaves: of the last layer the mean over the pieces beside
their maximum. T: pieces of the longest row; W: width of a layer.

Attention is written in plain products: PyTorch's fused one takes most of a step in bfloat16 for texts this short. The
tables of embeddings, two thirds of the weights, stay as they are. Of a body over 50 million weights all matrices do,
and narrow ones beside them are learned (`kinds/low_rank.py`); in the graph they are one matrix again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.core.kind import View
from leadline.core.pretrained import Precision, Rates
from leadline.graph.builder import last_columns
from leadline.kinds.low_rank import LOW_RANK_RATES, MOST_TRAINED, LowRank, said_of
from leadline.kinds.text.bert import graph_of, shape_of, weights_of
from leadline.kinds.text.bert_folder import EMBEDDINGS, POSITIONS, QKV, TYPES, Shape

if TYPE_CHECKING:
    import onnx

    from leadline.core.tensors import Block

DROPOUT = 0.1  # of what a layer adds, as BERT was trained
KINDS = ("weight", "bias")
RATES = Rates(upper=(2e-4, 0.9, 1e-3), layers=(1e-4, 0.85, 5e-4), passes=3)
NEVER = -1e4  # added to the score of a place without a piece

Filled = TypeVar("Filled", nn.Linear, nn.LayerNorm)


class Layer(nn.Module):
    """Attention, then two dense layers, each added to what came in and normalised."""

    def __init__(self, shape: Shape, weights: Mapping[str, np.ndarray], name: str, low_rank: bool) -> None:
        super().__init__()
        self.heads = shape.heads
        joined = {kind: np.concatenate([weights[f"{name}.{part}.{kind}"] for part in QKV]) for kind in KINDS}
        dense = _low_rank if low_rank else _dense
        self.qkv = dense(joined, "")
        self.mixed = dense(weights, f"{name}.attention.output.dense.")
        self.mixed_norm = _norm(weights, f"{name}.attention.output.LayerNorm.", shape.epsilon)
        self.inner = dense(weights, f"{name}.intermediate.dense.")
        self.outer = dense(weights, f"{name}.output.dense.")
        self.outer_norm = _norm(weights, f"{name}.output.LayerNorm.", shape.epsilon)
        if low_rank:
            for norm in (self.mixed_norm, self.outer_norm):
                norm.requires_grad_(False)

    def forward(self, x: Tensor, held: Tensor) -> Tensor:
        """x [N, T, W], what is added to scores [N, 1, 1, T] -> [N, T, W]."""
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2) + held
        mixed = (torch.softmax(scores, dim=-1).to(value.dtype) @ value).transpose(1, 2).flatten(2)
        x = self.mixed_norm(x + F.dropout(self.mixed(mixed), DROPOUT, self.training))
        inner = self.outer(F.gelu(self.inner(x)))
        normed: Tensor = self.outer_norm(x + F.dropout(inner, DROPOUT, self.training))
        return normed

    def named(self, name: str) -> dict[str, np.ndarray]:
        """Its weights by the names that BERT has for them."""
        modules = {
            "attention.output.dense": self.mixed, "attention.output.LayerNorm": self.mixed_norm,
            "intermediate.dense": self.inner, "output.dense": self.outer, "output.LayerNorm": self.outer_norm,
        }  # fmt: skip
        found: dict[str, Tensor] = {}
        for kind in KINDS:
            found |= {f"{name}.{part}.{kind}": getattr(module, kind) for part, module in modules.items()}
            parts = getattr(self.qkv, kind).chunk(3)
            found |= {f"{name}.{part}.{kind}": each for part, each in zip(QKV, parts, strict=True)}
        return {key: value.detach().numpy() for key, value in found.items()}


class TrainableBert(nn.Module):
    """`TrainableBody` of a folder with BERT's weights."""

    standardised = False
    room: int | None = None

    def __init__(self, folder: Path) -> None:
        super().__init__()
        held = weights_of(folder)
        self._shape = shape_of(folder)
        self._weights = {name: value.astype(np.float32, copy=False) for name, value in held.items()}
        shape, weights = self._shape, self._weights
        size = sum(value.size for value in weights.values())
        low_rank = size > MOST_TRAINED
        self.depth, self.width, self.rates = shape.layers, 2 * shape.width, LOW_RANK_RATES if low_rank else RATES
        self.cut, self.said = self.depth // 2, said_of(size) if low_rank else ""
        self._table = _tensor(weights[EMBEDDINGS])  # none of these is trained, so no state holds it
        self._places = _tensor(weights[POSITIONS]) + _tensor(weights[TYPES])[0]
        self._gain, self._shift = (_tensor(weights[f"embeddings.LayerNorm.{kind}"]) for kind in ("weight", "bias"))
        names = [f"encoder.layer.{number}" for number in range(shape.layers)]
        self.layers = nn.ModuleList(Layer(shape, weights, name, low_rank) for name in names)

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray((rows > 0).sum(axis=1))

    def hidden(self, lengths: np.ndarray, cut: int) -> tuple[np.ndarray, int]:
        return lengths, self._shape.width

    def share(self, cut: int) -> float:
        return 1 - cut / self.depth

    def lower(self, rows: Tensor, cut: int) -> Tensor:
        x = F.embedding(rows, self._table) + self._places[: rows.shape[1]]
        x = F.layer_norm(x, x.shape[-1:], self._gain, self._shift, self._shape.epsilon)
        x = F.dropout(x, DROPOUT, self.training)
        held = _held(rows)
        for layer in self.layers[:cut]:
            x = layer(x, held)
        return x

    def upper(self, hidden: Tensor, rows: Tensor, cut: int) -> Tensor:
        x, held, real = hidden, _held(rows), (rows > 0)[:, :, None]
        for layer in self.layers[cut:]:
            x = layer(x, held)
        x = x.float()
        mean = (x * (real / real.sum(dim=1, keepdim=True))).sum(dim=1)
        return torch.cat([mean, x.masked_fill(~real, NEVER).amax(dim=1)], dim=1)

    def layer(self, number: int) -> list[nn.Parameter]:
        return [weight for weight in self.layers[number].parameters() if weight.requires_grad]

    def graph(self, block: Block, precision: Precision, calibration: np.ndarray) -> onnx.ModelProto:
        weights = dict(self._weights)
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, Layer)
            weights |= layer.named(f"encoder.layer.{number}")
        name, (length,) = f"{block.name}.{View.PIECES}", block.forms[View.PIECES][0]
        return last_columns(graph_of(name, length, self._shape, weights, precision), self.width)


def _held(rows: Tensor) -> Tensor:
    """What is added to the scores of attention, for each place: float32 [N, 1, 1, T]."""
    return torch.zeros(rows.shape).masked_fill(rows == 0, NEVER)[:, None, None]


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


def _low_rank(weights: Mapping[str, np.ndarray], name: str) -> LowRank:
    return LowRank(*(torch.from_numpy(weights[f"{name}{kind}"]) for kind in KINDS))


def _dense(weights: Mapping[str, np.ndarray], name: str) -> nn.Linear:
    outputs, inputs = weights[f"{name}weight"].shape
    return _filled(nn.Linear(inputs, outputs), weights, name)


def _norm(weights: Mapping[str, np.ndarray], name: str, epsilon: float) -> nn.LayerNorm:
    return _filled(nn.LayerNorm(len(weights[f"{name}weight"]), eps=epsilon), weights, name)


def _filled(module: Filled, weights: Mapping[str, np.ndarray], name: str) -> Filled:
    module.weight.data, module.bias.data = (_tensor(weights[f"{name}{kind}"]) for kind in KINDS)
    return module
