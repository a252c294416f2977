"""N-grams of words and of characters from the raw spelling, as integers, within the ONNX graph.

Enters: strings. Leaves, in two graphs: character numbers uint16 [N, characters], which are stored, and n-gram numbers
int32 [N, K], 0 for none, which are not:

    words        1 to 2 tokens that follow each other, case folded; a token is a word or a sign of punctuation
    characters   2 to 5 characters (1 to 5 where words are not set apart by spaces), none of them in mid-gram a space

A number is a polynomial hash below `BUCKETS`: two grams in 4 million seldom share one, and a contender keeps a table of
those alone that it learned from. The hash of a word is a difference of two prefix sums, as of Karp & Rabin (1987), so
that no step of the graph is a loop over the characters.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import Any

import numpy as np

from leadline.core.kind import Tensor, View

BUCKETS = 4_194_301  # of n-grams, the largest prime below 2^22
NONE, SPACE, PUNCTUATION = 0, 1, 2  # numbers: nothing, any white space, the first sign of punctuation
MOST = 60_000  # different characters, at most
LONGEST = 4_096  # characters of a row, at most
ORDER = 5  # characters of the longest gram
BASE = 131_071  # of a gram's polynomial; above every number of a character, so that three of them never meet
WORD_BASE, WORD_MODULUS = 1_000_003, 2_147_483_647
PLAIN = "".join(map(chr, range(33, 127)))  # known in any case
SPACES = " \t\n\r\f\v\u00a0\u2028\u2029\u3000"


def fit_grams(texts: np.ndarray, column: str, alone: bool) -> Tensor:
    """The view of n-grams.

    Args:
        texts: of the train rows.
        alone: a character alone is a gram too.
    """
    counts: Counter[str] = Counter(PLAIN)
    lengths = np.empty(len(texts), np.int64)
    for row, text in enumerate(texts):
        lengths[row] = len(text)
        counts.update(text)
    length = int(np.clip(np.quantile(lengths, 0.99), 8, LONGEST - 2)) + 2
    numbers, first_letter = _numbers(counts)
    return Tensor(
        graph=_characters(column, numbers, first_letter, length), shape=(length,), dtype="uint16", from_values=True,
        cut=_cut(_folded(numbers, first_letter), first_letter, length, alone),
    )  # fmt: skip


def _numbers(counts: Counter[str]) -> tuple[dict[str, int], int]:
    """{character: number}, spaces and punctuation first, and the number of a letter that is not in it."""
    known = [character for character, _ in counts.most_common(MOST) if not character.isspace() and character != "\0"]
    other = [case for character in known for case in (character.lower(), character.upper()) if len(case) == 1]
    known = sorted({*known, *other})
    signs = [character for character in known if not _is_letter(character)]
    letters = [character for character in known if _is_letter(character)]
    spaces = dict.fromkeys([*SPACES, *(character for character in counts if character.isspace())], SPACE)
    first_letter = PUNCTUATION + len(signs)
    numbers = {sign: PUNCTUATION + place for place, sign in enumerate(signs)}
    numbers |= {letter: first_letter + 1 + place for place, letter in enumerate(letters)}
    return spaces | numbers, first_letter


def _is_letter(character: str) -> bool:
    """Whether it is part of a word: a letter, a mark on one, a digit, '_' or an apostrophe."""
    return unicodedata.category(character)[0] in "LMN" or character in "_'"


def _folded(numbers: dict[str, int], first_letter: int) -> np.ndarray:
    """The number of each number's lower case."""
    folded = np.arange(max(max(numbers.values()), first_letter) + 1)
    for character, number in numbers.items():
        folded[number] = number if number == SPACE else numbers.get(character.casefold(), number)
    return folded


def _characters(column: str, numbers: dict[str, int], unknown: int, length: int) -> Any:
    """string [N] -> uint16 [N, length]: a space, the characters, a space, then nothing."""
    from leadline.graph.builder import Graph  # imports onnx, which no prediction needs

    g = Graph(View.GRAMS)
    split = g.op(
        "Tokenizer", g.input(column, np.str_, ["N"]),
        domain="com.microsoft", mark=0, mincharnum=1, pad_value="", separators=[""],
    )  # fmt: skip
    ids = g.op(
        "LabelEncoder", split, domain="ai.onnx.ml",
        keys_strings=["", *numbers], values_int64s=[NONE, *numbers.values()], default_int64=unknown,
    )  # fmt: skip
    one, axis = g.const(np.array([1], np.int64)), g.const(np.array([1], np.int64))
    ids = g.op("Pad", ids, g.const(np.array([0, 1, 0, length], np.int64)), g.const(np.int64(NONE)))
    ids = g.op("Slice", ids, g.const(np.array([0], np.int64)), g.const(np.array([length], np.int64)), axis)
    held = g.op("Cast", g.op("Greater", ids, g.const(np.int64(NONE))), to=7)
    after = g.op("Add", g.op("ReduceSum", held, axis, keepdims=1), one)  # the place behind the last character
    places = g.const(np.arange(length, dtype=np.int64)[None])
    ends = g.op("Or", g.op("Equal", places, g.const(np.int64(0))), g.op("Equal", places, after))
    ids = g.op("Where", ends, g.const(np.int64(SPACE)), ids)
    g.output(View.GRAMS, g.op("Cast", ids, to=4), np.uint16, ["N", length])
    return g.model()


class _Cut:
    """Parts of the graph from character numbers to n-gram numbers. L: the longest row of the batch; W: its words."""

    def __init__(self, length: int) -> None:
        from leadline.graph.builder import Graph  # imports onnx, which no prediction needs

        g = self.g = Graph("cut")
        self.axis, self.zero, self.length = g.const(np.array([1], np.int64)), g.const(np.int64(0)), length
        x = g.op("Cast", g.input(View.GRAMS, np.uint16, ["N", length]), to=7)
        held = g.op("Cast", g.op("Greater", x, self.zero), to=7)
        own = g.op("ReduceMax", g.op("ReduceSum", held, self.axis, keepdims=1), keepdims=0)
        self.longest = g.op("Reshape", g.op("Max", own, g.const(np.int64(2))), self.axis)  # [1]: L
        self.wide = g.op("Pad", x, g.const(np.array([0, 0, 0, ORDER], np.int64)), self.zero)

    def window(self, first: int) -> str:
        """int64 [N, L]: the character so many places on."""
        g = self.g
        start = g.const(np.array([first], np.int64))
        return str(g.op("Slice", self.wide, start, g.op("Add", self.longest, start), self.axis))

    def whole(self, value: int) -> str:
        return str(self.g.const(np.int64(value)))

    def bucket(self, value: str, where: str) -> str:
        """Hashes as gram numbers, 1 and up; 0 where there is no gram."""
        g = self.g
        number = g.op("Add", g.op("Mod", value, self.whole(BUCKETS)), self.whole(1))
        return str(g.op("Cast", g.op("Where", where, number, self.zero), to=6))

    def characters(self, shortest: int) -> str:
        """int32 [N, L * orders]."""
        g = self.g
        value = self.window(0)
        first_space = g.op("Equal", value, self.whole(SPACE))
        inside: str | None = None  # none of the characters between the first and the last is a space
        grams = []
        if shortest == 1:
            grams.append(self.bucket(value, g.op("Greater", value, self.whole(SPACE))))
        for order in range(2, ORDER + 1):
            last = self.window(order - 1)
            value = g.op("Mod", value, self.whole(WORD_MODULUS)) if order > 3 else value
            value = g.op("Add", g.op("Mul", value, self.whole(BASE)), last)
            space = g.op("Equal", last, self.whole(SPACE))
            where = g.op("Greater", last, self.zero)
            where = g.op("And", where, g.op("Not", g.op("And", first_space, space)) if inside is None else inside)
            grams.append(self.bucket(value, where))
            clear = g.op("Not", space)
            inside = clear if inside is None else g.op("And", inside, clear)
        return str(g.op("Concat", *grams, axis=1))

    def words(self, folded: np.ndarray, first_letter: int) -> str:
        """int32 [N, 2 W]: tokens, then pairs of them."""
        g = self.g
        tokens = self._tokens(folded, first_letter)
        count = g.op("Sub", g.op("Shape", tokens, start=1, end=2), self.axis)
        zero, one = g.const(np.array([0], np.int64)), self.axis
        first = g.op("Slice", tokens, zero, count, self.axis)
        second = g.op("Slice", tokens, one, g.op("Add", count, one), self.axis)
        pair = g.op("Add", g.op("Mul", first, self.whole(BASE)), second)
        both = g.op("Greater", second, self.zero)
        return str(
            g.op("Concat", self.bucket(first, g.op("Greater", first, self.zero)), self.bucket(pair, both), axis=1)
        )

    def _tokens(self, folded: np.ndarray, first_letter: int) -> str:
        """int64 [N, W + 1]: hashes of the tokens, then zeros, one at least."""
        g = self.g
        x = self.window(0)
        letter = g.op("GreaterOrEqual", x, self.whole(first_letter))
        part = g.op("Greater", x, self.whole(SPACE))
        before = g.op("Pad", letter, g.const(np.array([0, 1, 0, -1], np.int64)), g.const(np.bool_(False)))
        begins = g.op("And", part, g.op("Not", g.op("And", letter, before)))
        number = g.op("CumSum", g.op("Cast", begins, to=7), g.const(np.int64(1)))
        place = g.op("Where", part, number, self.zero)  # the token that a character belongs to; 0: none
        most = g.op("Reshape", g.op("ReduceMax", place, keepdims=0), self.axis)
        shape = g.op("Concat", g.op("Shape", x, start=0, end=1), g.op("Add", most, self.whole(2)), axis=0)
        empty = g.op("Expand", self.zero, shape)
        terms = g.op("Mul", g.op("Gather", g.const(folded.astype(np.int64)), x), self._powers(WORD_BASE))
        terms = g.op("Mod", terms, self.whole(WORD_MODULUS))
        sums = g.op("ScatterElements", empty, place, terms, axis=1, reduction="add")
        at = g.op("Where", begins, self._range(), self.zero)
        starts = g.op("ScatterElements", empty, place, at, axis=1, reduction="max")
        inverse = g.const(_powers(pow(WORD_BASE, -1, WORD_MODULUS), self.length))
        hashes = g.op("Mul", g.op("Mod", sums, self.whole(WORD_MODULUS)), g.op("Gather", inverse, starts))
        hashes = g.op("Mod", hashes, self.whole(WORD_MODULUS))
        end = g.op("Add", most, self.whole(2))
        return str(g.op("Slice", hashes, self.axis, end, self.axis))

    def _range(self) -> str:
        return self._first(np.arange(self.length, dtype=np.int64))

    def _powers(self, base: int) -> str:
        return self._first(_powers(base, self.length))

    def _first(self, row: np.ndarray) -> str:
        """[1, L]: as many of the row as the longest text needs."""
        g = self.g
        return str(g.op("Slice", g.const(row[None]), g.const(np.array([0], np.int64)), self.longest, self.axis))


def _powers(base: int, count: int) -> np.ndarray:
    """base^0, base^1, ... modulo the modulus of words."""
    found = [1]
    for _ in range(count - 1):
        found.append(found[-1] * base % WORD_MODULUS)
    return np.array(found, np.int64)


def _cut(folded: np.ndarray, first_letter: int, length: int, alone: bool) -> Any:
    """uint16 [N, length] -> 'words' and 'characters', int32 [N, K] each."""
    cut = _Cut(length)
    words, characters = cut.words(folded, first_letter), cut.characters(1 if alone else 2)
    cut.g.output("words", words, np.int32, ["N", "K"])
    cut.g.output("characters", characters, np.int32, ["N", "M"])
    return cut.g.model()
