"""The encoded store: sealed labels, bad rows, forms, and a second build that does no work."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from leadline.core.contender import Clock, Data
from leadline.dataset.split import split
from leadline.dataset.store import again, build
from leadline.graph.runtime import Session
from leadline.system.errors import SourceError


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_labels_of_test_rows_are_sealed(task: str, mixed: Any, prepare: Any) -> None:
    made = prepare(mixed(200, task), target="y")
    store, truth = made.store, made.table.labels
    hidden = store.labels[store.split.test]
    assert len(hidden) and (np.isnan(hidden) if task == "regression" else hidden == -1).all()
    for part in (store.split.train, store.split.valid):
        np.testing.assert_array_equal(store.labels[part], truth[part])
    on_disk = np.load(store.path / "labels.npy")
    np.testing.assert_array_equal(on_disk, store.labels)
    data = Data(store=store, clock=Clock(1.0), threads=1)
    np.testing.assert_array_equal(data.labels(store.split.valid), truth[store.split.valid])
    with pytest.raises(AssertionError, match="a label of a test row was asked for"):
        data.labels(store.split.test[:1])


def test_blocks_hold_the_columns_of_a_kind(mixed: Any, prepare: Any) -> None:
    frame = mixed(200)
    store = prepare(frame, target="y").store
    assert {block.name: block.columns for block in store.blocks} == {
        "number": ("size", "weight"), "category": ("colour",), "time": ("when",),
    }  # fmt: skip
    size = frame["size"].to_numpy()
    low, middle, high = np.nanquantile(size[store.split.train].astype(float), [0.25, 0.5, 0.75])
    expected = ((size - middle) / (high - low)).astype(np.float32)
    np.testing.assert_allclose(store.tensor("number")[:, 0], expected, rtol=1e-6)


def test_the_fit_sees_train_rows_alone(prepare: Any) -> None:
    frame = pl.DataFrame({"c": ["a", "b"] * 50, "x": np.random.default_rng(0).normal(size=100), "y": [0, 1, 1, 0] * 25})
    first = prepare(frame, target="y").store
    rows = first.split.test
    changed = frame.with_columns(
        pl.when(pl.int_range(100).is_in(rows.tolist())).then(pl.lit("rare")).otherwise("c").alias("c"),
        pl.when(pl.int_range(100).is_in(rows.tolist())).then(pl.lit(1e6)).otherwise("x").alias("x"),
    )
    second = prepare(changed, target="y").store
    np.testing.assert_array_equal(second.split.test, rows)
    assert second.graph("number") == first.graph("number") and second.graph("category") == first.graph("category")
    assert (second.tensor("category")[rows] == 1).all()


def test_a_second_build_reuses_the_store(mixed: Any, prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepare(mixed(210), target="y").store
    monkeypatch.setattr("leadline.dataset.store._write", None)
    assert prepare(mixed(210), target="y").store.path == first.path


@pytest.mark.parametrize("change", [{"seed": 1}, {"drop": "weight"}, {"kind": "size=category"}])
def test_whatever_shapes_a_store_makes_another(change: dict[str, Any], mixed: Any, prepare: Any) -> None:
    assert prepare(mixed(210), target="y", **change).store.path != prepare(mixed(210), target="y").store.path


def test_a_build_that_fails_leaves_nothing(
    mixed: Any, prepare: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(own_cache.glob("stores/*")), sorted(own_cache.glob("stores/.*"))

    def broken(*_: Any) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr("leadline.dataset.store._fit", broken)
    with pytest.raises(RuntimeError, match="disk full"):
        prepare(mixed(211), target="y")
    assert (sorted(own_cache.glob("stores/*")), sorted(own_cache.glob("stores/.*"))) == before


def _folder(root: Path, bars: Any, count: int = 30) -> Path:
    images, labels = bars(count, 12)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = root / "pictures" / ("lying", "standing")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i:03}.png")
    return root / "pictures"


def test_bad_rows_leave_the_split(tmp_path: Path, bars: Any, prepare: Any) -> None:
    folder = _folder(tmp_path, bars)
    (folder / "lying" / "004.png").write_bytes(b"not a picture")
    made = prepare(folder)
    (bad,) = made.store.bad
    paths = made.table.frame.select("image").collect()["image"].to_list()
    assert paths[bad[0]] == "lying/004.png" and "cannot be read as an image" in bad[1]
    rows = np.concatenate([made.store.split.train, made.store.split.valid, made.store.split.test])
    assert bad[0] not in rows and len(rows) == 29


def test_numbers_that_are_none_leave_the_split(prepare: Any) -> None:
    cells = [str(i / 7) for i in range(99)]
    cells[40] = "eleven"
    store = prepare(pl.DataFrame({"x": cells, "y": ["a", "b", "c"] * 33}), target="y").store
    assert store.bad == [(40, "'eleven' is not a number")]
    assert not any((part == 40).any() for part in vars(store.split).values())


def test_mostly_unreadable_pictures_are_an_error(tmp_path: Path, bars: Any, prepare: Any) -> None:
    folder = _folder(tmp_path, bars)
    for path in sorted(folder.rglob("*.png"))[2:-2]:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(SourceError, match=r"26 of 30 rows cannot be read, such as row 3: .*cannot be read as an image"):
        prepare(folder)


def test_a_form_is_what_its_graph_gives(bars: Any, prepare: Any) -> None:
    images, labels = bars(40)
    store = prepare((images, labels)).store
    (block,) = store.blocks
    graph = Session(store.graph(f"{block.name}.dense"))
    made = graph({"encoded": np.ascontiguousarray(store.tensor(block.name))})["dense"]
    np.testing.assert_array_equal(store.tensor(f"{block.name}.dense"), made)
    with pytest.raises(ValueError, match="read-only"):
        store.tensor(block.name)[0] = 0


def test_pictures_in_a_table_of_parquet(tmp_path: Path, bars: Any, prepare: Any) -> None:
    cells = []
    images, labels = bars(24)
    for image in images:
        out = io.BytesIO()
        Image.fromarray(image).save(out, "PNG")
        cells.append(out.getvalue())
    pl.DataFrame({"photo": cells, "label": labels}).write_parquet(tmp_path / "t.parquet")
    store = prepare(tmp_path / "t.parquet", target="label").store
    np.testing.assert_array_equal(store.tensor(store.blocks[0].name)[..., 0], images)


def test_another_split_of_the_same_rows_learns_anew(mixed: Any, prepare: Any) -> None:
    made = prepare(mixed(200), target="y")
    labels, part = made.table.labels, np.zeros(200)
    parts = split(labels, part, 0, fold=1)
    with again(made.store, made.table, parts) as store:
        np.testing.assert_array_equal(store.split.test, parts.test)
        assert (store.labels[parts.test] == -1).all() and (store.labels[made.store.split.test] >= 0).all()
        assert [block.name for block in store.blocks] == [block.name for block in made.store.blocks]
        assert store.graph("number") != made.store.graph("number")  # quartiles of other train rows
        path = store.path
    assert not path.exists()


def test_pictures_are_not_decoded_again(bars: Any, prepare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepare(bars(80))
    monkeypatch.setattr("leadline.kinds.image.kind.Image.decode", None)
    with again(made.store, made.table, split(made.table.labels, np.zeros(80), 0, fold=2)) as store:
        (block,) = store.blocks
        np.testing.assert_array_equal(store.tensor(block.name), made.store.tensor(block.name))


@pytest.mark.parametrize("key", [{"group": "who"}, {"time_column": "when"}, {"group": None, "time_column": None}])
def test_a_store_and_its_folds_know_whether_rows_depend_on_each_other(
    key: dict[str, Any], mixed: Any, prepare: Any, tmp_path: Path
) -> None:
    table = prepare(mixed(60), target="y").table
    parts = split(table.labels, table.part, 0)
    store = build(table, parts, tmp_path, seconds=10.0, key=key)
    with again(store, table, parts) as fold:
        assert store.dependent == fold.dependent == any(key.values())
