"""Nested columns of JSON and Parquet, flattened; columns without a usable name get one.

Enters: a frame. Leaves: the same with each struct column replaced by its fields, `address.city` for a field, at any
depth. Encoded media ({bytes, path}) stay whole: their kinds read them. Lists stay too; the table says that no kind
reads them.

    >>> flat(pl.LazyFrame({"at": [{"city": "Ulm", "no": {"n": 3}}]}), {})[0].collect().to_dicts()
    [{'at.city': 'Ulm', 'at.no.n': 3}]
"""

from collections.abc import Iterator, Mapping

import polars as pl

from leadline.readers.canonical import is_pattern, named

__all__ = ["flat"]


def flat(frame: pl.LazyFrame, kinds: Mapping[str, str]) -> tuple[pl.LazyFrame, list[str]]:
    """(the frame without structs, messages); `kinds` names the columns that stay unchanged."""
    frame, renamed = _named(frame)
    schema = frame.collect_schema()
    structs = {name: dtype for name, dtype in schema.items() if _is_flat(name, dtype, kinds)}
    if not structs:
        return frame, renamed
    taken = {name for name in schema if name not in structs}
    columns, notes = [], renamed
    for name, dtype in schema.items():
        if name not in structs:
            columns.append(pl.col(name))
            continue
        paths = []
        for leaf, path in _fields(pl.col(name), name, dtype):
            path = named(path)
            while path in taken:
                path += "_"
            taken.add(path)
            paths.append(path)
            columns.append(leaf.alias(path))
        shown = f"such as {paths[0]!r}" if paths else "of which there are none"
        notes.append(f"{name!r} holds objects; their fields are columns, {shown}")
    return frame.select(columns), notes


def _named(frame: pl.LazyFrame) -> tuple[pl.LazyFrame, list[str]]:
    """Keys of objects may be empty, names of a shipped file's inputs may not; and '*' would be every column."""
    names = frame.collect_schema().names()
    taken, other, messages = set(names), {}, []
    for name in (name for name in names if name == "" or is_pattern(name)):
        free = named(name) or "unnamed"
        while free in taken:
            free += "_"
        taken.add(free)
        other[name] = free
        messages.append(f"{f'named {name!r}' if name else 'without a name'} is called {free!r}")
    if not other:
        return frame, []
    # By place: a name that is a pattern would choose other columns.
    return frame.select(pl.nth(place).alias(other.get(name, name)) for place, name in enumerate(names)), messages


def _is_flat(name: str, dtype: pl.DataType, kinds: Mapping[str, str]) -> bool:
    if not isinstance(dtype, pl.Struct) or name in kinds:
        return False
    return not any(field.name == "bytes" and field.dtype == pl.Binary for field in dtype.fields)


def _fields(column: pl.Expr, path: str, dtype: pl.DataType) -> Iterator[tuple[pl.Expr, str]]:
    if not isinstance(dtype, pl.Struct):
        yield column, path
        return
    # By place, as above.
    numbered = column.struct.rename_fields([str(place) for place in range(len(dtype.fields))])
    for place, field in enumerate(dtype.fields):
        assert isinstance(field.dtype, pl.DataType)
        yield from _fields(numbered.struct.field(str(place)), f"{path}.{field.name}", field.dtype)
