"""A sample of rows as they are, and with the traces of their files evened out, ready for the probe.

Pictures are shrunk to the smallest size found and saved again at the coarsest quality found; sounds are cut to the
shortest length found. What the probe then still knows, it knows from the content.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.core.tensors import Block
from leadline.dataset.store import Store
from leadline.graph.runtime import Session
from leadline.kinds.image.kind import Image

A_FILE, A_PIXEL = 3e-4, 4e-8  # seconds to even one
SHORT = 0.02  # quantile of the lengths that sounds are cut to
EVENED = {"image": ("pixels", "shape", "quality"), "audio": ("seconds",)}  # traces that can be


class Sample:
    """A store of some rows alone, numbered from 0, of which blocks may be replaced."""

    def __init__(self, store: Store, rows: np.ndarray, replaced: Mapping[str, np.ndarray] | None = None) -> None:
        self.task, self.blocks = store.task, store.blocks
        self._store, self._rows, self._replaced = store, rows, dict(replaced or {})
        self._made: dict[str, np.ndarray] = {}

    def tensor(self, name: str) -> np.ndarray:
        """As of the store: [rows, ...]."""
        if name not in self._made:
            block, _, form = name.partition(".")
            if block not in self._replaced:
                self._made[name] = np.asarray(self._store.tensor(name)[self._rows])
            elif not form:
                self._made[name] = self._replaced[block]
            else:
                session, held = Session(self._store.graph(name)), self._replaced[block]
                parts = [session({"encoded": held[at : at + 256]})[form] for at in range(0, len(held), 256)]
                self._made[name] = np.concatenate(parts)
        return self._made[name]


def evened(block: Block, store: Store, cells: pl.Series, rows: np.ndarray, root: Path | None) -> np.ndarray:
    """The tensor of a block for some rows, without the traces of their files."""
    if block.kind == "audio":
        return _cut(np.array(store.tensor(block.name)[rows]), block.padding or 0)
    coarse, size = _coarsest(cells, root)
    session = Session(store.graph(block.name))
    settings = block.decode[block.columns[0]]
    out = np.array(store.tensor(block.name)[rows])
    for place in range(len(cells)):
        found = Image().decode(cells.slice(place, 1), root, settings).values[0]
        if found is not None:
            out[place] = session.only({block.columns[0]: _again(found, coarse, size)[None]})[0]
    return out


def cost(block: Block, cells: pl.Series, root: Path | None) -> float:
    """Seconds that a row takes to be evened, about: told by sizes alone, so that it is the same each time."""
    if block.kind == "audio":
        return A_FILE
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


def _cut(sounds: np.ndarray, padding: int) -> np.ndarray:
    lengths = (sounds != padding).sum(axis=1)
    sounds[:, max(1, int(np.quantile(lengths, SHORT))) :] = padding
    return sounds


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
