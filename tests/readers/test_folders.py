"""Class folders, IDX pairs and tables in parts: what a user's folder becomes."""

import gzip
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from leadline.readers.source import Source, read
from leadline.system.errors import SourceError

REAL = Path(__file__).parents[2].parent / "shared" / "data"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="the folder of real data sets is absent")


def _put(folder: Path, *names: str, content: bytes = b"pixels") -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return folder


def _read(folder: Path) -> Source:
    return read(folder, cache=folder.parent / "cache")


def _rows(frame: pl.LazyFrame | None) -> list[tuple[object, ...]]:
    assert frame is not None
    return frame.collect().rows()


def _idx(values: np.ndarray) -> bytes:
    code = {"u1": 8, "f4": 13}[values.dtype.str[1:]]
    big = values.astype(values.dtype.newbyteorder(">"))
    return bytes([0, 0, code, values.ndim]) + np.array(values.shape, ">u4").tobytes() + big.tobytes()


def _mnist(folder: Path, part: str = "train", rows: int = 3, joint: str = "-", packed: bool = False) -> Path:
    pack = gzip.compress if packed else bytes
    images = np.arange(rows * 20, dtype=np.uint8).reshape(rows, 4, 5)
    end = ".gz" if packed else ""
    _put(folder, f"{part}-images{joint}idx3-ubyte{end}", content=pack(_idx(images)))
    return _put(folder, f"{part}-labels{joint}idx1-ubyte{end}", content=pack(_idx(np.arange(rows, dtype=np.uint8))))


def test_class_folders_in_order_without_litter(tmp_path: Path) -> None:
    folder = _put(tmp_path / "photos", "dog/b.JPG", "dog/a.png", "cat/deep/er/c.webp", "cat/notes.txt", "cat/.DS_Store")
    _put(folder, "__MACOSX/x.png", ".hidden/y.png", "dog/Thumbs.db")
    (folder / "fish").mkdir()
    source = _read(folder)
    assert _rows(source.train) == [("cat/deep/er/c.webp", "cat"), ("dog/a.png", "dog"), ("dog/b.JPG", "dog")]
    assert (source.name, source.target, source.root, source.kinds) == ("photos", "label", folder, {"image": "image"})
    assert source.notes == (
        "class folder fish/ holds no image; it is left out",
        "1 file in class folders not an image, such as cat/notes.txt, left out",
    )


def test_digest_is_of_content(tmp_path: Path) -> None:
    one, two = _put(tmp_path / "one", "a/1.png", "b/2.png"), _put(tmp_path / "two", "a/1.png", "b/2.png")
    assert _read(one).digest == _read(two).digest
    _put(two, "b/2.png", content=b"other pixels")
    assert _read(one).digest != _read(two).digest


def test_parts_of_class_folders(tmp_path: Path) -> None:
    folder = _put(tmp_path / "pets", "training/cat/1.png", "training/dog/2.png", "val/cat/3.png", "Test/dog/4.png")
    _put(folder, "extra/cat/5.png")
    source = _read(folder)
    assert _rows(source.train) == [("training/cat/1.png", "cat"), ("training/dog/2.png", "dog")]
    assert _rows(source.valid) == [("val/cat/3.png", "cat")] and _rows(source.test) == [("Test/dog/4.png", "dog")]
    assert source.notes[0] == "training/ is the training set, val/ is the validation set, Test/ is the test set"
    assert "extra/ is no part (train, valid, test); it is left out" in source.notes


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    source = _read(_put(tmp_path / "vehicles", "train/1.png", "plane/2.png"))
    assert source.test is None and [row[1] for row in _rows(source.train)] == ["plane", "train"]


def test_one_wrapping_folder_is_stepped_through(tmp_path: Path) -> None:
    source = _read(_put(tmp_path / "pets", "pets-v1/cat/1.png", "pets-v1/dog/2.png"))
    assert _rows(source.train) == [("cat/1.png", "cat"), ("dog/2.png", "dog")]
    assert source.root == tmp_path / "pets" / "pets-v1"
    assert source.notes == ("pets/ holds nothing but pets-v1/, which is read in its place",)


def test_a_test_folder_given_apart_keeps_its_paths(tmp_path: Path) -> None:
    folder = _put(tmp_path / "pets", "mine/cat/1.png", "mine/dog/2.png", "yours/dog/3.png", "yours/cat/4.png")
    source = read(folder / "mine", folder / "yours", cache=tmp_path / "cache")
    assert source.root == folder
    assert _rows(source.train)[0] == ("mine/cat/1.png", "cat") and _rows(source.test)[1] == ("yours/dog/3.png", "dog")


def test_flat_images_are_explained(tmp_path: Path) -> None:
    message = r"photos/ holds 2 images but no subfolder a class; put each class in its own folder"
    with pytest.raises(SourceError, match=message):
        _read(_put(tmp_path / "photos", "1.png", "2.jpeg"))


def test_empty_and_unknown_folders(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(SourceError, match=r"none/ is empty, where images or audio in class folders, IDX files or"):
        _read(tmp_path / "none")
    with pytest.raises(SourceError, match=r"odd/ holds a\.7z, b\.bin, c/, where .* expected; unpack the archive"):
        _read(_put(tmp_path / "odd", "a.7z", "b.bin", "c/d.bin"))
    with pytest.raises(SourceError, match=r"two/ holds a\.zip, b\.tgz, where .* expected; name the archive to read"):
        _read(_put(tmp_path / "two", "a.zip", "b.tgz"))


@pytest.mark.parametrize(("joint", "packed"), [("-", False), (".", False), ("-", True)])
def test_idx_pairs(tmp_path: Path, joint: str, packed: bool) -> None:
    folder = _mnist(tmp_path / "digits28", joint=joint, packed=packed)
    source = _read(_mnist(folder, "t10k", 2, joint, packed))
    assert source.train.collect_schema() == {"image": pl.Array(pl.UInt8, (4, 5)), "label": pl.Int64}
    assert source.test is not None and source.test.collect().height == 2
    assert source.train.collect()["image"].to_numpy()[1, 0, 0] == 20
    assert source.target == "label" and source.kinds == {"image": "image"} and "is the test set" in source.notes[0]


def test_idx_digest_does_not_depend_on_packing(tmp_path: Path) -> None:
    assert _read(_mnist(tmp_path / "a")).digest == _read(_mnist(tmp_path / "b", packed=True)).digest


def test_one_idx_file_brings_its_pair(tmp_path: Path) -> None:
    folder = _mnist(_mnist(tmp_path / "digits28"), "t10k")
    source = read(folder / "train-images-idx3-ubyte", cache=tmp_path / "cache")
    assert source.train.collect().height == 3 and source.test is None


def test_damaged_idx_is_named(tmp_path: Path) -> None:
    folder = _mnist(tmp_path / "digits28")
    images, labels = folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte"
    whole = images.read_bytes()
    images.write_bytes(whole[:-1])
    with pytest.raises(SourceError, match=r"train-images-idx3-ubyte holds 75 bytes, .* promises 76; copy or download"):
        _read(folder)
    images.write_bytes(whole)
    labels.write_bytes(_idx(np.zeros(2, np.uint8)))
    with pytest.raises(SourceError, match=r"holds 3 images and train-labels-idx1-ubyte 2 labels"):
        _read(folder)
    labels.unlink()
    with pytest.raises(SourceError, match=r"has no labels beside it, where train-labels-idx1-ubyte was expected"):
        _read(folder)
    images.write_bytes(b"hello")
    _put(folder, labels.name, content=_idx(np.zeros(2, np.uint8)))
    with pytest.raises(SourceError, match=r"train-images-idx3-ubyte does not begin like an IDX file"):
        _read(folder)


@pytest.mark.parametrize(
    ("train", "test"),
    [("train.csv", "test.csv"), ("Gun_TRAIN.tsv", "Gun_TEST.tsv"), ("pets-training.csv", "pets-testing.csv")],
)
def test_tables_in_parts(tmp_path: Path, train: str, test: str) -> None:
    folder = _put(tmp_path / "data", train, content=b"a\tb\n1\t2\n")
    _put(folder, test, content=b"a\tb\n3\t4\n")
    _put(folder, "sample_submission.csv", "README.md", content=b"a,b\n1,2\n")
    source = _read(folder)
    assert _rows(source.train) == [("1", "2")] and _rows(source.test) == [("3", "4")] and source.valid is None
    assert source.notes[0] == f"{train} is the training set, {test} is the test set"
    assert "sample_submission.csv in data/ states no part" in source.notes[1]


def test_parquet_shards_are_one_table(tmp_path: Path) -> None:
    for i in range(2):
        pl.DataFrame({"a": [i]}).write_parquet(tmp_path / f"train-0000{i}-of-00002.parquet")
    pl.DataFrame({"a": [9]}).write_parquet(tmp_path / "test-00000-of-00001.parquet")
    source = read(tmp_path, cache=tmp_path / ".cache")
    assert _rows(source.train) == [(0,), (1,)] and _rows(source.test) == [(9,)]


def test_tables_that_leave_a_choice(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"two/ holds the tables a\.csv, b\.csv, where a single .* name the file"):
        _read(_put(tmp_path / "two", "a.csv", "b.csv", content=b"a,b\n1,2\n"))
    with pytest.raises(SourceError, match=r"holds train\.csv and training\.csv, where one train table was expected"):
        _read(_put(tmp_path / "twice", "train.csv", "training.csv", content=b"a,b\n1,2\n"))


def test_a_file_does_not_pull_in_its_neighbour(tmp_path: Path) -> None:
    _put(tmp_path, "train.csv", "test.csv", content=b"a,b\n1,2\n")
    source = read(tmp_path / "train.csv", cache=tmp_path / "cache")
    assert source.test is None and source.notes == ("test.csv stands beside it; pass --test to use it",)
    given = read(tmp_path / "train.csv", tmp_path / "test.csv", cache=tmp_path / "cache")
    assert _rows(given.test) == [("1", "2")] and given.notes == ()


@needs_real
def test_real_folders(tmp_path: Path) -> None:
    mnist = read(REAL / "mnist", cache=tmp_path)
    assert mnist.train.select(pl.len()).collect().item() == 60_000 and mnist.test is not None
    adult = read(REAL / "adult", cache=tmp_path)
    assert adult.train.select(pl.len()).collect().item() == 32_561 and adult.name == "adult"
    cifar = read(REAL / "cifar10", cache=tmp_path)
    assert cifar.kinds == {"image": "image"} and "airplane" in cifar.train.head(200).collect()["label"]


@pytest.mark.skipif(os.name != "posix", reason="names of any bytes, pipes and links")
def test_what_a_folder_should_not_hold_is_left_out(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for name in ("cat/1 a.png", "cat/ファイル.png", "dog/2.png", "dog/3.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"pixels")
    for name in ("__MACOSX/cat/._1.png", ".DS_Store", "cat/Thumbs.db", "dog/desktop.ini", ".ipynb_checkpoints/1.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"litter")
    os.mkfifo(root / "cat" / "pipe.png")  # reading it would wait for ever
    (root / "cat" / "nowhere.png").symlink_to("gone.png")
    (root / "all").symlink_to(root, target_is_directory=True)
    try:
        (Path(os.fsdecode(os.fsencode(root) + b"/dog/caf\xe9.png"))).write_bytes(b"pixels")
    except OSError:
        pytest.skip("this disk takes no name that is not UTF-8")
    source = read(root, cache=tmp_path / "cache")
    assert source.train.collect()["image"].to_list() == ["cat/1 a.png", "cat/ファイル.png", "dog/2.png", "dog/3.png"]
    assert source.notes == (
        "1 file has a name that is not UTF-8, such as dog/caf�.png, left out; to use what is left out, rename it",
    )


def test_pictures_that_need_another_decoder_are_named(tmp_path: Path) -> None:
    for name in ("cat/1.HEIC", "cat/2.heic", "dog/3.heic"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"pixels")
    with pytest.raises(SourceError, match=r"it holds 3 \.heic, which are not read: save them as \.jpg, \.png or \.wav"):
        read(tmp_path / "photos", cache=tmp_path / "cache")


def test_tables_in_folders_of_parts_are_those_parts(tmp_path: Path) -> None:
    for part, files in (("train", 2), ("valid", 1), ("test", 1)):
        (tmp_path / "data" / part).mkdir(parents=True)
        for number in range(files):
            frame = pl.DataFrame({"x": range(20), "label": ["a", "b"] * 10})
            frame.write_csv(tmp_path / "data" / part / f"part-{number}.csv")
    source = read(tmp_path / "data", cache=tmp_path / "cache")
    assert source.valid is not None and source.test is not None
    rows = [len(part.collect()) for part in (source.train, source.valid, source.test)]
    assert rows == [40, 20, 20]
    assert any("test/ is the test set" in note for note in source.notes)


def test_a_train_folder_without_tables_is_no_train_part(tmp_path: Path) -> None:
    (tmp_path / "data" / "train").mkdir(parents=True)
    (tmp_path / "data" / "test").mkdir()
    with pytest.raises(SourceError, match=r"data/ holds test/, train/"):
        read(tmp_path / "data", cache=tmp_path / "cache")
