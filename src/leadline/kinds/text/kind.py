"""Text: strings in, int32 token numbers out, [length] a row. 0 is padding, 1 an unknown token, 2 and up by frequency.

Tokens are words; for scripts that don't put spaces between words (Chinese, Japanese, Thai, ...) they are characters.
Which of the two is decided by the train rows. Case is folded by the vocabulary: every spelling that train rows hold
points to the number of its folded form, so the graph needs no locale.

Contenders read 'grams': n-grams of words and characters, for linear models (`grams.py`); 'bag': numbers of the n-grams
of tokens, by polynomial hash into 2^18 buckets of which only those that two train rows share are kept, for embeddings
(Joulin et al. 2016, 'Bag of Tricks'); and 'dense': counts of the commonest tokens, for trees.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.json_types import whole
from leadline.core.kind import (
    EMBEDDING,
    TOKEN_ATTENTION,
    TOKEN_PASSES,
    Body,
    Decoded,
    Fit,
    Kind,
    Limits,
    Similarity,
    Tensor,
    View,
)
from leadline.core.parts import Parts, Value, pieces
from leadline.core.textbook import CLASSICAL, DEEP, EITHER, OFTEN, OPEN, Finding, Textbook
from leadline.graph.runtime import Session
from leadline.kinds.text import entries
from leadline.kinds.text.grams import BUCKETS as GRAM_BUCKETS
from leadline.kinds.text.grams import fit_grams
from leadline.kinds.text.pretrained import BODIES, fit_pieces, of_texts, text_body_in
from leadline.kinds.text.similarity import pairs

if TYPE_CHECKING:
    from leadline.core.pretrained import PretrainedBody
    from leadline.core.tensors import Block, Tensors

WORD = r"[\pL\pM\pN_']+|[^\s\pL\pM\pN_']"
CHARACTER = r"[^\s]"
FEW_TEXTS = 5  # in which a word must stand to recur
WORDLESS = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Khmer}\p{Lao}]"  # letters of scripts without spaces
ORDERS = {"word": 2, "character": 3}  # longest n-gram
LONGEST = {"word": 400, "character": 1_000}  # tokens kept a row, at most
VOCABULARY = 50_000
BUCKETS = 1 << 18
COUNTED = 500  # commonest tokens whose counts trees read
PRIME = 1_000_003
SHORTEST = 0.3  # share of a text that a stretch of it has, at least
LONGEST_TEXT = 8_000  # characters of a value that are read


def _embedding(block: Block, width: int) -> Any:
    from leadline.kinds.text.net import BagBody

    return BagBody(whole(block.settings, "ngrams"))


def _recurring(texts: pl.Series) -> float:
    """The share of words that stand in five texts or more: where values hardly repeat, their words may."""
    rows = texts.str.extract_all(r"\S+").list.unique().explode(empty_as_null=False)
    counts = rows.value_counts()["count"]
    return int(counts.filter(counts >= FEW_TEXTS).sum()) / max(1, len(rows))


def _grams_of(store: Tensors, block: Block) -> dict[str, list[str | None]]:
    unit = str(block.settings["unit"])
    return entries.grams(store, block, entries.Hashing(order=ORDERS[unit], buckets=BUCKETS, prime=PRIME))


def _encoder_body(block: Block, width: int) -> Any:
    from leadline.kinds.text.net import TransformerBody

    return TransformerBody(whole(block.settings, "vocabulary"), whole(block.settings, "length"))


def _recurrent(block: Block, width: int) -> Any:
    from leadline.kinds.text.net import RecurrentBody

    return RecurrentBody(whole(block.settings, "vocabulary"), whole(block.settings, "length"))


def _narrow_embedding(block: Block, divisor: int) -> Any:
    from leadline.kinds.text.net import WIDTH, BagBody

    return BagBody(whole(block.settings, "ngrams"), max(1, WIDTH // divisor))


_IN_ORDER = Body(
    build=_encoder_body, batch=64, passes=8, steps=450, peak=3e-3, decay=1e-2, smoothing=0.1,
    entries=entries.tokens,
)  # fmt: skip


class Text(Kind):
    name = "text"
    sample = 200_000
    onnx_input = "str"
    prose, listed = True, False
    bodies = {
        EMBEDDING: Body(
            build=_embedding,
            narrow=_narrow_embedding,
            form=View.BAG,
            peak=3e-3,
            decay=1e-4,
            entries=_grams_of,
        ),
        TOKEN_ATTENTION: _IN_ORDER,
        TOKEN_PASSES: replace(_IN_ORDER, build=_recurrent),
    }
    pretrained = BODIES
    similarity = Similarity(rate=5_000.0, pairs=pairs)
    textbook = Textbook(
        data="texts", seconds=1e-3, rank=4, beside=3, pretrained=True,
        findings=(
            Finding(1_000_000, DEEP, OFTEN, "networks overtake counted n-grams when texts are millions",
             "Zhang et al. 2015"),
            Finding(10_000, EITHER, OPEN, "embedded bags of n-grams and counted ones do about equally well",
             "Joulin et al. 2016; Zhang et al. 2015"),
            Finding(0, CLASSICAL, OFTEN, "on few texts counted n-grams beat networks that start from nothing",
             "Wang & Manning 2012; Kim 2014"),
        ),
    )  # fmt: skip

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        if cells.dtype != pl.String:
            return None
        words = cells.drop_nulls()
        if not len(words):
            return None
        spaced = int(words.str.count_matches(r"\S+").sum()) / len(words)
        distinct = words.n_unique() / len(words)
        wordless = int(words.str.count_matches(WORDLESS).sum()) / len(words)
        long = spaced >= 3 or wordless >= 6
        titles = spaced >= 1.5 and distinct > 0.5 and _recurring(words) >= 0.5
        return {} if (distinct > 0.2 and long) or titles else None

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        return Decoded(values=readable(cells.cast(pl.String).str.slice(0, LONGEST_TEXT)))

    def parts(self, value: Value, settings: Mapping[str, Any]) -> tuple[Parts, ...]:
        value = str(value)
        word = r"\S+" if _unit(np.array([value], object)) == "word" else r"\S"
        return (pieces(value, [match.span() for match in re.finditer(word, value)]),)

    def variants(self, cells: pl.Series, rng: np.random.Generator) -> pl.Series:
        """A stretch of each text, and behind half of them a stretch of another one."""
        texts = [str(text).split(" ") for text in cells.fill_null("")]

        def stretch(words: list[str]) -> list[str]:
            length = int(np.ceil(len(words) * rng.uniform(SHORTEST, 1)))
            start = int(rng.integers(0, len(words) - length + 1))
            return words[start : start + length]

        others = rng.permutation(len(texts))
        joined = [
            stretch(words) + (stretch(texts[other]) if rng.random() < 1 / 2 else [])
            for words, other in zip(texts, others, strict=True)
        ]
        return pl.Series(cells.name, [" ".join(words) for words in joined], dtype=pl.String)

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        (texts,) = samples
        unit = _unit(texts)
        spellings: Counter[str] = Counter()
        lengths = []
        split = Session(_splitter(unit))
        for start in range(0, len(texts), 4_096):
            tokens = split({"text": texts[start : start + 4_096]})["tokens"]
            lengths.append((tokens != "").sum(axis=1))
            spellings.update(tokens[tokens != ""].tolist())
        longest = int(np.clip(np.quantile(np.concatenate(lengths), 0.99), 4, LONGEST[unit]))
        table, size = _vocabulary(spellings, rare=1 if len(texts) < 2_000 else 2)
        encode = _encoder(limits.columns[0], unit, table, longest)
        encoder = Session(encode)
        column = limits.columns[0]
        ids = np.concatenate([encoder.only({column: texts[i : i + 4_096]}) for i in range(0, len(texts), 4_096)])
        bag, kept = _bag(ids, size, ORDERS[unit])
        settings = {
            "unit": unit, "length": longest, "vocabulary": size, "ngrams": kept, "buckets": GRAM_BUCKETS + 1,
        }  # fmt: skip
        return Fit(
            settings=settings,
            encode=Tensor(graph=encode, shape=(longest,), dtype="int32"),
            forms={
                View.BAG: bag,
                View.DENSE: _counts(longest, size),
                View.GRAMS: fit_grams(texts, column, alone=unit == "character"),
                **({} if limits.weights is None else {View.PIECES: fit_pieces(texts, column, limits.weights)}),
            },
        )

    def has_body(self, folder: Path) -> bool:
        return of_texts(folder)

    def body_in(self, folder: Path) -> PretrainedBody | None:
        return text_body_in(folder)


def readable(cells: pl.Series) -> np.ndarray:
    """Values as strings [n]. ONNX Runtime refuses NUL inside one; it says nothing, so it reads as a space."""
    words = cells.cast(pl.String).fill_null("").str.replace_all("\x00", " ", literal=True)
    return np.asarray(words.to_numpy().astype(object))


def _unit(texts: np.ndarray) -> str:
    """'character' where more than a fifth of the letters belong to scripts without spaces between words."""
    sample = pl.Series(texts[:2_000].tolist(), dtype=pl.String)
    letters = int(sample.str.count_matches(r"\p{L}").sum())
    wordless = int(sample.str.count_matches(WORDLESS).sum())
    return "character" if wordless > 0.2 * max(letters, 1) else "word"


def _vocabulary(spellings: Counter[str], rare: int) -> tuple[dict[str, int], int]:
    """{spelling: number} with every spelling of a folded form under one number, and the count of numbers."""
    folded: Counter[str] = Counter()
    for spelling, count in spellings.items():
        folded[spelling.casefold()] += count
    common = sorted((form for form in folded if folded[form] >= rare), key=lambda form: (-folded[form], form))
    numbers = {form: i + 2 for i, form in enumerate(common[:VOCABULARY])}
    table = {}
    for form, number in numbers.items():
        for spelling in (form, form.capitalize(), form.upper()):
            table[spelling] = number
    for spelling in spellings:
        if (number := numbers.get(spelling.casefold())) is not None:  # type: ignore[assignment]
            table[spelling] = number
    return table, len(numbers) + 2


def _tokenize(g: Any, text: str, unit: str) -> str:
    return str(
        g.op(
            "Tokenizer",
            text,
            domain="com.microsoft",
            mark=0,
            mincharnum=1,
            pad_value="",
            tokenexp=WORD if unit == "word" else CHARACTER,
        )  # fmt: skip
    )


def _splitter(unit: str) -> Any:
    from leadline.graph.builder import Graph

    g = Graph("split")
    g.output("tokens", _tokenize(g, g.input("text", np.str_, ["N"]), unit), np.str_, ["N", "L"])
    return g.model()


def _encoder(column: str, unit: str, table: dict[str, int], longest: int) -> Any:
    """string [N] -> int32 [N, longest]; the empty pad token is number 0."""
    from leadline.graph.builder import Graph

    g = Graph("text")
    tokens = _tokenize(g, g.input(column, np.str_, ["N"]), unit)
    ids = g.op(
        "LabelEncoder", tokens, domain="ai.onnx.ml",
        keys_strings=["", *table], values_int64s=[0, *table.values()], default_int64=1,
    )  # fmt: skip
    pads = g.const(np.array([0, 0, 0, longest], np.int64))
    padded = g.op("Pad", ids, pads, g.const(np.int64(0)))
    cut = g.op(
        "Slice", padded, g.const(np.array([0], np.int64)), g.const(np.array([longest], np.int64)),
        g.const(np.array([1], np.int64)),
    )  # fmt: skip
    g.output("encoded", g.op("Cast", cut, to=6), np.int32, ["N", longest])
    return g.model()


def _hashes(g: Any, ids: str, vocabulary: int, order: int, length: int) -> str:
    """int64 [N, length] -> bucket numbers [N, n-grams]: unigrams as they are, longer ones by polynomial hash.

    A gram that touches padding is bucket 0: padding is only ever at the end, so its last token tells.
    """
    axis = g.const(np.array([1], np.int64))
    zero = g.const(np.int64(0))

    def window(first: int, count: int) -> str:
        return str(
            g.op("Slice", ids, g.const(np.array([first], np.int64)), g.const(np.array([first + count], np.int64)), axis)
        )

    grams = [ids]
    for n in range(2, min(order, length) + 1):
        count = length - n + 1
        value = window(0, count)
        for k in range(1, n):
            value = g.op("Add", g.op("Mul", value, g.const(np.int64(PRIME))), window(k, count))
        room = BUCKETS - vocabulary
        bucket = g.op("Add", g.op("Mod", value, g.const(np.int64(room))), g.const(np.int64(vocabulary)))
        last = window(n - 1, count)
        grams.append(g.op("Where", g.op("Equal", last, zero), zero, bucket))
    return str(g.op("Concat", *grams, axis=1)) if len(grams) > 1 else ids


def _bag(ids: np.ndarray, vocabulary: int, order: int) -> tuple[Tensor, int]:
    """The graph from token numbers to n-gram numbers, 1..kept, 0 for none; only grams of two train rows are kept."""
    from leadline.graph.builder import Graph

    length = ids.shape[1]

    def graph(remap: np.ndarray | None) -> Any:
        g = Graph(View.BAG)
        x = g.op("Cast", g.input("encoded", np.int32, ["N", length]), to=7)
        value = _hashes(g, x, vocabulary, order, length)
        if remap is not None:
            value = g.op("Cast", g.op("Gather", g.const(remap), value), to=6)
        g.output(View.BAG, value, np.int32 if remap is not None else np.int64, ["N", "K"])
        return g.model()

    hashed = Session(graph(None))
    rows_with = np.zeros(BUCKETS, np.int32)
    width = 0
    for start in range(0, len(ids), 4_096):
        buckets = np.sort(hashed({"encoded": ids[start : start + 4_096]})[View.BAG], axis=1)
        width = buckets.shape[1]
        first = np.ones(buckets.shape, bool)
        first[:, 1:] = buckets[:, 1:] != buckets[:, :-1]
        rows_with += np.bincount(buckets[first], minlength=BUCKETS).astype(np.int32)
    rows_with[0] = 0
    keep = rows_with >= (2 if len(ids) >= 200 else 1)
    remap = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return Tensor(graph=graph(remap), shape=(width,), dtype="int32"), int(keep.sum()) + 1


def _counts(length: int, vocabulary: int) -> Tensor:
    """uint8 counts of the commonest tokens, then the number of tokens and of distinct ones (to 255)."""
    from leadline.graph.builder import Graph

    counted = min(COUNTED, vocabulary)
    g = Graph("counts")
    x = g.op("Cast", g.input("encoded", np.int32, ["N", length]), to=7)
    slots = g.op("Min", x, g.const(np.int64(counted)))  # one slot past the end for all rarer tokens
    rows = g.op("Shape", x, start=0, end=1)
    shape = g.op("Concat", rows, g.const(np.array([counted + 1], np.int64)), axis=0)
    zeros = g.op("Expand", g.const(np.float32(0)), shape)
    ones = g.op("Expand", g.const(np.float32(1)), g.op("Shape", x))
    counts = g.op("ScatterElements", zeros, slots, ones, axis=1, reduction="add")
    axis = g.const(np.array([1], np.int64))
    pads = g.op("Slice", counts, g.const(np.array([0], np.int64)), g.const(np.array([1], np.int64)), axis)
    rest = g.op("Slice", counts, g.const(np.array([1], np.int64)), g.const(np.array([counted + 1], np.int64)), axis)
    tokens = g.op("Sub", g.const(np.float32(length)), pads)
    present = g.op("Cast", g.op("Greater", rest, g.const(np.float32(0))), to=1)
    distinct = g.op("ReduceSum", present, axis, keepdims=1)
    table = g.op("Concat", rest, tokens, distinct, axis=1)
    table = g.op("Cast", g.op("Min", table, g.const(np.float32(255))), to=2)
    g.output("dense", table, np.uint8, ["N", counted + 2])
    return Tensor(graph=g.model(), shape=(counted + 2,), dtype="uint8")
