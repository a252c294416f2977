"""Values in one canonical form, whichever reader read them: few types in a frame, before any kind sees them.

Enters: a lazy frame as a reader made it. Leaves: the same with these types, and no others, in scalar columns:

    text       from text, categories and enumerations; composed (Unicode NFC), null where empty
    numbers    whole ones as they are, DECIMAL and integers beyond 64 bits as float64
    moments    dates, and datetimes in milliseconds, in UTC where they know their zone
    truth      booleans

Names of columns are composed too. Lists, bytes and structs of media stay as they are, and so do paths of files, which
must be spelled as the disk spells them.

    >>> plain(pl.LazyFrame({"é": pl.Series(["e\\u0301", ""], dtype=pl.Categorical)})).collect().to_dict(as_series=False)
    {'é': ['é', None]}
"""

import unicodedata
from collections.abc import Callable, Collection

import polars as pl

__all__ = ["composed", "is_pattern", "named", "plain", "unplain_columns"]

TEXT = (pl.String, pl.Categorical, pl.Enum)
WIDE = (pl.UInt64, pl.Int128, pl.UInt128)
LOOKED_AT = r"[^\x00-\x7F]|^$"  # what may have to be changed
MOST_VALUES = 2**22  # scanned together: to open a file of thousands of columns for some of them takes a moment


def composed(text: str) -> str:
    """Text in Unicode's normal form C: one é, whether a Mac or another system wrote it."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def named(column: str) -> str:
    """The name of a column as every stage has it: composed, and none that polars reads as a pattern of names.

    >>> named("*"), named("^a.*$"), named("a*")
    ('column *', 'column ^a.*$', 'a*')
    """
    return f"column {composed(column)}" if is_pattern(column) else composed(column)


def is_pattern(name: str) -> bool:
    """Whether polars takes this for all columns, or for those that a regular expression finds."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))


def plain(
    frame: pl.LazyFrame, keep: Collection[str] = (), unplain: Collection[str] | None = None
) -> pl.LazyFrame:  # fmt: skip
    """The frame with its values in canonical form.

    Args:
        keep: columns that stay unchanged: those of media.
        unplain: the text columns that have to be changed (default: found by a scan).
    """
    schema = frame.collect_schema()
    if unplain is None:
        unplain = unplain_columns(frame, keep)
    changed = [
        values.alias(name)
        for name, dtype in schema.items()
        if name not in keep and (values := _cell(name, dtype, name in unplain)) is not None
    ]
    names = {name: composed(name) for name in schema}
    renamed = {old: new for old, new in names.items() if old != new and new not in schema}
    frame = frame.with_columns(changed) if changed else frame
    return frame.rename(renamed) if renamed else frame


def _cell(name: str, dtype: pl.DataType, unplain: bool) -> pl.Expr | None:
    """A column in canonical form; None where it has that already."""
    column = pl.col(name)
    if dtype in TEXT:
        text = column if dtype == pl.String else column.cast(pl.String)
        if unplain:
            text = text.str.normalize("NFC")
            return pl.when(text != "").then(text)
        return None if dtype == pl.String else text
    if isinstance(dtype, pl.Decimal) or dtype in WIDE:
        return column.cast(pl.Float64)
    if isinstance(dtype, pl.Datetime):
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if dtype.time_zone else column
        return column if dtype.time_zone is None and dtype.time_unit == "ms" else column.cast(pl.Datetime("ms"))
    return None


def unplain_columns(frame: pl.LazyFrame, keep: Collection[str] = ()) -> list[str]:
    """The text columns that have a value which is not composed, or empty."""
    names = [name for name, dtype in frame.collect_schema().items() if dtype in TEXT and name not in keep]
    if not names:
        return []
    rows = int(frame.select(pl.len()).collect().item())
    step, unplain = max(1, MOST_VALUES // max(1, rows)), list[str]()
    for some in (names[start : start + step] for start in range(0, len(names), step)):
        few = _those(frame, some, lambda column: column.str.contains(LOOKED_AT).any())
        unplain += _those(frame, few, lambda column: ((column.str.normalize("NFC") != column) | (column == "")).any())
    return unplain


def _those(frame: pl.LazyFrame, names: list[str], predicate: Callable[[pl.Expr], pl.Expr]) -> list[str]:
    if not names:
        return []
    answers = (
        frame.select(predicate(pl.col(name).cast(pl.String)).alias(name) for name in names).collect().row(0, named=True)
    )
    return [name for name in names if answers[name]]
