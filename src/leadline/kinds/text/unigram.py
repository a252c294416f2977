"""Pieces of a unigram model from the raw spelling, in plain operators of ONNX Runtime: the likeliest cut of each word.

Enters: strings. Leaves: numbers of pieces (Kudo 2018, 'Subword Regularization'; the algorithm is that of the
`tokenizers` library, in the same arithmetic, so that equal scores are decided alike).

A stretch of a word is found by a polynomial hash modulo 2^64 of its characters, in one table. The best score at each
character is that of a piece which ends there and the best score where it begins: one step of a scan over characters,
all rows at once. The pieces are then found from the ends of words, by pointer jumping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.kinds.text.piece_rows import Marks, piece_rows
from leadline.kinds.text.spelling import BAR, NONE, Numbers, spelled, tables

if TYPE_CHECKING:
    from leadline.graph.builder import Graph

SPACE = "\u2581"  # how the pieces write the space before a word
# Numbers of characters: what stands between words, what is in no piece, SPACE, a space as it is written, other white
# space that is in no piece; then those that pieces have.
SEPARATOR, UNSEEN, BEFORE, BLANK, WHITE, FIRST = 1, 2, 3, 4, 5, 6
LINES = "\n\r\t"
WHITES = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | set(map(chr, range(0x2000, 0x200B)))
BASE = -7046029254386353131  # odd, of 64 bits
PENALTY = 10.0  # of a character that no piece has, below the least score
JUMPS = 11
MOST = 1 << JUMPS  # characters of a text that are read: eight times the pieces that are
LONGEST_PIECE = 64  # characters; a model with longer ones is not read


@dataclass(frozen=True, kw_only=True, eq=False)
class Unigram:
    """Pieces with their scores, and how a text is made normal and cut into words."""

    scores: Mapping[str, float]  # in the order of their numbers
    unknown: int
    first: int  # what is added to the numbers of the model, so that no piece of a text is 0
    marks: Marks
    normalizer: Any  # of the tokenizers library; None: texts stay as they are
    collapses: str  # 'spaces': several are one; 'white': so is any white space, and line ends are spaces; or ''
    strips: tuple[bool, bool]  # space at the beginning and the end
    words: bool  # only what stands between spaces is read
    before: str  # where a SPACE is put: always (before every word), first (before the text) or never
    splits: bool  # no piece goes over the beginning of a word

    @property
    def count(self) -> int:
        return len(self.scores)

    @cached_property
    def longest(self) -> int:
        """Characters of the longest piece."""
        return max(len(piece) for piece in self.scores)

    @cached_property
    def alphabet(self) -> dict[str, int]:
        """{character that a piece has: its number}."""
        found = {sign for piece in self.scores for sign in piece} - {SPACE, BAR, " "}
        return {SPACE: BEFORE} | {sign: number for number, sign in enumerate(sorted(found), start=FIRST)}

    @cached_property
    def spelling(self) -> tuple[dict[str, Numbers], dict[str, Numbers]]:
        """What becomes of characters, and of pairs of them."""
        return tables(self.normalizer, self._numbers, known=self.alphabet)

    def _numbers(self, text: str) -> Numbers:
        return tuple(self._number(sign) for sign in text)

    def _number(self, sign: str) -> int:
        if sign in WHITES and self.words:
            return SEPARATOR
        if sign == " " or (sign in LINES and self.collapses == "white"):
            return BLANK
        return self.alphabet.get(sign, WHITE if sign in WHITES else UNSEEN)

    def graph(self, column: str, length: int, dtype: Any, name: str) -> Any:
        """The graph: string [N] -> numbers of pieces [N, length]."""
        from leadline.graph.builder import Graph

        g = Graph(name)
        single, both = self.spelling
        numbers = spelled(
            g, g.input(column, np.str_, ["N"]), single, both, (UNSEEN,), most=min(MOST, length * self.longest)
        )
        return piece_rows(g, name, _Cut(g, self).pieces(numbers), self.marks, length, dtype)


class _Cut:
    """Parts of the graph. L: characters of the longest row; M: of the longest piece."""

    def __init__(self, g: Graph, model: Unigram) -> None:
        self.g, self.model = g, model
        self.zero, self.one = self.whole(0), self.whole(1)
        self.longest = model.longest

    def whole(self, value: int) -> str:
        return str(self.g.const(np.int64(value)))

    def moved(self, x: str, by: int, fill: Any) -> str:
        """Every column `by` further to the right."""
        return str(self.g.op("Pad", x, self.g.const(np.array([0, by, 0, -by], np.int64)), self.g.const(fill)))

    def count(self, flags: str) -> str:
        return str(self.g.op("CumSum", self.g.op("Cast", flags, to=7), self.one))

    def pieces(self, numbers: str) -> tuple[str, str]:
        """At which characters a piece ends, bool [N, L], and its number, int64 [N, L]."""
        g = self.g
        numbers = self._spaced(numbers)
        there = g.op("Greater", numbers, self.zero)
        starts = self._starts(numbers, there)
        ids = self._found(numbers, there, starts)
        lengths = self._lengths(ids, starts)
        chosen = g.op("GatherElements", ids, g.op("Unsqueeze", g.op("Sub", self.whole(self.longest), lengths),
                      g.const(np.array([2], np.int64))), axis=2)  # fmt: skip
        piece = g.op("Squeeze", chosen, g.const(np.array([2], np.int64)))
        unknown = g.op("Less", piece, self.zero)
        piece = g.op("Where", unknown, self.whole(self.model.unknown), piece)
        unknown = g.op("Equal", piece, self.whole(self.model.unknown))
        after = g.op("Pad", g.op("Or", starts, g.op("Not", there)), g.const(np.array([0, -1, 0, 1], np.int64)),
                     g.const(np.bool_(True)))  # fmt: skip
        ends = g.op("And", there, after)
        visited = self._visited(ends, lengths)
        # Characters in no piece that stand together within a word are one piece: the last of them.
        joined = g.op("And", unknown, g.op("And", self._next(visited, unknown, lengths), g.op("Not", ends)))
        emitted = g.op("And", g.op("And", visited, there), g.op("Not", joined))
        return str(emitted), str(g.op("Add", piece, self.whole(self.model.first)))

    def _spaced(self, numbers: str) -> str:
        """With a SPACE before words, or before the text, and without the space that is not read."""
        g, model = self.g, self.model
        there = g.op("Greater", numbers, self.zero)
        dropped = g.op("Equal", numbers, self.whole(SEPARATOR))
        blank, white = g.op("Equal", numbers, self.whole(BLANK)), self._white(numbers)
        if model.collapses:
            run = blank if model.collapses == "spaces" else white
            dropped = g.op("Or", dropped, g.op("And", run, self.moved(run, 1, np.bool_(False))))
            several = g.op("And", run, self.moved(run, -1, np.bool_(False)))
            numbers = g.op("Where", several, self.whole(BLANK), numbers)
        seen = self.count(g.op("And", there, g.op("Not", white)))
        last = g.op("ReduceMax", seen, g.const(np.array([1], np.int64)), keepdims=1)
        for strips, edge in zip(model.strips, (self.zero, last), strict=True):
            if strips:
                dropped = g.op("Or", dropped, g.op("And", white, g.op("Equal", seen, edge)))
        kept = g.op("And", there, g.op("Not", dropped))
        order = self.count(kept)
        if model.before == "always" and model.words:
            gap = self.moved(g.op("Equal", numbers, self.whole(SEPARATOR)), 1, np.bool_(True))
            begins = g.op("And", kept, g.op("Or", gap, g.op("Equal", order, self.one)))
        elif model.before == "never":
            begins = g.op("And", kept, g.const(np.bool_(False)))
        else:
            begins = g.op("And", kept, g.op("Equal", order, self.one))
        numbers = g.op("Where", g.op("Equal", numbers, self.whole(BLANK)), self.whole(BEFORE), numbers)
        put = g.op("And", begins, g.op("Not", g.op("Equal", numbers, self.whole(BEFORE))))
        both = [g.op("Where", put, self.whole(BEFORE), self.zero), g.op("Where", kept, numbers, self.zero)]
        axis = g.const(np.array([2], np.int64))
        pairs = g.op("Concat", *(g.op("Unsqueeze", each, axis) for each in both), axis=2)
        flat = g.op("Reshape", pairs, g.const(np.array([0, -1], np.int64)))
        return self._compact(flat)

    def _white(self, numbers: str) -> str:
        """bool [N, L]: what is white space."""
        alphabet = self.model.alphabet
        flags = np.zeros(FIRST + len(alphabet), np.bool_)
        flags[[BLANK, WHITE, *(number for sign, number in alphabet.items() if sign in WHITES)]] = True
        return str(self.g.op("Gather", self.g.const(flags), numbers))

    def _compact(self, flat: str) -> str:
        """Without zeros between numbers, and a last column of zeros."""
        g = self.g
        held = g.op("Greater", flat, self.zero)
        place = g.op("Where", held, self.count(held), self.zero)
        most = g.op("Reshape", g.op("ReduceMax", place, keepdims=0), g.const(np.array([1], np.int64)))
        wide = g.op("Add", most, g.const(np.array([2], np.int64)))
        shape = g.op("Concat", g.op("Shape", flat, start=0, end=1), wide, axis=0)
        made = g.op("ScatterElements", g.op("Expand", self.zero, shape), place, flat, axis=1, reduction="max")
        one, end = g.const(np.array([1], np.int64)), g.const(np.array([np.iinfo(np.int64).max], np.int64))
        return str(g.op("Slice", made, one, end, one))

    def _starts(self, numbers: str, there: str) -> str:
        """bool [N, L]: where a word begins, as the model cuts words."""
        g = self.g
        first = g.op("And", there, g.op("Equal", self.count(there), self.one))
        if not self.model.splits:
            return str(first)
        return str(g.op("Or", first, g.op("Equal", numbers, self.whole(BEFORE))))

    def _found(self, numbers: str, there: str, starts: str) -> str:
        """int64 [N, L, M]: the pieces that end at a character, the longest first; -1 for none."""
        g = self.g
        keys, values = _hashes(self.model)
        flat, axis = g.const(np.array([-1], np.int64)), g.const(np.array([2], np.int64))
        number = self.count(starts)
        places, queries, shape = [], [], g.op("Shape", numbers)
        value, power = g.op("Mul", numbers, self.zero), 1
        for order in range(1, self.longest + 1):
            # The hash of the stretch that ends here grows to the left.
            sign = self.moved(numbers, order - 1, np.int64(0)) if order > 1 else numbers
            value = g.op("Add", value, g.op("Mul", sign, self.whole(power)))
            power = _signed(power * BASE)
            same = there
            if order > 1:
                same = g.op("And", there, g.op("Equal", self.moved(number, order - 1, np.int64(-1)), number))
            places.append(g.op("Reshape", g.op("NonZero", g.op("Reshape", same, flat)), flat))
            queries.append(g.op("Gather", g.op("Reshape", value, flat), places[-1]))
        answers = g.table(g.op("Concat", *queries, axis=0), keys, values, -1)
        empty = g.op("Sub", g.op("Reshape", g.op("Mul", numbers, self.zero), flat), self.one)
        start = g.const(np.array([0], np.int64))
        layers = []
        for place in places:
            size = g.op("Shape", place)
            end = g.op("Add", start, size)
            mine = g.op("Slice", answers, start, end)
            layers.append(g.op("Reshape", g.op("ScatterElements", empty, place, mine, axis=0), shape))
            start = end
        return str(g.op("Concat", *(g.op("Unsqueeze", each, axis) for each in reversed(layers)), axis=2))

    def _lengths(self, ids: str, starts: str) -> str:
        """int64 [N, L]: characters of the last piece of the best cut until here."""
        g, model, most = self.g, self.model, self.longest
        scores = np.append(np.array(list(model.scores.values()), np.float64), -np.inf)
        held = g.op(
            "Gather", g.const(scores), g.op("Where", g.op("Less", ids, self.zero), self.whole(len(scores) - 1), ids)
        )
        least = np.full((1, 1, most), -np.inf)
        least[0, 0, -1] = scores[:-1].min() - PENALTY  # of a character alone that is no piece
        alone = np.zeros((1, 1, most), np.bool_)
        alone[0, 0, -1] = True
        none = g.op("And", g.op("Less", ids, self.zero), g.const(alone))
        held = g.op("Where", none, g.const(least), held)
        by_place = g.op("Transpose", held, perm=[1, 0, 2])
        rows = g.op("Shape", ids, start=0, end=1)
        window = np.full((1, most), -np.inf)
        window[0, -1] = 0.0
        start = g.op("Expand", g.const(window), g.op("Concat", rows, g.const(np.array([most], np.int64)), axis=0))
        begins = g.op("Transpose", starts, perm=[1, 0])
        _, chosen = g.op("Scan", start, by_place, begins, body=_step(most), num_scan_inputs=2, outputs=2)
        return str(g.op("Sub", self.whole(most), g.op("Transpose", chosen, perm=[1, 0])))

    def _visited(self, ends: str, lengths: str) -> str:
        """bool [N, L]: ends of pieces, back from the ends of words, by pointers of twice the length in each step."""
        g = self.g
        pointer = g.op("Pad", self._before(lengths), self.g.const(np.array([0, 1, 0, 0], np.int64)), self.zero)
        visited = g.op("Pad", g.op("Cast", ends, to=7), self.g.const(np.array([0, 1, 0, 0], np.int64)), self.zero)
        for step in range(JUMPS):
            visited = g.op("ScatterElements", visited, pointer, visited, axis=1, reduction="max")
            if step < JUMPS - 1:
                pointer = g.op("GatherElements", pointer, pointer, axis=1)
        return self._without_first(visited)

    def _next(self, visited: str, unknown: str, lengths: str) -> str:
        """bool [N, L]: whether the piece after the one that ends here is unknown; its length says where it begins."""
        g = self.g
        says = g.op("Cast", g.op("And", visited, unknown), to=7)
        empty = g.op("Pad", g.op("Mul", lengths, self.zero), g.const(np.array([0, 1, 0, 0], np.int64)), self.zero)
        made = g.op("ScatterElements", empty, self._before(lengths), says, axis=1, reduction="max")
        return self._without_first(made)

    def _before(self, lengths: str) -> str:
        """Where the piece before the last one ends, counted from 1; 0 before the text."""
        g = self.g
        places = self.count(g.op("GreaterOrEqual", lengths, self.zero))
        return str(g.op("Max", g.op("Sub", places, lengths), self.zero))

    def _without_first(self, flags: str) -> str:
        g = self.g
        axis, end = g.const(np.array([1], np.int64)), g.const(np.array([np.iinfo(np.int64).max], np.int64))
        return str(g.op("Greater", g.op("Slice", flags, axis, end, axis), self.zero))


def _step(most: int) -> Any:
    """One character: best scores of the last M places [N, M] -> those one further, and which piece was the best [N]."""
    from leadline.graph.builder import Graph

    g = Graph("step")
    window = g.input("window", np.float64, ["N", most])
    scores = g.input("scores", np.float64, ["N", most])
    begins = g.input("begins", np.bool_, ["N"])
    one, end = g.const(np.array([1], np.int64)), g.const(np.array([np.iinfo(np.int64).max], np.int64))
    # A word begins with a score of 0, as if it were alone: sums then round alike.
    fresh = np.full((1, most), -np.inf)
    fresh[0, -1] = 0.0
    window = g.op("Where", g.op("Unsqueeze", begins, one), g.const(fresh), window)
    sums = g.op("Add", window, scores)
    best = g.op("ReduceMax", sums, one, keepdims=1)
    chosen = g.op("ArgMax", sums, axis=1, keepdims=0)
    g.output("next", g.op("Concat", g.op("Slice", window, one, end, one), best, axis=1), np.float64, ["N", most])
    g.output("chosen", chosen, np.int64, ["N"])
    return g.model().graph


def _signed(value: int) -> int:
    """A whole number as int64 has it."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def _hashes(model: Unigram) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the pieces, and their numbers."""
    found: dict[int, int] = {}
    for number, piece in enumerate(model.scores):
        if piece:
            key, power = 0, 1
            for sign in reversed(piece):
                key, power = key + model.alphabet.get(sign, NONE) * power, power * BASE
            found[_signed(key)] = number
    return np.array(list(found), np.int64), np.array(list(found.values()), np.int64)
