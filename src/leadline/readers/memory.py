"""Data that is already in memory: frames of polars and pandas, arrays of NumPy and PyTorch.

Enters: a frame, an array X, a pair (X, y), a dict of name -> array, or a list of rows as dicts. Leaves: a `Part` and
the target that the form itself gives (for a pair the name of y, else "label"). Columns are called as the frame calls
them, and names that are no text as Python writes them: 4 is '4'. An index of pandas that has a name, or holds times, is
a column too. pandas and PyTorch are recognised by the name of their module, never imported: who
hands over such an object has imported them already.

    >>> import numpy as np
    >>> part, target = from_memory((np.zeros((2, 3)), np.array([0, 1])), cache=Path())
    >>> part.frame.collect_schema().names(), target
    (['x0', 'x1', 'x2', 'label'], 'label')
"""

import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.kinds import stated_by
from leadline.readers.canonical import named, plain
from leadline.readers.nested import flat
from leadline.readers.part import Part, counted, frame_digest
from leadline.system.errors import LeadlineError, SourceError

__all__ = ["from_arrays", "from_frame", "from_memory", "in_memory"]

Array = np.ndarray[Any, Any]


def in_memory(source: object) -> bool:
    """Whether `from_memory` reads this."""
    rows = isinstance(source, list) and bool(source) and all(isinstance(row, dict) for row in source)
    return rows or isinstance(source, pl.DataFrame | pl.LazyFrame | tuple | dict | np.ndarray) or _is_foreign(source)


def from_memory(source: object, *, cache: Path) -> tuple[Part, str | None]:
    """Read a frame, an array, a pair (X, y) or a dict of arrays.

    Raises SourceError for zero rows, lengths that differ, shapes that are no table, and what polars cannot hold.
    """
    try:
        return _from_memory(source, cache)
    except (LeadlineError, MemoryError, OSError):
        raise
    except (Exception, pl.exceptions.PanicException) as error:  # whatever a frame of strangers answers when it is asked
        reason = (str(error).strip().splitlines() or [""])[0].rstrip(".")
        raise SourceError(
            f"the {type(source).__name__} cannot be read ({type(error).__name__}: {reason}); make its columns numbers, "
            "text, times or lists of numbers"
        ) from error


def _from_memory(source: object, cache: Path) -> tuple[Part, str | None]:
    if isinstance(source, pl.LazyFrame):
        return _checked(_settled(source, cache), memory=False), None
    if isinstance(source, pl.DataFrame):
        return _checked(source.lazy()), None
    if isinstance(source, list):
        names = dict.fromkeys(name for row in source for name in row)
        return _checked(pl.DataFrame([_objects(str(n), [row.get(n) for row in source]) for n in names]).lazy()), None
    if isinstance(source, dict):
        return _checked(_from_dict(source).lazy()), None
    if isinstance(source, tuple):
        if len(source) != 2:
            raise SourceError(f"the tuple holds {counted(len(source), 'thing')}, where two were expected: (X, y)")
        return _pair(*source)
    if _is_pandas(source):
        return _checked(_from_pandas(source).lazy()), None
    return from_arrays(source, None), None


def _pair(x: object, y: object) -> tuple[Part, str]:
    """(X, y) as one frame: columns of a frame X keep their names and types, and a y with a name keeps that."""
    if not (isinstance(x, pl.DataFrame | pl.LazyFrame) or (_is_pandas(x) and hasattr(x, "columns"))):
        return from_arrays(x, y), "label"
    features: Any = x
    frame = _from_pandas(features) if _is_pandas(x) else features.lazy().collect()
    column = _target(y)
    taken = column.name in frame.columns
    if taken and not frame[column.name].equals(column, null_equal=True):
        raise SourceError(f"X has a column {column.name!r}, and so is y called; rename one of them")
    if len(column) != len(frame):
        raise SourceError(
            f"X has {counted(len(frame), 'row')} and y has {len(column):,}, where as many were expected; cut one to fit"
        )
    return _checked((frame if taken else frame.with_columns(column)).lazy()), named(column.name)


def _target(y: object) -> pl.Series:
    """y as one column, by its own name where it has one."""
    target: Any = y
    if isinstance(y, pl.DataFrame) or (_is_pandas(y) and hasattr(y, "columns")):
        if target.shape[1] != 1:
            raise SourceError(
                f"y has {target.shape[1]:,} columns, where one was expected; join the frames, name a --target"
            )
        target = target.to_series() if isinstance(y, pl.DataFrame) else target.iloc[:, 0]
    if isinstance(target, pl.Series):
        return target.alias(target.name or "label")
    if _is_pandas(target):
        return _pandas_column("label" if getattr(target, "name", None) is None else str(target.name), target)
    values = _array(target, "y")
    return _column("label", values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values)


def from_arrays(x: object, y: object) -> Part:
    """X of shape (rows, features) becomes columns x0, x1, ...; X of shape (rows, height, width[, channels]) becomes
    one column `image`, without a copy; y becomes the column `label`.
    """
    x = _array(x, "X")
    if x.ndim in (3, 4):
        _check_pixels(x, "X")
        pixels = pl.Series(np.ascontiguousarray(x))
        columns = [pixels.alias(stated_by(pixels.dtype) or "x")]
    elif x.ndim in (1, 2):
        grid = x[:, None] if x.ndim == 1 else x
        columns = [_column(f"x{i}", grid[:, i]) for i in range(grid.shape[1])]
    else:
        raise SourceError(
            f"X has {x.ndim} axes, where (rows, features), (rows, height, width) or (rows, height, width, channels) "
            "was expected; reshape it"
        )
    if y is not None:
        y = _array(y, "y")
        y = y.reshape(-1) if y.ndim == 2 and y.shape[1] == 1 else y
        if len(y) != len(x):
            raise SourceError(
                f"X has {counted(len(x), 'row')} and y has {len(y):,}, where as many were expected; cut one to fit"
            )
        columns.append(_column("label", y))
    return _checked(pl.DataFrame(columns).lazy(), {columns[0].name: columns[0].name} if x.ndim > 2 else {})


def from_frame(frame: pl.DataFrame) -> Part:
    """A frame, with the kinds that its types leave no doubt of."""
    return _checked(frame.lazy())


def _is_foreign(source: object) -> bool:
    return _is_tensor(source) or _is_pandas(source)


def _is_tensor(value: object) -> bool:
    return type(value).__module__.split(".")[0] == "torch" and hasattr(value, "detach")


def _is_pandas(value: object) -> bool:
    return type(value).__module__.split(".")[0] == "pandas"


def _checked(frame: pl.LazyFrame, kinds: dict[str, str] | None = None, memory: bool = True) -> Part:
    schema = frame.collect_schema()
    if not len(schema) or not frame.select(pl.len()).collect().item():
        raise SourceError(f"the frame has {counted(len(schema), 'column')} and no row; give it at least one row")
    digest = frame_digest(frame)
    frame, notes = flat(frame, kinds or {})
    if kinds is None:
        kinds = {name: kind for name, dtype in frame.collect_schema().items() if (kind := stated_by(dtype))}
    frame = plain(frame, kinds)
    frame = frame.collect().lazy() if memory else frame  # what is in its one form already is shared, not copied
    return Part(frame=frame, digest=digest, kinds=kinds, notes=tuple(f"column {note}" for note in notes))


def _settled(frame: pl.LazyFrame, cache: Path) -> pl.LazyFrame:
    """Run a lazy plan once, streaming, into the cache: later scans are cheap and always see the same rows."""
    tables = cache / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tables) as folder:
        fresh = Path(folder) / "lazy.parquet"
        try:
            frame.sink_parquet(fresh, compression="lz4")
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SourceError(f"the lazy frame could not be run: {error}; fix it so that .collect() works") from error
        stored = tables / f"{frame_digest(pl.scan_parquet(fresh))}-lazy-v1.parquet"
        fresh.replace(stored)
    return pl.scan_parquet(stored)


def _array(value: object, name: str) -> Array:
    if _is_tensor(value):
        array = _of_tensor(value, name)
    elif _is_pandas(value):
        frame: Any = value
        array = frame.to_numpy()
    elif isinstance(value, pl.Series | pl.DataFrame):
        array = value.to_numpy()
    elif isinstance(value, np.ndarray | list | tuple):
        try:
            array = np.asarray(value)
        except (ValueError, TypeError, RuntimeError) as error:  # rows of unequal length; objects that are no arrays
            raise SourceError(f"{name} cannot be read as an array ({error}); give rows of equal shape") from error
    else:
        raise SourceError(f"{name} is a {type(value).__name__}, where a NumPy array or a PyTorch tensor was expected")
    if array.ndim == 0:
        raise SourceError(f"{name} is a single value, where an array of rows was expected")
    # polars has neither half nor long floats.
    if array.dtype.kind == "f" and array.itemsize not in (4, 8):
        return array.astype(np.float32 if array.itemsize == 2 else np.float64)
    return array


def _of_tensor(value: Any, name: str) -> Array:
    """A tensor of PyTorch as an array; sorts that NumPy cannot hold are one sentence."""
    try:
        tensor = value.detach().cpu()
        # Of a quantised one NumPy would take the steps for the values.
        tensor = tensor.dequantize() if tensor.is_quantized else tensor
        # NumPy has no bfloat16.
        tensor = tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
        array: Array = tensor.numpy()
    except (TypeError, RuntimeError) as error:  # sparse, nested, conjugated; on 'meta'; eight bits
        sort = f"{value.layout} of {value.dtype} on {value.device}"
        raise SourceError(
            f"{name} is a tensor, {sort}, which NumPy cannot hold; make it a dense one of numbers on the CPU, as by "
            ".to_dense() or .float()"
        ) from error
    return array


def _check_pixels(x: Array, name: str) -> None:
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise SourceError(
            f"{name} of shape {x.shape} holds {x.dtype}, where images of uint8 or of a float type were expected; "
            "convert it with .astype('uint8')"
        )


def _column(name: str, values: Array) -> pl.Series:
    """One column; NaN means missing, as it does in NumPy."""
    if values.dtype.kind == "O":
        return _objects(name, values.tolist())
    if values.dtype.kind == "S":
        values = values.astype(str)
    if values.dtype.kind not in "biufUMm":
        raise SourceError(f"column {name!r} holds {values.dtype}, where numbers, text or times were expected")
    if values.dtype.kind in "Mm":
        values = _in_milliseconds(name, values)
    return pl.Series(name, np.ascontiguousarray(values), nan_to_null=values.ndim == 1)


def _in_milliseconds(name: str, values: Array) -> Array:
    """Times of a unit that polars has not."""
    unit, _ = np.datetime_data(values.dtype)
    if unit in ("ms", "us", "ns") or (unit == "D" and values.dtype.kind == "M"):
        return values
    if unit == "generic" or (values.dtype.kind == "m" and unit in "YM"):  # a month has no length
        raise SourceError(
            f"column {name!r} holds {values.dtype}, where times in days, hours, seconds or less were expected; convert "
            "it with .astype()"
        )
    return values.astype(f"{values.dtype.kind}8[ms]")


def _objects(name: str, values: list[Any]) -> pl.Series:
    """Values of any Python type: kept where their types agree, read as text where they don't."""
    values = [None if _missing(value) else value for value in values]
    if {type(value) for value in values} <= {type(None), str}:
        return pl.Series(name, values, dtype=pl.String)
    try:
        column = pl.Series(name, values, strict=True)
        if column.dtype != pl.Object:
            return column
    except (Exception, pl.exceptions.PanicException):  # polars asks objects for what they may not have
        pass
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)


def _missing(value: Any) -> bool:
    if value is None or (isinstance(value, float) and value != value):
        return True
    return type(value).__name__ in ("NAType", "NaTType")


def _from_dict(source: dict[Any, Any]) -> pl.DataFrame:
    columns = []
    for name, value in source.items():
        values = _array(value, str(name))
        if values.ndim in (3, 4):
            _check_pixels(values, str(name))
        columns.append(_column(str(name), values))
    lengths = {column.name: len(column) for column in columns}
    if len(set(lengths.values())) > 1:
        raise SourceError(f"the arrays have different lengths ({_counts(lengths)}), where one length was expected")
    return pl.DataFrame(columns)


def _counts(lengths: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in lengths.items())


def _from_pandas(source: Any) -> pl.DataFrame:
    """Column by column, because the converter of polars needs pyarrow for text and categories."""
    if not hasattr(source, "columns"):
        source = source.to_frame(source.name if source.name is not None else "x0")
    names = [str(name) for name in source.columns]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise SourceError(f"the frame has more than one column named {_listed(twice)}; rename all but one")
    columns = [_pandas_column(name, source.iloc[:, i]) for i, name in enumerate(names)]
    return pl.DataFrame([*_index(source, set(names)), *columns])


def _index(source: Any, names: set[str]) -> list[pl.Series]:
    """Levels of the index that say something of their rows: those with a name, and times. Others only count rows."""
    levels = []
    for place in range(source.index.nlevels):
        level = source.index.get_level_values(place)
        timed = type(level).__name__ in ("DatetimeIndex", "PeriodIndex")
        name = str(level.name) if level.name is not None else "index"
        if (level.name is not None or timed) and name not in names:
            names.add(name)
            levels.append(_pandas_column(name, level.to_series(index=source.index)))
    return levels


def _pandas_column(name: str, column: Any) -> pl.Series:
    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        return _column(name, column.to_numpy())
    if type(dtype).__name__ == "DatetimeTZDtype":
        utc = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        return pl.Series(name, utc).dt.replace_time_zone("UTC")
    values = _objects(name, column.astype(object).tolist())
    if type(dtype).__name__ == "CategoricalDtype" and values.dtype == pl.String:
        return values.cast(pl.Categorical)
    return values


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
