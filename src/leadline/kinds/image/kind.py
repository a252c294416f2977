"""Images: uint8 pixels [height, width, channels] of any size in, uint8 at one size out.

Decoding (container, a coarser scale of a large JPEG, EXIF turn, values beyond 8 bits by the range of the data set, a
ground under what is transparent, colour to grey or RGB) is outside the graph, by Pillow;
resizing is inside it (ONNX Runtime's antialiased linear Resize), because Pillow's own differs from it by up to 11
levels.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.json_types import whole
from leadline.core.kind import (
    CONVOLUTION,
    DENSE,
    PATCH_ATTENTION,
    Augmentation,
    Body,
    Decoded,
    FileProperties,
    Fit,
    Kind,
    Limits,
    Similarity,
    Tensor,
)
from leadline.core.parts import Parts, Value, grid
from leadline.core.textbook import DEEP, EITHER, OFTEN, OPEN, USUALLY, Finding, Textbook
from leadline.kinds.body_folder import CONFIG, configuration
from leadline.kinds.image import files, graphs
from leadline.kinds.image.pretrained import BODIES, size_of
from leadline.kinds.image.similarity import pairs
from leadline.kinds.image.timm_config import is_timm
from leadline.kinds.image.timm_folder import timm_in
from leadline.kinds.image.transformers_body import reads_pictures, transformers_in

if TYPE_CHECKING:
    from PIL import Image as Pillow

    from leadline.core.contender import Data
    from leadline.core.pretrained import PretrainedBody
    from leadline.core.tensors import Block

MOST_PIXELS = 100_000_000  # a picture above is quarantined: a small file can unpack to any size
SIZES = (32, 48, 64, 96, 128, 160)
# Pixels a side that a JPEG keeps at least, by the side that is read: its decoder gives a half, a quarter or an eighth
# of a side far faster than all of it. With twice as many as are read the rest of the way is left to the antialiased
# resize, as Pillow's own thumbnails have it. Until a side is chosen, as many as the largest needs.
SPARE = 2
DRAFT = SPARE * SIZES[-1]
GLANCED, MEASURED = 32, 256  # pictures that are read, and those that show the range of values beyond 8 bits
ODD = 1e-3  # share of a picture's values that is left out at each end of its range
TOPS = (1.0, 255.0, 65_535.0)  # of the ranges in which pictures are usually held
ONE_COLOUR = 2  # levels of 255 between the darkest and the lightest of a blank picture
GROUNDS = ("white", "black", "#808080")  # on which transparent pictures may be laid; the first in doubt
CLEARLY = 0.5  # of the best contrast that an earlier one of these grounds must give


def _pixel_body(block: Block, width: int) -> Any:
    from leadline.nets.mlp import PixelBody

    return PixelBody(*size_of(block))


def _convolution(block: Block, width: int) -> Any:
    from leadline.nets.cnn import ConvBody

    return ConvBody(*size_of(block), base=width)


def _lean_convolution(block: Block, width: int) -> Any:
    from leadline.nets.cnn import ConvBody

    return ConvBody(*size_of(block), base=width, lean=True)


def _patches(block: Block, width: int) -> Any:
    from leadline.nets.vit import PatchBody

    return PatchBody(*size_of(block))


def _augmentation(data: Data, tensor: str, seed: int) -> tuple[Augmentation, str]:
    from leadline.kinds.image.augment import augmentation  # imports PyTorch

    return augmentation(data, tensor, seed)


class Image(Kind):
    name = "image"
    sample = 24
    onnx_input = "uint8"
    variable_shape = is_file = costly = True
    fit_depends_on_rows = by_word = listed = False
    suffixes, magic = files.SUFFIXES, files.BEGINNING
    noun, wanted, written_as = "image", "an image", "paths of images"
    seconds_per_row = 5e-4
    blank_is = "of one colour"
    bodies = {
        DENSE: Body(build=_pixel_body, prepared=2_000, alike=("channels",)),
        CONVOLUTION: Body(
            build=_convolution, lean=_lean_convolution, widths=(16, 24, 32, 48, 64), batch=256, passes=60,
            prepared=2_000, augmentation=_augmentation, alike=("channels",),
        ),
        PATCH_ATTENTION: Body(
            build=_patches, batch=64, passes=60, prepared=2_000, peak=2e-3, decay=5e-2, smoothing=0.1,
            augmentation=_augmentation, alike=("channels",),
        ),
    }  # fmt: skip
    pretrained = BODIES
    similarity = Similarity(rate=6_000.0, pairs=pairs)
    file_properties = FileProperties(
        facts=files.properties, words=files.WORDS, removable=("pixels", "shape", "quality"), removed=files.coarsened,
        seconds=files.seconds_to_coarsen,
    )  # fmt: skip
    textbook = Textbook(
        data="images", seconds=4e-3, rank=1, by_class=True, pretrained=True,
        findings=(
            Finding(500, DEEP, USUALLY, "convolutions use where pixels are to each other, given hundreds a class",
             "LeCun et al. 1998; Krizhevsky et al. 2012"),
            Finding(50, DEEP, OFTEN, "small convolutional networks already learn from dozens of images a class",
             "Brigato & Iocchi 2021"),
            Finding(0, EITHER, OPEN, "with so few images a class, features by hand and a linear model hold their own",
             "Dalal & Triggs 2005; Brigato & Iocchi 2021"),
        ),
    )  # fmt: skip

    def has_body(self, folder: Path) -> bool:
        facts = configuration(folder / CONFIG)
        return is_timm(facts) or reads_pictures(facts)

    def body_in(self, folder: Path) -> PretrainedBody | None:
        return timm_in(folder) or transformers_in(folder)

    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Any] | None:
        cells = cells.drop_nulls()
        if not len(cells) or not _looks_like_image(cells):
            return None
        few = cells.gather_every(max(1, len(cells) // GLANCED))
        if isinstance(cells.dtype, pl.Array):
            values = cells.gather_every(max(1, len(cells) // MEASURED)).to_numpy()
            span = None if values.dtype == np.uint8 else _span([_ends(picture) for picture in values])
            settings: dict[str, Any] = {"range": span} if span else {}
            greys = [
                _is_grey(picture)
                for picture in self.decode(few, root, {"channels": 3, **settings}).values
                if picture is not None
            ]
            return {"channels": 1 if all(greys) else 3, **settings}
        seen = [look for look in (_glance(cell, root) for cell in few.to_list()) if look is not None]
        if cells.dtype == pl.Binary and not seen:
            return None  # bytes, but of no picture
        settings = {"channels": 1 if all(look.grey for look in seen) else 3, "draft": DRAFT}
        if any(look.ends for look in seen):  # the range is that of the data set: more pictures are asked for theirs
            more = cells.gather_every(max(1, len(cells) // MEASURED)).to_list()
            seen += [look for look in (_glance(cell, root) for cell in more) if look is not None]
            settings["range"] = _span([look.ends for look in seen if look.ends])
        if contrasts := [look.contrasts for look in seen if look.contrasts]:
            settings["ground"] = _ground(contrasts)
        return settings

    def decode(self, cells: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
        channels = int(settings["channels"])
        if isinstance(cells.dtype, pl.Array):
            # Files of contract version 1 from before ranges were measured state a factor.
            span = settings.get("range") or [0.0, 255.0 / float(settings.get("scale", 1.0))]
            if not _are_pixels(cells.dtype):
                why = f"it holds numbers of shape {list(cells.dtype.shape)}, and no picture"
                return Decoded(values=[None] * len(cells), bad=dict.fromkeys(range(len(cells)), why))
            known = cells.is_not_null().to_numpy()
            pictures = cells.drop_nulls().to_numpy()
            found: list[Any] = [None] * len(cells)
            for place, p in zip(np.flatnonzero(known), pictures, strict=True):
                found[place] = _channels(_to_uint8(p, span), channels)
            return Decoded(values=found, bad={int(row): "it holds none" for row in np.flatnonzero(~known)})
        values: list[Any] = []
        bad: dict[int, str] = {}
        for position, cell in enumerate(cells.to_list()):
            try:
                values.append(_pixels(_load(cell, root, int(settings.get("draft", 0))), channels, settings))
            except Exception as error:  # Pillow raises many types for a broken file; each quarantines one row
                values.append(None)
                why = "it holds none, or none that is whole" if _is_none(error) else str(error)
                bad[position] = f"{_place(cell)} cannot be read as an image ({why})"
        return Decoded(values=values, bad=bad)

    def blank(self, rows: np.ndarray) -> np.ndarray:
        """Encoded rows uint8 [n, height, width, channels] -> bool [n]: those of one colour."""
        flat = rows.reshape(len(rows), -1, rows.shape[-1])
        return np.asarray((np.ptp(flat, axis=1) <= ONE_COLOUR).all(axis=1))

    def states(self, dtype: pl.DataType) -> bool:
        """Pixels in an Array column of two or three axes can be nothing but an image."""
        return isinstance(dtype, pl.Array) and len(dtype.shape) > 1

    def input_shape(self, name: str, block: Block) -> list[str | int]:
        return ["N", f"{name}.height", f"{name}.width", whole(block.settings, "channels")]

    def picture(self, row: np.ndarray, settings: Mapping[str, Any], side: int) -> np.ndarray:
        return row

    def emptied(self, encoded: np.ndarray) -> np.ndarray:
        mean = encoded.mean(axis=(1, 2), keepdims=True).round().astype(encoded.dtype)
        return np.broadcast_to(mean, encoded.shape)

    def parts(self, value: Value, settings: Mapping[str, Any]) -> tuple[Parts, ...]:
        return (grid(np.asarray(value)),)

    def fit(self, samples: list[Any], settings: Mapping[str, Any], limits: Limits) -> Fit:
        pictures = [picture for picture in samples[0] if picture is not None]
        channels = pictures[0].shape[2]
        height, width = _size([p.shape[:2] for p in pictures], limits)
        name = limits.columns[0]
        encode = Tensor(
            graph=graphs.resizer(name, height, width, channels), shape=(height, width, channels), dtype="uint8"
        )
        return Fit(
            settings={"height": height, "width": width, "channels": channels},
            encode=encode,
            forms={"dense": graphs.gradients(height, width, channels)},
            decode={"draft": min(DRAFT, SPARE * max(height, width))} if "draft" in settings else {},
        )


def _is_grey(picture: np.ndarray) -> bool:
    return bool((picture[..., :1] == picture).all())


@dataclass(frozen=True)
class _Look:
    """What one picture says of how all are to be decoded."""

    grey: bool
    ends: tuple[float, float] | None  # of its values, where they have more than 8 bits
    contrasts: tuple[float, ...]  # of the picture on each of `GROUNDS`, where it is transparent


def _glance(cell: Any, root: Path | None) -> _Look | None:
    """A look at a picture; None where it cannot be read."""
    try:
        picture = _load(cell, root, draft=1)
        ends = _ends(np.asarray(picture, np.float32)) if _is_deep(picture) else None
        grey = _is_grey(_pixels(picture, 3, {"range": ends and _span([ends])}))
        contrasts = [_pixels(picture, 1, {"ground": ground}).std() for ground in GROUNDS] if _is_clear(picture) else []
        return _Look(grey=grey, ends=ends, contrasts=tuple(map(float, contrasts)))
    except Exception:  # Pillow raises many types; what is wrong is reported where every row is decoded
        return None


def _ends(values: np.ndarray) -> tuple[float, float] | None:
    """The range of a picture's values without a thousandth at each end: dead and hot pixels do not count."""
    values = values.astype(np.float32)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [ODD, 1 - ODD])
    least, most = values.min(), values.max()
    if high - low <= ODD * (most - least):  # nearly all of it is one level: what is rare is all that there is to see
        low, high = least, most
    return float(low), float(high)


def _span(ends: Sequence[tuple[float, float] | None]) -> list[float] | None:
    """The range [low, high] of a data set, which becomes 0 to 255: a common one where the values fill it by half."""
    there = [each for each in ends if each]
    if not there:
        return None
    low, high = min(low for low, _ in there), max(high for _, high in there)
    for top in TOPS:
        if low >= 0 and top / 2 < high <= top:
            return [0.0, top]
    return [low, high if high > low else low + max(1.0, abs(low))]  # adding 1 to a large float changes nothing


def _ground(contrasts: Sequence[tuple[float, ...]]) -> str:
    """The ground on which the picture that is hardest to see is seen best; white where that is as good."""
    worst = [min(values) for values in zip(*contrasts, strict=True)]
    best = max(worst)
    return next(ground for ground, value in zip(GROUNDS, worst, strict=True) if value >= CLEARLY * best)


def _looks_like_image(cells: pl.Series) -> bool:
    if isinstance(cells.dtype, pl.Array):
        return _are_pixels(cells.dtype)
    if isinstance(cells.dtype, pl.Struct):  # bytes that are no sound: that kind is tried before
        return "bytes" in {field.name for field in cells.dtype.fields}
    if cells.dtype == pl.Binary:
        return True
    if cells.dtype != pl.String:
        return False
    return all(str(cell).lower().endswith(files.SUFFIXES) for cell in cells.head(50))


def _is_none(error: Exception) -> bool:
    """Whether Pillow knows no format of these bytes; it would name the object that held them."""
    from PIL import UnidentifiedImageError

    return isinstance(error, UnidentifiedImageError)


def _place(cell: Any) -> str:
    if isinstance(cell, dict):
        cell = cell.get("path") or "an encoded image"
    return str(cell) if isinstance(cell, str) else "an encoded image"


def _load(cell: Any, root: Path | None, draft: int) -> Pillow.Image:
    """A picture as the camera held it; of a JPEG a half, a quarter or an eighth as many a side, if that is `draft`."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    if isinstance(cell, dict):
        cell = cell["bytes"] if cell.get("bytes") is not None else cell["path"]
    if cell is None:
        raise ValueError("the value is empty")
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
        picture.load()
        return ImageOps.exif_transpose(picture)


def _pixels(picture: Pillow.Image, channels: int, settings: Mapping[str, Any]) -> np.ndarray:
    """uint8 [height, width, channels]."""
    from PIL import Image as Pillow

    if _is_deep(picture):
        deep = np.asarray(picture, np.float32)
        span = settings.get("range")
        if span is None:  # files from before ranges were measured: each picture by itself
            span = [0.0, 65_535.0 if picture.mode.startswith("I;16") or deep.max(initial=0) > 255 else 255.0]
        picture = Pillow.fromarray(_to_uint8(deep, span))
    if _is_clear(picture):
        clear = picture.convert("RGBA")
        picture = Pillow.alpha_composite(Pillow.new("RGBA", clear.size, settings.get("ground", GROUNDS[0])), clear)
    return _channels(np.asarray(picture.convert("L" if channels == 1 else "RGB")), channels)


def _is_deep(picture: Pillow.Image) -> bool:
    """Whether its values have more than 8 bits; Pillow would clip them, not scale."""
    return picture.mode.startswith("I") or picture.mode == "F"


def _is_clear(picture: Pillow.Image) -> bool:
    return "A" in picture.getbands() or "transparency" in picture.info


def _to_uint8(pixels: np.ndarray, span: Sequence[float]) -> np.ndarray:
    """Values from `span` [low, high] to 0 to 255."""
    if pixels.dtype == np.uint8:
        return pixels
    low, high = span
    factor = np.float32(min(255.0 / (high - low), float(np.finfo(np.float32).max)))
    scaled = (np.nan_to_num(pixels.astype(np.float32), nan=low) - np.float32(low)) * factor
    return np.asarray(scaled.clip(0, 255).round(), np.uint8)


def _are_pixels(dtype: pl.Array) -> bool:
    """Whether arrays of this type can be pictures: [H, W] or [H, W, c] of numbers."""
    inner: Any = dtype.inner
    while isinstance(inner, pl.Array):
        inner = inner.inner
    return len(dtype.shape) in (2, 3) and 0 not in dtype.shape and (inner.is_numeric() or inner == pl.Boolean)


def _channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [H, W] or [H, W, c] -> [H, W, channels]."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] not in (1, 3) and pixels.shape[0] in (1, 3):  # channels first, as torch has them
        pixels = pixels.transpose(1, 2, 0)
    pixels = pixels[:, :, :3] if pixels.shape[2] > 2 else pixels[:, :, :1]
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
