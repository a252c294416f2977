"""Files of pictures: which they are, what they say besides their content, and pictures without that.

Pictures are shrunk to the smallest size found and saved again at the coarsest quality found: what is known of them then
is known from the content.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.core.kind import Rows
from leadline.graph.runtime import Session

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".avif", ".ppm", ".pgm")
BEGINNING = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8|BM|RIFF.{4}WEBP", re.DOTALL)
A_FILE, A_PIXEL = 3e-4, 4e-8  # seconds to shrink one and save it again
WORDS = {
    "pixels": "the size in pixels", "shape": "the aspect ratio", "quality": "the JPEG quality",
    "mode": "the colour mode",
}  # fmt: skip


def properties(source: Any) -> Mapping[str, Any]:
    """What a file, given as a path or opened, says besides its content."""
    from PIL import Image

    with Image.open(source) as picture:
        wide, high = picture.size
        tables = getattr(picture, "quantization", None)
        found = {"pixels": f"{wide}x{high}", "mode": picture.mode, "shape": f"{wide / high:.1f}"}
        if tables:
            found["quality"] = str(int(np.mean(tables[0])))
        return found


def coarsened(rows: Rows, root: Path | None, encode: bytes) -> np.ndarray:
    """The tensor of some rows, of pictures as small and as compressed as the worst of them."""
    from leadline.kinds.image.kind import Image

    cells, column = rows.cells(), rows.block.columns[0]
    coarse, size = _coarsest(cells, root)
    session, settings = Session(encode), rows.block.decode[column]
    out = np.array(rows.tensor[rows.places])
    for place in range(len(cells)):
        found = Image().decode(cells.slice(place, 1), root, settings).values[0]
        if found is not None:
            out[place] = session.only({column: _again(found, coarse, size)[None]})[0]
    return out


def seconds_to_coarsen(cells: pl.Series, root: Path | None) -> float:
    """Seconds that a row takes, about: estimated from file sizes alone, so that it is the same each time."""
    areas = [area for cell in cells.gather_every(max(1, len(cells) // 50)).to_list() if (area := _area(cell, root))]
    return A_FILE + A_PIXEL * float(np.mean(areas or [0]))


def _area(cell: Any, root: Path | None) -> int | None:
    from PIL import Image as Pillow

    try:
        with Pillow.open(_file(cell, root)) as picture:
            return picture.width * picture.height
    except OSError:  # a broken file is set aside where it is decoded
        return None


def _file(cell: Any, root: Path | None) -> Any:
    held = cell.get("bytes") if isinstance(cell, dict) else cell if isinstance(cell, bytes) else None
    if held is not None:
        return io.BytesIO(held)
    path = Path(str(cell.get("path") if isinstance(cell, dict) else cell))
    return path if root is None else root / path


def _coarsest(cells: pl.Series, root: Path | None) -> tuple[Any, tuple[int, int]]:
    """The quantisation tables of the most compressed JPEG, and the smallest size [width, height], of a sample."""
    from PIL import Image as Pillow

    tables, worst, least = None, 0.0, (10**6, 10**6)
    for cell in cells.to_list():
        try:
            with Pillow.open(_file(cell, root)) as picture:
                if picture.width * picture.height < least[0] * least[1]:
                    least = picture.size
                found = getattr(picture, "quantization", None)
        except OSError:
            continue  # a broken file is set aside where it is decoded
        if found and float(np.mean(found[0])) > worst:
            worst, tables = float(np.mean(found[0])), found
    return tables, least


def _again(pixels: np.ndarray, tables: Any, size: tuple[int, int]) -> np.ndarray:
    """uint8 [height, width, channels], shrunk and saved again."""
    from PIL import Image as Pillow

    grey = pixels.shape[2] == 1
    picture = Pillow.fromarray(pixels[:, :, 0] if grey else pixels)
    if picture.width > size[0] or picture.height > size[1]:
        picture = picture.resize((min(size[0], picture.width), min(size[1], picture.height)), Pillow.Resampling.BOX)
    if tables is not None:
        held = io.BytesIO()
        picture.save(
            held, "JPEG", qtables={k: list(v) for k, v in tables.items()} if not grey else {0: list(tables[0])}
        )
        picture = Pillow.open(held)
    found = np.asarray(picture)
    return found[:, :, None] if found.ndim == 2 else found
