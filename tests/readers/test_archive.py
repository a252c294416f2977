"""Archives are unpacked once, wholly, and never outside their folder."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from leadline.readers import archive, compression
from leadline.readers.archive import names_in, unpack
from leadline.readers.source import read
from leadline.system.errors import SourceError

FILES = {"cat/1.wav": b"one", "cat/2.wav": b"two", "dog/3.wav": b"three"}


def _pack(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in files.items():
                packed.writestr(name, content)
    else:
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as packed_tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                packed_tar.addfile(entry, io.BytesIO(content))
    return path


def _files(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("name", ["s.zip", "s.tar", "s.tar.gz", "s.tgz", "s.tar.bz2", "s.txz"])
def test_an_archive_is_read_like_its_folder(name: str, tmp_path: Path) -> None:
    path = _pack(tmp_path / "in" / name, FILES)
    source = read(path, cache=tmp_path / "cache")
    assert source.name == "s" and source.train.collect().rows()[2] == ("dog/3.wav", "dog") and source.notes == ()
    assert source.root is not None and (source.root / "cat/2.wav").read_bytes() == b"two"
    beside = read(tmp_path / "in", cache=tmp_path / "cache")
    assert beside.digest == source.digest and beside.name == "in"


def test_a_second_read_unpacks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _pack(tmp_path / "s.zip", FILES)
    first, _ = unpack(path, tmp_path / "cache")
    monkeypatch.setattr(archive, "_unpack", lambda *_: pytest.fail("unpacked again"))
    assert unpack(path, tmp_path / "cache") == (first, ()) and _files(first) == FILES
    assert [folder.name[0] != "." for folder in (tmp_path / "cache" / "unpacked").iterdir()] == [True]


@pytest.mark.parametrize("name", ["../evil.wav", "a/../../evil.wav", "/evil.wav", "C:/evil.wav", "..\\evil.wav"])
@pytest.mark.parametrize("form", ["s.zip", "s.tar"])
def test_no_name_leads_out(name: str, form: str, tmp_path: Path) -> None:
    path = _pack(tmp_path / "in" / form, {name: b"evil", **FILES})
    folder, notes = unpack(path, tmp_path / "cache")
    assert _files(folder) == FILES and not list(tmp_path.rglob("*evil*"))
    shown = name.replace("\\", "/") if form == "s.zip" else name
    assert notes == (f"{form}: 1 entry is left out, such as {shown!r}: its name leads out of the folder",)
    assert unpack(path, tmp_path / "cache")[1] == notes, "said again when it is reused"


def test_links_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w") as packed:
        for name, kind, target in [
            ("x", tarfile.SYMTYPE, "/etc"),
            ("x/passwd", tarfile.REGTYPE, ""),
            ("hard", tarfile.LNKTYPE, "../../secret"),
            ("pipe", tarfile.FIFOTYPE, ""),
        ]:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            packed.addfile(entry, io.BytesIO(b""))
    folder, notes = unpack(path, tmp_path / "cache")
    assert _files(folder) == {"x/passwd": b""} and not (folder / "x").is_symlink()
    assert notes == ("s.tar: 3 entries are left out, such as 'x': it is a link",)

    with zipfile.ZipFile(tmp_path / "l.zip", "w") as zipped:
        info = zipfile.ZipInfo("link.wav")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(info, "/etc/passwd")
        zipped.writestr("a.wav", b"a")
    folder, notes = unpack(tmp_path / "l.zip", tmp_path / "cache")
    assert _files(folder) == {"a.wav": b"a"} and "'link.wav': it is a link" in notes[0]


def test_names_of_windows_and_of_tar(tmp_path: Path) -> None:
    assert names_in(_pack(tmp_path / "w.zip", {"cat\\1.wav": b"1"})) == ["cat/1.wav"]
    assert names_in(_pack(tmp_path / "t.tar", {"./cat/1.wav": b"1"})) == ["cat/1.wav"]


@pytest.mark.parametrize("form", ["s.zip", "s.tgz"])
def test_a_bomb_is_refused_and_leaves_nothing(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "FREE_BYTES", 3 * 10**6)
    path = _pack(tmp_path / form, {"a.wav": bytes(5 * 10**6)})
    with pytest.raises(SourceError, match=r"s\.\w+ \(0\.0 MB\) unpacks to more than 0 GB, which is refused"):
        unpack(path, tmp_path / "cache")
    assert not list((tmp_path / "cache" / "unpacked").iterdir())


def test_what_is_no_whole_archive(tmp_path: Path) -> None:
    whole = _pack(tmp_path / "s.tgz", {"a.wav": bytes(range(256)) * 4_000}).read_bytes()
    for name, content in [("a.zip", b"PK\x03\x04 nonsense"), ("b.tar", b"nonsense" * 99), ("c.tgz", whole[:-900])]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=rf"{name} is not a whole archive \(.*\); copy or download it again"):
            unpack(tmp_path / name, tmp_path / "cache")
    assert not list((tmp_path / "cache" / "unpacked").iterdir())
    with pytest.raises(SourceError, match=r"e\.zip holds no file that can be unpacked"):
        unpack(_pack(tmp_path / "e.zip", {}), tmp_path / "cache")


def test_a_locked_archive_says_so(tmp_path: Path) -> None:
    path = _pack(tmp_path / "s.zip", {"a.wav": b"a"})
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"s\.zip is locked by a password; unpack it and give the folder"):
        unpack(path, tmp_path / "cache")


def test_an_archive_of_a_table_in_a_folder(tmp_path: Path) -> None:
    path = _pack(tmp_path / "houses.zip", {"houses-1.0/train.csv": b"a,b\n1,2\n", "houses-1.0/test.csv": b"a,b\n3,4\n"})
    source = read(path, cache=tmp_path / "cache")
    assert source.name == "houses" and source.train.collect().rows() == [("1", "2")] and source.test is not None
    assert source.notes[0] == "houses/ holds nothing but houses-1.0/, which is read in its place"


def test_a_way_to_pack_that_is_not_known_is_said(tmp_path: Path) -> None:
    path = _pack(tmp_path / "odd.zip", {"a/1.wav": b"sound" * 50})
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # the method, in both places that state it
        place = data.index(magic) + offset
        data[place : place + 2] = (98).to_bytes(2, "little")  # PPMd
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match=r"odd\.zip is packed in a way that cannot be read here .*; pack it again as"):
        unpack(path, tmp_path / "cache")
