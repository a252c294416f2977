"""Images of every mode and size, turned as the camera says, resized, and described for trees."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image as Pillow

from leadline.kinds import KINDS
from leadline.kinds.image.kind import DRAFT, ORIENTATIONS

IMAGE = KINDS["image"]


def _bytes(picture: Pillow.Image, suffix: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, suffix, **options)
    return out.getvalue()


def _decode(picture: bytes, channels: int = 3) -> np.ndarray:
    decoded = IMAGE.decode(pl.Series([picture]), None, {"channels": channels})
    assert not decoded.bad
    return np.asarray(decoded.values[0])


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    """uint8 [6, 9, 3]."""
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)


def test_colour_and_grey(colours: np.ndarray) -> None:
    np.testing.assert_array_equal(_decode(_bytes(Pillow.fromarray(colours))), colours)
    grey = Pillow.fromarray(colours[:, :, 0])
    np.testing.assert_array_equal(_decode(_bytes(grey), 1)[:, :, 0], colours[:, :, 0])
    np.testing.assert_array_equal(_decode(_bytes(grey), 3), np.repeat(colours[:, :, :1], 3, 2))
    luma = colours @ [0.299, 0.587, 0.114]
    assert np.abs(_decode(_bytes(Pillow.fromarray(colours)), 1)[:, :, 0] - luma).max() <= 1


def test_transparent_shows_as_white(colours: np.ndarray) -> None:
    alpha = np.full((6, 9, 1), 255, np.uint8)
    alpha[:3] = 0
    decoded = _decode(_bytes(Pillow.fromarray(np.concatenate([colours, alpha], 2))))
    assert (decoded[:3] == 255).all()
    np.testing.assert_array_equal(decoded[3:], colours[3:])
    half = Pillow.new("LA", (4, 4), (0, 128))
    assert np.abs(_decode(_bytes(half), 1).astype(int) - 127).max() <= 1


def test_palette_and_its_transparent_colour() -> None:
    picture = Pillow.new("P", (4, 2))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putdata([0, 1] * 4)
    assert _decode(_bytes(picture, "GIF"))[0, :2].tolist() == [[255, 0, 0], [0, 0, 255]]
    assert _decode(_bytes(picture, "PNG", transparency=1))[0, :2].tolist() == [[255, 0, 0], [255, 255, 255]]


def test_cmyk_and_one_bit() -> None:
    assert np.abs(_decode(_bytes(Pillow.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")) - [255, 0, 0]).max() <= 3
    assert _decode(_bytes(Pillow.new("1", (2, 2), 1)), 1).min() == 255


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65_535, 64).astype(np.uint16).reshape(8, 8)
    for suffix in ("PNG", "TIFF"):
        decoded = _decode(_bytes(Pillow.fromarray(ramp), suffix), 1)[:, :, 0]
        assert np.abs(decoded - ramp / 257).max() <= 1


def _stripes(count: int, low: float, high: float) -> np.ndarray:
    """Pictures [count, 16, 16] of stripes between two levels, with a little noise."""
    rng = np.random.default_rng(0)
    waves = np.sin(np.arange(16) * np.pi / 4)[None, :, None] + rng.normal(0, 0.1, (count, 16, 16))
    return np.asarray(low + (high - low) * (waves.clip(-1, 1) + 1) / 2)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1_200), (0, 255), (0, 20), (800, 1_300), (0, 65_535), (30_000, 31_000)]
)  # fmt: skip
@pytest.mark.parametrize("form", ["png", "tiff", "array", "float tiff"])
def test_more_than_eight_bits_are_read_by_the_range_of_the_data(form: str, low: int, high: int) -> None:
    """12-bit sensors, tomographs around 1,000, masks of few levels: what a person sees after stretching is seen."""
    pictures = _stripes(30, low, high)
    if form == "array":
        cells = pl.Series("image", pictures.astype(np.uint16))
    elif form == "float tiff":
        cells = pl.Series([_bytes(Pillow.fromarray(p.astype(np.float32)), "TIFF") for p in pictures])
    else:
        cells = pl.Series([_bytes(Pillow.fromarray(p.round().astype(np.uint16)), form.upper()) for p in pictures])
    settings = IMAGE.sniff(cells, None)
    assert settings["channels"] == 1
    decoded = np.stack(IMAGE.decode(cells, None, settings).values)
    assert np.ptp(decoded) > 120
    assert np.corrcoef(decoded.ravel(), pictures.ravel())[0, 1] > 0.99
    alone = IMAGE.decode(cells[3:4], None, settings).values[0]
    np.testing.assert_array_equal(alone, decoded[3])


def test_a_few_bright_points_on_black_stay_to_be_seen() -> None:
    values = np.zeros((5, 64, 64), np.uint16)
    values[:, 3, 4] = 60_000
    cells = pl.Series([_bytes(Pillow.fromarray(picture)) for picture in values])
    settings = IMAGE.sniff(cells, None)
    assert IMAGE.decode(cells, None, settings).values[0].max() > 200


def test_an_old_file_reads_as_it_did() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 8, 8)
    old = IMAGE.decode(pl.Series(ramp), None, {"channels": 1, "scale": 255.0}).values[0][..., 0]
    np.testing.assert_array_equal(old, (ramp[0] * 255).round())


@pytest.mark.parametrize(("shape", "ground"), [("white", "black"), ("black", "white"), ("both", "#808080")])
def test_a_transparent_picture_is_laid_on_a_ground_that_shows_its_shape(shape: str, ground: str) -> None:
    pictures = []
    for place in range(8):
        colour = {"both": "white" if place % 2 else "black"}.get(shape, shape)
        picture = Pillow.new("RGBA", (16, 16), (255, 255, 255, 0) if colour == "white" else (0, 0, 0, 0))
        picture.paste(Pillow.new("RGBA", (6, 6), colour), (5, 5))
        pictures.append(_bytes(picture))
    settings = IMAGE.sniff(pl.Series(pictures), None)
    assert settings.get("ground") == ground
    decoded = np.stack(IMAGE.decode(pl.Series(pictures), None, settings).values)
    assert not IMAGE.blank(decoded).any()


def test_pictures_of_one_colour_are_blank() -> None:
    rows = np.full((3, 8, 8, 3), [200, 10, 10], np.uint8)
    rows[2, 4, 4] = 0
    assert IMAGE.blank(rows).tolist() == [True, True, False]


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_stand_as_the_camera_held_them(turn: int, colours: np.ndarray) -> None:
    undo = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }  # fmt: skip
    exif = Pillow.Exif()
    exif[0x0112] = turn
    decoded = _decode(_bytes(Pillow.fromarray(colours), exif=exif))
    np.testing.assert_array_equal(decoded, undo[turn](colours))


def test_files_that_cannot_be_read_are_bad_and_the_others_stay(tmp_path: Path, colours: np.ndarray) -> None:
    whole = _bytes(Pillow.fromarray(colours))
    (tmp_path / "good.png").write_bytes(whole)
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "words.png").write_bytes(b"not a picture")
    cells = pl.Series(["good.png", "cut.png", "words.png", "absent.png", None])
    decoded = IMAGE.decode(cells, tmp_path, {"channels": 3})
    assert [value is None for value in decoded.values] == [False, True, True, True, True]
    assert set(decoded.bad) == {1, 2, 3, 4}
    assert decoded.bad[1].startswith("cut.png cannot be read as an image")
    assert decoded.bad[3] == "absent.png cannot be read as an image (no such file)"
    assert decoded.bad[4] == "an encoded image cannot be read as an image (the cell is empty)"


def test_a_picture_of_too_many_pixels_is_set_aside(monkeypatch: pytest.MonkeyPatch, colours: np.ndarray) -> None:
    monkeypatch.setattr("leadline.kinds.image.kind.MOST_PIXELS", 50)
    decoded = IMAGE.decode(pl.Series([_bytes(Pillow.fromarray(colours))]), None, {"channels": 3})
    assert "9 x 6 pixels are more than 50" in decoded.bad[0]


def test_what_is_an_image(colours: np.ndarray, tmp_path: Path) -> None:
    colour, grey = _bytes(Pillow.fromarray(colours)), _bytes(Pillow.fromarray(colours[:, :, 0]))
    assert IMAGE.sniff(pl.Series([colour]), None) == {"channels": 3, "draft": DRAFT}
    assert IMAGE.sniff(pl.Series([{"bytes": grey, "path": "a.png"}]), None)["channels"] == 1
    assert IMAGE.sniff(pl.Series([grey, colour]), None)["channels"] == 3
    (tmp_path / "a.PNG").write_bytes(grey)
    assert IMAGE.sniff(pl.Series(["a.PNG"]), tmp_path) == {"channels": 1, "draft": DRAFT}
    assert IMAGE.sniff(pl.Series(["a.png", "b.txt"]), tmp_path) is None
    assert IMAGE.sniff(pl.Series([1, 2]), None) is None


@pytest.mark.parametrize("order", ["rows first", "channels first"])
@pytest.mark.parametrize("unit", [np.uint8, np.float32])
def test_arrays_of_any_layout_and_scale(order: str, unit: Any, colours: np.ndarray) -> None:
    array = colours[None] if order == "rows first" else colours[None].transpose(0, 3, 1, 2)
    array = array if unit is np.uint8 else (array / 255).astype(unit)
    cells = pl.Series(np.ascontiguousarray(array))
    settings = IMAGE.sniff(cells, None)
    assert settings == {"channels": 3} | ({} if unit is np.uint8 else {"range": [0.0, 1.0]})
    np.testing.assert_array_equal(IMAGE.decode(cells, None, settings).values[0], colours)


@pytest.mark.parametrize("level", [-(2.0**63), -1e38, 1e38, 3e38, 1e-45, 0.0])
@pytest.mark.parametrize("step", [0.0, 1e-45])
def test_pictures_of_one_level_are_decoded_whatever_it_is(level: float, step: float) -> None:
    array = np.full((3, 8, 8, 3), level, np.float32)
    array[0, 0, 0] += np.float32(step)
    cells = pl.Series(array)
    with np.errstate(invalid="raise", over="raise", divide="raise"):
        values = IMAGE.decode(cells, None, IMAGE.sniff(cells, None)).values
    assert [value.shape for value in values] == [(8, 8, 1)] * 3


def test_images_of_one_small_size_are_kept_as_they_are(bars: Any, fit: Any) -> None:
    images, _ = bars(20, 16)
    fitted, run = fit("image", pl.Series("image", images))
    assert fitted.encode.shape == (16, 16, 1)
    np.testing.assert_array_equal(run(pl.Series(images))[..., 0], images)


def test_mixed_sizes_become_one(fit: Any) -> None:
    rng = np.random.default_rng(0)
    made, expected = [], []
    for height, width in ((40, 60), (64, 64), (100, 30)):
        rough = Pillow.fromarray(rng.integers(0, 256, (4, 4, 3)).astype(np.uint8))
        picture = rough.resize((width, height), Pillow.Resampling.BICUBIC)
        made.append(_bytes(picture))
        expected.append(np.asarray(picture))
    fitted, run = fit("image", pl.Series("image", made))
    side = fitted.encode.shape[0]
    assert fitted.encode.shape == (side, side, 3) and 32 <= side <= 64
    for pixels, array in zip(run(pl.Series(made)), expected, strict=True):
        pillow = np.asarray(Pillow.fromarray(array).resize((side, side), Pillow.Resampling.BILINEAR))
        assert np.abs(pixels.astype(int) - pillow).mean() < 1.5


def test_a_small_budget_makes_small_pictures(fit: Any) -> None:
    cells = pl.Series("image", np.zeros((300, 128, 128), np.uint8) + np.arange(128, dtype=np.uint8))
    sides = [fit("image", cells, seconds=seconds)[0].encode.shape[0] for seconds in (5, 30, 3_600)]
    assert sides[0] == 32 and sides == sorted(sides) and sides[-1] == 128


def test_a_jpeg_is_decoded_no_finer_than_twice_what_is_read(fit: Any) -> None:
    def photo(i: int) -> bytes:
        rough = Pillow.fromarray(np.random.default_rng(i).integers(0, 256, (5, 7, 3), np.uint8))
        return _bytes(rough.resize((900 + 40 * i, 700), Pillow.Resampling.BICUBIC), "JPEG")

    cells = pl.Series("image", [photo(i) for i in range(6)])
    for seconds in (0.05, 3_600):
        fitted, run = fit("image", cells, seconds=seconds)
        side = fitted.encode.shape[0]
        assert fitted.decode == {"draft": 2 * side}
        settings = {**IMAGE.sniff(cells, None), **fitted.decode}
        sizes = [value.shape for value in IMAGE.decode(cells, None, settings).values]
        assert all(2 * side <= min(shape[:2]) < 4 * side for shape in sizes)
        for pixels, cell in zip(run(cells), cells, strict=True):
            whole = Pillow.open(io.BytesIO(cell)).resize((side, side), Pillow.Resampling.BILINEAR)
            assert np.abs(pixels.astype(int) - np.asarray(whole)).mean() < 2.5


def test_gradients_agree_with_numpy(fit: Any) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 14, 21, 3)).astype(np.uint8)
    _, run = fit("image", pl.Series("image", images))
    dense = run(pl.Series(images), form="dense")
    for image, features in zip(images, dense, strict=True):
        expected = _described(image / 255.0)
        assert np.abs(features - expected).max() <= 1 and (features != np.round(expected)).mean() < 0.01


def _described(x: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients and colour moments of one picture [H, W, C] in 0..1."""
    grey = np.pad(x.mean(2), 1, mode="edge")
    right, down = (grey[1:-1, 2:] - grey[1:-1, :-2]), (grey[2:, 1:-1] - grey[:-2, 1:-1])
    angles = np.arange(ORIENTATIONS) * np.pi / ORIENTATIONS
    along = np.abs(np.cos(angles)[:, None, None] * right + np.sin(angles)[:, None, None] * down)
    votes = along**3 / ((along**2).sum(0) + 1e-4)
    cells = _means(votes, max(2, round(min(x.shape[:2]) / 7)))
    energy = np.pad((cells**2).sum(0), 1, constant_values=np.nan)
    around = np.nanmean(np.lib.stride_tricks.sliding_window_view(energy, (3, 3)), axis=(2, 3))
    grid = (x.shape[0] // 4, x.shape[1] // 4)
    planes = x.transpose(2, 0, 1)
    mean = _means(planes, *grid)
    spread = np.sqrt(np.maximum(_means(planes**2, *grid) - mean**2, 0))
    parts = [cells / np.sqrt(around + 1e-4), mean, 2 * spread]
    return np.clip(np.concatenate([part.ravel() for part in parts]) * 255, 0, 255)


def _means(planes: np.ndarray, height: int, width: int | None = None) -> np.ndarray:
    width = width or height
    rows, columns = planes.shape[1] // height, planes.shape[2] // width
    whole = planes[:, : rows * height, : columns * width]
    return np.asarray(whole.reshape(-1, rows, height, columns, width).mean(axis=(2, 4)))


def test_a_large_jpeg_is_decoded_at_a_coarser_scale_and_a_small_one_whole() -> None:
    shapes = [(1_500, 900), (700, 640), (400, 300)]
    cells = pl.Series([_bytes(Pillow.new("RGB", shape), "JPEG") for shape in shapes])
    decoded = IMAGE.decode(cells, None, {"channels": 3, "draft": DRAFT})
    assert [value.shape[:2] for value in decoded.values] == [(450, 750), (320, 350), (300, 400)]
