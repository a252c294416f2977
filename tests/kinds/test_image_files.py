"""Pictures as they come: of any size and make, damaged, misnamed, and made to fill the memory."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image as Pillow

from leadline.kinds import KINDS
from leadline.system.errors import SourceError

IMAGE = KINDS["image"]
COLOURS = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)


def _bytes(picture: Pillow.Image, suffix: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, suffix, **options)
    return out.getvalue()


def _png(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes that says it is of this size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (_png(60_000, 60_000), "exceeds limit|pixels are more than"),
        (_png(11_000, 9_500), "pixels are more than 100,000,000"),
        (_bytes(Pillow.fromarray(COLOURS))[:-30], "truncated|broken|not enough"),
        (_bytes(Pillow.fromarray(COLOURS), "JPEG")[:200], "runcated|broken|none that is whole"),
        (b"", "none that is whole"),
        (b"no picture at all", "none that is whole"),
    ],
)
def test_what_cannot_be_read_is_set_aside_with_its_reason(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "a b.png").write_bytes(data)
    decoded = IMAGE.decode(pl.Series(["a b.png"]), tmp_path, {"channels": 3})
    assert decoded.values == [None] and decoded.bad[0].startswith("a b.png cannot be read as an image (")
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(decoded.bad[0])


@pytest.mark.parametrize("name", ["photo.png", "photo.tif", "photo.jpg", "Фото 写真.PNG"])
def test_a_wrong_suffix_and_any_letters_do_no_harm(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(_bytes(Pillow.fromarray(COLOURS), "BMP"))
    np.testing.assert_array_equal(IMAGE.decode(pl.Series([name]), tmp_path, {"channels": 3}).values[0], COLOURS)


@pytest.mark.parametrize("suffix", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_a_moving_picture_the_first_is_read(suffix: str) -> None:
    frames = [Pillow.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    data = _bytes(frames[0], suffix, save_all=True, append_images=frames[1:])
    assert np.abs(IMAGE.decode(pl.Series([data]), None, {"channels": 3}).values[0] - [255, 0, 0]).max() <= 8


def test_from_300_to_4000_pixels_of_any_aspect_become_one_size(tmp_path: Path, fit: Any) -> None:
    shapes = [(300, 400), (4_000, 3_000), (640, 4_000), (3_000, 350)]
    rough = Pillow.fromarray(COLOURS)
    cells = []
    for i, (width, height) in enumerate(shapes):
        rough.resize((width, height)).save(tmp_path / f"{i}.jpg", quality=70)
        cells.append(f"{i}.jpg")
    assert IMAGE.sniff(pl.Series(cells), tmp_path)["channels"] == 3
    data = [(tmp_path / cell).read_bytes() for cell in cells]
    fitted, run = fit("image", pl.Series("image", data))
    assert run(pl.Series(data)).shape == (4, *fitted.encode.shape) and max(fitted.encode.shape) <= 160


def test_bytes_of_no_picture_are_no_images() -> None:
    assert IMAGE.sniff(pl.Series([b"\x00\x01", b"x"]), None) is None


def test_a_folder_of_broken_pictures_is_refused_in_one_sentence(tmp_path: Path, prepare: Any) -> None:
    for i in range(30):
        path = tmp_path / ("cat" if i % 2 else "dog") / f"{i}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\xff\xd8\xff no more")
    with pytest.raises(SourceError, match=r"None of \d+ values of column 'image' can be read as image, such as row "):
        prepare(tmp_path)
