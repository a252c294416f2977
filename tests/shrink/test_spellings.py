"""Capitals are left out of a table of words, and every spelling is read as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from leadline.graph.builder import Graph
from leadline.graph.runtime import Session
from leadline.shrink.spellings import lowered

WORDS = {"good": 2, "bad": 3, "école": 4, "iphone": 5}


def _encoder(table: dict[str, int]) -> onnx.ModelProto:
    g = Graph("text")
    tokens = g.op(
        "Tokenizer", g.input("text", np.str_, ["N"]), domain="com.microsoft", mark=0, mincharnum=1, pad_value="",
        tokenexp=r"\w+",
    )  # fmt: skip
    ids = g.op(
        "LabelEncoder", tokens, domain="ai.onnx.ml", keys_strings=["", *table], values_int64s=[0, *table.values()],
        default_int64=1,
    )  # fmt: skip
    g.output("ids", ids, np.int64, ["N", "L"])
    return g.model()


def _spellings(model: onnx.ModelProto) -> int:
    return sum(len(each.strings) for node in model.graph.node for each in node.attribute)


def _all_spellings() -> dict[str, int]:
    found = {each: number for word, number in WORDS.items() for each in (word, word.capitalize(), word.upper())}
    return found | {"iPhone": WORDS["iphone"]}


def test_every_spelling_is_read_as_before_from_a_third_of_the_table() -> None:
    before = _encoder(_all_spellings())
    after = onnx.load_from_string(before.SerializeToString())
    lowered(after)
    texts = np.array(
        ["Good GOOD good", "bad Bad iPhone IPHONE", "École ÉCOLE école", "other Other", "", "good, İstanbul 映画"],
        object,
    )
    (one, other) = (Session(model)({"text": texts})["ids"] for model in (before, after))
    assert np.array_equal(one, other)
    assert _spellings(after) == len(WORDS) + 2 < _spellings(before) / 2  # École begins with no letter of A to Z
    assert Session(after)({"text": np.array(["gOOd"], object)})["ids"].tolist() == [[2]]  # odd ones are known too


@pytest.mark.parametrize(
    "table", [{"us": 2, "US": 3, "them": 4, "Them": 4}, {"good": 2, "bad": 3}], ids=["two meanings", "no capitals"]
)
def test_a_table_whose_capitals_mean_something_or_that_has_none_stays(table: dict[str, Any]) -> None:
    before = _encoder(table)
    after = onnx.load_from_string(before.SerializeToString())
    lowered(after)
    assert after.SerializeToString() == before.SerializeToString()
