"""One packed file: read whatever packs it, and refused in one sentence where it is damaged or a bomb."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from leadline.readers import compression
from leadline.readers.compression import zstd
from leadline.readers.source import read
from leadline.system.errors import SourceError

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstd.compress,
}  # fmt: skip
TABLE = "a,b\n" + "".join(f"{i},{i * i}\n" for i in range(200))


@pytest.mark.parametrize("suffix", PACK)
def test_a_packed_table_is_read_like_the_table(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"x.csv{suffix}").write_bytes(PACK[suffix](TABLE.encode()))
    source = read(tmp_path / f"x.csv{suffix}", cache=tmp_path / "cache")
    assert source.name == "x" and source.train.collect()["b"].to_list() == [str(i * i) for i in range(200)]
    (tmp_path / "y.csv").write_bytes(PACK[suffix](TABLE.encode()))  # its name does not say so
    assert read(tmp_path / "y.csv", cache=tmp_path / "cache").train.collect().height == 200
    (tmp_path / f"z.jsonl{suffix}").write_bytes(PACK[suffix](b'{"a": 1}\n{"a": 2}\n'))
    assert read(tmp_path / f"z.jsonl{suffix}", cache=tmp_path / "cache").train.collect()["a"].to_list() == [1, 2]


@pytest.mark.parametrize("suffix", PACK)
def test_a_damaged_one_is_named(tmp_path: Path, suffix: str) -> None:
    whole = PACK[suffix](TABLE.encode())
    for content in (whole[:-9], whole[: len(whole) // 2], TABLE.encode()):
        (tmp_path / f"x.csv{suffix}").write_bytes(content)
        message = (
            rf"x\.csv\{suffix} is not a whole {compression.PACKINGS[suffix]} file \(.*\); copy or download it again"
        )
        with pytest.raises(SourceError, match=message):
            read(tmp_path / f"x.csv{suffix}", cache=tmp_path / "cache")


@pytest.mark.parametrize("suffix", PACK)
def test_a_bomb_is_refused(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "FREE_BYTES", 10**6)
    (tmp_path / f"x.csv{suffix}").write_bytes(PACK[suffix](b"0," * 10**7))
    with pytest.raises(SourceError, match=r"unpacks to more than .* which is refused"):
        read(tmp_path / f"x.csv{suffix}", cache=tmp_path / "cache")
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
