"""Spurious features: properties of a file besides its content (name, format, resolution, quality) predict the class.

A model may learn these instead of the content. How closely a property and the class are associated is the uncertainty
coefficient (Theil 1970), both ways: how much of the class the property explains, and how much of the property the class
explains, on rows that were not counted.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.core.kind import FileProperties, Rows
from leadline.core.tensors import Block
from leadline.flaws import impact
from leadline.flaws.detector import FEWEST, Detector, Finding, ScanData
from leadline.flaws.flaw import Flaw, Impact
from leadline.flaws.neutralize import Sample
from leadline.flaws.probe import Probe, some
from leadline.flaws.target_leakage import explained_entropy
from leadline.kinds import KINDS
from leadline.system.resources import most_threads

ASSOCIATED = 0.25  # share of the entropy that one explains of the other
MOST_NAMES = 200  # values of a property; of more, it identifies the row
FILES_RATE = 1_500.0  # rows a second
MOST_READ, MOST_NEUTRALIZED = 4_000, 3_000  # files
WORDS = {"name": "the file name", "format": "the file format"}  # of any file


class SpuriousFeatures(Detector[None]):
    """Columns of files whose properties predict the class."""

    name, title, description = "spurious_features", "Spurious features", "spurious features of files"

    def search(self, data: ScanData, seconds: float) -> Finding[None]:
        """Properties from train and valid rows; the impact by the probe, trained with and without them."""
        files = [(block, KINDS[block.kind].file_properties) for block in data.store.blocks if data.table.task.classes]
        flaws = [self._search(data, block, of, seconds) for block, of in files if of is not None]
        return Finding(data=data, flaws=[flaw for flaw in flaws if flaw is not None])

    def _search(self, data: ScanData, block: Block, files: FileProperties, seconds: float) -> Flaw | None:
        column, labels, root = block.columns[0], data.table.labels, data.table.source.root
        rows = some(data.known_rows, min(MOST_READ, max(FEWEST, int(seconds * FILES_RATE))))
        properties = _properties(data.table.take(rows, [column])[column], files.facts, root)
        all_shares = {name: association(values, labels[rows]) for name, values in properties.items()}
        ordered = sorted(all_shares.items(), key=lambda one: -one[1])
        shares = {name: share for name, share in ordered if share >= ASSOCIATED}
        if not shares:
            return None
        words = {**files.words, **WORDS}
        shown = ", ".join(f"{words[name]} ({share:.0%})" for name, share in shares.items())
        size = _impact(data, block, rows, seconds) if any(name in files.removable for name in shares) else None
        says = f"File properties of {column!r}, not its content, predict the class: {shown}."
        return Flaw(name=self.name, impact=size, facts={"tied": shares}, says=says)


def _impact(data: ScanData, block: Block, rows: np.ndarray, seconds: float) -> Impact:
    files, column, root = KINDS[block.kind].file_properties, block.columns[0], data.table.source.root
    assert files is not None
    affordable = int(seconds / files.seconds(data.table.take(rows, [column])[column], root))
    rows = some(rows, min(MOST_NEUTRALIZED, max(FEWEST, affordable)), seed=2)
    values = data.table.take(rows, [column])[column]
    block_rows = Rows(block=block, places=rows, tensor=data.store.tensor(block.name), cells=partial(pl.Series, values))
    neutral = files.removed(block_rows, root, data.store.graph(block.name))
    samples = Sample(data.store, rows), Sample(data.store, rows, {block.name: neutral})
    probes = [Probe(sample, data.threads) for sample in samples]
    labels, places = data.table.labels[rows], np.arange(len(rows))
    fold, most = impact.folds_of(labels), max(FEWEST, probes[0].most_rows(seconds, impact.FITS))
    with_it, without = (probe.crossed(places, labels, fold, most, choose=True) for probe in probes)
    how = "trained on neutralized files"
    return impact.cross_validated(labels, with_it, without, fold, data.metric, "a linear model", how)


def _properties(
    values: pl.Series, read: Callable[[Any], Mapping[str, Any]], root: Path | None
) -> dict[str, np.ndarray]:  # fmt: skip
    """{property: a text for each row}; 'none' where it is unknown. Empty where values are no files.

    Args:
        read: the properties of a path, or of bytes as a file.
    """
    if isinstance(values.dtype, pl.Array):
        return {}
    with ThreadPoolExecutor(most_threads()) as pool:
        rows = list(pool.map(lambda value: _properties_of(read, value, root), values.to_list()))
    names = sorted({name for row in rows for name in row})
    found = {name: np.array([str(row.get(name, "none")) for row in rows]) for name in names}
    if "seconds" in found:
        found["seconds"] = _octiles(found["seconds"])
    return {name: texts for name, texts in found.items() if 1 < len(np.unique(texts)) <= MOST_NAMES}


def association(values: np.ndarray, labels: np.ndarray) -> float:
    """How closely a property and the class are associated: 0 not at all, 1 completely."""
    _, codes = np.unique(values, return_inverse=True)
    half = np.random.default_rng(0).random(len(codes)) < 0.5
    if min(half.sum(), (~half).sum()) < 20:
        return 0.0
    return max(explained_entropy(a, b, half, 0.5, 0.05) for a, b in ((codes, labels), (labels, codes)))


def _properties_of(read: Callable[[Any], Mapping[str, Any]], value: Any, root: Path | None) -> Mapping[str, Any]:
    try:
        path = value.get("path") if isinstance(value, dict) else value if isinstance(value, str) else None
        content = value.get("bytes") if isinstance(value, dict) else value if isinstance(value, bytes) else None
        place = None if path is None else (Path(path) if root is None else root / path)
        found = dict(read(io.BytesIO(content) if content is not None else place))
    except Exception:  # a broken file is quarantined, with its reason, where it is decoded
        return {}
    if path is not None:
        stem = Path(path).stem
        characters = "".join(sorted({"#" if c.isdigit() else c for c in stem}))
        found["name"] = characters if len(stem) > 40 else _without_numbers(stem)
        found["format"] = Path(path).suffix.lower()
    return found


def _without_numbers(stem: str) -> str:
    """What file names of one origin share."""
    plain = "".join("#" if c.isdigit() else c.lower() for c in stem)
    while "##" in plain:
        plain = plain.replace("##", "#")
    return plain


def _octiles(values: np.ndarray) -> np.ndarray:
    """Durations by eight ranges of equally many rows."""
    numbers = np.array([float(v) if v != "none" else np.nan for v in values])
    known = numbers[np.isfinite(numbers)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, 9)[1:-1])) if len(known) else known
    return np.searchsorted(edges, numbers).astype(str)
