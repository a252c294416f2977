"""Images: uint8 pixels [height, width, channels] of any size in, uint8 at one size out.

Decoding (container, a coarser scale of a large JPEG, EXIF turn, colour to grey or RGB) is outside the graph, by Pillow;
resizing is inside it (ONNX Runtime's antialiased linear Resize), because Pillow's own differs from it by up to 11
levels.

Contenders read 'dense': histograms of oriented gradients (Dalal and Triggs 2005) and colour moments, as uint8, so that
a last bit in a convolution cannot flip a tree.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.kinds.kind import Decoded, Fit, Limits, Tensor

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".avif", ".ppm", ".pgm")
MOST_PIXELS = 100_000_000  # a picture above is set aside: a small file can unpack to any size
SIZES = (32, 48, 64, 96, 128, 160)
# Pixels a side that a JPEG keeps at least, by the side that is read: its decoder gives a half, a quarter or an eighth
# of a side far faster than all of it. With twice as many as are read the rest of the way is left to the antialiased
# resize, as Pillow's own thumbnails have it. Until a side is chosen, as many as the largest needs.
SPARE = 2
DRAFT = SPARE * SIZES[-1]
ORIENTATIONS = 8


class Image:
    name = "image"
    joint = False
    ragged = True
    sample = 24
    onnx_input = "uint8"
    native: str | None = None

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        cells = cells.drop_nulls()
        if not len(cells) or not _looks_like_image(cells):
            return None
        few = cells.gather_every(max(1, len(cells) // 32))
        scale = 1.0
        if isinstance(cells.dtype, pl.Array):
            values = few.to_numpy()
            scale = 255.0 if values.dtype.kind == "f" and values.max(initial=0) <= 1.0 else 1.0
            greys = [_is_grey(picture) for picture in self.decode(few, root, {"channels": 3, "scale": scale}).values]
        else:
            greys = [grey for grey in (_glance(cell, root) for cell in few.to_list()) if grey is not None]
        if cells.dtype == pl.Binary and not greys:
            return None  # bytes, but of no picture
        drafted = {} if isinstance(cells.dtype, pl.Array) else {"draft": DRAFT}
        return {"channels": 1 if all(greys) else 3, "scale": scale, **drafted}

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        channels = int(settings["channels"])
        if isinstance(cells.dtype, pl.Array):
            scale = float(settings.get("scale", 1.0))
            pixels = cells.to_numpy()
            return Decoded(values=[_channels(_to_uint8(p, scale), channels) for p in pixels])
        values: list[Any] = []
        bad: dict[int, str] = {}
        for position, cell in enumerate(cells.to_list()):
            try:
                values.append(_open(cell, root, channels, int(settings.get("draft", 0))))
            except Exception as error:  # Pillow raises many types for a broken file; each sets one row aside
                values.append(None)
                why = "it holds none, or none that is whole" if _is_none(error) else error
                bad[position] = f"{_place(cell)} cannot be read as an image ({why})"
        return Decoded(values=values, bad=bad)

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        pictures = [picture for picture in samples[0] if picture is not None]
        channels = pictures[0].shape[2]
        height, width = _size([p.shape[:2] for p in pictures], limits)
        name = limits.columns[0]
        encode = Tensor(graph=_resizer(name, height, width, channels), shape=(height, width, channels), dtype="uint8")
        return Fit(
            settings={"height": height, "width": width, "channels": channels},
            encode=encode,
            forms={"dense": _gradients(height, width, channels)},
            decode={"draft": min(DRAFT, SPARE * max(height, width))} if "draft" in settings else {},
        )


def _is_grey(picture: np.ndarray) -> bool:
    return bool((picture[..., :1] == picture).all())


def _glance(cell: Any, root: Path | None) -> bool | None:
    """Whether a picture is grey; None where it cannot be read."""
    try:
        return _is_grey(_open(cell, root, 3, draft=1))
    except Exception:  # Pillow raises many types; what is wrong is said where every row is decoded
        return None


def _looks_like_image(cells: pl.Series) -> bool:
    if isinstance(cells.dtype, pl.Array):
        return len(cells.dtype.shape) in (2, 3)
    if isinstance(cells.dtype, pl.Struct):  # bytes that are no sound: that kind is tried before
        return "bytes" in {field.name for field in cells.dtype.fields}
    if cells.dtype == pl.Binary:
        return True
    if cells.dtype != pl.String:
        return False
    return all(str(cell).lower().endswith(SUFFIXES) for cell in cells.head(50))


def _is_none(error: Exception) -> bool:
    """Whether Pillow knows no format of these bytes; it would name the object that held them."""
    from PIL import UnidentifiedImageError

    return isinstance(error, UnidentifiedImageError)


def _place(cell: Any) -> str:
    if isinstance(cell, dict):
        cell = cell.get("path") or "an encoded image"
    return str(cell) if isinstance(cell, str) else "an encoded image"


def _open(cell: Any, root: Path | None, channels: int, draft: int = 0) -> np.ndarray:
    """Pixels as the camera held them; of a JPEG a half, a quarter or an eighth as many a side, if that is `draft`."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    if isinstance(cell, dict):
        cell = cell["bytes"] if cell.get("bytes") is not None else cell["path"]
    if cell is None:
        raise ValueError("the cell is empty")
    if isinstance(cell, str):
        path = Path(cell) if root is None else root / cell
        if not path.is_file():
            raise ValueError("no such file")
        source: Any = path
    else:
        source = io.BytesIO(cell)
    with Pillow.open(source) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(f"{picture.width} x {picture.height} pixels are more than {MOST_PIXELS:,}")
        if draft:
            picture.draft(None, (draft, draft))
        ImageOps.exif_transpose(picture, in_place=True)
        turned: Pillow.Image = picture
        if turned.mode.startswith("I") or turned.mode == "F":  # Pillow would clip, not scale
            deep = np.asarray(turned, np.float32)
            sixteen = turned.mode.startswith("I;16") or deep.max(initial=0) > 255
            turned = Pillow.fromarray((deep / (257.0 if sixteen else 1.0)).clip(0, 255).round().astype(np.uint8))
        if "A" in turned.getbands() or "transparency" in turned.info:  # transparent shows as white
            clear = turned.convert("RGBA")
            turned = Pillow.alpha_composite(Pillow.new("RGBA", clear.size, "white"), clear)
        return _channels(np.asarray(turned.convert("L" if channels == 1 else "RGB")), channels)


def _to_uint8(pixels: np.ndarray, scale: float) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    return np.asarray((np.nan_to_num(pixels.astype(np.float32)) * scale).clip(0, 255).round(), np.uint8)


def _channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [H, W] or [H, W, c] -> [H, W, channels]."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] not in (1, 3) and pixels.shape[0] in (1, 3):  # channels first, as torch has them
        pixels = pixels.transpose(1, 2, 0)
    pixels = pixels[:, :, :3]
    if pixels.shape[2] == channels:
        return np.ascontiguousarray(pixels)
    if channels == 1:
        grey = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
        return np.asarray(grey.round()[..., None], np.uint8)
    return np.repeat(pixels[:, :, :1], channels, axis=2)


def _size(shapes: list[tuple[int, int]], limits: Limits) -> tuple[int, int]:
    """The one size: as it is where all are small and equal, else a square that the budget can afford."""
    height, width = (int(v) for v in np.median(np.array(shapes), axis=0))
    # A small network passes about a million pixels a second; 0.1 is some ten passes in the share of time it has.
    affordable = (1e5 * limits.seconds / max(limits.rows, 1)) ** 0.5
    most = max([s for s in SIZES if s <= affordable], default=SIZES[0])
    if len(set(shapes)) == 1 and max(height, width) <= max(most, SIZES[0]):
        return height, width
    side = min(most, max(height, width))
    if len(set(shapes)) == 1 and height != width:  # one shape, not square: keep its aspect
        ratio = side / max(height, width)
        return max(8, round(height * ratio / 8) * 8), max(8, round(width * ratio / 8) * 8)
    return max(8, side), max(8, side)


def _resizer(column: str, height: int, width: int, channels: int) -> Any:
    from leadline.ship.graph import Graph

    g = Graph("image")
    x = g.input(column, np.uint8, ["N", "height", "width", channels])
    planes = g.op("Transpose", x, perm=[0, 3, 1, 2])
    sizes = g.op("Concat", g.op("Shape", planes, start=0, end=2), g.const(np.array([height, width], np.int64)), axis=0)
    small = g.op(
        "Resize", planes, "", "", sizes, mode="linear", antialias=1, coordinate_transformation_mode="half_pixel"
    )
    g.output("encoded", g.op("Transpose", small, perm=[0, 2, 3, 1]), np.uint8, ["N", height, width, channels])
    return g.model()


def _gradients(height: int, width: int, channels: int) -> Tensor:
    """uint8 [N, height, width, channels] -> uint8 [N, features]: oriented gradients a cell, then colour moments."""
    from leadline.ship.graph import Graph

    g = Graph("gradients")
    x = g.op("Cast", g.input("encoded", np.uint8, ["N", height, width, channels]), to=1)
    x = g.op("Mul", g.op("Transpose", x, perm=[0, 3, 1, 2]), g.const(np.float32(1 / 255)))
    grey = g.op("ReduceMean", x, g.const(np.array([1], np.int64)), keepdims=1)
    edge = g.op("Pad", grey, g.const(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)), mode="edge")
    angles = np.arange(ORIENTATIONS) * np.pi / ORIENTATIONS
    kernels = np.zeros((ORIENTATIONS, 1, 3, 3), np.float32)
    kernels[:, 0, 1, 0], kernels[:, 0, 1, 2] = -np.cos(angles), np.cos(angles)
    kernels[:, 0, 0, 1], kernels[:, 0, 2, 1] = -np.sin(angles), np.sin(angles)
    along = g.op("Abs", g.op("Conv", edge, g.const(kernels), kernel_shape=[3, 3]))
    # |gradient along an orientation| sharpened by its cube over the squared length: a soft vote for the nearest bins.
    channel = g.const(np.array([1], np.int64))
    square = g.op("ReduceSum", g.op("Mul", along, along), channel, keepdims=1)
    cube = g.op("Mul", g.op("Mul", along, along), along)
    votes = g.op("Div", cube, g.op("Add", square, g.const(np.float32(1e-4))))
    cell = max(2, round(min(height, width) / 7))  # 7 x 7 cells
    cells = g.op("AveragePool", votes, kernel_shape=[cell, cell], strides=[cell, cell])
    energy = g.op("ReduceSum", g.op("Mul", cells, cells), channel, keepdims=1)
    around = g.op("AveragePool", energy, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1], count_include_pad=0)
    hog = g.op("Div", cells, g.op("Sqrt", g.op("Add", around, g.const(np.float32(1e-4)))))
    grid = [max(1, height // 4), max(1, width // 4)]
    mean = g.op("AveragePool", x, kernel_shape=grid, strides=grid)
    mean2 = g.op("AveragePool", g.op("Mul", x, x), kernel_shape=grid, strides=grid)
    variance = g.op("Relu", g.op("Sub", mean2, g.op("Mul", mean, mean)))
    parts = [hog, mean, g.op("Mul", g.op("Sqrt", variance), g.const(np.float32(2)))]
    flat = g.op("Concat", *[g.op("Flatten", part, axis=1) for part in parts], axis=1)
    flat = g.op("Clip", g.op("Mul", flat, g.const(np.float32(255))), g.const(np.float32(0)), g.const(np.float32(255)))
    count = ORIENTATIONS * (height // cell) * (width // cell) + 2 * channels * (height // grid[0]) * (width // grid[1])
    g.output("dense", g.op("Cast", g.op("Round", flat), to=2), np.uint8, ["N", count])
    return Tensor(graph=g.model(), shape=(count,), dtype="uint8")
