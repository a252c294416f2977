"""Answers for new rows: source in, frame out. Imports neither torch nor LightGBM."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from leadline.data.source import cache_folder, read
from leadline.errors import ModelError, OutputError, SourceError

if TYPE_CHECKING:
    from leadline.ship.model import Model

CHUNK = 4_096
WRITERS = {
    ".csv": pl.DataFrame.write_csv, ".parquet": pl.DataFrame.write_parquet, ".jsonl": pl.DataFrame.write_ndjson,
    ".tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
}  # fmt: skip


def predict(model: Model, source: Any, *, cache: str | Path | None = None) -> pl.DataFrame:
    """`prediction` and `p_<class>` for every row of the source, in its order; null where a row cannot be decoded."""
    given = _source(source, model, Path(cache) if cache else cache_folder())
    parts = [part for part in (given.train, given.valid, given.test) if part is not None]
    wanted = list(model.contract["inputs"])
    frames, row = [], 0
    for part in parts:
        names = part.collect_schema().names()
        if lacking := [name for name in wanted if name not in names]:
            raise ModelError(
                f"{given.name} lacks column {lacking[0]!r}, which the model reads; it has {', '.join(names)}."
            )
        rows = int(part.select(pl.len()).collect().item())
        path = ["image"] if part.collect_schema().get("image") == pl.String else []  # says which file an answer is of
        for start in range(0, rows, CHUNK):
            frame = part.select([*dict.fromkeys([*wanted, *path])]).slice(start, CHUNK).collect()
            prediction, probabilities, bad = model.answer(frame, given.root)
            answers = pl.DataFrame({"prediction": prediction.tolist() if model.classes else prediction})
            if model.classes:
                answers = answers.with_columns(pl.col("prediction").cast(pl.String))
            if probabilities is not None:
                columns = [pl.Series(f"p_{c}", probabilities[:, i]).fill_nan(None) for i, c in enumerate(model.classes)]
                answers = answers.with_columns(columns)
            frames.append(answers.with_columns(frame[name] for name in path))
            for position, why in sorted(bad.items())[:3]:
                warnings.warn(f"Row {row + position + 1} has no answer: {why}.", stacklevel=2)
            row += len(frame)
    if not frames:
        raise SourceError(f"{given.name} holds no rows to predict.")
    return pl.concat(frames)


def _source(source: Any, model: Model, cache: Path) -> Any:
    """A source to predict: what `fit` takes, and also a folder of images with no subfolder a class, or one image."""
    from leadline.data.source import Source
    from leadline.kinds.image import SUFFIXES

    images = [name for name, facts in model.contract["inputs"].items() if facts["kind"] == "image"]
    path = Path(source) if isinstance(source, (str, Path)) else None
    if path is not None and images and path.exists():
        files = [path] if path.suffix.lower() in SUFFIXES else []
        if path.is_dir():
            files = sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))
        if files:
            root = path if path.is_dir() else path.parent
            frame = pl.DataFrame({images[0]: [f.name for f in files]}).lazy()
            return Source(
                name=path.name, train=frame, valid=None, test=None, target=None, root=root, digest="",
                kinds={images[0]: "image"}, notes=(), bad=(),
            )  # fmt: skip
    return read(source, cache=cache)


def write(frame: pl.DataFrame, out: Path) -> None:
    """Write answers as CSV, TSV, Parquet or JSON Lines, by the suffix of `out`."""
    check_suffix(out)
    try:
        WRITERS[out.suffix.lower()](frame, out)  # type: ignore[operator]
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}.") from error


def check_suffix(out: Path) -> None:
    """Refuse a file that `write` would not know how to write."""
    if out.suffix.lower() not in WRITERS:
        raise OutputError(f"--out {out} has no known suffix; use one of {', '.join(WRITERS)}.")
