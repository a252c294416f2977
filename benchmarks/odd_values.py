"""Frames, arrays and files of every type and shape that a stranger may hold; each made from a generator alone.

Enters: a NumPy generator. Leaves: (what it is, in a few words; the thing itself). `odd_data` is the way in.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import torch

Rng = np.random.Generator
Odd = tuple[str, Any]

WORDS = (
    "a",
    "b",
    "c",
    "",
    " ",
    "NA",
    "None",
    "nan",
    "1",
    "0",
    "1.5",
    "true",
    "é",
    "e\u0301",
    "x" * 400,
    "2020-01-01",
    "12:30",
    "\x00",
    "😀",
    "a|b",
    "[1,2]",
    '{"a": 1}',
    "inf",
    "1e400",
    "-",
    "a b c d e f",
    "0x1F",
    "\u202e",
    "ＡＢ",
)
NAMES = (
    "label",
    "target",
    "y",
    "",
    " ",
    "x0",
    "__row",
    "prediction",
    "a/b",
    "image",
    "text",
    "é",
    "e\u0301",
    "x" * 300,
    "a\nb",
    "1",
    "None",
    "index",
    "p_a",
    "split",
    "id",
    "__index__",
    "a=b",
    "*",
    "^a.*$",
    "a.b",
    "literal",
    "len",
)
NUMBERS = (0, 1, -1, 2, 3, 7, 100, 127, -128, 255, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 0.5, 1e-300, 1e300, 3.14)
DAY = dt.date(2020, 1, 1)
ODD_DAYS = (dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(1969, 12, 31), dt.date(1582, 10, 10))


def pick(rng: Rng, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def numbers(rng: Rng, n: int) -> list[Any]:
    """Numbers of one character: few values, all unequal, all equal, of any size, or not finite."""
    way = int(rng.integers(6))
    if way == 0:
        return rng.integers(0, 3, n).tolist()
    if way == 1:
        return list(range(n))
    if way == 2:
        return [pick(rng, NUMBERS)] * n
    if way == 3:
        return [pick(rng, NUMBERS) for _ in range(n)]
    if way == 4:
        return [pick(rng, (np.nan, np.inf, -np.inf, 1.0, 2.0)) for _ in range(n)]
    return rng.normal(0, 10 ** float(rng.integers(-3, 5)), n).tolist()


def words(rng: Rng, n: int) -> list[str]:
    few = rng.choice(WORDS, int(rng.integers(1, 6))).tolist()
    return [str(pick(rng, few)) for _ in range(n)]


def days(rng: Rng, n: int) -> list[dt.date]:
    if rng.random() < 0.2:
        return [pick(rng, ODD_DAYS) for _ in range(n)]
    return [DAY + dt.timedelta(days=int(d)) for d in rng.integers(-9_000, 9_000, n)]


def moments(rng: Rng, n: int) -> list[dt.datetime]:
    return [dt.datetime.combine(day, dt.time(int(rng.integers(24)), int(rng.integers(60)))) for day in days(rng, n)]


def gaps(rng: Rng, cells: list[Any]) -> list[Any]:
    share = pick(rng, (0.0, 0.0, 0.1, 0.9, 1.0))
    return [None if rng.random() < share else cell for cell in cells]


WHOLE = [pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64]
FLOATS = [pl.Float32, pl.Float64]
ZONES = (None, None, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")


def _integers(rng: Rng, n: int) -> list[int]:
    return [int(x) if np.isfinite(x) and abs(x) < 1e19 else 0 for x in numbers(rng, n)]


def _objects(rng: Rng, n: int) -> list[Any]:
    things = (
        1,
        1.5,
        "a",
        None,
        True,
        b"x",
        [1],
        (1, 2),
        {"a": 1},
        {1},
        1j,
        DAY,
        decimal.Decimal("1.5"),
        np.int8(3),
        np.float32(2),
        np.array([1, 2]),
        float("nan"),
        object,
        dt.timedelta(1),
        2**80,
        pd.NA,
        pd.NaT,
        dt.time(1),
        Path("a"),
        np.datetime64("2020"),
        range(3),
        torch.tensor(1.0),
        Ellipsis,
    )
    few = [things[int(i)] for i in rng.integers(len(things), size=int(rng.integers(1, 5)))]
    return [pick(rng, few) for _ in range(n)]


def polars_column(rng: Rng, n: int) -> pl.Series:
    """A column of any type that polars has."""
    way = int(rng.integers(24))

    def series(cells: list[Any], dtype: Any) -> pl.Series:
        return pl.Series("c", gaps(rng, cells), dtype=dtype, strict=False)

    if way < 3:
        return series(_integers(rng, n), pick(rng, WHOLE))
    if way < 5:
        return series(numbers(rng, n), pick(rng, FLOATS))
    if way < 8:
        return series(words(rng, n), pl.String)
    if way == 8:
        return series((rng.random(n) < 0.5).tolist(), pl.Boolean)
    if way == 9:
        scale = int(rng.integers(0, 9))
        cells = [decimal.Decimal(int(x)).scaleb(-scale) for x in rng.integers(-(10**9), 10**9, n)]
        return series(cells, pl.Decimal(38, scale))
    if way == 10:
        return series([word.encode() for word in words(rng, n)], pl.Binary)
    if way == 11:
        return series(days(rng, n), pl.Date)
    if way == 12:
        return series([dt.time(int(h), 5) for h in rng.integers(0, 24, n)], pl.Time)
    if way == 13:
        zone = pick(rng, ZONES)
        return (
            series(moments(rng, n), pl.Datetime("ms"))
            .cast(pl.Datetime(pick(rng, ("ms", "us", "ns"))), strict=False)
            .dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
        )
    if way == 14:
        return series([dt.timedelta(seconds=int(s)) for s in rng.integers(-(10**6), 10**6, n)], pl.Duration("us"))
    if way == 15:
        cells = words(rng, n)
        return series(cells, pick(rng, (pl.Categorical, pl.Enum(sorted(set(cells))))))
    if way == 16:
        return pl.Series("c", [None] * n, dtype=pl.Null)
    if way == 17:
        return pl.Series("c", _objects(rng, n), dtype=pl.Object)
    return nested_column(rng, n)


def nested_column(rng: Rng, n: int) -> pl.Series:
    """Lists, arrays and structs, of any type inside."""
    way = int(rng.integers(6))
    if way < 2:
        inner = [polars_column(rng, int(k)) for k in rng.integers(0, 5, 1)][0]
        if inner.dtype == pl.Object:
            inner = pl.Series("c", [1, 2])
        cells = [inner] * n if way else [inner.head(int(rng.integers(0, 4))) for _ in range(n)]
        return pl.Series("c", gaps(rng, cells), dtype=pl.List(inner.dtype))
    if way < 4:
        shape = pick(rng, ((3,), (1,), (0,), (8, 8), (4, 5, 3), (2, 2, 2, 2), (3, 0), (12,)))
        dtype = pick(rng, (np.uint8, np.float64, np.float32, np.int16, np.bool_))
        made = pl.Series("c", (rng.random((n, *shape)) * 200).astype(dtype))
        if n and rng.random() < 0.3:
            made = pl.select(pl.when(pl.Series(rng.random(n) < 0.8)).then(made)).to_series()
        return made
    fields = [polars_column(rng, n).alias(pick(rng, NAMES)) for _ in range(int(rng.integers(1, 4)))]
    kept = {s.name: s for s in fields if s.dtype != pl.Object}
    if not kept:
        return pl.Series("c", [{}] * n, dtype=pl.Struct([]))
    return pl.DataFrame(list(kept.values())).to_struct("c")


def rows(rng: Rng) -> int:
    return int(pick(rng, (0, 1, 2, 3, 10, 30, 30, 60, 60, 120)))


def names(rng: Rng, many: int) -> list[str]:
    if rng.random() < 0.5:
        return [f"c{i}" for i in range(many)]
    return [str(x) for x in rng.choice(NAMES, many, replace=False)]


def polars_frame(rng: Rng) -> Odd:
    n, many = rows(rng), int(pick(rng, (0, 1, 2, 2, 3, 3, 4, 6)))
    columns = [polars_column(rng, n).alias(name) for name in names(rng, many)]
    frame: Any = pl.DataFrame(columns)
    said = f"polars {n} x {many} {[str(c.dtype)[:40] for c in columns]}"
    if rng.random() < 0.1 and not any(c.dtype == pl.Object for c in columns):
        return f"lazy {said}", frame.lazy()
    return said, frame


def pandas_column(rng: Rng, n: int) -> Any:
    way = int(rng.integers(16))
    if way < 3:
        return pd.Series(_objects(rng, n), dtype=object)
    if way == 3:
        return (
            pd.Series(gaps(rng, _integers(rng, n)), dtype=object)
            .map(lambda x: pd.NA if x is None else x % 100)
            .astype(pick(rng, ("Int64", "UInt8", "Float64", "Int8")))
        )
    if way == 4:
        return pd.Series(gaps(rng, (rng.random(n) < 0.5).tolist()), dtype="boolean")
    if way == 5:
        return pd.Series(gaps(rng, words(rng, n)), dtype="string")
    if way == 6:
        return pd.Series(pd.arrays.SparseArray(rng.integers(0, 2, n), fill_value=0))
    if way == 7:
        held: Any = pick(rng, (words, _integers, days, numbers))(rng, n)
        return pd.Series(pd.Categorical(gaps(rng, held), ordered=bool(rng.random() < 0.5)))
    if way == 8:
        return pd.Series(pd.period_range("2020-01", periods=n, freq=pick(rng, ("M", "D", "Y", "h"))))
    if way == 9:
        return pd.Series(pd.interval_range(0, n, n)) if n else pd.Series([], dtype="interval[int64]")
    if way == 10:
        return pd.Series(rng.normal(size=n) + 1j)
    if way == 11:
        return pd.Series(pd.date_range("2020-01-01", periods=n, freq="7h", tz=pick(rng, ZONES)))
    if way == 12:
        return pd.Series(pd.to_timedelta(rng.integers(0, 9**9, n), unit="s"))
    if way == 13:
        return pd.Series(words(rng, n))
    return pd.Series(numbers(rng, n))


def pandas_index(rng: Rng, n: int) -> Any:
    way = int(rng.integers(9))
    if way == 0:
        return pd.MultiIndex.from_arrays(
            [list(range(n)), ["a"] * n], names=pick(rng, ((None, None), ("k", None), ("k", "l")))
        )
    if way == 1:
        return pd.date_range("2020-01-01", periods=n, name=pick(rng, (None, "c0", "when")))
    if way == 2:
        name = pick(rng, (None, "who", ("t", 1), 5))
        return pd.Index(_objects(rng, n), name=name, dtype=object, tupleize_cols=False)
    if way == 3:
        return pd.period_range("2020-01", periods=n, freq="M")
    if way == 4:
        return pd.CategoricalIndex(words(rng, n), name=pick(rng, (None, "kind")))
    return pd.RangeIndex(n)


def pandas_frame(rng: Rng) -> Odd:
    n, many = rows(rng), int(pick(rng, (0, 1, 2, 3, 4)))
    columns = [pandas_column(rng, n) for _ in range(many)]
    frame = pd.concat(columns, axis=1) if many else pd.DataFrame(index=range(n))
    way = int(rng.integers(6))
    if way == 0:
        frame.columns = pd.MultiIndex.from_arrays([["a"] * many, list(range(many))]) if many else frame.columns
    elif way == 1:
        frame.columns = pd.Index(
            [pick(rng, (1, 1.5, None, "a", ("a", 1), True, np.nan, DAY)) for _ in range(many)], dtype=object
        )
    else:
        frame.columns = names(rng, many)
    said = f"pandas {n} x {many} {[str(c.dtype) for c in columns]} columns {list(frame.columns)!r:.60}"
    frame.index = pandas_index(rng, n)
    if many and rng.random() < 0.1:
        return f"series of {said}", frame.iloc[:, 0]
    if rng.random() < 0.05:
        return f"index of {said}", frame.index
    return said, frame


DTYPES = (
    "bool",
    "i1",
    "i2",
    "i4",
    "i8",
    "u1",
    "u1",
    "u1",
    "u2",
    "u4",
    "u8",
    "f2",
    "f4",
    "f8",
    "f8",
    "g",
    "c8",
    "c16",
    "S3",
    "U3",
    "O",
    "M8[D]",
    "M8[ns]",
    "M8[Y]",
    "M8",
    "m8[s]",
    "m8",
    "V4",
    ">i4",
    ">f8",
    ">u2",
    "a,b",
    "T",
)


def array(rng: Rng, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """An array of any type; of any shape, or this one."""
    if shape is None:
        n = rows(rng)
        shape = pick(
            rng,
            (
                (),
                (n,),
                (n,),
                (n, 1),
                (n, 3),
                (n, 3),
                (n, 0),
                (n, 8, 8),
                (n, 8, 8, 3),
                (n, 3, 8, 8),
                (n, 1, 1, 1),
                (n, 2, 2, 2, 2),
                (0, 3),
                (n, 0, 8),
                (n, 8, 8, 5),
            ),
        )
    size, name = int(np.prod(shape)), str(pick(rng, DTYPES))
    if name == "O":
        made = np.empty(size, object)
        made[:] = _objects(rng, size) if size <= 400 else [1] * size
        return made.reshape(shape)
    if name in ("S3", "U3", "T"):
        held = np.array([w[:3].replace("\x00", "") for w in words(rng, min(size, 400))] or [""])
        text = np.resize(held, size).reshape(shape)
        if name == "S3":
            return np.char.encode(text, "utf-8")
        return text.astype(np.dtypes.StringDType()) if name == "T" else text
    if name == "a,b":
        return np.zeros(shape, dtype=[("a", "i4"), ("b", "U2")])
    if name == "V4":
        return np.zeros(shape, dtype="V4")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flat = np.resize(np.array(numbers(rng, min(size, 400)) or [0], dtype=float), size)
        if name.startswith(("M8", "m8")):
            base = np.nan_to_num(flat, posinf=0, neginf=0).clip(-1e4, 1e4).astype("i8")
            return base.astype(name if "[" in name else name + "[s]").reshape(shape)
        return flat.astype(name).reshape(shape)


def numpy_array(rng: Rng, shape: tuple[int, ...] | None = None) -> Odd:
    made: Any = array(rng, shape)
    way, said = int(rng.integers(8)), ""
    if way == 0:
        made, said = np.ma.masked_array(made, mask=rng.random(made.shape) < 0.3), "masked "
    elif way == 1 and made.ndim > 1:
        made, said = np.asfortranarray(made)[:, ::-1], "reversed "
    elif way == 2 and made.dtype.kind in "iuf":
        made, said = made.view(np.ndarray), "view "
        made.flags.writeable = False
    elif way == 3 and made.ndim == 2 and made.dtype.kind in "iuf":
        made, said = np.asmatrix(made), "matrix "
    elif way == 4 and made.ndim < 3:
        made, said = made.tolist(), "list of "
        return f"{said}{type(made).__name__}", made
    return f"{said}numpy {made.dtype} {made.shape}", made


def torch_tensor(rng: Rng, shape: tuple[int, ...] | None = None) -> Odd:
    if shape is None:
        n = rows(rng)
        shape = pick(rng, ((), (n,), (n, 3), (n, 3), (n, 8, 8), (n, 3, 8, 8), (n, 0), (n, 2, 2, 2, 2)))
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    made = torch.randint(0, 3, shape, generator=generator).float()
    way = int(rng.integers(16))
    kinds = (
        torch.float32,
        torch.bfloat16,
        torch.float16,
        torch.complex64,
        torch.int64,
        torch.uint8,
        torch.bool,
        torch.float64,
        torch.int8,
        torch.uint16,
        torch.float8_e4m3fn,
        torch.int32,
    )
    made = made.to(kinds[way]) if way < len(kinds) else made
    if way == 12:
        made = made.to_sparse() if made.ndim else made
    elif way == 13:
        made = torch.quantize_per_tensor(made, 0.1, 0, torch.quint8)
    elif way == 14:
        made = made.to("meta")
    elif way == 15:
        made = made.requires_grad_(True) * 2
    elif rng.random() < 0.1 and made.is_complex():
        made = made.conj()
    return f"torch {made.dtype} {tuple(made.shape)} {made.layout} {made.device}", made


def any_array(rng: Rng, shape: tuple[int, ...] | None = None) -> Odd:
    return pick(rng, (numpy_array, numpy_array, torch_tensor))(rng, shape)


def odd_y(rng: Rng, n: int) -> Odd:
    """Labels: mostly as many as rows, of any type."""
    n = n if rng.random() < 0.9 else n + 1
    way = int(rng.integers(7))
    if way == 0:
        made: Any = polars_column(rng, n)
        return f"polars {made.dtype}", made
    if way == 1:
        made = pandas_column(rng, n)
        return f"pandas {made.dtype}", made
    if way == 2:
        return "words", words(rng, n)
    if way == 3:
        return "classes", rng.integers(0, 3, n)
    return any_array(rng, pick(rng, ((n,), (n,), (n, 1), (n, 2), (n, 2, 2), (n, 0))))


def _pair(rng: Rng) -> Odd:
    said, x = pick(rng, (any_array, any_array, polars_frame, pandas_frame))(rng)
    try:
        n = len(x)
    except TypeError:
        n = 5
    told, y = odd_y(rng, n)
    return f"({said}, {told})", (x, y)


def _dict(rng: Rng) -> Odd:
    n = rows(rng)
    made = {
        name: any_array(rng, pick(rng, ((n,), (n,), (n, 2), (n, 8, 8)))) for name in names(rng, int(rng.integers(0, 4)))
    }
    return f"dict {[(name, said) for name, (said, _) in made.items()]}", {
        name: held for name, (_, held) in made.items()
    }


def _records(rng: Rng) -> Odd:
    n = rows(rng)
    cells = [_objects(rng, n) if rng.random() < 0.5 else numbers(rng, n) for _ in range(int(rng.integers(0, 4)))]
    keys: list[Any] = [*names(rng, len(cells))]
    if keys and rng.random() < 0.2:
        keys[0] = pick(rng, (1, None, ("a", 1), 1.5))
    made = [{k: c[i] for k, c in zip(keys, cells, strict=True) if rng.random() < 0.9} for i in range(n)]
    return f"records {n}", made


def _nothing(rng: Rng) -> Odd:
    made = pick(
        rng,
        (
            None,
            5,
            1.5,
            b"x",
            object(),
            [],
            (),
            {},
            [1, 2],
            "",
            " ",
            "no such file",
            "\x00",
            Path(),
            set(),
            range(3),
            (1,),
            (1, 2, 3),
            [None],
            [{}],
            {"a": None},
            {"a": 1},
            (None, None),
            (np.zeros((3, 2)), None),
            "x" * 5000,
            True,
            iter([1]),
            np.float64(3),
            {1: [1, 2]},
            [[1, 2], [3]],
            ([[1, 2], [3]], [0, 1]),
            int,
            "*",
            "[",
            "a#b",
            "~nobody/x",
        ),
    )
    return f"{made!r:.60}", made


MAKERS = (
    polars_frame,
    polars_frame,
    polars_frame,
    pandas_frame,
    pandas_frame,
    any_array,
    _pair,
    _pair,
    _dict,
    _records,
)


def odd_data(rng: Rng) -> Odd:
    return _nothing(rng) if rng.random() < 0.04 else pick(rng, MAKERS)(rng)


SUFFIXES = (
    ".csv",
    ".tsv",
    ".txt",
    ".parquet",
    ".feather",
    ".arrow",
    ".json",
    ".jsonl",
    ".xlsx",
    ".npy",
    ".npz",
    ".png",
    ".jpg",
    ".wav",
    ".zip",
    ".gz",
    ".csv.gz",
    ".tar",
    ".onnx",
    ".idx",
    ".zst",
    ".pkl",
    "",
    ".ipc",
    ".bz2",
    ".flac",
)
HEADS = (
    b"",
    b"PAR1",
    b"ARROW1\0\0",
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"\x93NUMPY\x01\x00",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF",
    b"{",
    b"[1,",
    b"a,b\n1,2\n",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x28\xb5\x2f\xfd",
    b"BZh9",
    b"<html>",
    b"\x00\x00\x08\x03",
    b"fLaC",
    b"\x80\x04",
    b"\x08\x07",
)


def odd_file(rng: Rng, folder: Path) -> Odd:
    """A file of one form under the name of any, whole or cut off; a frame that was written, or bytes of chance."""
    folder = folder / "files" / f"{rng.integers(2**62)}"  # alone: a file is read with what stands beside it
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"odd{pick(rng, SUFFIXES)}"
    way = int(rng.integers(6))
    if way < 3:
        body = pick(rng, HEADS) + bytes(rng.integers(0, 256, int(rng.integers(0, 300))).astype(np.uint8))
    elif way == 3:
        body = json.dumps(
            [{k: pick(rng, (1, None, "a", [1], {"b": 2}, True)) for k in "abc"} for _ in range(rows(rng))]
        ).encode()
    else:
        body = _written(rng, folder)
        body = body[: int(len(body) * rng.random())] if rng.random() < 0.3 else body
    path.write_bytes(body)
    return f"{path.suffix} of {len(body)} bytes {body[:24]!r}", path


def _written(rng: Rng, folder: Path) -> bytes:
    held = pl.DataFrame([c.alias(f"c{i}") for i in range(3) if (c := polars_column(rng, 20)).dtype != pl.Object])
    place = folder / "whole"
    try:
        way = int(rng.integers(4))
        if way == 0:
            held.write_parquet(place)
        elif way == 1:
            held.write_ipc(place)
        elif way == 2:
            np.save(place.open("wb"), array(rng), allow_pickle=False)
        else:
            held.select(
                pl.col(c) for c in held.columns if not held[c].dtype.is_nested() and held[c].dtype != pl.Binary
            ).write_csv(place)
        return place.read_bytes()
    except (pl.exceptions.PolarsError, ValueError, TypeError):  # what this form cannot hold
        return b"a,b\n1,2\n"
    finally:
        place.unlink(missing_ok=True)
