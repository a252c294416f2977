"""The probe of texts: rows are cut once and alike, a regression in its dual is a regression, and nothing is random."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from leadline.contenders.grams import Cutter
from leadline.flaws import text_probe
from leadline.flaws.probe import Probe
from leadline.flaws.text_probe import KeptCutter, dual_logistic

ROWS = 400


@pytest.fixture(scope="module")
def store(prepare: Any) -> Any:
    """Texts whose words tell one of three classes, and a column that tells it too."""
    rng = np.random.default_rng(0)
    words = [["fine", "good", "lovely"], ["bad", "awful", "dull"], ["so", "middling", "plain"]]
    y = rng.integers(0, 3, ROWS)
    texts = [
        " ".join([*rng.choice(["the", "film", "is", "a", "story"], 6), *rng.choice(words[k], 2), f"x{i}"])
        for i, k in enumerate(y)
    ]
    frame = pl.DataFrame({"text": texts, "code": [f"b{k}" for k in y], "y": [f"c{k}" for k in y]})
    return prepare(frame, target="y").store


def test_kept_rows_are_those_of_the_cutter(store: Any) -> None:
    name = next(f"{block.name}.grams" for block in store.blocks if "grams" in block.forms)
    kept, plain = KeptCutter(store, name), Cutter(store, name)
    for rows in (np.arange(40), np.arange(20, 90), np.array([5, 3, 5, 80])):
        expected = plain(store, rows)
        for group, counts in kept(store, rows).items():
            assert (counts != expected[group]).nnz == 0


def test_too_many_rows_to_keep_are_cut_again(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_probe, "MOST_KEPT", 1_000)
    name = next(f"{block.name}.grams" for block in store.blocks if "grams" in block.forms)
    kept, plain, rows = KeptCutter(store, name), Cutter(store, name), np.arange(100)
    for _ in range(2):
        expected = plain(store, rows)
        for group, counts in kept(store, rows).items():
            assert (counts != expected[group]).nnz == 0


def test_columns_that_are_hidden_tell_nothing(store: Any) -> None:
    split, probe = store.split, Probe(store, 1)
    known, y = split.train, store.labels[split.train].astype(int)
    half, rest = known[:200], known[200:]
    truth = store.labels[rest]
    right = {
        hidden: float((probe.answers(half, y[:200], rest, hidden=hidden).argmax(axis=1) == truth).mean())
        for hidden in ((), ("code",), ("text",), ("code", "text"))
    }
    assert min(right[()], right["code",], right["text",]) > 0.95 > 0.6 > right["code", "text"]


def test_the_answers_are_the_same_whatever_was_drawn_before(store: Any) -> None:
    known, y = store.split.train, store.labels[store.split.train].astype(int)
    found = []
    for seed in (0, 1):
        np.random.seed(seed)  # what a library might draw from
        found.append(Probe(store, 1).answers(known[:200], y[:200], known[200:]))
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0].dtype == np.float32
    np.testing.assert_allclose(found[0].sum(axis=1), 1, rtol=1e-5)


def test_a_regression_in_its_dual_is_a_regression() -> None:
    """Without columns that naive Bayes weighs, the two differ by the intercept alone, which is penalised here."""
    from scipy import sparse

    rng = np.random.default_rng(0)
    x = sparse.random(300, 40, 0.2, "csr", np.float32, random_state=rng)
    y = (np.asarray(x @ rng.normal(size=40)) > 0).astype(int)
    grams = np.zeros(40, bool)
    found = dual_logistic(x, y, x, 2, 1.0, grams)
    expected = LogisticRegression(C=1.0).fit(x, y).predict_proba(x)
    np.testing.assert_allclose(found, expected, atol=0.05)


@pytest.mark.parametrize("known", [[0], [0, 2], [1]])
def test_classes_without_rows_are_never_answered(known: list[int]) -> None:
    from scipy import sparse

    rng = np.random.default_rng(0)
    x = sparse.random(60, 20, 0.5, "csr", np.float32, random_state=rng)
    y = rng.choice(known, 60)
    found = dual_logistic(x, y, x, 3, 1.0, np.ones(20, bool))
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found[:, [k for k in range(3) if k not in known]] == 0).all()
