"""Categories: numbered by falling frequency; missing, unseen and rare values have numbers of their own."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.core.kind import Limits
from leadline.graph.runtime import Session
from leadline.kinds import KINDS

CATEGORY = KINDS["category"]
MISSING, OTHER = 0, 1


def test_codes_follow_frequency_then_alphabet(fit: Any) -> None:
    rng = np.random.default_rng(0)
    words = rng.choice(["a", "b", "c", "d e", "é"], 200, p=[0.1, 0.3, 0.3, 0.2, 0.1]).tolist()
    counts = Counter(words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    fitted, run = fit("category", pl.Series("x", words))
    assert run(pl.Series(ranked))[:, 0].tolist() == [2, 3, 4, 5, 6] and fitted.settings["sizes"] == [7]


def test_missing_unseen_and_rare(fit: Any) -> None:
    _, run = fit("category", pl.Series("x", ["a", "a", "once", None, "?"]))
    codes = run(pl.Series(["a", " a ", "once", "never", None, "", "NA", "A"]))[:, 0].tolist()
    assert codes == [2, 2, OTHER, OTHER, MISSING, MISSING, MISSING, OTHER]


@pytest.mark.parametrize("words", [["东京", "大阪"], ["🐟", "🐠"], ["naïve", "naive"], ["a\tb", "a b"]])
def test_any_script_is_kept_apart(words: list[str], fit: Any) -> None:
    _, run = fit("category", pl.Series("x", words * 3))
    assert sorted(run(pl.Series(words))[:, 0].tolist()) == [2, 3]


def test_whole_floats_and_integers_are_the_same_category(fit: Any) -> None:
    _, run = fit("category", pl.Series("x", [3, 3, 7, 7, 7]))
    assert run(pl.Series([3.0, 7.0, float("nan"), None]))[:, 0].tolist() == [3, 2, MISSING, MISSING]
    assert run(pl.Series(["3", "7"]))[:, 0].tolist() == [3, 2]


def test_truth_values_and_enums(fit: Any) -> None:
    _, run = fit("category", pl.Series("x", [True, True, True, False, False]))
    assert run(pl.Series([True, False, None]))[:, 0].tolist() == [2, 3, MISSING]
    for cells in (pl.Series(["a"], dtype=pl.Enum(["a"])), pl.Series(["a"], dtype=pl.Categorical), pl.Series([True])):
        boolean = {"boolean": True} if cells.dtype == pl.Boolean else {}
        assert CATEGORY.sniff(cells, None) == {"marks": True, **boolean}
    assert CATEGORY.sniff(pl.Series([[1]]), None) is None


def test_columns_stand_side_by_side(fit: Any) -> None:
    fitted, run = fit("category", pl.Series("x", ["a", "a", "b", "b"]), pl.Series("y", ["u"] * 4))
    assert run(pl.Series(["b"]), pl.Series(["u"])).tolist() == [[3, 2]] and fitted.settings["sizes"] == [4, 3]


def test_nul_in_a_value(fit: Any) -> None:
    _, run = fit("category", pl.Series("x", ["a\0b"] * 3 + ["c"] * 2))
    assert run(pl.Series(["a\0b", "c"]))[:, 0].tolist() == [2, 3]


@pytest.mark.parametrize("labels", [np.tile([0, 1], 200), np.random.default_rng(0).normal(size=400)])
def test_words_for_missing_are_one_value_unless_the_target_differs(labels: np.ndarray) -> None:
    order = np.argsort(labels, kind="stable")
    told = np.array(["x"] * 400, object)
    told[order[:60]], told[order[-60:]] = "NA", ""
    alike = np.where(np.arange(400) % 3 == 0, "NA", np.where(np.arange(400) % 3 == 1, "", "x")).astype(object)
    for sample, apart in ((told, ["NA"]), (alike, [])):
        limits = Limits(rows=400, seconds=60.0, columns=("c",), labels=labels)
        fitted = CATEGORY.fit([sample], {"marks": True}, limits)
        assert fitted.settings["apart"].get("c", []) == apart
        run = Session(fitted.encode.graph)
        codes = run({"c": np.array(["NA", "", "None", "x", "new"], object)})["encoded"][:, 0].tolist()
        assert codes[1:3] == [MISSING, MISSING] and (codes[0] > OTHER) == bool(apart) and codes[4] == OTHER


def test_words_for_missing_are_hardly_ever_told_apart_by_chance() -> None:
    found = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        sample = rng.choice(["NA", "", "None", "a"], 200).astype(object)
        limits = Limits(rows=200, seconds=60.0, columns=("c",), labels=rng.integers(0, 3, 200))
        found += bool(CATEGORY.fit([sample], {"marks": True}, limits).settings["apart"])
    assert found == 0
