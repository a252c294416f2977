"""Word pieces from the raw spelling, in plain operators of ONNX Runtime: BERT's normaliser and greedy longest match.

Enters: strings. Leaves: numbers of word pieces [N, length], a mark at each end, 0 for none (Devlin et al. 2019; the
algorithm is that of the `tokenizers` library, whose own normaliser says what becomes of each character).

A word piece is found by a polynomial hash modulo 2^64 of its characters, in a hash table; from each character the
longest piece that begins there. Which characters the greedy match visits is found by pointer jumping, in seven steps
for the hundred characters of the longest word, so that no step of the graph is a loop over characters.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.kinds.body_folder import FolderError, configuration
from leadline.kinds.text.piece_rows import Marks, piece_rows

if TYPE_CHECKING:
    from leadline.graph.builder import Graph

VOCABULARY, SETTINGS = "vocab.txt", "tokenizer_config.json"
PADDING = "[PAD]"  # the piece that no text has
MARKS = ("[UNK]", "[CLS]", "[SEP]")
UNCASED = Path(__file__).with_name("uncased.txt.gz")  # of Google's BERT, under the Apache licence 2.0
PREFIX = "##"  # of a piece that goes on a word
NONE, SPACE, LETTER, ALONE, FIRST = 0, 1, 2, 3, 4  # character numbers; LETTER and ALONE are in no piece
LONGEST_WORD = 100  # characters, above which a word is unknown
JUMPS = 7  # 2^7 is above that
BASE, SALT = -7046029254386353131, 6364136223846793005  # odd, of 64 bits; the second begins a piece that goes on a word
PACK = 1 << 16  # numbers of one character's parts are packed to this base: three at most
BAR = "\uffff"  # no character: it stands between those that are made normal at once
ROOM = 1 << 20  # above every piece's number
# Code points that are too many for a table: words of their own, and those that are left out (private use).
IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
PRIVATE = ((0xE000, 0xF8FF), (0xF0000, 0xFFFFD), (0x100000, 0x10FFFD))
CODES = (range(1, 0xD800), range(0xF900, 0x30000), range(0xE0000, 0xF0000))  # where characters are assigned


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Pieces by their numbers, and how a text is normalised. Number 0 is no piece of a text: it is behind its end."""

    pieces: dict[str, int]
    first: int = 0  # the number of the first line: 1 where it is a piece that texts have
    lowercase: bool = True
    accents: bool | None = None  # whether they are stripped; None: as letters are made small
    unknown: str = MARKS[0]
    marks: Marks

    @classmethod
    def read(cls, folder: Path) -> Vocabulary:
        """The vocabulary of a folder with vocab.txt, and perhaps a tokenizer_config.json.

        Without it, that of uncased English BERT, which most packages leave out. Raises FolderError where one of the
        files is damaged.
        """
        words = folder / VOCABULARY
        held = words.read_bytes() if words.exists() else gzip.decompress(UNCASED.read_bytes())
        facts = configuration(folder / SETTINGS)
        lowercase, accents = facts.get("do_lower_case", True), facts.get("strip_accents")
        for name, value in (("do_lower_case", lowercase), ("strip_accents", False if accents is None else accents)):
            if not isinstance(value, bool):
                raise FolderError(f"has a {SETTINGS} with {name} {value!r}, where true or false was expected.")
        return _vocabulary(held, lowercase, accents)

    @property
    def count(self) -> int:
        """Rows of a table that has one for every line."""
        return max(self.pieces.values()) + 1 - self.first

    def graph(self, column: str, length: int, dtype: Any, name: str) -> Any:
        """The graph: string [N] -> numbers of pieces [N, length], marks among them, then 0."""
        return tokenizer(column, self, length, dtype, name)

    @cached_property
    def characters(self) -> dict[str, int]:
        """{character that a piece holds: number}."""
        found = {sign for piece in self.pieces for sign in (piece.removeprefix(PREFIX) if len(piece) > 2 else piece)}
        return {sign: FIRST + place for place, sign in enumerate(sorted(found))}

    @cached_property
    def table(self) -> dict[str, int]:
        """{character: packed numbers of what it becomes}; one that is not in it is an unknown letter."""
        from tokenizers.normalizers import BertNormalizer

        signs = [chr(code) for codes in CODES for code in codes if chr(code) != BAR]
        normalizer = BertNormalizer(lowercase=self.lowercase, strip_accents=self.accents)
        normal = normalizer.normalize_str(BAR.join(signs)).split(BAR)  # at once: a million calls take seconds
        assert len(normal) == len(signs)
        alone = _alone({*"".join(normal), *self.characters})
        table = {}
        for sign, becomes in zip(signs, normal, strict=True):
            if becomes == sign and sign not in alone and sign not in self.characters and not sign.isspace():
                continue  # a letter that no piece holds, as nearly all are
            numbers = self._numbers(becomes, alone)
            if numbers != [LETTER] and not (numbers == [ALONE] and _within(ord(sign), IDEOGRAPHS)):
                table[sign] = sum(number * PACK**place for place, number in enumerate(numbers))
        return table

    def _numbers(self, normal: str, alone: set[str]) -> list[int]:
        """Numbers of what a character becomes; of several unknown letters in a row one, as their word is unknown."""
        if normal and not normal.strip():
            return [SPACE]
        found: list[int] = []
        for sign in normal.strip():
            number = self.characters.get(sign, ALONE if sign in alone else LETTER)
            if number != LETTER or LETTER not in found[-1:]:
                found.append(number)
        assert len(found) <= 3, normal
        return found

    @cached_property
    def alone(self) -> np.ndarray:
        """Numbers of the characters that are words of their own."""
        return np.array([ALONE, *(self.characters[sign] for sign in sorted(_alone(set(self.characters))))], np.int64)


@lru_cache(maxsize=4)  # the table of its characters takes a second, and every fold and every column asks for it
def _vocabulary(held: bytes, lowercase: bool, accents: bool | None) -> Vocabulary:
    try:
        lines = [line.rstrip("\r") for line in held.decode().split("\n")]
    except UnicodeDecodeError as error:
        raise FolderError(f"has a {VOCABULARY} that is not in UTF-8 ({error}); download the folder again.") from error
    first = int(lines[0] != PADDING)
    pieces = {line: number for number, line in enumerate(lines, first) if line}
    if lacking := [mark for mark in MARKS if mark not in pieces]:
        raise FolderError(
            f"has a {VOCABULARY} without {', '.join(lacking)}, which a BERT reads; take the one that came with the "
            "weights."
        )
    begin, end = ((pieces[mark],) for mark in MARKS[1:])
    return Vocabulary(
        pieces=pieces, first=first, lowercase=lowercase, accents=accents, marks=Marks(begin=begin, end=end)
    )


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= code <= high for low, high in ranges)


def _alone(signs: set[str]) -> set[str]:
    """Those that BERT reads as words of their own: punctuation, and ideographs."""
    from tokenizers.pre_tokenizers import BertPreTokenizer

    letter = "a"
    words = BertPreTokenizer().pre_tokenize_str(letter + letter.join(sorted(signs)) + letter)
    split = {word for word, _ in words if len(word) == 1 and word != letter}
    return split | (signs & {chr(code) for low, high in IDEOGRAPHS for code in range(low, high + 1)})


def tokenizer(column: str, vocabulary: Vocabulary, length: int, dtype: Any = np.int32, name: str = "pieces") -> Any:
    """The graph: string [N] -> numbers of pieces [N, length], marks among them, then 0."""
    from leadline.graph.builder import Graph

    g = Graph(name)
    pieces = _Pieces(g, vocabulary)
    numbers = pieces.compacted(pieces.characters(g.input(column, np.str_, ["N"])))
    return piece_rows(g, name, pieces.matched(numbers), vocabulary.marks, length, dtype)


class _Pieces:
    """Parts of the graph. L: the characters of the longest row of the batch, made normal."""

    def __init__(self, g: Graph, vocabulary: Vocabulary) -> None:
        self.g, self.vocabulary = g, vocabulary
        self.axis, self.zero, self.one = g.const(np.array([1], np.int64)), self.whole(0), self.whole(1)

    def whole(self, value: int) -> str:
        return str(self.g.const(np.int64(value)))

    def pads(self, before: int, after: int) -> str:
        return str(self.g.const(np.array([0, before, 0, after], np.int64)))

    def slice(self, x: str, start: int, end: int | str) -> str:
        end = end if isinstance(end, str) else self.g.const(np.array([end], np.int64))
        return str(self.g.op("Slice", x, self.g.const(np.array([start], np.int64)), end, self.axis))

    def count(self, flags: str) -> str:
        """How many were true until here."""
        return str(self.g.op("CumSum", self.g.op("Cast", flags, to=7), self.one))

    def characters(self, text: str) -> str:
        """int64 [N, characters]: packed numbers; -1 of one that is not in the table."""
        g = self.g
        signs = g.op(
            "Tokenizer", text, domain="com.microsoft", mark=0, mincharnum=1, pad_value="", separators=[""],
        )  # fmt: skip
        table = self.vocabulary.table
        packed = g.op(
            "LabelEncoder", signs, domain="ai.onnx.ml",
            keys_strings=["", *table], values_int64s=[NONE, *table.values()], default_int64=-1,
        )  # fmt: skip
        # Regular expressions read the few others; one more, as no operator takes an empty batch of strings.
        found = g.op("Transpose", g.op("NonZero", g.op("Less", packed, self.zero)), perm=[1, 0])
        unknown = g.op("Concat", g.op("GatherND", signs, found), g.const(np.array(["?"], object)), axis=0)
        alone, private = (g.op("RegexFullMatch", unknown, pattern=_pattern(ranges)) for ranges in (IDEOGRAPHS, PRIVATE))
        others = g.op("Where", alone, self.whole(ALONE), g.op("Where", private, self.zero, self.whole(LETTER)))
        few = g.op("Slice", others, g.const(np.array([0], np.int64)), g.op("Shape", found, start=0, end=1))
        return str(g.op("ScatterND", packed, found, few))

    def compacted(self, packed: str) -> str:
        """int64 [N, L]: each character's one to three numbers in a row, without those that say nothing."""
        g, base = self.g, self.whole(PACK)
        packed = g.op("Pad", packed, self.pads(0, 1), self.zero)  # of empty texts no number is all there is
        parts, rest = [], packed
        for _ in range(3):
            parts.append(g.op("Unsqueeze", g.op("Mod", rest, base), g.const(np.array([2], np.int64))))
            rest = g.op("Div", rest, base)
        flat = g.op("Reshape", g.op("Concat", *parts, axis=2), g.const(np.array([0, -1], np.int64)))
        held = g.op("Greater", flat, self.zero)
        place = g.op("Where", held, self.count(held), self.zero)
        longest = g.op("Reshape", g.op("ReduceMax", place, keepdims=0), self.axis)
        shape = g.op("Concat", g.op("Shape", flat, start=0, end=1), g.op("Add", longest, self.axis), axis=0)
        empty = g.op("Expand", self.zero, shape)
        made = g.op("ScatterElements", empty, place, flat, axis=1, reduction="max")
        # A last column of nothing: a batch of empty texts still has a place, and every word an end.
        return str(g.op("Pad", self.slice(made, 1, np.iinfo(np.int64).max), self.pads(0, 1), self.zero))

    def matched(self, numbers: str) -> tuple[str, str]:
        """Which characters begin a piece, bool [N, L], and the number of the piece, int64 [N, L]."""
        g = self.g
        is_alone = np.zeros(FIRST + len(self.vocabulary.characters), np.bool_)
        is_alone[self.vocabulary.alone] = True
        part = g.op("Greater", numbers, self.whole(SPACE))
        alone = g.op("Gather", g.const(is_alone), numbers)
        letter = g.op("And", part, g.op("Not", alone))
        before = g.op("Pad", letter, self.pads(1, -1), g.const(np.bool_(False)))
        begins = g.op("And", part, g.op("Not", g.op("And", letter, before)))
        best = self._longest(numbers, part, letter, begins)
        length, piece = g.op("Div", best, self.whole(ROOM)), g.op("Mod", best, self.whole(ROOM))
        visited = g.op("And", self._visited(begins, length), part)
        unknown = self._unknown(g.op("And", visited, g.op("Equal", length, self.zero)), part, begins)
        emitted = g.op("And", visited, g.op("Or", g.op("Not", unknown), begins))
        return str(emitted), str(
            g.op("Where", unknown, self.whole(self.vocabulary.pieces[self.vocabulary.unknown]), piece)
        )

    def _longest(self, numbers: str, part: str, letter: str, begins: str) -> str:
        """int64 [N, L]: of the longest piece that begins here, its length times ROOM, and its number; 0 for none.

        Stretches within a word are few: they are looked up in a row, and the longest is kept.
        """
        g = self.g
        keys, values, most = _hashes(self.vocabulary)
        wide = g.op("Pad", numbers, self.pads(0, most), self.zero)
        letters = g.op("Pad", letter, self.pads(0, most), g.const(np.bool_(False)))
        width, base, flat = g.op("Shape", numbers, start=1, end=2), self.whole(BASE), g.const(np.array([-1], np.int64))
        value = g.op("Where", begins, self.zero, self.whole(SALT))
        places, queries, inside = [], [], part
        for order in range(1, most + 1):
            end = g.op("Add", width, g.const(np.array([order - 1], np.int64)))
            value = g.op("Add", g.op("Mul", value, base), self.slice(wide, order - 1, end))
            if order > 1:
                inside = g.op("And", letter if order == 2 else inside, self.slice(letters, order - 1, end))
            places.append(g.op("Reshape", g.op("NonZero", g.op("Reshape", inside, flat)), flat))
            queries.append(g.op("Gather", g.op("Reshape", value, flat), places[-1]))
        found = g.table(g.op("Concat", *queries, axis=0), keys, values, 0)
        empty = g.op("Reshape", g.op("Mul", numbers, self.zero), flat)
        best = g.op("ScatterElements", empty, g.op("Concat", *places, axis=0), found, axis=0, reduction="max")
        return str(g.op("Reshape", best, g.op("Shape", numbers)))

    def _visited(self, begins: str, length: str) -> str:
        """bool [N, L]: the characters that the greedy match comes to, by pointers of twice the length in each step."""
        g = self.g
        places = g.op("Sub", self.count(g.op("GreaterOrEqual", length, self.zero)), self.one)
        pointer = g.op("Add", places, length)
        visited = g.op("Cast", begins, to=7)
        for step in range(JUMPS):
            visited = g.op("ScatterElements", visited, pointer, visited, axis=1, reduction="max")
            if step < JUMPS - 1:
                pointer = g.op("GatherElements", pointer, pointer, axis=1)
        return str(g.op("Greater", visited, self.zero))

    def _unknown(self, stuck: str, part: str, begins: str) -> str:
        """bool [N, L]: characters of words in which the match came to no piece, or that are too long."""
        g = self.g
        word = g.op("Where", part, self.count(begins), self.zero)
        ones = g.op("Cast", part, to=7)
        empty = g.op("Mul", word, self.zero)  # no row has more words than characters
        shape = g.op("Pad", empty, self.pads(0, 1), self.zero)
        lengths = g.op("ScatterElements", shape, word, ones, axis=1, reduction="add")
        stuck = g.op("ScatterElements", shape, word, g.op("Cast", stuck, to=7), axis=1, reduction="max")
        bad = g.op("Or", g.op("Greater", lengths, self.whole(LONGEST_WORD)), g.op("Greater", stuck, self.zero))
        return str(g.op("GatherElements", bad, word, axis=1))


def _pattern(ranges: tuple[tuple[int, int], ...]) -> str:
    return "[" + "".join(f"\\x{{{low:X}}}-\\x{{{high:X}}}" for low, high in ranges) + "]"


def _hashes(vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray, int]:
    """Hashes of the pieces, their values (length times ROOM, and number), and the characters of the longest."""
    keys, values, most = [], [], 1
    for piece, number in vocabulary.pieces.items():
        goes_on = piece.startswith(PREFIX) and len(piece) > len(PREFIX)
        signs = piece.removeprefix(PREFIX) if goes_on else piece
        key = SALT if goes_on else 0
        for sign in signs:
            key = (key * BASE + vocabulary.characters[sign]) % (1 << 64)
        keys.append(key)
        values.append(len(signs) * ROOM + number)
        most = max(most, len(signs))
    found = np.array(keys, np.uint64).view(np.int64)
    assert len(np.unique(found)) == len(found) and (found != 0).all()
    return found, np.array(values, np.int64), most
