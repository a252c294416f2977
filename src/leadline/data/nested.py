"""Columns of objects, as JSON and Parquet have them, laid out flat, and a column whose name is empty given one.

Enters: a frame. Leaves: the same with each struct column replaced by its fields, `address.city` for a field, at any
depth. Encoded media ({bytes, path}) stay whole: their kinds read them. Lists stay too; the table says that no kind
reads them.

    >>> flat(pl.LazyFrame({"at": [{"city": "Ulm", "no": {"n": 3}}]}), {})[0].collect().to_dicts()
    [{'at.city': 'Ulm', 'at.no.n': 3}]
"""

from collections.abc import Iterator, Mapping

import polars as pl

__all__ = ["flat"]


def flat(frame: pl.LazyFrame, kinds: Mapping[str, str]) -> tuple[pl.LazyFrame, list[str]]:
    """(the frame without structs, what is to be said); `kinds` names the columns that stay as they are."""
    frame, said = _named(frame)
    schema = frame.collect_schema()
    structs = {name: dtype for name, dtype in schema.items() if _is_flat(name, dtype, kinds)}
    if not structs:
        return frame, said
    taken = {name for name in schema if name not in structs}
    columns, notes = [], said
    for name, dtype in schema.items():
        if name not in structs:
            columns.append(pl.col(name))
            continue
        paths = []
        for cell, path in _fields(pl.col(name), name, dtype):
            while path in taken:
                path += "_"
            taken.add(path)
            paths.append(path)
            columns.append(cell.alias(path))
        shown = f"such as {paths[0]!r}" if paths else "of which there are none"
        notes.append(f"{name!r} holds objects; their fields are columns, {shown}")
    return frame.select(columns), notes


def _named(frame: pl.LazyFrame) -> tuple[pl.LazyFrame, list[str]]:
    """Keys of objects may be empty, names of a shipped file's inputs may not."""
    names = frame.collect_schema().names()
    if "" not in names:
        return frame, []
    name = "unnamed"
    while name in names:
        name += "_"
    return frame.rename({"": name}), [f"without a name is called {name!r}"]


def _is_flat(name: str, dtype: pl.DataType, kinds: Mapping[str, str]) -> bool:
    if not isinstance(dtype, pl.Struct) or name in kinds:
        return False
    return not any(field.name == "bytes" and field.dtype == pl.Binary for field in dtype.fields)


def _fields(cell: pl.Expr, path: str, dtype: pl.DataType) -> Iterator[tuple[pl.Expr, str]]:
    if not isinstance(dtype, pl.Struct):
        yield cell, path
        return
    for field in dtype.fields:
        assert isinstance(field.dtype, pl.DataType)
        yield from _fields(cell.struct.field(field.name), f"{path}.{field.name}", field.dtype)
