"""Byte pairs of a published tokenizer from the raw spelling, in plain operators of ONNX Runtime.

Enters: strings. Leaves: numbers of pieces (Sennrich et al. 2016, on bytes as in Radford et al. 2019; the algorithm is
that of the `tokenizers` library). Characters of all rows stand in one line: first they are cut into words, by the kinds
of neighbouring characters, as the regular expression of GPT-2 does; then, in a loop, the pair with the least rank of
every word becomes one piece, as long as a word has a pair that is a piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.kinds.byte_letters import byte_letters
from leadline.kinds.text.piece_rows import Marks, piece_rows
from leadline.kinds.text.spelling import BAR, Numbers, looked_up, normal, signs, spelled, tables

if TYPE_CHECKING:
    from leadline.graph.builder import Graph

LETTER, DIGIT, SPACE, WHITE, OTHER = 1, 2, 3, 4, 5  # kinds of characters; WHITE: white space that is no SPACE
KINDS = {r"\p{L}": LETTER, r"\p{N}": DIGIT, r"\s": WHITE}
SHORT, LONG = "stmd", ("re", "ve", "ll")  # that an apostrophe makes one word with
REPLACEMENT = "\ufffd"  # stands for characters that are in no table: of private use, or assigned later
MOST = 4_096  # characters of a text that are read: sixteen times the pieces that are
PIECE, ROW = 1 << 21, 1 << 22  # above a piece's number; what a row's number is multiplied by
# UTF-8: the first characters of two, three and four bytes; six bits a byte; and what leads a character of each length.
WIDER = (0x80, 0x800, 0x10000)
SIXES, LEADS = 64 ** np.arange(4, dtype=np.int64), np.array([0, 0, 0xC0, 0xE0, 0xF0], np.int64)
FOUND = 1 << 42  # above every rank that is packed with a piece


@dataclass(frozen=True, kw_only=True, eq=False)
class BytePairs:
    """Pieces by their spelling in the alphabet of bytes, and the pairs that become one, the first ones first."""

    pieces: Mapping[str, int]
    merges: tuple[tuple[str, str], ...]
    first: int  # what is added to the numbers of the model, so that no piece of a text is 0
    marks: Marks
    normalizer: Any  # of the tokenizers library; None: texts stay as they are
    space: bool  # one is put before a text that begins with none

    @property
    def count(self) -> int:
        return 1 + max(self.pieces.values())

    @cached_property
    def characters(self) -> dict[str, int]:
        """{character of a text that is normal: its number}, from 1."""
        found = {sign for text in normal(signs(), self.normalizer) for sign in text}
        return {sign: number for number, sign in enumerate(sorted({*found, REPLACEMENT} - {BAR}), start=1)}

    @cached_property
    def spelling(self) -> tuple[dict[str, Numbers], dict[str, Numbers]]:
        """What becomes of characters, and of pairs of them."""
        unseen = self.characters[REPLACEMENT]
        return tables(self.normalizer, lambda text: tuple(self.characters.get(sign, unseen) for sign in text))

    def graph(self, column: str, length: int, dtype: Any, name: str) -> Any:
        """The graph: string [N] -> numbers of pieces [N, length]."""
        from leadline.graph.builder import Graph

        g = Graph(name)
        single, both = self.spelling
        unseen = (self.characters[REPLACEMENT],)
        numbers = spelled(g, g.input(column, np.str_, ["N"]), single, both, unseen, most=MOST)
        return piece_rows(g, name, _Cut(g, self).pieces(numbers), self.marks, length, dtype)


class _Cut:
    """Parts of the graph. T: characters, or bytes, of all rows together."""

    def __init__(self, g: Graph, model: BytePairs) -> None:
        self.g, self.model = g, model
        self.zero, self.one, self.flat = self.whole(0), self.whole(1), g.const(np.array([-1], np.int64))
        self.axis = g.const(np.array([1], np.int64))

    def whole(self, value: int) -> str:
        return str(self.g.const(np.int64(value)))

    def moved(self, x: str, by: int, fill: Any) -> str:
        """[T], every value `by` further to the right."""
        return str(self.g.op("Pad", x, self.g.const(np.array([by, -by], np.int64)), self.g.const(fill)))

    def is_one_of(self, x: str, *values: int) -> str:
        found = self.g.op("Equal", x, self.whole(values[0]))
        for value in values[1:]:
            found = self.g.op("Or", found, self.g.op("Equal", x, self.whole(value)))
        return str(found)

    def pieces(self, numbers: str) -> tuple[str, str]:
        """Where a piece is, bool [N, L], and its number, int64 [N, L]."""
        g = self.g
        if self.model.space:
            numbers = self._with_space(numbers)
        rows = g.op("Shape", numbers, start=0, end=1)
        line, row = self._in_line(numbers)
        begins = self._words(line, row)
        packed = self._bytes(line, row, begins)
        packed = g.op("Loop", "", g.const(np.bool_(True)), packed, body=_merge(self.model))
        row = g.op("Div", packed, self.whole(ROW))
        piece = g.op("Div", g.op("Mod", packed, self.whole(ROW)), self.whole(2))
        return self._in_rows(piece, row, rows)

    def _with_space(self, numbers: str) -> str:
        """A space before each row of characters [N, L] that begins with another one."""
        g, space = self.g, self.whole(self.model.characters[" "])
        first = g.op("Slice", numbers, g.const(np.array([0], np.int64)), self.axis, self.axis)
        bare = g.op("And", g.op("Greater", first, self.zero), g.op("Not", g.op("Equal", first, space)))
        return str(g.op("Concat", g.op("Where", bare, space, self.zero), numbers, axis=1))

    def _in_line(self, numbers: str) -> tuple[str, str]:
        """int64 [T]: the characters of all rows, and their rows."""
        g = self.g
        there = g.op("Greater", numbers, self.zero)
        line = g.op("Compress", g.op("Reshape", numbers, self.flat), g.op("Reshape", there, self.flat))
        row = g.op("Slice", g.op("NonZero", there), g.const(np.array([0], np.int64)), self.axis,
                   g.const(np.array([0], np.int64)))  # fmt: skip
        return str(line), str(g.op("Reshape", row, self.flat))

    def _words(self, line: str, row: str) -> str:
        """bool [T]: where a word begins.

        By GPT-2: 's|'t|'re|'ve|'m|'ll|'d| ?letters| ?digits| ?others|white space, the last of which goes with the next.
        """
        g, model = self.g, self.model
        kind = looked_up(g, [0, *_kinds(list(model.characters))], line)
        new_row = g.op("Not", g.op("Equal", row, self.moved(row, 1, np.int64(-1))))
        before = g.op("Where", new_row, self.zero, self.moved(kind, 1, np.int64(0)))
        row_ends = self.moved(new_row, -1, np.bool_(True))
        after = g.op("Where", row_ends, self.zero, self.moved(kind, -1, np.int64(0)))
        inside, behind = self._contractions(line, before, new_row)
        white, white_before = self.is_one_of(kind, SPACE, WHITE), self.is_one_of(before, SPACE, WHITE)
        last = g.op("Not", self.is_one_of(after, 0, SPACE, WHITE))
        space_begins = g.op("Or", g.op("Not", white_before), last)
        differs = g.op("And", g.op("Not", g.op("Equal", before, self.whole(SPACE))),
                       g.op("Not", g.op("Equal", before, kind)))  # fmt: skip
        word_begins = g.op("And", g.op("Or", differs, behind), g.op("Not", inside))
        begins = g.op("Or", g.op("And", white, space_begins), g.op("And", g.op("Not", white), word_begins))
        return str(g.op("Or", new_row, begins))

    def _contractions(self, line: str, before: str, new_row: str) -> tuple[str, str]:
        """bool [T]: what continues a word that an apostrophe begins, and what comes behind such a word."""
        g, number = self.g, self.model.characters
        row_at = [self.moved(new_row, -ahead, np.bool_(True)) for ahead in (1, 2)]
        next_1, next_2 = (self.moved(line, -ahead, np.int64(0)) for ahead in (1, 2))
        there = g.op("And", self.is_one_of(line, number["'"]), g.op("Not", self.is_one_of(before, SPACE, OTHER)))
        there = g.op("And", there, g.op("Not", row_at[0]))
        short = g.op("And", there, self.is_one_of(next_1, *(number[sign] for sign in SHORT)))
        long = g.const(np.array([False]))
        for word in LONG:
            pair = g.op("And", self.is_one_of(next_1, number[word[0]]), self.is_one_of(next_2, number[word[1]]))
            long = g.op("Or", long, pair)
        long = g.op("And", g.op("And", there, long), g.op("Not", row_at[1]))
        false = np.bool_(False)
        inside = g.op("Or", self.moved(g.op("Or", short, long), 1, false), self.moved(long, 2, false))
        behind = g.op("Or", self.moved(short, 2, false), self.moved(long, 3, false))
        return str(inside), str(behind)

    def _bytes(self, line: str, row: str, begins: str) -> str:
        """int64 [T]: row, piece of each byte, and whether a word begins there, packed in one number."""
        g, model = self.g, self.model
        code = looked_up(g, [0, *map(ord, model.characters)], line)
        above = (g.op("Cast", g.op("GreaterOrEqual", code, self.whole(least)), to=1) for least in (0, *WIDER))
        length = g.op("Cast", g.op("Sum", *above), to=7)
        end = g.op("CumSum", length, self.zero)
        start = g.op("Sub", end, length)
        total = g.op("ReduceSum", length, keepdims=1)
        ones = g.op("Add", g.op("Mul", start, self.zero), self.one)
        first = g.op("ScatterElements", g.op("Expand", self.zero, total), start, ones, axis=0)
        owner = g.op("Sub", g.op("CumSum", first, self.zero), self.one)
        place = g.op("Sub", g.op("CumSum", g.op("Expand", self.one, total), self.zero), self.one)
        inside = g.op("Sub", place, g.op("Gather", start, owner))
        size = g.op("Gather", length, owner)
        left = g.op("Sub", g.op("Sub", size, inside), self.one)  # bytes of the character that come after
        bits = g.op("Div", g.op("Gather", code, owner), g.op("Gather", g.const(SIXES), left))
        leads = g.op("Equal", inside, self.zero)
        lead = g.op("Add", bits, g.op("Gather", g.const(LEADS), size))
        follows = g.op("Add", g.op("Mod", bits, self.whole(64)), self.whole(0x80))
        piece = g.const(np.array([model.pieces[letter] for letter in byte_letters()], np.int64))
        piece = g.op("Gather", piece, g.op("Where", leads, lead, follows))
        word = g.op("Cast", g.op("And", leads, g.op("Gather", begins, owner)), to=7)
        where = g.op("Mul", g.op("Gather", row, owner), self.whole(ROW))
        return str(g.op("Add", where, g.op("Add", g.op("Mul", piece, self.whole(2)), word)))

    def _in_rows(self, piece: str, row: str, rows: str) -> tuple[str, str]:
        """Pieces in a line as rows [N, L]."""
        g = self.g
        ones = g.op("Add", g.op("Mul", row, self.zero), self.one)
        counts = g.op("ScatterElements", g.op("Expand", self.zero, rows), row, ones, axis=0, reduction="add")
        begin = g.op("Sub", g.op("CumSum", counts, self.zero), counts)
        place = g.op("Sub", g.op("Sub", g.op("CumSum", ones, self.zero), self.one), g.op("Gather", begin, row))
        # A column of nothing: a batch of empty texts still has a place.
        widest = g.op("ReduceMax", g.op("Concat", counts, g.const(np.array([0], np.int64)), axis=0), keepdims=0)
        width = g.op("Reshape", g.op("Add", widest, self.one), self.axis)
        shape = g.op("Concat", rows, width, axis=0)
        at = g.op("Add", g.op("Mul", row, width), place)
        empty = g.op("Reshape", g.op("Expand", self.zero, shape), self.flat)
        made = g.op("ScatterElements", empty, at, g.op("Add", piece, self.one), axis=0)
        made = g.op("Reshape", made, shape)
        return str(g.op("Greater", made, self.zero)), str(g.op("Add", made, self.whole(self.model.first - 1)))


def _merge(model: BytePairs) -> Any:
    """The body of the loop: in each word the first of the pairs with the least rank becomes one piece."""
    from leadline.graph.builder import Graph

    g = Graph("merge")
    g.input("turn", np.int64, [])
    g.input("on", np.bool_, [])
    packed = g.input("packed", np.int64, ["T"])

    def whole(value: int) -> str:
        return str(g.const(np.int64(value)))

    def moved(x: str, by: int, fill: Any) -> str:
        return str(g.op("Pad", x, g.const(np.array([by, -by], np.int64)), g.const(fill)))

    zero, two, row = whole(0), whole(2), whole(ROW)
    begin = g.op("Mod", packed, two)
    piece = g.op("Div", g.op("Mod", packed, row), two)
    next_begin, next_piece = moved(begin, -1, np.int64(1)), moved(piece, -1, np.int64(0))
    keys = g.op("Add", g.op("Mul", piece, whole(PIECE)), next_piece)
    ids = model.pieces
    pairs = {
        ids[a] * PIECE + ids[b]: rank * PIECE + ids[a + b] for rank, (a, b) in reversed(list(enumerate(model.merges)))
    }
    found = g.table(keys, np.array(list(pairs), np.int64), np.array(list(pairs.values()), np.int64), FOUND)
    found = g.op("Where", g.op("Equal", next_begin, zero), found, whole(FOUND))
    word = g.op("CumSum", begin, zero)
    most = g.op("Mul", g.op("Pad", word, g.const(np.array([0, 1], np.int64)), zero), zero)
    least = g.op("ScatterElements", g.op("Add", most, whole(FOUND)), word, found, axis=0, reduction="min")
    best = g.op("And", g.op("Less", found, whole(FOUND)), g.op("Equal", found, g.op("Gather", least, word)))
    best = g.op("And", best, g.op("Not", moved(best, 1, np.bool_(False))))  # of pairs that overlap the first
    merged = g.op("Add", g.op("Mul", g.op("Div", packed, row), row), g.op("Add", g.op("Mul", g.op("Mod", found,
                  whole(PIECE)), two), begin))  # fmt: skip
    made = g.op("Compress", g.op("Where", best, merged, packed), g.op("Not", moved(best, 1, np.bool_(False))), axis=0)
    some = g.op("Cast", g.op("ReduceMax", g.op("Concat", g.op("Cast", best, to=7), g.const(np.array([0], np.int64)),
                axis=0), keepdims=0), to=9)  # fmt: skip
    g.output("again", some, np.bool_, [])
    g.output("made", made, np.int64, ["U"])
    return g.body()


def _kinds(characters: list[str]) -> list[int]:
    """The kind of each character, by the library's own regular expressions."""
    from tokenizers import Regex, normalizers

    found = dict.fromkeys(characters, OTHER)
    for pattern, kind in KINDS.items():
        marked = normal(characters, normalizers.Replace(Regex(pattern), ""))
        found |= {sign: kind for sign, left in zip(characters, marked, strict=True) if not left}
    return [SPACE if sign == " " else found[sign] for sign in characters]
