"""A small, fast convolutional body for images, after the CIFAR-10 speed runs.

Ideas (no code) from Keller Jordan, '94% on CIFAR-10 in 3.29 Seconds on a Single GPU' (arXiv:2404.00498): a frozen
patch-whitening first layer, dirac initialisation, pooling before the norm, BatchNorm without gain; from David Page,
'How to Train Your ResNet' (2018): whitening from data, few wide 3x3 convolutions; from tysam-code/hlb-CIFAR10: global
max pooling. Shapes: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_MAP = 32  # side of the map after the stem, at most: the cost of a step is bounded for any picture
LEAN_MAP = 16  # the same of a lean network
WIDTHS, LEAN_WIDTHS = (2.0, 4.0, 4.0), (4.0, 6.0, 6.0)  # of the blocks, as multiples of the width of a body


class ConvBlock(nn.Module):
    """conv 3x3, (max-pool), norm, GELU, conv 3x3, norm, GELU: [N, inputs, H, W] -> [N, outputs, H/2, W/2].

    Pooling comes before the norm: the norm and the activation then see a quarter of the memory traffic. Where a `mask`
    [N, 1, H/2, 1] is given, rows of the map that it leaves out stay zero.
    """

    def __init__(self, inputs: int, outputs: int, pool: bool, lean: bool = False) -> None:
        """`lean`: ReLU in place of GELU, which ONNX Runtime computes within the convolution before it."""
        super().__init__()
        self.pool, self.lean = pool, lean
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        for conv in (self.conv1, self.conv2):  # as much of the identity as fits: the signal passes at depth
            nn.init.dirac_(conv.weight[: conv.in_channels].data)
        for norm in (self.norm1, self.norm2):
            norm.weight.requires_grad_(False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.conv1(x)
        if self.pool:
            x = F.max_pool2d(x, 2)
        x = activated(self.norm1(x), self.lean)
        if mask is None:
            return activated(self.norm2(self.conv2(x)), self.lean)
        return activated(self.norm2(self.conv2(x * mask)), self.lean) * mask


def activated(x: Tensor, lean: bool) -> Tensor:
    """GELU, or ReLU of a lean network."""
    return F.relu(x) if lean else F.gelu(x, approximate="tanh")


class ConvBody(nn.Module):
    """uint8 images [N, H, W, C] -> vectors [N, width].

    A lean one of half the width answers several times as fast as the whole: its stem has twice the stride, what that
    saves is not pooled after it, nor is the last map, and its blocks are wide where maps are small.
    """

    mean: Tensor
    inverse_std: Tensor

    def __init__(self, height: int, width: int, channels: int, base: int, lean: bool = False) -> None:
        super().__init__()
        self.size, self.lean = (height, width, channels), lean
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("inverse_std", torch.ones(channels))
        kernel, stride = _stem(height, width, channels, LEAN_MAP if lean else LARGEST_MAP)
        directions = min(channels * kernel * kernel, 16 if stride == 1 or lean else 24)
        self.whiten = nn.Conv2d(channels, 2 * directions, kernel, stride)
        self.whiten.requires_grad_(False)
        smallest = (min(height, width) - kernel) // stride + 1
        blocks: list[nn.Module] = []
        inputs = 2 * directions
        widths = [round(multiple * base) for multiple in (LEAN_WIDTHS if lean else WIDTHS)]
        for place, outputs in enumerate(widths):
            pool = smallest >= 4  # an 8x8 image is not pooled away
            if not pool and blocks:
                break
            pool = pool and not (lean and (place == len(widths) - 1 or (stride > 1 and not blocks)))
            blocks.append(ConvBlock(inputs, outputs, pool, lean))
            smallest, inputs = (smallest // 2 if pool else smallest), outputs
        self.blocks = nn.Sequential(*blocks)
        self.width = inputs

    @torch.no_grad()
    def prepare(self, images: Tensor) -> None:
        """Set normalisation and whitening filters from train images (a few thousand are enough)."""
        # Bounded in pixels: the patches of two thousand large images would take gigabytes.
        images = images[: max(16, 2**22 // (images.shape[1] * images.shape[2]))]
        at_once = max(1, 2**18 // (images.shape[1] * images.shape[2]))  # as doubles, all would take gigabytes
        few = [images[start : start + at_once] for start in range(0, len(images), at_once)]
        count = images.shape[0] * images.shape[1] * images.shape[2]
        mean = torch.stack([part.sum((0, 1, 2), dtype=torch.float64) for part in few]).sum(0) / count
        squares = torch.stack([((part.double() - mean) ** 2).sum((0, 1, 2)) for part in few]).sum(0)
        self.mean.copy_(mean)
        self.inverse_std.copy_(1.0 / (squares / max(1, count - 1)).sqrt().clamp_min(1.0))
        kernel, stride = int(self.whiten.kernel_size[0]), int(self.whiten.stride[0])
        size = self.whiten.in_channels * kernel * kernel
        product, seen = torch.zeros(size, size, dtype=torch.float64), 0
        for part in few:
            x = self._normalise(part)
            patches = F.unfold(x, kernel, stride=stride).transpose(1, 2).reshape(-1, size).double()
            product += patches.T @ patches
            seen += len(patches)
        values, vectors = torch.linalg.eigh(product / seen)
        directions = self.whiten.out_channels // 2
        values, vectors = values[-directions:], vectors[:, -directions:]
        # Relative to the largest variance: directions that hardly vary must not amplify noise.
        filters = (vectors / (values + 5e-5 * values[-1]).clamp_min(1e-8).sqrt()).T
        filters = filters.reshape(directions, self.whiten.in_channels, kernel, kernel)
        self.whiten.weight.copy_(torch.cat((filters, -filters)))
        assert self.whiten.bias is not None
        self.whiten.bias.zero_()

    @torch.no_grad()
    def resized(self, earlier: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of an earlier body as this one takes them: as many filters of the stem, at the scale of its pictures.

        Pictures of other sizes are read by a stem of another stride: a filter is scaled to cover as much of the picture
        as it did there, and answers the same patch alike.
        """
        weight, (high, wide) = earlier["whiten.weight"], self.whiten.kernel_size
        kernel = (int(high), int(wide))
        filters, channels = int(weight.shape[0]), self.whiten.in_channels
        if weight.shape[2:] != kernel:
            shrunk = weight.shape[2] * weight.shape[3] / (kernel[0] * kernel[1])
            weight = F.interpolate(weight, size=kernel, mode="bilinear", align_corners=False) * shrunk
        if filters != self.whiten.out_channels:
            first = self.blocks[0]
            assert isinstance(first, ConvBlock)
            self.whiten = nn.Conv2d(channels, filters, kernel, int(self.whiten.stride[0])).requires_grad_(False)
            first.conv1 = nn.Conv2d(filters, first.conv1.out_channels, 3, padding=1, bias=False)
        return {**earlier, "whiten.weight": weight}

    def _normalise(self, images: Tensor) -> Tensor:
        high, wide, channels = self.size
        # A line at a time: ONNX Runtime takes ten times as long to scale by a last axis of few channels.
        mean, inverse_std = (torch.cat([each] * wide) for each in (self.mean, self.inverse_std))
        x = (images.to(torch.float32).reshape(-1, high, wide * channels) - mean) * inverse_std
        return x.reshape(-1, high, wide, channels).permute(0, 3, 1, 2)  # this view is channels-last already

    def forward(self, images: Tensor) -> Tensor:
        x = activated(self.whiten(self._normalise(images)), self.lean)
        # A global maximum is large: a ninth keeps the first answers of the head small.
        features: Tensor = self.blocks(x)
        return features.amax((2, 3)).float() / 9.0


def _stem(height: int, width: int, channels: int, largest: int) -> tuple[int, int]:
    """Kernel and stride of the whitening stem, whose map has no side above `largest`."""
    stride = max(1, -(-max(height, width) // largest))
    # A 2x2 patch of one channel has only 4 directions, too few features: grey images take 3x3.
    kernel = 2 * stride if stride > 1 or channels > 1 else 3
    return min(kernel, height, width), stride
