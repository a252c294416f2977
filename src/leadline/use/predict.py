"""Answers for new rows: source in, frame out. Imports neither torch nor LightGBM."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from leadline.core.note import NO_HEADER, code_of
from leadline.dataset.notation import readable, readings
from leadline.kinds import KINDS
from leadline.readers.archive import is_archive, unpack
from leadline.readers.media import MEDIA, listed, medium_of, visible
from leadline.readers.part import called_as
from leadline.readers.source import Source, read
from leadline.system.cache import cache_folder
from leadline.system.errors import ModelError, SourceError
from leadline.system.os_errors import spoken
from leadline.use.input_check import Watch

if TYPE_CHECKING:
    from leadline.use.model import Model

CHUNK = 4_096  # rows read together
MANY = 32_768  # the same, where a value is one number or word


def predict(model: Model, source: Any, *, cache: str | Path | None = None) -> pl.DataFrame:
    """The columns of `Model.predict` for every row of the source, in its order; null where a row cannot be decoded."""
    return pl.concat(predict_in_parts(model, source, cache=cache))


def predict_in_parts(model: Model, source: Any, *, cache: str | Path | None = None) -> Iterator[pl.DataFrame]:
    """The rows of `predict`, some thousand at a time: nobody has to hold them all."""
    if model.task.generative:
        raise ModelError(f"{model.path.name} writes text, and predicts no column; use `leadline generate`.")
    place = Path(cache) if cache else cache_folder()
    with spoken(cache=place, out=place):
        yield from _answers(model, source, place)


def _answers(model: Model, source: Any, cache: Path) -> Iterator[pl.DataFrame]:
    data = source_to_predict(source, model, cache)
    media = {name for name, facts in model.contract["inputs"].items() if facts["kind"] in MEDIA}
    watch = Watch(model.contract["inputs"])
    for frame in batches(model, data, watch):
        outputs, bad = model.answer(frame, data.root, watch)
        answers = model.task.frame(outputs, bad)
        path = [name for name in frame.columns if name in media and frame[name].dtype == pl.String]
        for position, why in sorted(bad.items())[:3]:
            warnings.warn(f"Row {watch.row + position + 1} has no answer: {why}.", stacklevel=2)
        watch.row += len(frame)
        yield answers.with_columns(frame[name] for name in path)  # which file an answer belongs to
    if not watch.row:
        raise SourceError(f"{data.name} holds no rows to predict.")
    for sentence in watch.messages():
        warnings.warn(sentence, stacklevel=2)


def batches(model: Model, data: Source, watch: Watch) -> Iterator[pl.DataFrame]:
    """The columns that the model reads, some rows at a time; `watch` learns how each part writes them."""
    wanted, inputs = list(model.contract["inputs"]), model.contract["inputs"].values()
    chunk = MANY if all(KINDS[facts["kind"]].joint for facts in inputs) else CHUNK
    for part, rows, watch.own in readable_parts(model, data):
        for start in range(0, rows, chunk):
            yield part.select(wanted).slice(start, chunk).collect()


def readable_parts(
    model: Model, data: Source
) -> Iterator[tuple[pl.LazyFrame, int, dict[str, Mapping[str, Any]]]]:  # fmt: skip
    """Each part of a source with the model's columns, its rows, and how columns are decoded that are written otherwise.

    Raises ModelError where a column is missing or cannot be read.
    """
    wanted = list(model.contract["inputs"])
    for part in (data.train, data.valid, data.test):
        if part is None:
            continue
        part, renamed = called_as(part, wanted)
        if renamed:
            renames = listed(f"{old!r} as {name!r}" for old, name in renamed.items())
            warnings.warn(f"Columns are read as the model was trained on them: {renames}.", stacklevel=2)
        schema = part.collect_schema()
        if lacking := [name for name in wanted if name not in schema]:
            raise ModelError(_lacks(data, lacking, schema.names()))
        for name in wanted:
            facts = model.contract["inputs"][name]
            kind = facts["kind"]
            if not readable(schema[name], kind, facts["decode"]):
                raise ModelError(
                    f"column {name!r} of {data.name} holds {schema[name]}, which cannot be read as {kind}; write its "
                    f"values as {KINDS[kind].written_as}."
                )
        yield part, int(part.select(pl.len()).collect().item()), _readings(part, model)


def _lacks(source: Source, lacking: list[str], names: list[str]) -> str:
    which = repr(lacking[0]) + (f" and {len(lacking) - 1} more" if len(lacking) > 1 else "")
    remedy = "add it, with empty values where nothing is known"
    if any(code_of(note) == NO_HEADER for note in source.notes):
        remedy = "write a first line that names its columns"
    return f"{source.name} lacks column {which}, which the model reads; it has {listed(names)}; {remedy}."


def _readings(part: pl.LazyFrame, model: Model) -> dict[str, Mapping[str, Any]]:
    """How columns are decoded whose notation is not the contract's, by all values of the part; a message says so."""
    settings: dict[str, Mapping[str, Any]] = {}
    columns = {name: (facts["kind"], facts["decode"]) for name, facts in model.contract["inputs"].items()}
    for name, own in readings(part, columns).items():
        if own.says is not None:
            settings[name] = own.settings
            warnings.warn(f"In {own.says}", stacklevel=2)
    return settings


def source_to_predict(source: Any, model: Model, cache: Path) -> Source:
    """A source to predict: what `fit` takes, and also one file of media, or files of media with no class folders."""
    inputs = model.contract["inputs"]
    media = [(name, facts["kind"]) for name, facts in inputs.items() if facts["kind"] in MEDIA]
    path = Path(source) if isinstance(source, (str, Path)) else None
    if path is None or not path.exists() or len(media) != 1:
        return read(source, cache=cache)
    (name, kind) = media[0]
    folder = path
    if path.is_file() and is_archive(path):
        folder, _ = unpack(path, cache)
        files, subfolders = visible(folder)
        if len(subfolders) == 1 and not files:  # packing a folder wraps its files in its name
            folder = subfolders[0]
    entries = [folder] if folder.is_file() else visible(folder)[0]
    files = [file for file in entries if medium_of(file.name) == kind]
    # What else the model reads can only stand in a table: one beside the files is read in their place.
    if not files or (len(inputs) > 1 and len(files) < len(entries)):
        return _renamed(read(source, cache=cache), name, kind)
    return Source(
        name=path.name, train=pl.DataFrame({name: [file.name for file in files]}).lazy(), valid=None, test=None,
        target=None, root=files[0].parent, digest="", kinds={name: kind}, notes=(), bad=(),
    )  # fmt: skip


def _renamed(source: Source, name: str, kind: str) -> Source:
    """A source whose one column of this kind is called as the model calls it: class folders and tables differ there."""
    columns = [column for column, column_kind in source.kinds.items() if column_kind == kind]
    if len(columns) != 1 or name in source.train.collect_schema():
        return source
    train, valid, test = (
        None if part is None else part.rename({columns[0]: name}) for part in (source.train, source.valid, source.test)
    )
    assert train is not None
    return replace(source, train=train, valid=valid, test=test, kinds={name: kind})
