"""The convolutional body: pictures are scaled by channel, and a lean body of half the width has less to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from leadline.graph.runtime import Session
from leadline.graph.torch_export import export
from leadline.nets.cnn import ConvBody
from leadline.nets.fuse import Fuse


def _pictures(rows: int, side: int, channels: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (rows, side, side, channels), dtype=np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_scaled_by_the_statistics_of_their_channels(channels: int) -> None:
    pictures = _pictures(20, 12, channels)
    body = ConvBody(12, 12, channels, 4)
    body.prepare(pictures)
    scaled = body._normalise(pictures)
    assert scaled.shape == (20, channels, 12, 12)
    right = (pictures.float() - body.mean) * body.inverse_std
    assert torch.equal(scaled, right.permute(0, 3, 1, 2))
    assert scaled.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("side", "channels"), [(8, 1), (28, 1), (32, 3), (96, 3)])
def test_a_lean_body_answers_a_picture_alone_as_among_others(side: int, channels: int) -> None:
    pictures = _pictures(12, side, channels)
    net = Fuse({"image": ConvBody(side, side, channels, 4, lean=True)}, None, 2)
    net.bodies[0].prepare(pictures)
    session = Session(export(net.eval(), {"image": pictures[:2].numpy()}, set()))
    many = session.only({"image": pictures.numpy()})
    alone = np.concatenate([session.only({"image": pictures[i : i + 1].numpy()}) for i in range(12)])
    assert np.allclose(many, alone, atol=1e-4)
    with torch.no_grad():
        assert np.allclose(many, net(pictures).numpy(), atol=1e-3)


def test_a_lean_body_of_half_the_width_passes_fewer_values_on_than_the_whole() -> None:
    def values(body: ConvBody) -> int:
        count = 0

        def add(module: nn.Module, inputs: tuple[torch.Tensor], out: torch.Tensor) -> None:
            nonlocal count
            count += out[0].numel()

        for module in body.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(add)
        body(_pictures(2, 32, 3))
        return count

    whole, lean = ConvBody(32, 32, 3, 16), ConvBody(32, 32, 3, 8, lean=True)
    weights = [sum(p.numel() for p in body.parameters()) for body in (whole, lean)]
    assert weights[1] < 0.7 * weights[0] and values(lean) < 0.7 * values(whole), (weights, values(lean), values(whole))
