"""Text: tokens, n-grams and counts against the same written in plain Python."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.kinds.text.grams import LONGEST
from leadline.kinds.text.kind import BUCKETS, COUNTED, PRIME

TEXT = KINDS["text"]
PAD, UNKNOWN = 0, 1


def _tokens(text: str) -> list[str]:
    return re.findall(r"[\w']+|[^\s\w']", text.casefold())


def _numbers(texts: list[str]) -> dict[str, int]:
    counts = Counter(token for text in texts for token in _tokens(text))
    ranked = sorted(counts, key=lambda token: (-counts[token], token))
    return {token: i + 2 for i, token in enumerate(ranked)}


@pytest.fixture
def texts(messages: Any) -> list[str]:
    return messages(150)["text"].to_list() + ["It's 5 o'clock, isn't it? (yes)", "Straße ÉTÉ été", "" * 3]


def test_text_is_told_from_categories_by_length_and_variety() -> None:
    assert TEXT.sniff(pl.Series([f"some words and {i}" for i in range(10)]), None) == {}
    assert TEXT.sniff(pl.Series(["今日はとても良い天気です", "明日は雨が降るでしょう"]), None) == {}
    assert TEXT.sniff(pl.Series(["one two three four"] * 10), None) is None
    assert TEXT.sniff(pl.Series(["red", "dark blue"]), None) is None
    assert TEXT.sniff(pl.Series([None, None], dtype=pl.String), None) is None
    assert TEXT.sniff(pl.Series([1, 2]), None) is None


def test_tokens_agree_with_plain_python(texts: list[str], fit: Any) -> None:
    fitted, run = fit("text", pl.Series("text", texts))
    known, length = _numbers(texts), fitted.settings["length"]
    assert fitted.settings["unit"] == "word" and fitted.settings["vocabulary"] == len(known) + 2
    assert length == max(4, int(np.quantile([len(_tokens(text)) for text in texts], 0.99)))
    expected = [([known[token] for token in _tokens(text)] + [PAD] * length)[:length] for text in texts]
    assert run(pl.Series(texts)).tolist() == expected


def test_case_is_folded_and_unseen_words_are_one_number(fit: Any) -> None:
    _, run = fit("text", pl.Series("text", ["the cat sat down", "The dog ÉTÉ sat"] * 3))
    plain, shouted, unseen = run(pl.Series(["the cat été", "THE CAT ÉTÉ", "zebra cat qqq"]))
    assert plain.tolist() == shouted.tolist() and UNKNOWN not in plain
    assert unseen[0] == unseen[2] == UNKNOWN and unseen[1] == plain[1]


def test_nothing_to_read_is_padding(fit: Any) -> None:
    _, run = fit("text", pl.Series("text", ["a few plain words", "some more of them"]))
    assert not run(pl.Series([None, "", "   ", "\n\t"], dtype=pl.String)).any()


def test_nul_reads_as_a_space(fit: Any) -> None:
    _, run = fit("text", pl.Series("text", ["left right up\0down", "left right up down"]))
    assert run(pl.Series(["left\0right"])).tolist() == run(pl.Series(["left right"])).tolist()


@pytest.mark.parametrize(
    "sentences",
    [
        ["今日はとても良い天気です", "明日は雨が降るでしょう"],
        ["我爱北京天安门", "天安门上太阳升"],
        ["ฉันรักเธอ", "เธอรักฉันไหม"],
    ],
)
def test_scripts_without_spaces_are_read_by_characters(sentences: list[str], fit: Any) -> None:
    fitted, run = fit("text", pl.Series("text", sentences))
    assert fitted.settings["unit"] == "character"
    ids = run(pl.Series(sentences))
    counts = Counter("".join(sentences))
    ranked = sorted(counts, key=lambda character: (-counts[character], character))
    for text, row in zip(sentences, ids, strict=True):
        read = [ranked[number - 2] for number in row[row > 0]]
        assert "".join(read) == text[: len(read)] and len(read) >= len(text) - 1


def test_bag_agrees_with_plain_python(texts: list[str], fit: Any) -> None:
    fitted, run = fit("text", pl.Series("text", texts))
    ids, size = run(pl.Series(texts)), fitted.settings["vocabulary"]

    def grams(row: np.ndarray) -> list[int]:
        known = [int(i) for i in row if i]
        return known + [size + (a * PRIME + b) % (BUCKETS - size) for a, b in zip(known, known[1:], strict=False)]

    everything = sorted({gram for row in ids for gram in grams(row)})
    place = {gram: i + 1 for i, gram in enumerate(everything)}
    bag = run(pl.Series(texts), form="bag")
    for row, found in zip(ids, bag, strict=True):
        assert sorted(found[found > 0].tolist()) == sorted(place[gram] for gram in grams(row))
    assert fitted.settings["ngrams"] == len(everything) + 1


def test_only_grams_of_two_rows_are_kept_where_rows_are_many(messages: Any, fit: Any) -> None:
    texts = [*messages(300)["text"].to_list(), "the unrepeatable xylophone"]
    _, run = fit("text", pl.Series("text", texts))
    assert not run(pl.Series(["xylophone", "xylophone unrepeatable"]), form="bag").any()
    assert run(pl.Series(["the prize"]), form="bag").any()


def test_counts_agree_with_plain_python(fit: Any) -> None:
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(700)]
    texts = [" ".join(rng.choice(words, 30)) for _ in range(300)]
    fitted, run = fit("text", pl.Series("text", texts))
    texts += ["w1 w1 w1 never", " ".join(["w2"] * 30), ""]
    dense = run(pl.Series(texts), form="dense")
    for row, counts in zip(run(pl.Series(texts)), dense, strict=True):
        numbers = Counter(min(int(i), COUNTED) for i in row if i)
        assert counts[:-2].tolist() == [numbers.get(i, 0) for i in range(1, COUNTED + 1)]
        assert counts[-2] == sum(numbers.values()) and counts[-1] == len(numbers)


def _grams(text: str, shortest: int = 2) -> tuple[Counter[str], Counter[tuple[str, ...]]]:
    """n-grams of characters within words, and of one and two tokens."""
    wide = re.sub(r"\s", " ", f" {text} ")
    characters = Counter(
        gram
        for order in range(shortest, 6)
        for gram in (wide[i : i + order] for i in range(len(wide) - order + 1))
        if gram.strip() and " " not in gram[1:-1]
    )
    tokens = _tokens(text)
    return characters, Counter([*((token,) for token in tokens), *zip(tokens, tokens[1:], strict=False)])


def _cut(fitted: Any, texts: list[str]) -> dict[str, list[Counter[int]]]:
    """{group: numbers of the grams of each text}."""
    view = fitted.forms["grams"]
    decoded = TEXT.decode(pl.Series(texts), None, {}).values
    characters = Session(view.graph)({"text": decoded})["grams"]
    assert characters.shape == (len(texts), *view.shape) and characters.dtype == view.dtype
    cut = Session(view.cut)({"grams": characters})
    return {group: [Counter(int(i) for i in row if i) for row in rows] for group, rows in cut.items()}


def test_grams_agree_with_plain_python(texts: list[str], fit: Any) -> None:
    texts = [text[:20] for text in texts] + ["  a  b\ta's", "?!", "x"]
    found = _cut(fit("text", pl.Series("text", texts))[0], texts)
    for text, characters, words in zip(texts, found["characters"], found["words"], strict=True):
        for plain, numbers in zip(_grams(text), (characters, words), strict=True):
            assert sorted(plain.values()) == sorted(numbers.values())
    for one, two in zip(range(20), range(20, 40), strict=True):  # the same gram has the same number in any text
        for group, place in (("characters", 0), ("words", 1)):
            shared = len(_grams(texts[one])[place].keys() & _grams(texts[two])[place].keys())
            assert len(found[group][one].keys() & found[group][two].keys()) == shared


def test_case_is_folded_in_words_and_told_in_characters(fit: Any) -> None:
    fitted, _ = fit("text", pl.Series("text", ["the cat sat down", "some other words"]))
    found = _cut(fitted, ["the CAT", "The cat"])
    assert found["words"][0] == found["words"][1]
    assert found["characters"][0] != found["characters"][1]


def test_unseen_characters_and_nothing_at_all_are_cut_too(fit: Any) -> None:
    fitted, _ = fit("text", pl.Series("text", ["a few plain words", "some more of them"]))
    found = _cut(fitted, ["", "  ", "Ωμέγα words", "plain 天安门"])
    assert not found["words"][0] and not found["words"][1] and not found["characters"][0]
    assert len(found["words"][2]) == 3 and found["words"][2].keys() & found["words"][3].keys() == set()


def test_scripts_without_spaces_have_grams_of_single_characters(fit: Any) -> None:
    sentences = ["我爱北京天安门", "天安门上太阳升"]
    fitted, _ = fit("text", pl.Series("text", sentences))
    for text, found in zip(sentences, _cut(fitted, sentences)["characters"], strict=True):
        assert sorted(found.values()) == sorted(_grams(text, shortest=1)[0].values())


def test_a_long_text_is_cut_to_what_a_row_holds(fit: Any) -> None:
    fitted, _ = fit("text", pl.Series("text", ["word " * 10_000, "a short text"]))
    assert fitted.forms["grams"].shape[0] <= LONGEST
    found = _cut(fitted, ["word " * 10_000])
    assert sum(found["words"][0].values()) < LONGEST
