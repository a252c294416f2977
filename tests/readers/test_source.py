"""Everything a user may point at, and what is said where it can't be read."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from leadline.readers.source import read
from leadline.system.cache import cache_folder
from leadline.system.errors import LeadlineError, SourceError


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_polars_frames_keep_types_and_digest(cache: Path) -> None:
    frame = pl.DataFrame({"n": [1, None, 3], "s": ["a", "", None], "l": [[1], [], None]})
    eager, lazy = read(frame, cache=cache), read(frame.lazy(), cache=cache)
    without = frame.with_columns(s=pl.Series(["a", None, None]))  # an empty text and none are one, as files have it
    assert eager.train.collect().equals(without) and lazy.train.collect().equals(without)
    assert eager.digest == lazy.digest and len(eager.digest) == 32
    assert (eager.name, eager.root, eager.target, eager.valid, eager.test) == ("data", None, None, None, None)


@pytest.mark.parametrize(
    "changed",
    [
        {"n": [1, None, 4], "s": ["ab", "c", None]},
        {"n": [1, 3, None], "s": ["ab", "c", None]},
        {"n": [1, None, 3], "s": ["a", "bc", None]},
        {"m": [1, None, 3], "s": ["ab", "c", None]},
    ],
)
def test_any_change_changes_the_digest(changed: dict[str, list[object]], cache: Path) -> None:
    frame = pl.DataFrame({"n": [1, None, 3], "s": ["ab", "c", None]})
    assert read(frame, cache=cache).digest != read(pl.DataFrame(changed), cache=cache).digest


def test_digest_ignores_chunks_and_covers_every_type(cache: Path) -> None:
    half = pl.DataFrame(
        {"x": [1.5, None], "t": pl.Series([0, 5]).cast(pl.Datetime("ms"))},
    ).with_columns(
        b=pl.Series([b"1", None]), o=pl.Series([True, None]), z=pl.lit(None), s=pl.struct("x"),
        c=pl.Series(["u", "v"], dtype=pl.Categorical),
        i=pl.Series(np.zeros((2, 2, 2), np.uint8)), d=pl.Series([1, 2]).cast(pl.Decimal(10, 2)),
    )  # fmt: skip
    chunked = pl.concat([half, half], rechunk=False)
    assert read(chunked, cache=cache).digest == read(chunked.rechunk(), cache=cache).digest


def test_pandas_without_pyarrow(cache: Path) -> None:
    frame = pd.DataFrame(
        {
            "f": [1.5, np.nan],
            "i": pd.array([1, None], dtype="Int64"),
            "s": ["a", None],
            "mixed": pd.Series(["a", 1], dtype=object),
            "c": pd.Categorical(["u", "v"]),
            "t": pd.to_datetime(["2020-01-01", None]),
            "z": pd.to_datetime(["2020-01-01", "2020-01-02"]).tz_localize("Europe/Paris"),
            7: [True, False],
        }
    )
    found = read(frame, cache=cache).train.collect()
    assert found.columns == ["f", "i", "s", "mixed", "c", "t", "z", "7"]
    assert [str(found[c].dtype)[:8] for c in ("f", "i", "s", "mixed", "c", "7")] == [
        "Float64", "Int64", "String", "String", "String", "Boolean",
    ]  # fmt: skip
    assert found["f"].to_list() == [1.5, None] and found["i"].to_list() == [1, None]
    assert found["mixed"].to_list() == ["a", "1"] and found["t"].null_count() == 1
    assert str(found["z"][0]) == "2019-12-31 23:00:00"  # in UTC


def test_pandas_duplicate_columns(cache: Path) -> None:
    with pytest.raises(SourceError, match="more than one column named 'a'; rename all but one"):
        read(pd.DataFrame([[1, 2]], columns=["a", "a"]), cache=cache)


def test_arrays_become_columns(cache: Path) -> None:
    source = read((np.array([[1.0, np.nan], [3.0, 4.0]]), np.array(["a", "b"])), cache=cache)
    assert source.train.collect().to_dict(as_series=False) == {"x0": [1, 3], "x1": [None, 4], "label": ["a", "b"]}
    assert source.target == "label" and source.kinds == {}
    assert read(np.zeros((2, 3)), cache=cache).target is None


@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 3, 3)])
def test_image_arrays_are_not_copied(shape: tuple[int, ...], cache: Path) -> None:
    pixels = np.zeros(shape, np.uint8)
    source = read((pixels, [0, 1, 2, 3, 4]), cache=cache)
    assert source.kinds == {"image": "image"}
    assert source.train.collect_schema()["image"] == pl.Array(pl.UInt8, shape[1:])
    assert np.shares_memory(source.train.collect()["image"].to_numpy(), pixels)


def test_torch_tensors(cache: Path) -> None:
    torch = pytest.importorskip("torch")
    x = torch.zeros(3, 2, requires_grad=True)
    source = read((x, torch.tensor([0, 1, 0])), cache=cache)
    assert source.train.collect_schema() == {"x0": pl.Float32, "x1": pl.Float32, "label": pl.Int64}
    images = read((torch.zeros(3, 4, 4, dtype=torch.bfloat16), torch.zeros(3, 1)), cache=cache)
    assert images.train.collect_schema()["image"] == pl.Array(pl.Float32, (4, 4))


def test_dict_of_arrays(cache: Path) -> None:
    given = {"photo": np.zeros((2, 3, 3), np.uint8), "age": [3, 4], "who": np.array(["a", None], dtype=object)}
    source = read(given, cache=cache)
    assert source.kinds == {"photo": "image"} and source.train.collect()["who"].to_list() == ["a", None]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((np.zeros((3, 2)), np.zeros(2)), "X has 3 rows and y has 2, where as many were expected"),
        ((np.zeros((3, 2)),), r"the tuple holds 1 thing, where two were expected: \(X, y\)"),
        ((np.zeros((2, 3, 3), np.int64), [0, 1]), r"holds int64, where images of uint8 .* \.astype\('uint8'\)"),
        ((np.zeros((1, 1, 1, 1, 1)), [0]), "X has 5 axes"),
        ({"a": [1, 2], "b": [1]}, "the arrays have different lengths .a: 2, b: 1."),
        (pl.DataFrame({"a": []}), "the frame has 1 column and no row"),
        (pl.LazyFrame({"a": [1]}).select("b"), "the lazy frame could not be run"),
        (42, "the source is a int, where a folder, a file, a data frame"),
    ],
)
def test_memory_that_is_no_table(given: object, message: str, cache: Path) -> None:
    with pytest.raises(SourceError, match=message):
        read(given, cache=cache)


def test_a_source_is_taken_as_it_is_and_given_a_test(cache: Path) -> None:
    source = read(pl.DataFrame({"a": [1]}), cache=cache)
    assert read(source, cache=cache) is source
    joined = read(source, pl.DataFrame({"a": [2]}), cache=cache)
    assert joined.test is not None and joined.test.collect().rows() == [(2,)] and joined.digest != source.digest
    again = read(joined, pl.DataFrame({"a": [3]}), cache=cache)
    assert again.notes == ("the test source given replaces the one that the source holds",)
    with pytest.raises(SourceError, match="the test source 'data' holds parts of its own"):
        read(source, joined, cache=cache)


def test_a_wrong_path_suggests_a_near_one(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "photos").mkdir()
    message = rf"no file, folder or sample 'phtos' in {tmp_path}; did you mean 'photos'\? \(samples: digits, mnist5k"
    with pytest.raises(SourceError, match=message):
        read(tmp_path / "phtos", cache=cache)
    with pytest.raises(LeadlineError, match="did you mean 'digits'"):
        read("digts", cache=cache)


def test_one_image_is_no_source(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"pixels")
    with pytest.raises(SourceError, match=r"cat\.png is one image; give the folder that holds one subfolder a class"):
        read(tmp_path / "cat.png", cache=cache)


def test_permission_denied(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.csv").write_text("a,b\n1,2\n")

    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied", "train.csv")

    monkeypatch.setattr("leadline.readers.tabular.file_digest", refuse)
    with pytest.raises(SourceError, match=r"train\.csv may not be opened by this user; give yourself permission"):
        read(tmp_path / "train.csv", cache=cache)


def test_digests_of_large_files_are_remembered(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadline.readers.part.REMEMBER_BYTES", 1)
    file = tmp_path / "data.csv"
    file.write_text("a,b\n1,2\n")
    first = read(file, cache=cache)
    assert len(json.loads((cache / "digests.json").read_text())) == 1
    monkeypatch.setattr("leadline.readers.part._hash_file", None)
    assert read(file, cache=cache).digest == first.digest


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("LEADLINE_CACHE")
    assert cache_folder().name == "leadline"


def test_source_is_frozen(cache: Path) -> None:
    source = read(pl.DataFrame({"a": [1]}), cache=cache)
    with pytest.raises(AttributeError, match="cannot assign to field 'name'"):
        source.name = "other"  # type: ignore[misc]


def test_reading_imports_nothing_heavy() -> None:
    heavy = "torch", "pandas", "sklearn", "lightgbm", "matplotlib", "mlxtend"
    code = "import sys, leadline.readers.samples as s; s.load('digits'); "
    code += f"print([m for m in {heavy!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_path_that_is_no_text(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(
        SourceError, match="the path .*caf\ufffd.csv is not UTF-8, so no report could name it; rename it"
    ):
        read(str(tmp_path / "caf\udce9.csv"), cache=cache)


def test_a_pair_of_frame_and_target_keeps_names_and_types(cache: Path) -> None:
    X = pd.DataFrame({"age": [1, 2, 3], "town": ["a", "b", "c"], 7: [True, False, True]})
    for y, name in ((pd.Series([1, 2, 3], name="tier"), "tier"), (np.array([1, 2, 3]), "label"), ([1, 2, 3], "label")):
        source = read((X, y), cache=cache)
        assert source.target == name and source.train.collect_schema().names() == ["age", "town", "7", name]
    polars = read((pl.DataFrame({"age": [1, 2]}), pl.Series("tier", ["u", "v"])), cache=cache)
    assert polars.target == "tier" and polars.train.collect().columns == ["age", "tier"]
    with pytest.raises(SourceError, match="X has 3 rows and y has 2, where as many were expected"):
        read((X, [1, 2]), cache=cache)
    with pytest.raises(SourceError, match="X has a column 'age', and so is y called; rename one of them"):
        read((X, pd.Series([7, 8, 9], name="age")), cache=cache)


def test_an_index_that_says_something_is_a_column(cache: Path) -> None:
    days = pd.date_range("2024-01-01", periods=3)
    for index, names in (
        (days, ["index", "v"]),
        (days.rename("when"), ["when", "v"]),
        (pd.Index([5, 6, 7]), ["v"]),
        (pd.Index([5, 6, 7], name="shop"), ["shop", "v"]),
        (pd.MultiIndex.from_arrays([[1, 2, 3], list("abc")], names=[None, "k"]), ["k", "v"]),
        ([0, 0, 0], ["v"]),
    ):
        frame = read(pd.DataFrame({"v": [1, 2, 3]}, index=index), cache=cache).train.collect()
        assert frame.columns == names and frame["v"].to_list() == [1, 2, 3]


def test_rows_as_dicts(cache: Path) -> None:
    frame = read([{"a": 1, "b": "u"}, {"a": None}], cache=cache).train.collect()
    assert frame.to_dict(as_series=False) == {"a": [1, None], "b": ["u", None]}


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_text_is_composed_whoever_reads_it(name: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"cafe\u0301": ["cafe\u0301", "bar", "café"], "n": [1, 2, 3]})
    path = tmp_path / name
    {"t.csv": frame.write_csv, "t.parquet": frame.write_parquet, "t.jsonl": frame.write_ndjson}[name](path)
    for _ in range(2):  # the second time from the cache
        found = read(path, cache=tmp_path / "cache").train.collect()
        assert found.columns == ["café", "n"] and found["café"].to_list() == ["café", "bar", "café"]
