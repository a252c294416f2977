"""Bodies for sound: what lies beyond a sound's own end counts nowhere; variations keep to their bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from leadline.graph.runtime import Session
from leadline.graph.torch_export import export
from leadline.kinds.audio.augment import Sounds, mix
from leadline.kinds.audio.frames import PADDING, Frames
from leadline.kinds.audio.net import ConvSound, RecurrentSound, hide
from leadline.nets.fuse import Fuse

FRAMES = Frames.of(8_000, 8_000)


def _sounds(lengths: list[int], width: int | None = None) -> torch.Tensor:
    rng = np.random.default_rng(0)
    batch = np.full((len(lengths), width or max(lengths)), PADDING, np.int16)
    for row, length in zip(batch, lengths, strict=True):
        row[:length] = rng.normal(0, 2_000, length)
    return torch.from_numpy(batch)


@pytest.mark.parametrize("body", [ConvSound, RecurrentSound])
def test_a_sound_alone_is_the_sound_in_any_batch(body: Any) -> None:
    torch.manual_seed(0)
    net = body(FRAMES, 4)
    lengths = [FRAMES.least, FRAMES.least + 1, 3_333, 5_000, 9_999]
    sounds = _sounds(lengths, 12_345)
    net.prepare(sounds)
    net.train()(sounds)  # sets the norms to something
    net.eval()
    with torch.no_grad():
        together = net(sounds)
        for i, length in enumerate(lengths):
            torch.testing.assert_close(net(sounds[i : i + 1, :length])[0], together[i], atol=1e-5, rtol=0)
    assert together.shape == (5, net.width) and together.isfinite().all()


def test_a_sound_shorter_than_any_window_is_read() -> None:
    net = ConvSound(FRAMES, 4).eval()
    short = _sounds([30, 700], FRAMES.least)
    with torch.no_grad():
        assert net(short).isfinite().all()


def test_a_hidden_stretch_is_zero_and_bounded() -> None:
    x = torch.ones(50, 40, 64)
    for axis, span in ((1, 0.2), (2, 0.5)):
        hidden = hide(x, axis, span)
        share = (hidden == 0).float().mean((1, 2))
        assert share.max() <= span + 0.03 and share.max() > 0.5 * span and (share.std() > 0)


def test_variations_keep_marks_and_range() -> None:
    sounds = _sounds([900, 4_000, 20_000], 20_000)
    varied = Sounds(usual=5_000, least=FRAMES.least, seed=0)(sounds, torch.arange(3), 0)
    assert varied.shape == (3, 4_000) and varied.dtype == torch.float32
    real = varied != PADDING
    assert varied[real].abs().max() <= 32_767 and real[2].all()
    assert 900 <= int(real[0].sum()) <= 900 + 400 and not real[0, -2_000:].any()
    again = Sounds(usual=5_000, least=FRAMES.least, seed=0)(sounds, torch.arange(3), 0)
    torch.testing.assert_close(varied, again)


def test_a_mixture_is_as_long_as_its_longer_half() -> None:
    sounds = _sounds([500, 900], 1_000).float()
    mixed = mix(sounds, torch.tensor([0.3, 1.0]), torch.tensor([1, 0]))
    assert ((mixed != PADDING).sum(dim=1) == torch.tensor([900, 900])).all()
    torch.testing.assert_close(mixed[0, :500], 0.3 * sounds[0, :500] + 0.7 * sounds[1, :500])
    torch.testing.assert_close(mixed[1, :900], sounds[1, :900])


@pytest.fixture(scope="module", params=[ConvSound, RecurrentSound])
def shipped(request: pytest.FixtureRequest) -> tuple[Any, Session]:
    """A body, and the file of it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = request.param(FRAMES, 4)
        body.prepare(_sounds([3_000, 9_000]))
        body.train()(_sounds([3_000, 9_000]))
    net = Fuse({"x": body}, None, 3)
    net.head = torch.nn.Identity()  # the vectors themselves
    return body.eval(), Session(export(net, {"x": _sounds([3_000, 4_000], 4_077).numpy()}, {"x"}))


def test_the_file_gives_a_sound_alone_and_in_any_batch_what_the_body_gives(shipped: tuple[Any, Session]) -> None:
    body, session = shipped
    lengths = [FRAMES.size + steps * FRAMES.hop + off for steps in (15, 16, 17, 23, 24) for off in (0, 1, 127)]
    for width in (max(lengths), 9_999):
        sounds = _sounds(lengths, width)
        with torch.no_grad():
            expected = torch.cat([body(row[None, :length]) for row, length in zip(sounds, lengths, strict=True)])
        np.testing.assert_allclose(session.only({"x": sounds.numpy()}), expected, rtol=0, atol=1e-5)
        alone = [session.only({"x": row[None, :n].numpy()}) for row, n in zip(sounds, lengths, strict=True)]
        np.testing.assert_allclose(np.concatenate(alone), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("value", [0, 1, -32_767, 32_767, PADDING])
def test_silence_the_loudest_and_nothing_are_answered(shipped: tuple[Any, Session], value: int) -> None:
    body, session = shipped
    sounds = torch.full((2, 9_000), value, dtype=torch.int16)
    sounds[1, 10:] = PADDING
    with torch.no_grad():
        answers = body(sounds).numpy()
    assert np.isfinite(answers).all()
    np.testing.assert_allclose(session.only({"x": sounds.numpy()}), answers, rtol=0, atol=1e-5)


@pytest.mark.parametrize("body", [ConvSound, RecurrentSound])
def test_every_weight_learns_and_padding_teaches_nothing(body: Any) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = body(FRAMES, 4)
    lengths = [FRAMES.least, 3_333, 5_000, 9_999]
    net.prepare(_sounds(lengths))
    net.eval()  # norms as they stand: in training they see the whole batch
    weights = [p for p in net.parameters() if p.requires_grad]
    losses = [net(_sounds(lengths, width)).square().mean() for width in (None, 17_777)]
    for a, b in zip(*(torch.autograd.grad(loss, weights) for loss in losses), strict=True):
        assert a.isfinite().all() and a.abs().max() > 0
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)
