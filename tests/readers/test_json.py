"""JSON in the forms that people save it in, and objects inside of objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from leadline.readers.source import Source, read
from leadline.system.errors import SourceError

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": None}]
COLUMNS = {"a": [1, 2, 3], "b": ["x", "y", None]}


def _read(tmp_path: Path, content: str, name: str = "data.json") -> Source:
    (tmp_path / name).write_text(content, encoding="utf-8")
    return read(tmp_path / name, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS, indent=2),
        json.dumps({"version": 1, "data": ROWS}),
        json.dumps(COLUMNS),
        json.dumps({name: dict(enumerate(cells)) for name, cells in COLUMNS.items()}),
        "\n".join(map(json.dumps, ROWS)),
    ],
)
def test_json_in_any_form_is_one_table(tmp_path: Path, content: str) -> None:
    assert _read(tmp_path, content).train.collect().to_dict(as_series=False) == COLUMNS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2, 3]", r"data\.json has 3 rows of 3 that are no JSON object \(first: row 1"),
        ("[]", r"data\.json holds no row"),
        ('"hello"', r"data\.json holds JSON of another form, where an array of objects"),
        ('[{"a": 1}, {"a":', r"data\.json is not whole JSON \(.*\); copy or download it again"),
        ("[" * 100_000, r"data\.json is not whole JSON"),
    ],
)
def test_json_that_is_no_table(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        _read(tmp_path, content)


def test_an_empty_key_gets_a_name(tmp_path: Path) -> None:
    source = _read(tmp_path, json.dumps([{"": row["a"], "unnamed": row["b"]} for row in ROWS]))
    assert source.train.collect_schema().names() == ["unnamed_", "unnamed"]
    assert any("without a name is called 'unnamed_'" in note for note in source.notes)


def test_objects_in_cells_become_columns(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": i, "at": {"city": "Ulm", "geo": {"lat": 48.4}}, "tags": ["u", "v"], "at.city": i} for i in range(3)
    ]
    expected = {"id": [0, 1, 2], "at.city_": ["Ulm"] * 3, "at.geo.lat": [48.4] * 3, "at.city": [0, 1, 2]}
    from_json = _read(tmp_path, json.dumps(rows))
    pl.DataFrame(rows).write_parquet(tmp_path / "data.parquet")
    for source in (
        from_json,
        read(tmp_path / "data.parquet", cache=tmp_path),
        read(pl.DataFrame(rows), cache=tmp_path),
    ):
        found = source.train.collect().to_dict(as_series=False)
        assert {name: found[name] for name in expected} == expected
        assert source.notes == ("column 'at' holds objects; their fields are columns, such as 'at.city_'",)


@pytest.mark.parametrize("name", ["data.feather", "data.arrow"])
def test_arrow_is_read_as_parquet_is(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame({"a": [1, 2, None], "s": ["x", "y", "z"]})
    frame.write_ipc(tmp_path / name, compression="lz4")
    assert read(tmp_path / name, cache=tmp_path / "cache").train.collect().equals(frame)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-40])
    with pytest.raises(SourceError, match=r"is not a whole Arrow file \(.*\); copy or download it again"):
        read(tmp_path / name, cache=tmp_path / "cache")
