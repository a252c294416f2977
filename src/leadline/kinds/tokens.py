"""A text corpus: a stretch of it in, int32 token numbers out, filled up with -1. 0 is the start, and an unknown
character.

Tokens are characters where the train part has few different ones; else byte pairs (byte-level BPE: Sennrich et al.
2016, 'Neural Machine Translation of Rare Words with Subword Units'), learned on the train part. Bytes are byte pairs
without a pair. The graph cuts characters by ONNX Runtime's own Tokenizer, byte pairs by that of onnxruntime-extensions.

No value looks like a text corpus by itself: a source says that it is (`readers/text_corpus.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.core.kind import Decoded, Fit, Kind, Limits, Tensor
from leadline.core.textbook import DEEP, EITHER, OPEN, USUALLY, Finding, Textbook
from leadline.kinds.byte_letters import byte_letters
from leadline.kinds.text.kind import readable

COLUMN = "text"  # what the one column of a text corpus is called
ROW = 1_024  # bytes of UTF-8 in one row, at most: a token is at least a byte
PADDING = -1
START = 0
MOST_CHARACTERS = 256  # different ones; above, byte pairs
PAIRS = (512, 8_192)  # vocabulary of byte pairs, fewest and most
A_PAIR = 2_000  # bytes of train text that one entry of the vocabulary should have
LEARNED = 20_000  # rows that the vocabulary is learned from


class Tokens(Kind):
    name = "tokens"
    sample = LEARNED
    onnx_input = "str"
    corpus = True
    seconds_per_row = 4e-3
    textbook = Textbook(
        data="text corpus", seconds=0.1, rank=0, amount="about {:,} kB",
        findings=(
            Finding(500, DEEP, USUALLY, "networks share what they learn between contexts, and counts cannot",
             "Bengio et al. 2003; Mikolov et al. 2010"),
            Finding(0, EITHER, OPEN, "on little text well smoothed counts of n-grams are hard to beat",
             "Chen & Goodman 1999"),
        ),
    )  # fmt: skip

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        return None

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        return Decoded(values=readable(cells))

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        (texts,) = samples
        characters = sorted(set().union(*texts))
        unit = settings.get("unit") or ("character" if len(characters) <= MOST_CHARACTERS else "pair")
        if unit == "character":
            graph, vocabulary = _characters(limits.columns[0], characters), characters
        else:
            size = int(np.clip(sum(map(len, texts)) // A_PAIR, *PAIRS)) if unit == "pair" else 256
            graph, vocabulary = _pairs(limits.columns[0], texts, size)
        return Fit(
            settings={"unit": unit, "vocabulary": ["", *vocabulary]},
            encode=Tensor(graph=graph, shape=(ROW,), dtype="int32", padding=PADDING),
        )


def _characters(column: str, characters: list[str]) -> Any:
    from leadline.graph.builder import Graph

    g = Graph("tokens")
    tokens = g.op(
        "Tokenizer", g.input(column, np.str_, ["N"]), domain="com.microsoft", mark=0, mincharnum=1, pad_value="",
        tokenexp="(?s:.)",
    )  # fmt: skip
    ids = g.op(
        "LabelEncoder", tokens, domain="ai.onnx.ml", keys_strings=["", *characters],
        values_int64s=[PADDING, *range(1, len(characters) + 1)], default_int64=START,
    )  # fmt: skip
    g.output("encoded", g.op("Cast", ids, to=6), np.int32, ["N", "T"])
    return g.model()


def _pairs(column: str, texts: Any, size: int) -> tuple[Any, list[str]]:
    """The graph and the pieces by number, written in the alphabet of bytes (`decoded` reads it)."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from leadline.graph.builder import Graph

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(list(texts), trainer)
    pieces = [piece for piece, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]
    g = Graph("tokens")
    settings = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 10**9, "clean_up_tokenization_spaces": False}
    ids, there = g.op(
        "HfJsonTokenizer", g.input(column, np.str_, ["N"]), domain="ai.onnx.contrib", outputs=2,
        tokenizer_vocab=tokenizer.to_str(), tokenizer_config=json.dumps(settings),
    )  # fmt: skip
    ids = g.op("Add", ids, g.const(np.int64(1)))
    ids = g.op("Where", g.op("Equal", there, g.const(np.int64(0))), g.const(np.int64(PADDING)), ids)
    g.output("encoded", g.op("Cast", ids, to=6), np.int32, ["N", "T"])
    return g.model(), pieces


def decoded(vocabulary: list[str], unit: str) -> list[bytes]:
    """The bytes of every token; a character of several bytes may be spread over tokens."""
    if unit == "character":
        return [token.encode() for token in vocabulary]
    values = {letter: value for value, letter in enumerate(byte_letters())}
    return [bytes(values[letter] for letter in token) for token in vocabulary]
