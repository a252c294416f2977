"""Bodies of sounds by the package transformers: the graph against the network itself, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from leadline.contenders.finetuned import Finetuned
from leadline.contenders.pretrained import Pretrained
from leadline.core.contender import Clock, Data
from leadline.core.pretrained import Precision, PretrainedBody
from leadline.core.tensors import Block
from leadline.graph.builder import Graph
from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.kinds.audio.frames import PADDING
from leadline.kinds.audio.resampling import PERIOD, resampled
from leadline.kinds.body_folder import CONFIG, WEIGHTS
from leadline.kinds.weights import verify
from leadline.race.entry import eligible_contenders
from leadline.system.errors import LeadlineError

transformers = pytest.importorskip("transformers")

PREPARED = "preprocessor_config.json"
SIZES = {
    "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32,
    "conv_dim": [8, 8, 8], "conv_kernel": [10, 3, 2], "conv_stride": [5, 4, 4], "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """folder(architecture): one with a network of chance, that hears 16 kHz."""

    def make(architecture: str, **more: Any) -> Path:
        path = tmp_path_factory.mktemp("model") / architecture
        torch.manual_seed(0)
        config = transformers.AutoConfig.for_model(architecture, **{**SIZES, **more})
        transformers.AutoModel.from_config(config).save_pretrained(path)
        (path / PREPARED).write_text(json.dumps({"sampling_rate": 16_000, "do_normalize": architecture != "hubert"}))
        (path / "README.md").write_text("---\nlicense: mit\n---\n")
        return path

    return make


def _body(folder: Path) -> PretrainedBody:
    body = KINDS["audio"].body_in(folder)
    assert body is not None
    return body


def _block(rate: int) -> Block:
    return Block(
        name="x", kind="audio", columns=("x",), decode={}, shape=(rate,), dtype="int16", forms={},
        settings={"rate": rate, "usual": rate}, padding=PADDING,
    )  # fmt: skip


def _session(folder: Path, rate: int) -> Session:
    return Session(_body(folder).graph(folder, _block(rate), Precision.FLOAT32, None))


def _filled(sounds: list[np.ndarray], samples: int) -> np.ndarray:
    """int16 [N, samples] with marks."""
    rows = np.full((len(sounds), samples), PADDING, np.int16)
    for row, sound in zip(rows, sounds, strict=True):
        row[: len(sound)] = sound
    return rows


def _sound(rate: int, seconds: float, seed: int) -> np.ndarray:
    """A chord that rises: int16 [samples]. The same at every rate, below 1.8 kHz."""
    rng, time = np.random.default_rng(seed), np.arange(round(rate * seconds)) / rate
    tones = [np.sin(2 * np.pi * f * (1 + 0.3 * time) * time) for f in rng.uniform(150, 1_200, 4)]
    return np.asarray(3_000 * np.sum(tones, axis=0) * np.sin(np.pi * time / seconds), np.int16)


def _expected(folder: Path, sound: np.ndarray) -> np.ndarray:
    """By the package's own preparation and network; a sound under a tenth of a second has silence behind it."""
    said = json.loads((folder / PREPARED).read_text())
    prepare = transformers.Wav2Vec2FeatureExtractor(**said)
    wave = np.pad(sound.astype(np.float32) / 32_768, (0, max(0, 1_600 - len(sound))))
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        hidden = model(
            prepare(wave, sampling_rate=16_000, return_tensors="pt").input_values, output_hidden_states=True
        ).hidden_states
    return torch.cat([hidden[number].mean(1) for number in (1, 2, 3, 4)], dim=1).numpy()


@pytest.mark.parametrize("architecture", ["wav2vec2", "hubert", "wavlm"])
def test_the_graph_gives_what_the_network_gives_alone_and_among_others(
    architecture: str, folder: Callable[..., Path]
) -> None:
    """Its first convolution is normalised over time: silence behind a sound would change all of its states."""
    path = folder(architecture)
    body, session = _body(path), _session(path, 16_000)
    assert body.name == path.name == architecture and body.licence == "mit"
    sounds = [_sound(16_000, seconds, seed) for seed, seconds in enumerate((0.4, 0.13, 0.02))]
    rows = _filled(sounds, 6_500)
    found = session.only({"x": rows})
    for states, sound in zip(found, sounds, strict=True):
        np.testing.assert_allclose(states[None], _expected(path, sound), rtol=0, atol=1e-4)
        np.testing.assert_array_equal(session.only({"x": sound[None]})[0], states)
    assert found.shape[1] == sum(layer.width for layer in body.layers) and np.abs(found[0] - found[1]).max() > 0.01
    assert np.isfinite(session.only({"x": np.full((1, 40), PADDING, np.int16)})).all()  # no sound at all


@pytest.mark.parametrize(("architecture", "rate", "cut"), [("wav2vec2", 11_025, 2), ("wavlm", 16_000, 0)])
def test_it_is_trained_further(
    architecture: str, rate: int, cut: int, folder: Callable[..., Path], trains: Any
) -> None:  # fmt: skip
    """The first layer of WavLM says to all others how far apart two moments are: no hidden states are kept."""
    path, sounds = folder(architecture), [_sound(rate, seconds, seed) for seed, seconds in enumerate((0.3, 0.13, 0.02))]
    net = trains(_body(path), path, _block(rate), "x", _filled(sounds, rate // 2))
    assert net.cut == cut and net.depth == 4


def test_sounds_at_another_rate_say_the_same(folder: Callable[..., Path]) -> None:
    path = folder("wav2vec2")
    same = _session(path, 16_000).only({"x": _sound(16_000, 0.5, 0)[None]})
    other = np.abs(_session(path, 16_000).only({"x": _sound(16_000, 0.5, 1)[None]}) - same).mean()
    for rate in (8_000, 22_050):
        found = _session(path, rate).only({"x": _sound(rate, 0.5, 0)[None]})
        assert np.abs(found - same).mean() < 0.05 * other


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 11_127, 16_000, 20_000, 22_050])
def test_a_wave_at_another_rate_is_the_same_wave(rate: int) -> None:
    g = Graph("rate")
    g.output("y", resampled(g, g.input("x", np.float32, ["n"]), rate, 16_000), np.float32, ["m"])
    session = Session(g.model())
    for count in (1, 2, 441, 442, 883):
        made = session.only({"x": np.ones(count, np.float32)})
        assert abs(len(made) - 16_000 * count / rate) < 1 + count / PERIOD**2
    time = np.arange(rate) / rate
    found = session.only({"x": np.sin(2 * np.pi * 1_000 * time).astype(np.float32)})
    expected = np.sin(2 * np.pi * 1_000 * np.arange(len(found)) / 16_000)
    np.testing.assert_allclose(found[200:-200], expected[200:-200], atol=0.01)
    if rate > 16_000:  # what the lower rate cannot hold is filtered out
        high = session.only({"x": np.sin(2 * np.pi * 9_500 * time).astype(np.float32)})
        assert np.abs(high[200:-200]).max() < 0.02


def test_it_learns_on_its_states_and_may_be_trained_further(
    folder: Callable[..., Path], prepare: Any, tones: Any
) -> None:
    path = folder("wav2vec2")
    store = prepare(tones(80), target="label", weights=str(path)).store
    fitted: Any = list(Pretrained().fit(Data(store=store, clock=Clock(60.0), threads=1), 0))[-1]
    assert fitted.transfer["bodies"][0]["licence"] == "mit" and fitted.score > 0.8
    assert "finetuned" in eligible_contenders(store, "finetuned")
    tuned: Any = list(Finetuned().fit(Data(store=store, clock=Clock(float("inf")), threads=1, epochs=1), 0))[-1]
    assert tuned.transfer["tuned"] == 4 and any("a random stretch" in each for each in tuned.describe)
    rows = store.split.test
    for each in (fitted, tuned):
        session = Session(each.graph())
        found = session({name: store.tensor(name)[rows] for name in session.inputs})["scores"]
        np.testing.assert_allclose(found, each.predict(store, rows), atol=1e-4)


def _weights(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    from safetensors.torch import load_file, save_file

    def changed(path: Path) -> None:
        weights = load_file(path / WEIGHTS)
        change(weights)
        save_file(weights, path / WEIGHTS, {"format": "pt"})

    return changed


def _facts(file: str, **facts: Any) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        (path / file).write_text(json.dumps({**json.loads((path / file).read_text()), **facts}))

    return changed


def _nan(weights: dict[str, Tensor]) -> None:
    weights["encoder.layers.3.attention.k_proj.bias"][2] = torch.nan


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            _facts(PREPARED, sampling_rate="fast"),
            "has a preprocessor_config.json with sampling_rate 'fast', where a whole number",
        ),
        (_facts(CONFIG, conv_stride=[5, 4]), "has a config.json with conv_kernel [10, 3, 2] and conv_stride [5, 4]"),
        (_facts(CONFIG, num_hidden_layers=3), "in its weights, a layer more than its config.json says"),
        (_weights(lambda each: each.pop("feature_projection.projection.weight")), "has no feature_projection.proj"),
        (_weights(_nan), "not finite"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_sentence(
    change: Callable[[Path], None], says: str, folder: Callable[..., Path]
) -> None:
    change(path := folder("wav2vec2"))
    with pytest.raises(LeadlineError) as caught:
        verify(str(path))
    said = str(caught.value)
    assert said.startswith(f"--weights {path} ") and says in said and said.endswith(".") and "\n" not in said


def test_a_model_that_reads_spectra_is_refused(tmp_path: Path) -> None:
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2,
             "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "vocab_size": 50,
             "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}  # fmt: skip
    transformers.WhisperModel(transformers.WhisperConfig(**sizes)).save_pretrained(tmp_path)
    with pytest.raises(LeadlineError, match=r"type 'whisper', which reads spectra; of sounds a model that reads waves"):
        verify(str(tmp_path))
