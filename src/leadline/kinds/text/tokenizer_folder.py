"""The tokenizer of a model in a folder, as a graph: tokenizer.json as the `tokenizers` library writes it.

Enters: a folder. Leaves: what cuts raw strings into the pieces that the model was trained on (`PieceReader`), in
operators of ONNX Runtime: word pieces (`wordpiece.py`), a unigram model (`unigram.py`) or byte pairs (`byte_pairs.py`).
A mark such as "[SEP]" in a text is text. A tokenizer that does anything else is refused, and each one cuts a set of odd
texts as the library does, or is refused too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from leadline.kinds.body_folder import FolderError, configuration
from leadline.kinds.byte_letters import byte_letters
from leadline.kinds.text.byte_pairs import BytePairs
from leadline.kinds.text.piece_rows import Marks
from leadline.kinds.text.spelling import BAR
from leadline.kinds.text.unigram import LONGEST_PIECE, Unigram
from leadline.kinds.text.wordpiece import Vocabulary
from leadline.kinds.transformers_folder import TOKENIZER, tokenizer

# Normalisers that turn each character into others, or two that stand together.
BY_CHARACTER = ("Precompiled", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt")
QUOTES = ("``", "''")  # that Replace makes one sign of
OTHERWISE = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges")
COLLAPSED = {" {2,}": "spaces", "\\s{2,}|[\\n\\r\\t]": "white"}
ODD = (
    "A made-up text.", "another 1", "", " ", "  two  spaces ", "don't we'll I'VE it's!'s 's ''s\t's\n's",
    "a\n\nb\t\tc \n d", "na\u00efve caf\u00e9 \u00c9COLE e\u0301", "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\U0001f642\U0001f44d\U0001f3fd \u200d\u2764",
    "123 4567 12.5% $99,999", "x" * 300, "\u00a1\u00bf\u00ab\u00bb\u2014\u2026\u201c\u201d \u338f \ufb01 \u2167 \u00bd",
    "\u00a0nbsp\u2003em\u200bzero\ufeffbom", "\u0627\u0644\u0639\u0631\u0628 \u0939\u093f\u0928\u094d\u0926\u0940",
    "<s> </s> <mask> [CLS] <pad>", "MiXeD CaSe WORDS", "http://www.a-b.com/?q=1&r=2", "\r\nwin\r\n", "a_b-c's",
    "\u00df \u017f \u0130", "``quoted'' text", "...", " '", "\ud55c\uad6d\uc5b4 \uc870\uc120", "a long text, " * 40,
)  # fmt: skip


class PieceReader(Protocol):
    """What cuts texts into pieces."""

    @property
    def first(self) -> int:
        """What is added to the numbers of the model, so that no piece of a text is 0."""

    @property
    def count(self) -> int:
        """Rows of a table of embeddings that has one for every piece."""

    def graph(self, column: str, length: int, dtype: Any, name: str) -> Any:
        """The graph: string [N] -> numbers of pieces [N, length], 0 behind the end."""


def read_pieces(folder: Path) -> PieceReader:
    """The tokenizer in a folder. Raises FolderError where it has none that can be written as a graph."""
    return _read(_facts(folder, _state(folder)))


def same_pieces(reader: PieceReader, folder: Path, length: int, texts: tuple[str, ...] = ODD) -> None:
    """Raise FolderError where the graph cuts a text in another way than the library."""
    from leadline.graph.runtime import Session

    library = _library(json.loads(_facts(folder, _state(folder))))
    library.enable_truncation(length)
    found = Session(reader.graph("text", length, np.int32, "pieces")).only({"text": np.array(texts, object)})
    for text, row in zip(texts, found, strict=True):
        expected = [number + reader.first for number in library.encode(text).ids]
        if expected and row[row > 0].tolist() != expected:
            raise FolderError(
                f"has a tokenizer that cuts {text[:40]!r} in another way than the file would: it cannot be used."
            )


def _library(facts: dict[str, Any]) -> Any:
    """The same as the library runs it; a mark in a text is text."""
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps({**_unmarked(facts), "truncation": None, "padding": None}))


def _unmarked(facts: dict[str, Any]) -> dict[str, Any]:
    """Without the marks that the library looks for in texts, and those of a unigram model under names no text has."""
    model = facts["model"]
    if model["type"] == "Unigram":
        marks = {each["content"] for each in facts.get("added_tokens") or () if each["special"]}
        names = (
            (f"{BAR}{number}" if piece in marks else piece, score)
            for number, (piece, score) in enumerate(model["vocab"])
        )
        model = {**model, "vocab": list(names)}
    return {**facts, "model": model, "added_tokens": []}


@lru_cache(maxsize=4)
def _facts(folder: Path, state: tuple[tuple[str, int, int], ...]) -> str:
    """JSON of the tokenizer: that of the folder, else what transformers makes of its other files."""
    path = folder / TOKENIZER
    return json.dumps(configuration(path)) if path.is_file() else tokenizer(folder)


def _state(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """What the files of a folder are, without reading them: the key of what was made of them."""
    files = sorted(each for each in folder.iterdir() if each.is_file())
    return tuple((each.name, (facts := each.stat()).st_size, facts.st_mtime_ns) for each in files)


@lru_cache(maxsize=4)  # its characters take seconds, and every fold and every column asks for it
def _read(held: str) -> PieceReader:
    facts = json.loads(held)
    try:
        model = facts["model"]
        readers = {"WordPiece": _word_pieces, "Unigram": _unigram, "BPE": _byte_pairs}
        if (kind := model.get("type")) not in readers:
            raise FolderError(
                f"has a tokenizer of type {kind!r}, where one of {', '.join(readers)} can be written as a graph."
            )
        return readers[kind](facts)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise FolderError(f"has a {TOKENIZER} that cannot be read ({type(error).__name__}: {error}).") from error


def _marks(facts: dict[str, Any], first: int) -> Marks:
    """What the library puts before and behind a text."""
    library = _library(facts)
    bare, marked = (library.encode("a", add_special_tokens=each).ids for each in (False, True))
    place = next((at for at in range(len(marked) + 1) if marked[at : at + len(bare)] == bare), None)
    if place is None:
        raise _unknown(facts, "post_processor")
    begin, end = (tuple(number + first for number in each) for each in (marked[:place], marked[place + len(bare) :]))
    return Marks(begin=begin, end=end, empty=first or 1)


def _first(facts: dict[str, Any]) -> int:
    """0 where the model's piece 0 is its padding, which no text has."""
    pieces = facts["model"]["vocab"]
    name = pieces[0][0] if isinstance(pieces, list) else next((each for each in pieces if pieces[each] == 0), "")
    return int(name.strip("<[]>").lower() != "pad")


def _unknown(facts: dict[str, Any], part: str) -> FolderError:
    said = facts.get(part)
    kind = said.get("type") if isinstance(said, Mapping) else said
    return FolderError(f"has a tokenizer whose {part} ({kind}) cannot be written as a graph.")


def _parts(step: Any, inner: str) -> list[Any]:
    """The steps of a sequence, or the one step."""
    if step is None:
        return []
    return [part for each in step[inner] for part in _parts(each, inner)] if step["type"] == "Sequence" else [step]


def _word_pieces(facts: dict[str, Any]) -> PieceReader:
    model, steps = facts["model"], _parts(facts.get("normalizer"), "normalizers")
    if [step["type"] for step in steps] != ["BertNormalizer"] or not (
        steps[0].get("clean_text", True) and steps[0].get("handle_chinese_chars", True)
    ):
        raise _unknown(facts, "normalizer")
    if [step["type"] for step in _parts(facts.get("pre_tokenizer"), "pretokenizers")] != ["BertPreTokenizer"]:
        raise _unknown(facts, "pre_tokenizer")
    if model.get("continuing_subword_prefix", "##") != "##" or model.get("max_input_chars_per_word", 100) != 100:
        raise _unknown(facts, "model")
    first = _first(facts)
    return Vocabulary(
        pieces={piece: number + first for piece, number in model["vocab"].items()}, first=first,
        lowercase=steps[0]["lowercase"], accents=steps[0].get("strip_accents"), unknown=model["unk_token"],
        marks=_marks(facts, first),
    )  # fmt: skip


def _byte_pairs(facts: dict[str, Any]) -> PieceReader:
    model, steps = facts["model"], _parts(facts.get("pre_tokenizer"), "pretokenizers")
    if [step["type"] for step in steps] != ["ByteLevel"] or not steps[0].get("use_regex", True):
        raise _unknown(facts, "pre_tokenizer")
    if any(model.get(name) for name in OTHERWISE) or not {*byte_letters()} <= model["vocab"].keys():
        raise _unknown(facts, "model")
    normalizing = _parts(facts.get("normalizer"), "normalizers")
    if not all(_by_character(step) for step in normalizing):
        raise _unknown(facts, "normalizer")
    first = _first(facts)
    pairs = (tuple(each.split(" ")) if isinstance(each, str) else tuple(each) for each in model["merges"])
    return BytePairs(
        pieces=model["vocab"], merges=tuple((one, two) for one, two in pairs), first=first,
        marks=_marks(facts, first), normalizer=_normalizer(facts, normalizing),
        space=bool(steps[0].get("add_prefix_space")),
    )  # fmt: skip


def _unigram(facts: dict[str, Any]) -> PieceReader:
    model, first = _unmarked(facts)["model"], _first(facts)
    steps = _parts(facts.get("pre_tokenizer"), "pretokenizers")
    kinds = [step["type"] for step in steps]
    if kinds not in (["Metaspace"], ["WhitespaceSplit", "Metaspace"]) or steps[-1]["replacement"] != "\u2581":
        raise _unknown(facts, "pre_tokenizer")
    if model.get("byte_fallback") or model.get("unk_id") is None:
        raise _unknown(facts, "model")
    space = steps[-1]
    before = space.get("prepend_scheme") or ("always" if space.get("add_prefix_space", True) else "never")
    made = Unigram(
        scores={piece: float(score) for piece, score in model["vocab"]}, unknown=model["unk_id"], first=first,
        marks=_marks(facts, first), normalizer=None, collapses="", strips=(False, False), words=len(steps) > 1,
        before=before, splits=space.get("split", True),
    )  # fmt: skip
    if len(made.scores) != len(model["vocab"]) or max(map(len, made.scores)) > LONGEST_PIECE:
        raise _unknown(facts, "model")
    single = []
    for step in _parts(facts.get("normalizer"), "normalizers"):
        pattern, kind = step.get("pattern") or {}, step["type"]
        if _by_character(step):
            single.append(step)
        elif kind == "Strip":
            made = replace(made, strips=(step["strip_left"], step["strip_right"]))
        elif kind == "Replace" and pattern.get("Regex") in COLLAPSED and step["content"] in (" ", space["replacement"]):
            made = replace(made, collapses=COLLAPSED[pattern["Regex"]])
        else:
            raise _unknown(facts, "normalizer")
    return replace(made, normalizer=_normalizer(facts, single))


def _by_character(step: Mapping[str, Any]) -> bool:
    """Whether a normaliser turns each character, or two that stand together, into others."""
    return step["type"] in BY_CHARACTER or (
        step["type"] == "Replace" and (step.get("pattern") or {}).get("String") in QUOTES
    )


def _normalizer(facts: dict[str, Any], steps: list[Any]) -> Any:
    """Of the library; None where there are no steps."""
    from tokenizers import Tokenizer

    if not steps:
        return None
    sequence = {"type": "Sequence", "normalizers": steps}
    return Tokenizer.from_str(json.dumps({**facts, "normalizer": sequence, "added_tokens": []})).normalizer
