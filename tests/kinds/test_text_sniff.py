"""Which short texts are read as texts, and which as names of categories."""

from __future__ import annotations

import random

import polars as pl

from leadline.kinds.text.kind import Text


def _titles(rows: int, words: list[str], seed: int = 0) -> pl.Series:
    rng = random.Random(seed)
    return pl.Series("title", [f"{rng.choice(words)} {rng.choice(words)} x{rng.randrange(90)}" for _ in range(rows)])


def test_short_titles_that_hardly_repeat_but_whose_words_do_are_texts() -> None:
    assert Text().sniff(_titles(400, ["red", "blue", "green", "shirt", "lamp", "chair"]), None) == {}
    queries = pl.Series([f"play {artist}" for artist in map(str, range(300))])
    assert Text().sniff(queries, None) == {}


def test_names_that_repeat_and_codes_that_never_do_are_no_texts() -> None:
    cities = pl.Series(random.Random(0).choices(["New York", "San Diego", "El Paso"], k=300))
    codes = pl.Series([f"A{i} {i * 7919 % 10007}" for i in range(300)])
    single = pl.Series([f"item{i}" for i in range(300)])
    assert [Text().sniff(column, None) for column in (cities, codes, single)] == [None, None, None]


def test_none_of_no_values() -> None:
    assert Text().sniff(pl.Series([None, None], dtype=pl.String), None) is None
    assert Text().sniff(pl.Series(["", " ", "  "] * 10), None) is None
