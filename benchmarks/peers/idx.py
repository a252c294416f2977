"""What the peers share: the rows of MNIST as arrays in memory, read and scaled as in every program here."""

import gzip
from pathlib import Path

import numpy as np


def read(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in [-1, 1], float32 [rows, 784], and labels, int64 [rows], of `part`: "train" or "t10k"."""
    images = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    x = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 784).astype(np.float32)
    x /= 127.5  # in place: memory that is touched for the first time costs more than the arithmetic
    x -= 1
    return x, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)
