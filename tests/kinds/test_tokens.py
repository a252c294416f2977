"""Tokens: every unit gives the text back, and the graph cuts as the library of the byte pairs does."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.core.kind import Fit, Limits
from leadline.graph.runtime import Session
from leadline.kinds.tokens import PADDING, ROW, START, Tokens, decoded

TEXTS = [
    "To be, or not to be: that is the question.\n",
    "größer als Ærø ½\t\r\n",
    "日本語テキスト。🐟\u200d🐟",
    "a\x00b  c   d",
] * 30


def _fit(texts: list[str], unit: str | None = None) -> tuple[Fit, list[bytes]]:
    cells = Tokens().decode(pl.Series(texts), None, {}).values
    settings: dict[str, Any] = {"unit": unit} if unit else {}
    fit = Tokens().fit([cells], settings, Limits(rows=len(texts), seconds=30, columns=("text",)))
    return fit, decoded(fit.settings["vocabulary"], fit.settings["unit"])


def _tokens(fit: Fit, texts: list[str]) -> list[list[int]]:
    cells = Tokens().decode(pl.Series(texts), None, {}).values
    held = Session(fit.encode.graph).only({"text": cells})
    return [[int(i) for i in row if i != PADDING] for row in held]


@pytest.mark.parametrize("unit", ["character", "byte", "pair"])
def test_tokens_spell_the_text(unit: str) -> None:
    fit, pieces = _fit(TEXTS, unit)
    for row, text in zip(_tokens(fit, TEXTS), TEXTS, strict=True):
        assert b"".join(pieces[i] for i in row).decode() == text.replace("\x00", " ")
        assert len(row) <= len(text.encode()) and START not in row
    assert fit.encode.shape == (ROW,) and fit.encode.padding == PADDING


@pytest.mark.parametrize("unit", ["byte", "pair"])
def test_bytes_and_pairs_spell_what_train_never_had(unit: str) -> None:
    fit, pieces = _fit(["plain English words only"] * 40, unit)
    new = ["Ünïcödé 日本 🐟", "\n\t", ""]
    assert [b"".join(pieces[i] for i in row).decode() for row in _tokens(fit, new)] == new


def test_a_character_that_train_never_had_is_the_start() -> None:
    fit, _ = _fit(["abc"] * 40, "character")
    assert _tokens(fit, ["axb"]) == [[1, START, 2]]


def test_the_unit_is_told_by_the_text() -> None:
    assert _fit(["plain words"] * 40)[0].settings["unit"] == "character"
    many = ["".join(chr(0x4E00 + 20 * i + j) for j in range(20)) for i in range(20)]
    assert _fit(many)[0].settings["unit"] == "pair"


def test_pairs_are_those_of_the_tokenizers_library() -> None:
    from tokenizers import Tokenizer

    fit, _ = _fit(TEXTS, "pair")
    (node,) = [node for node in fit.encode.graph.graph.node if node.op_type == "HfJsonTokenizer"]
    (vocabulary,) = [a.s.decode() for a in node.attribute if a.name == "tokenizer_vocab"]
    theirs = Tokenizer.from_str(vocabulary)
    odd = [*TEXTS[:3], "it's  we'll\n\n 123,456.78", "Ã¼ mojibake Â½", " \u00a0\u3000wide", "e\u0301", ""]
    assert _tokens(fit, odd) == [[i + 1 for i in theirs.encode(text).ids] for text in odd]


def test_a_row_of_nothing_is_padding_alone() -> None:
    fit, _ = _fit(TEXTS, "character")
    assert _tokens(fit, ["", "To"])[0] == []
    assert np.asarray(Session(fit.encode.graph).only({"text": np.array([""], object)})).size == 0
