"""Lists of words: however they are written, the same flags; the shipped file answers from the words alone."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.kinds import KINDS

LISTS = KINDS["tags"]
WORDS = ["red", "blue", "dark green", "white"]
WAYS = {
    "list": lambda words: words, "python": str, "json": json.dumps, "semicolon": "; ".join, "bar": "|".join,
    "comma": ", ".join,
}  # fmt: skip


def _rows(n: int, seed: int = 0) -> list[list[str]]:
    drawn = random.Random(seed)
    return [drawn.sample(WORDS, drawn.randrange(0, 4)) for _ in range(n)]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_write_lists_gives_the_same_words(way: str) -> None:
    rows = _rows(200)
    cells = pl.Series([WAYS[way](row) for row in rows])  # type: ignore[operator]
    assert next(name for name, kind in KINDS.items() if kind.sniff(cells, None) is not None) == "tags"
    how = LISTS.sniff(cells, None)
    assert how is not None
    assert LISTS.decode(cells, None, how).values.tolist() == ["|".join(row) for row in rows]


@pytest.mark.parametrize(
    "cells",
    [
        ["Ulm, Germany", "Wien, Austria", "Bonn, Germany"] * 9,  # each word has its place
        ["a", "b", "c"] * 9,
        [f"It rained, and it was day {i}; nobody came." for i in range(40)],
        ["1,5", "2,5", "3,5"] * 9,
    ],
)
def test_other_texts_are_no_lists(cells: list[str]) -> None:
    found = pl.Series(cells)
    assert next(name for name, kind in KINDS.items() if kind.sniff(found, None) is not None) != "tags"


def test_the_commonest_words_have_flags_and_the_rest_share_one(fit: Any) -> None:
    cells = pl.Series("tags", [["a", "b"], ["a"], ["b", "a"], ["once"], [], None])
    fitted, run = fit("tags", cells)
    assert fitted.settings == {"words": [["a", "b"]], "longest": [2]}
    expected = [[1, 1, 0, 1], [1, 0, 0, 0.5], [1, 1, 0, 1], [0, 0, 1, 0.5], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(run(cells), expected)
    np.testing.assert_array_equal(run(pl.Series([["new", "b", "b"]])), [[0, 1, 1, 1.5]])


def test_a_list_that_is_asked_for_is_parted_by_any_sign() -> None:
    assert LISTS.decode(pl.Series(["a,b", "c;d", None]), None, {}).values.tolist() == ["a|b", "c|d", ""]


def test_a_model_learns_from_lists_and_reads_them_however_they_are_written(tmp_path: Path) -> None:
    rows = _rows(240)
    told = ["yes" if ("red" in row) != ("blue" in row) else "no" for row in rows]
    frame = pl.DataFrame({"tags": ["; ".join(row) for row in rows], "wanted": told})
    frame.write_csv(tmp_path / "shop.csv")
    run = ll.fit(tmp_path / "shop.csv", target="wanted", budget="20s", only="boosting", out=tmp_path / "run")
    assert {c["name"]: c["kind"] for c in run.result["columns"]}["tags"] == "tags"
    assert run.result["shipped"]["score"] > 0.95
    new = _rows(30, seed=1)
    expected = ["yes" if ("red" in row) != ("blue" in row) else "no" for row in new]
    for way in ("semicolon", "list", "json"):
        answers = run.model.predict(pl.DataFrame({"tags": [WAYS[way](row) for row in new]}))  # type: ignore[operator]
        assert answers["prediction"].to_list() == expected, way
