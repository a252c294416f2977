"""EfficientNet-Lite0 as a module of PyTorch, to train it further; its weights go back into its graph.

Enters: stored pictures uint8 [N, H, W, C]. Leaves: the spatial means of some of the upper blocks and of the last
convolution. Normalisations are inside the convolutions, as they are in the graph: their statistics stay those of
ImageNet, which batches of few pictures would only blur. A layer is a block; the first has the stem, the last the
convolution after it. Steps are in float32: in bfloat16 a convolution a channel takes twice as long on processors that
have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.core.pretrained import Precision, Rates
from leadline.kinds.image.pretrained import (
    BLOCKS,
    CENTRE,
    HALVING,
    HEAD,
    LAST,
    PARTS,
    POOLED,
    SPREAD,
    STEM,
    Sides,
    adds,
    folded,
    graph_of,
    in_int8,
    published,
    sides_of,
    size_of,
    spare,
)

if TYPE_CHECKING:
    import onnx

    from leadline.core.tensors import Block

READ = (10, 14, 15)  # blocks whose means are read beside those of the last convolution
# Of the seconds of a step those of the blocks after so many, measured at 96 pixels on one core.
SHARES = (0, 5, 8, 11, BLOCKS), (1.0, 0.84, 0.71, 0.4, 0.1)
# Of all layers as tried on 1,000 rows of cifar10 (docs/decisions/0114); those of the upper half, and passes, were not.
RATES = Rates(upper=(5e-4, 0.9, 2e-3), layers=(5e-4, 0.85, 2e-3), passes=12)


class Convolution(nn.Module):
    """A convolution with TensorFlow's SAME padding; ReLU6 after it where it is active."""

    def __init__(self, weights: Mapping[str, np.ndarray], name: str, stride: int = 1, active: bool = True) -> None:
        super().__init__()
        self.name, self.stride, self.active = name, stride, active
        self.weight, self.bias = (nn.Parameter(_tensor(weights[f"{name}.{kind}"])) for kind in ("weight", "bias"))
        self.groups, self.size = len(self.weight) if "depthwise" in name else 1, self.weight.shape[2]

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, height, width] -> the same of its outputs."""
        height, width = spare((x.shape[2], x.shape[3]), self.size, self.stride)
        pads = [width // 2, width - width // 2, height // 2, height - height // 2]
        inner = pads[0] if len(set(pads)) == 1 else 0
        x = x if inner or not any(pads) else F.pad(x, pads)
        y = F.conv2d(x, self.weight, self.bias, self.stride, inner, groups=self.groups)
        return F.relu6(y) if self.active else y


class InvertedResidual(nn.Module):
    """Wide, a filter a channel, and narrow again (Sandler et al. 2018)."""

    def __init__(self, weights: Mapping[str, np.ndarray], number: int) -> None:
        super().__init__()
        expand, depthwise, project = (f"_blocks.{number}.{part}" for part in PARTS)
        layers = [Convolution(weights, expand)] if number else []
        layers.append(Convolution(weights, depthwise, 2 if number in HALVING else 1))
        self.layers = nn.Sequential(*layers, Convolution(weights, project, active=False))
        self.adds = adds(weights, number)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.adds else y


class TrainableEfficientNet(nn.Module):
    """`TrainableBody` of a file with the weights of EfficientNet-Lite0."""

    depth, cut, rates, said, standardised = BLOCKS, BLOCKS // 2, RATES, "", False
    room: int | None = None
    width = sum(POOLED[number] for number in READ) + HEAD

    def __init__(self, path: Path, block: Block) -> None:
        super().__init__()
        weights = folded(published(path))
        self._shape = size_of(block)
        (height, width, _), sides = self._shape, sides_of(self._shape)
        self._down, self._across = _resizing(height, sides[0]), _resizing(width, sides[1])
        self.stem, self.last = Convolution(weights, STEM, 2), Convolution(weights, LAST)
        ends = (f"{STEM}.bias", *(f"_blocks.{number}.{PARTS[-1]}.bias" for number in range(BLOCKS)))
        self._channels = [len(weights[name]) for name in ends]
        self.blocks = nn.ModuleList(InvertedResidual(weights, number) for number in range(BLOCKS))

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        return np.full(len(rows), self._shape[0])

    def hidden(self, lengths: np.ndarray, cut: int) -> tuple[np.ndarray, int]:
        height, width = self._sides(cut)
        return np.full(len(lengths), height * width), self._channels[cut]

    def share(self, cut: int) -> float:
        return float(np.interp(cut, *SHARES))

    def _sides(self, cut: int) -> Sides:
        """Height and width after `cut` blocks."""
        height, width = sides_of(self._shape)
        for _ in range(1 + sum(number < cut for number in HALVING)):  # the stem halves them too
            height, width = -(-height // 2), -(-width // 2)
        return height, width

    def lower(self, rows: Tensor, cut: int) -> Tensor:
        x = rows.permute(0, 3, 1, 2).float()
        x = self._down @ x @ self._across.T
        x = self.stem(((x - CENTRE) / SPREAD).expand(-1, 3, -1, -1))
        for number in range(cut):
            x = self.blocks[number](x)
        positions: Tensor = x.flatten(2).transpose(1, 2)
        return positions

    def upper(self, hidden: Tensor, rows: Tensor, cut: int) -> Tensor:
        x = hidden.transpose(1, 2).reshape(len(hidden), -1, *self._sides(cut))
        means = []
        for number in range(cut, BLOCKS):
            x = self.blocks[number](x)
            if number in READ:
                means.append(x.float().mean((2, 3)))
        return torch.cat([*means, self.last(x).float().mean((2, 3))], dim=1)

    def layer(self, number: int) -> list[nn.Parameter]:
        beside = {0: [self.stem], BLOCKS - 1: [self.last]}.get(number, [])
        return [weight for module in (self.blocks[number], *beside) for weight in module.parameters()]

    def graph(self, block: Block, precision: Precision, calibration: np.ndarray) -> onnx.ModelProto:
        weights = {}
        for module in self.modules():
            if isinstance(module, Convolution):
                for kind in ("weight", "bias"):
                    weights[f"{module.name}.{kind}"] = getattr(module, kind).detach().numpy()
        model = graph_of(weights, block.name, self._shape, READ)
        return model if precision is Precision.FLOAT32 else in_int8(model, block.name, calibration)


def _resizing(size: int, wanted: int) -> Tensor:
    """float32 [wanted, size]: a linear resize of one side as the runtime does it, which repeats what is at the edge.

    PyTorch's own leaves out what lies beyond it: near the edges of a smaller picture that is up to 12 levels of 255.
    """
    scale = size / wanted
    reach = max(1.0, scale)
    centre = (np.arange(wanted) + 0.5) * scale - 0.5
    places = np.floor(centre - reach).astype(int)[:, None] + np.arange(int(2 * reach) + 3)
    weights = np.maximum(0.0, 1 - np.abs(places - centre[:, None]) / reach)
    matrix = np.zeros((wanted, size))
    np.add.at(matrix, (np.arange(wanted)[:, None], places.clip(0, size - 1)), weights / weights.sum(1, keepdims=True))
    return _tensor(matrix)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))
