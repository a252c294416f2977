"""Pictures as a network was trained on them: resized and scaled inside the graph.

Enters: stored pictures uint8 [N, height, width, channels]. Leaves: float32 [N, 3, height, width] of the network's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from leadline.graph.builder import Graph

LEVELS = 255
KEYS = -0.5  # the coefficient of Keys' cubic kernel (1981), as Pillow and PyTorch have it where they smooth

Sides = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """What a network expects: pixels from 0 to 1 less `mean`, divided by `deviation`, at some size."""

    sides: Sides  # height and width, as it was trained
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # of ImageNet: where nothing else is said
    deviation: tuple[float, ...] = (0.229, 0.224, 0.225)
    cubic: bool = False  # how it is resized: by a cubic kernel, else linearly
    blue_first: bool = False

    def of(self, g: Graph, pictures: str, shape: tuple[int, int, int], sides: Sides) -> str:
        """The node that holds `pictures` of this shape (height, width, channels) at the size `sides`."""
        x = g.op("Transpose", g.op("Cast", pictures, to=1), perm=[0, 3, 1, 2])
        if sides != shape[:2]:
            sizes = g.op("Concat", g.op("Shape", x, start=0, end=2), g.const(np.array(sides, np.int64)), axis=0)
            facts: dict[str, Any] = {
                "antialias": 1,
                "exclude_outside": 1,
                "coordinate_transformation_mode": "half_pixel",
            }
            if self.cubic:
                x = g.op("Resize", x, "", "", sizes, mode="cubic", cubic_coeff_a=KEYS, **facts)
            else:
                x = g.op("Resize", x, "", "", sizes, mode="linear", **facts)
        if shape[2] == 1:
            x = g.op("Concat", x, x, x, axis=1)
        elif self.blue_first:
            x = g.op("Gather", x, g.const(np.array([2, 1, 0])), axis=1)
        mean, deviation = (np.array(part, np.float32).reshape(3, 1, 1) for part in (self.mean, self.deviation))
        return str(g.op("Mul", g.op("Sub", x, g.const(LEVELS * mean)), g.const(1 / (LEVELS * deviation))))
