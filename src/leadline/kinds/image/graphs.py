"""The graphs of an image: one size for all, and features of its pixels.

Contenders read 'dense': histograms of oriented gradients (Dalal and Triggs 2005) and colour moments, as uint8, so that
a last bit in a convolution cannot flip a tree.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from leadline.core.kind import Tensor

ORIENTATIONS = 8


def resizer(column: str, height: int, width: int, channels: int) -> Any:
    """uint8 [N, any height, any width, channels] -> uint8 [N, height, width, channels]."""
    from leadline.graph.builder import Graph

    g = Graph("image")
    x = g.input(column, np.uint8, ["N", "height", "width", channels])
    planes = g.op("Transpose", x, perm=[0, 3, 1, 2])
    sizes = g.op("Concat", g.op("Shape", planes, start=0, end=2), g.const(np.array([height, width], np.int64)), axis=0)
    small = g.op(
        "Resize", planes, "", "", sizes, mode="linear", antialias=1, coordinate_transformation_mode="half_pixel"
    )
    g.output("encoded", g.op("Transpose", small, perm=[0, 2, 3, 1]), np.uint8, ["N", height, width, channels])
    return g.model()


def gradients(height: int, width: int, channels: int) -> Tensor:
    """uint8 [N, height, width, channels] -> uint8 [N, features]: oriented gradients by block, then colour moments."""
    from leadline.graph.builder import Graph

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
    side = max(2, round(min(height, width) / 7))  # 7 x 7 blocks
    blocks = g.op("AveragePool", votes, kernel_shape=[side, side], strides=[side, side])
    energy = g.op("ReduceSum", g.op("Mul", blocks, blocks), channel, keepdims=1)
    around = g.op("AveragePool", energy, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1], count_include_pad=0)
    hog = g.op("Div", blocks, g.op("Sqrt", g.op("Add", around, g.const(np.float32(1e-4)))))
    grid = [max(1, height // 4), max(1, width // 4)]
    mean = g.op("AveragePool", x, kernel_shape=grid, strides=grid)
    mean2 = g.op("AveragePool", g.op("Mul", x, x), kernel_shape=grid, strides=grid)
    variance = g.op("Relu", g.op("Sub", mean2, g.op("Mul", mean, mean)))
    parts = [hog, mean, g.op("Mul", g.op("Sqrt", variance), g.const(np.float32(2)))]
    flat = g.op("Concat", *[g.op("Flatten", part, axis=1) for part in parts], axis=1)
    flat = g.op("Clip", g.op("Mul", flat, g.const(np.float32(255))), g.const(np.float32(0)), g.const(np.float32(255)))
    count = ORIENTATIONS * (height // side) * (width // side) + 2 * channels * (height // grid[0]) * (width // grid[1])
    g.output("dense", g.op("Cast", g.op("Round", flat), to=2), np.uint8, ["N", count])
    return Tensor(graph=g.model(), shape=(count,), dtype="uint8")
