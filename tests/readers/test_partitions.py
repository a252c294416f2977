"""Folders whose names are columns, as Spark, DuckDB and polars write tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from leadline.readers.source import read


def _table(rows: int = 3) -> pl.DataFrame:
    return pl.DataFrame({"x": [float(i) for i in range(rows)], "bought": ["yes", "no", "yes"][:rows]})


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    frame = pl.concat(
        _table().with_columns(pl.lit(region).alias("region"), pl.lit(year).alias("year"))
        for region in ("north", "south sea", "west/east")
        for year in (2022, 2023)
    )
    frame.write_parquet(pl.PartitionBy(tmp_path / "sales", key=["region", "year"], include_key=False), mkdir=True)
    (tmp_path / "sales" / "_SUCCESS").write_text("")
    (tmp_path / "sales" / "_delta_log").mkdir()
    (tmp_path / "sales" / "_delta_log" / "0.json").write_text("{}")
    return tmp_path / "sales"


@pytest.mark.parametrize("pattern", ["", "/**/*.parquet"])
def test_names_of_folders_are_columns(sales: Path, pattern: str, tmp_path: Path) -> None:
    source = read(f"{sales}{pattern}", cache=tmp_path / "cache")
    frame = source.train.collect()
    assert sorted(frame.columns) == ["bought", "region", "x", "year"] and len(frame) == 18
    counted = dict(frame["region"].value_counts().iter_rows())
    assert counted == {"north": 6, "south sea": 6, "west/east": 6}
    assert set(frame["year"]) == {"2022", "2023"}
    assert any("are read as columns 'region', 'year'" in note for note in source.notes)


def test_text_files_a_missing_value_and_a_column_that_the_file_holds_itself(tmp_path: Path) -> None:
    for value in ("a", "__HIVE_DEFAULT_PARTITION__"):
        folder = tmp_path / "t" / f"shop={value}"
        folder.mkdir(parents=True)
        _table().with_columns(pl.lit("own").alias("kept")).write_csv(folder / "rows.csv")
    for value in ("one", "two"):
        folder = tmp_path / "own" / f"kept={value}"
        folder.mkdir(parents=True)
        _table().with_columns(pl.lit("own").alias("kept")).write_csv(folder / "rows.csv")
    frame = read(tmp_path / "t", cache=tmp_path / "cache").train.collect()
    assert sorted(frame["shop"].to_list(), key=str) == [None] * 3 + ["a"] * 3
    assert set(read(tmp_path / "own", cache=tmp_path / "cache").train.collect()["kept"]) == {"own"}


def test_another_name_of_a_folder_is_other_data(sales: Path, tmp_path: Path) -> None:
    before = read(sales, cache=tmp_path / "cache").digest
    (sales / "region=north").rename(sales / "region=south")
    assert read(sales, cache=tmp_path / "cache").digest != before


def test_class_folders_with_a_sign_in_their_name_stay_classes(tmp_path: Path, bars: Any) -> None:
    from PIL import Image as Pillow

    images, _ = bars(4, 8)
    for name in ("k=1", "k=2"):
        (tmp_path / "pics" / name).mkdir(parents=True)
        for place, image in enumerate(images):
            Pillow.fromarray(image.reshape(8, 8)).save(tmp_path / "pics" / name / f"{place}.png")
    source = read(tmp_path / "pics", cache=tmp_path / "cache")
    assert source.target == "label" and set(source.train.collect()["label"]) == {"k=1", "k=2"}
