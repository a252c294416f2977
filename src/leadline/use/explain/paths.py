"""Integrated gradients as they are shown: by column, and by fine parts of pictures, sounds and series.

Enters: a model, a sample and places in it. Leaves: for each row its `PathEffects` and its `PartEffects`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.parts import Layout, splits
from leadline.kinds import KINDS
from leadline.use.explain.records import Method, PartEffects, PathEffects
from leadline.use.explain.sample import Sample

if TYPE_CHECKING:
    from leadline.use.model import Model

CELLS, STEPS = 16, 64  # of a drawn map at a side, and of a drawn line
MATCHED = 64  # samples by which the encoded part of a longer sound is found


@dataclass(frozen=True, kw_only=True)
class Along:
    """What came of one row."""

    effects: PathEffects
    parts: list[PartEffects]


def along(model: Model, sample: Sample, places: Sequence[int], outputs: Sequence[int]) -> list[Along]:
    """Integrated gradients of the rows at `places`; raises ModelError where the network has none here."""
    from leadline.use.explain.gradients import integrated

    found = []
    for place, own in zip(places, integrated(model, sample, places, outputs), strict=True):
        parts = []
        for column, effects in own.maps.items():
            facts, value = model.contract["inputs"][column], sample.rows[place][column]
            ways = KINDS[facts["kind"]].parts(value, facts["decode"])
            fine = _fine(effects, own.encoded[column], np.asarray(value), ways[0].layout, ways[0].edges)
            if fine is not None:
                shape, edges, sums = fine
                parts.append(
                    PartEffects(
                        column=column, kind=facts["kind"], layout=ways[0].layout, names=_names(shape, edges),
                        shape=shape, edges=edges, effects=sums, method=Method.GRADIENTS, value=value,
                        settings=facts["decode"],
                    )
                )  # fmt: skip
        effects_ = PathEffects(columns=dict(own.columns), change=own.change, error=own.error, points=own.points)
        found.append(Along(effects=effects_, parts=parts))
    return found


def _fine(
    effects: np.ndarray, encoded: np.ndarray, value: np.ndarray, layout: Layout, edges: tuple[float, ...]
) -> tuple[tuple[int, ...], tuple[float, ...], np.ndarray] | None:
    """(shape, edges, effects) of fine parts; None of a layout that has no place in what is encoded."""
    if layout is Layout.GRID and effects.ndim == 2:
        down, across = (splits(size, CELLS) for size in effects.shape)
        sums = np.add.reduceat(np.add.reduceat(effects, down[:-1], axis=0), across[:-1], axis=1)
        return sums.shape, (), sums.ravel()
    if layout is Layout.WINDOWS and effects.ndim == 1:
        whole = _placed(effects, encoded.reshape(len(effects), -1)[:, 0], value)
        cuts = splits(len(whole), STEPS)
        ends = cuts * (edges[-1] / len(whole))
        return (len(cuts) - 1,), tuple(ends.tolist()), np.add.reduceat(whole, cuts[:-1])
    return None


def _placed(effects: np.ndarray, encoded: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Effects of what was encoded as those of the whole value: of a long sound only a part is, of a short one all."""
    if len(value) <= len(effects):
        return effects[: len(value)]
    found = np.zeros(len(value))
    for start in np.flatnonzero(value[: len(value) - len(encoded) + 1] == encoded[0]).tolist():
        if np.array_equal(value[start : start + MATCHED], encoded[:MATCHED]):
            found[start : start + len(effects)] = effects
            break
    return found


def _names(shape: tuple[int, ...], edges: tuple[float, ...]) -> tuple[str, ...]:
    if len(shape) == 2:
        return tuple(f"row {i + 1}, column {j + 1} of {shape[0]} x {shape[1]}" for i, j in np.ndindex(*shape))
    return tuple(f"{a:.3g} to {b:.3g}" for a, b in zip(edges[:-1], edges[1:], strict=True))


def pair(parts: Sequence[PartEffects], column: str, layout: Layout) -> tuple[np.ndarray, np.ndarray] | None:
    """(occlusion, integrated gradients) of the parts of a column, the second summed over the parts of the first."""
    own: dict[Any, PartEffects] = {
        each.method: each for each in parts if (each.column, each.layout) == (column, layout)
    }
    first, second = own.get(Method.OCCLUSION), own.get(Method.GRADIENTS)
    if first is None or second is None:
        return None
    sums = second.effects.reshape(second.shape)
    for axis, size in enumerate(first.shape):
        if size > sums.shape[axis]:
            return None
        sums = np.add.reduceat(sums, splits(sums.shape[axis], size)[:-1], axis=axis)
    return first.effects, sums.ravel()
