"""Characters of texts as numbers, by a normaliser of the `tokenizers` library, in plain operators of ONNX Runtime.

Enters: strings. Leaves: numbers [N, L], 0 behind the end. What becomes of a character (none, one or several numbers) is
asked of the library when the graph is built, and so is what becomes of two that stand together: letters and accents
that are composed, or two quotes that are one. Longer sequences (a letter with two loose accents) are read in pairs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from leadline.graph.builder import Graph

BAR = "\uffff"  # no character: it stands between those that are made normal at once
CODES = (range(1, 0x32000), range(0xE0000, 0xE0200))  # where characters are assigned
QUOTES = ("``", "''")
PAIR = 1 << 20  # above the place of every character in the table
NONE, OTHER = 0, 1  # places in the table: of no character, and of all that are not in it

Numbers = tuple[int, ...]


@cache
def signs() -> tuple[str, ...]:
    """All characters that a table may have."""
    every = (chr(code) for codes in CODES for code in codes)
    return tuple(sign for sign in every if unicodedata.category(sign) not in ("Cn", "Co", "Cs"))


@cache
def composed() -> tuple[str, ...]:
    """Pairs of characters that may become one."""
    parts = (unicodedata.decomposition(sign) for sign in signs())
    pairs = ("".join(chr(int(code, 16)) for code in each.split()) for each in parts if each and "<" not in each)
    return (*QUOTES, *sorted({pair for pair in pairs if len(pair) == 2}))


def normal(texts: Iterable[str], normalizer: Any) -> list[str]:
    """What becomes of each; at once, since a million calls take seconds."""
    texts = list(texts)
    if normalizer is None:
        return texts
    found: list[str] = normalizer.normalize_str(BAR.join(texts)).split(BAR)
    assert len(found) == len(texts)
    return found


def tables(
    normalizer: Any, numbers: Callable[[str], Numbers], known: Iterable[str] = ()
) -> tuple[dict[str, Numbers], dict[str, Numbers]]:
    """{character: its numbers} and {two characters: theirs}; what is in neither is as `numbers` of a letter unseen.

    Args:
        numbers: of a text that is normal.
        known: characters that are in the table too, such as those of private use that a piece has.
    """
    all_signs, unseen = tuple(dict.fromkeys((*signs(), *known))), numbers(BAR)
    single = dict(zip(all_signs, map(numbers, normal(all_signs, normalizer)), strict=True))
    pairs = composed()
    both = {
        pair: found
        for pair, text in zip(pairs, normal(pairs, normalizer), strict=True)
        if (found := numbers(text)) != single[pair[0]] + single[pair[1]]
    }
    paired = {sign for pair in both for sign in pair}
    return {sign: found for sign, found in single.items() if found != unseen or sign in paired}, both


def spelled(
    g: Graph, text: str, single: Mapping[str, Numbers], both: Mapping[str, Numbers], unseen: Numbers, most: int
) -> str:  # fmt: skip
    """int64 [N, L]: the numbers of the first `most` characters of the strings [N], in a row."""
    place = {sign: number for number, sign in enumerate(single, start=OTHER + 1)}
    rows = [(), unseen, *single.values(), *both.values()]
    pairs = {
        place[pair[0]] * PAIR + place[pair[1]]: number for number, pair in enumerate(both, start=len(place) + OTHER + 1)
    }
    cut = g.op("Tokenizer", text, domain="com.microsoft", mark=0, mincharnum=1, pad_value="", separators=[""])
    cut = g.op("Slice", cut, *(g.const(np.array([each], np.int64)) for each in (0, most, 1)))
    where = g.op(
        "LabelEncoder", cut, domain="ai.onnx.ml", keys_strings=["", *place], values_int64s=[NONE, *place.values()],
        default_int64=OTHER,
    )  # fmt: skip
    zero = g.const(np.int64(0))
    # Of empty texts no number is all there is; and the last character stands before nothing.
    where = g.op("Pad", where, g.const(np.array([0, 0, 0, 1], np.int64)), zero)
    return _laid_out(g, _joined(g, where, pairs) if pairs else where, rows)


def looked_up(g: Graph, values: Sequence[int] | np.ndarray, where: str) -> str:
    """int64: the values at places of any shape; they are stored in as few bytes as hold them."""
    array = np.asarray(values, np.int64)
    small = next(each for each in (np.int8, np.int16, np.int32, np.int64) if array.max() <= np.iinfo(each).max)
    return str(g.op("Cast", g.op("Gather", g.const(array.astype(small)), where), to=7))


def _joined(g: Graph, where: str, pairs: Mapping[int, int]) -> str:
    """Places, in which the first of two characters that stand together has that of the pair, and the second none."""
    zero, one = g.const(np.int64(0)), g.const(np.int64(1))
    after = g.op("Pad", where, g.const(np.array([0, -1, 0, 1], np.int64)), zero)
    keys = g.op("Add", g.op("Mul", where, g.const(np.int64(PAIR))), after)
    found = g.table(keys, np.array(list(pairs), np.int64), np.array(list(pairs.values()), np.int64), 0)
    # Where pairs overlap, each second one counts: those at an even distance from the first of their run.
    is_pair = g.op("Greater", found, zero)
    count = g.op("CumSum", g.op("Cast", is_pair, to=7), one)
    places = g.op("CumSum", g.op("Cast", g.op("GreaterOrEqual", where, zero), to=7), one)
    outside = g.op("Sub", places, count)  # characters until here that begin no pair: the same within a run
    before = g.op("Pad", g.op("Cast", g.op("Not", is_pair), to=7), g.const(np.array([0, 1, 0, -1], np.int64)), one)
    starts = g.op("And", is_pair, g.op("Greater", before, zero))
    shape = g.op("Add", g.op("Shape", where), g.const(np.array([0, 1], np.int64)))
    run = g.op("ScatterElements", g.op("Expand", zero, shape), outside, g.op("Where", starts, places, zero), axis=1,
               reduction="max")  # fmt: skip
    distance = g.op("Sub", places, g.op("GatherElements", run, outside, axis=1))
    taken = g.op("And", is_pair, g.op("Equal", g.op("Mod", distance, g.const(np.int64(2))), zero))
    second = g.op("Pad", g.op("Cast", taken, to=7), g.const(np.array([0, 1, 0, -1], np.int64)), zero)
    kept = g.op("Where", g.op("Greater", second, zero), zero, where)
    return str(g.op("Where", taken, found, kept))


def _laid_out(g: Graph, where: str, rows: list[Numbers]) -> str:
    """int64 [N, L]: the numbers of each place [N, C], in a row; 0 behind the last."""
    lengths = [len(row) for row in rows]
    flat = [number for row in rows for number in row] or [0]
    begins = np.cumsum(lengths) - lengths
    zero, one, axis = g.const(np.int64(0)), g.const(np.int64(1)), g.const(np.array([1], np.int64))
    length = looked_up(g, lengths, where)
    some = g.op("Greater", length, zero)
    rank = g.op("Where", some, g.op("CumSum", g.op("Cast", some, to=7), one), zero)  # among the kept ones, from 1
    begin = g.op("Sub", g.op("CumSum", length, one), length)
    last = g.op("ReduceMax", g.op("CumSum", length, one), keepdims=0)
    count = g.op("Shape", where, start=0, end=1)
    # Each kept character writes a flag where its numbers begin; counted, the flags say whose number a place is.
    wide = g.op("Concat", count, g.op("Add", g.op("Reshape", last, axis), axis), axis=0)
    flags = g.op("ScatterElements", g.op("Expand", zero, wide), g.op("Where", some, begin, last),
                 g.op("Cast", some, to=7), axis=1, reduction="max")  # fmt: skip
    owner = g.op("CumSum", flags, one)
    compact = g.op("Expand", zero, g.op("Add", g.op("Shape", where), g.const(np.array([0, 1], np.int64))))
    kept, starts = (
        g.op("GatherElements", g.op("ScatterElements", compact, rank, values, axis=1, reduction="max"), owner, axis=1)
        for values in (where, g.op("Where", some, begin, zero))
    )
    places = g.op("Sub", g.op("CumSum", g.op("Expand", one, wide), one), one)
    inside = g.op("Sub", places, starts)
    there = g.op("Less", inside, looked_up(g, lengths, kept))
    at = g.op("Where", there, g.op("Add", looked_up(g, begins, kept), inside), zero)
    return str(g.op("Where", there, looked_up(g, flat, at), zero))
