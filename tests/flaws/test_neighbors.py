"""Near duplicates are distinguished from rows that are merely alike."""

import io
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
from PIL import Image

from leadline.flaws.near_duplicates import find_duplicates
from leadline.kinds.image.similarity import alike
from leadline.kinds.neighbors import nearest, pairs
from leadline.kinds.text import similarity
from leadline.kinds.text import similarity as minhash
from leadline.kinds.text.similarity import pairs_of

WORDS = ["river", "mountain", "quick", "lazy", "fox", "dog", "walks", "over", "silent", "bright", "winter", "evening"]


def _unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _blobs(count: int, seed: int) -> np.ndarray:
    """Pictures of a few soft spots each: uint8 [count, 32, 32]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    pictures = np.zeros((count, 32, 32))
    for picture in pictures:
        for _ in range(4):
            cy, cx, size = rng.uniform(4, 28), rng.uniform(4, 28), rng.uniform(2, 6)
            picture += rng.uniform(60, 200) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * size**2))
    return pictures.clip(0, 255).astype(np.uint8)


def _altered(picture: np.ndarray, way: int) -> np.ndarray:
    held = Image.fromarray(picture)
    if way:
        held = held.resize((32, 32), Image.Resampling.BILINEAR, box=(0.5, 0.2, 31.8, 31.5))
    out = io.BytesIO()
    held.save(out, "JPEG", quality=60)
    return np.asarray(Image.open(out))


def test_a_near_duplicate_is_found_among_many_rows_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(3_000, 24))
    rows[2_000] = rows[100] + rng.normal(size=24) * 0.05
    assert pairs(*nearest([_unit(rows)])).tolist() == [[100, 2_000]]


def test_two_rows_are_too_few_to_know_what_is_usual() -> None:
    rows = _unit(np.array([[1.0, 0.0], [0.9, 0.1]]))
    assert not len(pairs(*nearest([rows])))
    assert pairs(*nearest([rows[[0, 0]]])).tolist() == [[0, 1]]


def test_pictures_saved_again_or_cropped_are_near_duplicates() -> None:
    base = _blobs(600, 0)
    copies = np.stack([_altered(base[i], i % 2) for i in range(60)])
    found = {tuple(pair) for pair in alike([np.concatenate([base, copies])[..., None]]).tolist()}
    assert sum((i, 600 + i) in found for i in range(60)) >= 57
    assert sum(b < 600 for _, b in found) <= 0.02 * 600


def test_pictures_of_one_pattern_are_no_near_duplicates() -> None:
    """Stripes of any slant and place under noise of their own: some lie far closer than the fifth, none is a copy."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32] / 32
    slant, place = rng.uniform(0, 1.5, (2, 400, 1, 1))
    stripes = np.sin(2 * np.pi * (5 * (np.cos(slant) * x + np.sin(slant) * y) + 4 * place))
    pictures = (128 + 45 * stripes + rng.normal(0, 60, stripes.shape)).clip(0, 255).astype(np.uint8)
    assert len(alike([pictures[..., None]])) == 0


def _tune(pitches: np.ndarray, seconds: float, kind: str = "WAV") -> bytes:
    """Tones one after another, as a file."""
    steps = np.arange(int(8_000 * seconds))
    pitch = pitches[np.minimum(steps * len(pitches) // len(steps), len(pitches) - 1)]
    out = io.BytesIO()
    soundfile.write(out, 0.4 * np.sin(2 * np.pi * np.cumsum(pitch) / 8_000), 8_000, format=kind)
    return out.getvalue()


def test_a_sound_saved_again_is_a_near_duplicate_and_the_same_tune_played_slower_is_not(prepare: Any) -> None:
    rng = np.random.default_rng(0)
    tunes = rng.uniform(200, 3_000, (60, 8))
    sounds = [_tune(tune, seconds) for tune, seconds in zip(tunes, rng.uniform(1.0, 1.5, 60), strict=True)]
    sounds += [_tune(tunes[0], 1.2), _tune(tunes[1], 1.2), _tune(tunes[1], 1.2, "OGG"), _tune(tunes[0], 2.4)]
    made = prepare(pl.DataFrame({"sound": sounds, "label": ["a", "b"] * 32}))
    found = {tuple(pair) for pair in find_duplicates(made.table, made.store, np.arange(64)).pairs.tolist()}
    assert {(61, 62)} <= found <= {(0, 60), (1, 61), (1, 62), (61, 62)}, "other tunes, or slower, are none"


def test_a_text_with_a_word_changed_is_a_near_duplicate_and_a_template_is_not() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 14)) for _ in range(300)]
    changed = [text.replace(text.split()[3], "umbrella", 1) for text in texts[:40]]
    found = {tuple(pair) for pair in pairs_of(texts + changed)[0].tolist()}
    assert sum((i, 300 + i) in found for i in range(40)) >= 38
    template = [f"please play {' '.join(rng.choice(WORDS, 2))} by the {rng.choice(WORDS)} band" for _ in range(200)]
    assert len(pairs_of(template)[0]) < 0.005 * 200 * 199 / 2


def test_long_texts_are_compared_by_a_part_of_their_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 6)) for _ in range(4_000)])
    long = [" ".join(rng.choice(words, 3_000)) for _ in range(12)]
    cut = long[0][: len(long[0]) * 3 // 4]
    texts = [*long, long[1].replace(words[5], "umbrella"), cut, "umbrella " + long[2]]
    compared: list[int] = []
    similarity_of = similarity._similarity
    monkeypatch.setattr(
        similarity, "_similarity",
        lambda flat, ends, found: compared.append(int(np.diff(ends).max())) or similarity_of(flat, ends, found),
    )  # fmt: skip
    sketched, away = pairs_of(texts)
    monkeypatch.setattr(similarity, "SKETCH", 1_000_000)
    exact, truly = pairs_of(texts)
    assert compared[0] == 1_000 < 6_000 < compared[1]
    assert {tuple(pair) for pair in sketched.tolist()} == {tuple(pair) for pair in exact.tolist()}
    assert {(1, 12), (0, 13), (2, 14)} <= {tuple(pair) for pair in exact.tolist()}
    np.testing.assert_allclose(away, truly, atol=0.06)


def test_texts_without_letters_and_empty_ones_do_not_break_it() -> None:
    assert pairs_of([])[0].shape == (0, 2)
    assert pairs_of(["", "", "日本語のとても長い文章です", "日本語のとても長い文章です"])[0].tolist() == [
        [0, 1],
        [2, 3],
    ]


def test_noise_and_pure_tones_are_not_repeats_of_one_another_and_a_clip_saved_again_is(prepare: Any) -> None:
    rng = np.random.default_rng(0)
    clips = [_tune(np.array([pitch]), 1.0) for pitch in rng.uniform(150, 3_500, 40)]
    noises = [rng.normal(0, 0.1, 8_000) for _ in range(41)]
    noises[40] = 0.6 * noises[0]
    for noise in noises:
        out = io.BytesIO()
        soundfile.write(out, noise, 8_000, format="WAV")
        clips.append(out.getvalue())
    made = prepare(pl.DataFrame({"sound": clips, "label": ["a", "b", "c"] * 27}))
    assert find_duplicates(made.table, made.store, np.arange(81)).pairs.tolist() == [[40, 80]]


def test_texts_made_of_few_words_cost_no_more_than_others() -> None:
    """Nearly all of them meet in some bucket; what is compared stays bounded, and copies are found all the same."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 25)) for _ in range(1_500)]
    copies = [text + " again" for text in texts[:20]]
    met: list[int] = []

    def counted(flat: np.ndarray, ends: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        met.append(len(pairs))
        return similarity(flat, ends, pairs)

    similarity = minhash._similarity
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minhash, "_similarity", counted)
        found = {tuple(pair) for pair in pairs_of(texts + copies)[0].tolist()}
    assert found >= {(i, 1_500 + i) for i in range(20)}
    assert met[0] <= (minhash.MOST_MET + minhash.BANDS) * len(texts + copies)


def test_rows_without_any_text_repeat_none(prepare: Any) -> None:
    rng = np.random.default_rng(0)
    texts = ["" if row % 20 == 0 else " ".join(rng.choice(WORDS, 9)) for row in range(100)]
    made = prepare(pl.DataFrame({"text": [*texts, texts[1]], "label": ["a", "b"] * 50 + ["a"]}), target="label")
    found = find_duplicates(made.table, made.store, np.arange(101)).pairs.tolist()
    assert [1, 100] in found and not any(texts[row] == "" for pair in found for row in pair if row < 100)
