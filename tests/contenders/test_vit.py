"""The vision transformer races on request alone; its patches cover images whose sides they do not divide."""

from __future__ import annotations

from typing import Any

import torch

from leadline.nets.vit import SIDE, PatchBody
from leadline.race.entry import eligible_contenders


def test_it_races_on_request_alone(prepare: Any, bars: Any) -> None:
    store = prepare(bars(80, 16)).store
    assert "vit" not in eligible_contenders(store, None) and "vit" not in eligible_contenders(store, "deep,linear")
    assert eligible_contenders(store, "vit,linear") == ["baseline", "linear", "vit"]


def test_patches_cover_the_whole_image() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = PatchBody(30, 45, 3).eval()
        for block in body.blocks:  # a fresh block passes its input on
            torch.nn.init.normal_(block.attention.out.weight, std=0.1)
    assert len(body.turns) == -(-30 // 6) * SIDE
    images = torch.full((3, 30, 45, 3), 90, dtype=torch.uint8)
    images[1, -1, -1] = 200  # the last pixel
    images[2, 0, 0] = 200  # the first one: elsewhere, it says something else
    with torch.no_grad():
        plain, last, first = body(images)
    assert plain.shape == (body.width,)
    assert not torch.allclose(plain, last) and not torch.allclose(last, first)
