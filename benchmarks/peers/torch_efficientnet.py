"""EfficientNet-Lite0 in PyTorch, by its definition, with the names of the published weights: graphs are compared to it.

Tan & Le 2019, 'EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks'.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 96  # pixels of the longer side
# Tan & Le 2019, table 1, without squeeze and excitation: repeats, kernel, stride, expansion, channels in and out.
STAGES = (
    (1, 3, 1, 1, 32, 16), (2, 3, 2, 6, 16, 24), (2, 5, 2, 6, 24, 40), (3, 3, 2, 6, 40, 80), (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192), (1, 3, 1, 6, 192, 320),
)  # fmt: skip


def _same(x: Tensor, conv: nn.Conv2d) -> Tensor:
    pads = []
    for axis in (3, 2):  # F.pad begins with the last axis
        size, kernel, stride = x.shape[axis], conv.kernel_size[0], conv.stride[0]
        total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
        pads += [total // 2, total - total // 2]
    return conv(F.pad(x, pads))


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False)


class Reference(nn.Module):
    """The network by its definition, with the names of the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _conv(3, 32, 3, 2), nn.BatchNorm2d(32, eps=1e-3)
        blocks = []
        for repeats, kernel, stride, expansion, entering, leaving in STAGES:
            for again in range(repeats):
                inputs = leaving if again else entering
                inner, block = inputs * expansion, nn.Module()
                if expansion > 1:
                    block._expand_conv, block._bn0 = _conv(inputs, inner, 1), nn.BatchNorm2d(inner, eps=1e-3)
                block._depthwise_conv = _conv(inner, inner, kernel, 1 if again else stride, inner)
                block._bn1 = nn.BatchNorm2d(inner, eps=1e-3)
                block._project_conv, block._bn2 = _conv(inner, leaving, 1), nn.BatchNorm2d(leaving, eps=1e-3)
                blocks.append(block)
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = _conv(320, 1280, 1), nn.BatchNorm2d(1280, eps=1e-3)

    def forward(self, pictures: Tensor) -> Tensor:
        """uint8 [N, H, W, C] -> [N, 2048]."""
        x = pictures.permute(0, 3, 1, 2).float()
        height, width = x.shape[2:]
        longer = max(height, width)
        sides = (round(height * SIDE / longer), round(width * SIDE / longer))
        x = F.interpolate(x, sides, mode="bilinear", align_corners=False, antialias=longer > SIDE)
        x = (x.expand(-1, 3, -1, -1) - 127) / 128
        x = F.relu6(self._bn0(_same(x, self._conv_stem)))
        pooled = []
        for number, block in enumerate(self._blocks):
            y = x
            if hasattr(block, "_expand_conv"):
                y = F.relu6(block._bn0(block._expand_conv(y)))
            y = F.relu6(block._bn1(_same(y, block._depthwise_conv)))
            y = block._bn2(block._project_conv(y))
            x = x + y if x.shape == y.shape else y
            if number in (2, 4, 7, 10, 14, 15):
                pooled.append(x)
        pooled.append(F.relu6(self._bn1(self._conv_head(x))))
        return torch.cat([value.mean((2, 3)) for value in pooled], dim=1)


def published(path: Path) -> Reference:
    """The network with the published weights, to be used."""
    net, found = Reference(), torch.load(path, map_location="cpu", weights_only=True)
    net.load_state_dict({name: value for name, value in found.items() if not name.startswith("_fc")})
    return net.eval()
