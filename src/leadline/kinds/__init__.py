"""Every kind of column, in the order in which they are tried on an unknown one. A new one is a line here."""

import polars as pl

from leadline.core.kind import Kind, Scale
from leadline.kinds.audio.kind import Audio
from leadline.kinds.category import Category
from leadline.kinds.image.kind import Image
from leadline.kinds.number import Number
from leadline.kinds.series.kind import Series
from leadline.kinds.tags import Tags
from leadline.kinds.text.kind import Text
from leadline.kinds.time import Time
from leadline.kinds.tokens import Tokens

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (Audio(), Image(), Series(), Number(), Time(), Tags(), Text(), Category(), Tokens())
}
FORMER = {kind.formerly: name for name, kind in KINDS.items() if kind.formerly}  # names of earlier versions
FALLBACK = Category.name  # of columns that no kind reads: the target, and those left out
PLAIN = Number.name  # the kind of numbers as programs write them
CORPUS = Tokens.name  # the kind of a text corpus, which no value looks like


def stated_by(dtype: pl.DataType) -> str | None:
    """The kind of values of a type that can be nothing else."""
    return next((name for name, kind in KINDS.items() if kind.states(dtype)), None)


def is_corpus(kinds: "dict[str, str]") -> bool:
    """Whether one of these columns {name: kind} is a text corpus."""
    return any(KINDS[kind].corpus for kind in kinds.values())


__all__ = ["CORPUS", "FALLBACK", "FORMER", "KINDS", "PLAIN", "Kind", "Scale", "is_corpus", "stated_by"]
