"""What reads some rows of a finished run finds them without decoding the others, whatever the cache holds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.kinds import KINDS
from leadline.results.run_rows import RunRows
from leadline.system.errors import SourceError


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, mixed: Callable[..., pl.DataFrame]) -> Path:
    """A table in which rows repeat, with a column of groups."""
    frame = mixed(400).with_columns(who=pl.int_range(pl.len()) // 3)
    path = tmp_path_factory.mktemp("data") / "table.csv"
    pl.concat([frame, frame[:60]]).write_csv(path)
    return path


@pytest.mark.parametrize("settings", [{}, {"group": "who"}, {"fix": "near_duplicates"}])
def test_every_part_has_the_rows_and_labels_that_the_run_had(table: Path, settings: Any, tmp_path: Path) -> None:
    run = ll.fit(table, target="y", only="linear", epochs=1, repeats=1, out=tmp_path / "run", **settings)
    whole, rows = run.data(), RunRows.open(run)
    for part in ("train", "valid", "calib", "test"):
        assert rows.rows(part).tolist() == whole.rows(part).tolist(), part
    assert rows.table.labels.tolist() == whole.table.labels.tolist()


def test_from_an_empty_cache_only_the_rows_in_use_are_decoded(
    bars: Any, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    from PIL import Image

    images, labels = bars(400, 12)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "pictures" / str(label) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(image)).save(path)
    run = ll.fit(tmp_path / "pictures", only="linear", epochs=1, repeats=1, out=tmp_path / "run")
    shutil.rmtree(own_cache / "stores")
    kind, decoded = type(KINDS["image"]), list[int]()
    decode = kind.decode
    monkeypatch.setattr(
        kind, "decode", lambda self, values, *more: decoded.append(len(values)) or decode(self, values, *more)
    )
    found = run.explain(rows=[2, 5])
    assert [row.row for row in found.rows] == [2, 5] and sum(decoded) < 100
    assert not (own_cache / "stores").exists()
    judged = pl.read_parquet(run.folder / "predictions.parquet")
    assert [row.truth for row in found.rows] == judged["truth"][[2, 5]].to_list()


def test_rows_that_do_not_come_back_are_said(table: Path, tmp_path: Path) -> None:
    run = ll.fit(table, target="y", only="linear", epochs=1, repeats=1, out=tmp_path / "run")
    path = run.folder / "predictions.parquet"
    judged = pl.read_parquet(path)
    judged.with_columns(truth=pl.col("truth").reverse()).write_parquet(path)
    with pytest.raises(SourceError, match="are split in another way by this version of Leadline"):
        run.explain()
    path.unlink()
    with pytest.raises(SourceError, match=r"predictions\.parquet is missing or damaged"):
        run.explain()
