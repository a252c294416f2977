"""What every contender promises on every sort of table it can learn from, and every kind on every cell.

The parameters come from `PORTFOLIO` and `KINDS`: a new contender or kind is held to this page without a new line here.
"""

from __future__ import annotations

import dataclasses
import io
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from leadline.contenders import ebm, pretrained
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data, Progress
from leadline.core.kind import Limits
from leadline.dataset.store import Store
from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.metrics.metrics import LIKELY, METRICS
from leadline.ship.assemble import assemble
from leadline.system.errors import ModelError
from leadline.use.model import Model

ALONE = 1e-5  # how far a row alone may be from the same row in a batch
PARITY = 1e-4  # of a probability, or of the spread of the target

TABLES = (
    "binary",
    "multiclass",
    "multilabel",
    "regression",
    "text",
    "text+number",
    "image",
    "image+table",
    "audio",
    "audio+number",
    "series",
)
STATED = ("tokens",)  # kinds that a source states, and no cell looks like
KINDS_OF = {
    "text": {"text"}, "text+number": {"text", "number"}, "image": {"image"},
    "series": {"series"}, "image+table": {"image", "number", "category"}, "audio": {"audio"},
    "audio+number": {"audio", "number"},
}  # fmt: skip


def _able() -> list[tuple[str, str]]:
    """(contender, table) of every pair in which it has something to learn from, told by blocks alone."""
    pairs = []
    for table in TABLES:
        kinds = KINDS_OF.get(table, {"number", "category", "time"})
        blocks = [_Block(kind, kind) for kind in sorted(kinds)]
        for name, contender in PORTFOLIO.items():
            if contender.inputs(_Blocks(blocks, SimpleNamespace(multilabel=table == "multilabel"))):  # type: ignore[arg-type]
                pairs.append((name, table))
    return pairs


@dataclasses.dataclass
class _Block:
    """As much of a block as `inputs` reads."""

    name: str
    kind: str
    columns: tuple[str, ...] = ("x",)
    shape: tuple[int, ...] = (2,)
    dtype: str = "float32"

    @property
    def forms(self) -> dict[str, Any]:
        return {"bag": [(2,), "int32"], "dense": [(2,), "uint8"]} if self.kind in ("text", "image", "audio") else {}

    @property
    def settings(self) -> dict[str, Any]:
        body = {"body": "MiniLM", "weights": "none is read"} if self.kind == "text" else None
        return {"sizes": [2, 2], "ngrams": 4, "height": 2, "width": 2, "channels": 1, "body": body}


@dataclasses.dataclass
class _Blocks:
    blocks: list[_Block]
    task: Any


@dataclasses.dataclass(frozen=True)
class Trained:
    """A contender after its fit, with the file made of it."""

    name: str
    made: Any
    fitted: Any
    progress: list[Progress]
    model: Model

    @property
    def store(self) -> Store:
        return self.made.store  # type: ignore[no-any-return]

    @property
    def rows(self) -> np.ndarray:
        return np.arange(self.store.rows)

    @property
    def frame(self) -> pl.DataFrame:
        return self.made.table.take(self.rows, list(self.model.contract["inputs"]))  # type: ignore[no-any-return]

    @property
    def scores(self) -> np.ndarray:
        return np.asarray(self.fitted.predict(self.store, self.rows))

    @property
    def unit(self) -> float:
        """What a difference is measured in: a probability, or the spread of the target."""
        return 1.0 if self.store.task.classes else float(np.nanstd(self.made.table.labels))

    def shipped(self, frame: pl.DataFrame) -> np.ndarray:
        """The file's probabilities or values."""
        found, bad = self.model.answer(frame, None)
        prediction, probabilities = found["prediction"], found.get("probabilities")
        assert not bad
        return np.asarray(prediction if probabilities is None else probabilities)


@pytest.fixture(scope="module", autouse=True)
def _fixed_plan() -> Iterator[None]:
    """Few passes, and a speed that no clock decides: then the seed alone does."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        from leadline.contenders import deep, finetuning

        measured = deep._Run._seconds_a_step

        def steady(self: Any, count: int) -> float:
            measured(self, 1)
            return 0.02 if self.bf16 else 0.01

        patch.setattr(deep._Run, "_seconds_a_step", steady)
        stepped = finetuning.FinetuningRun._seconds_on

        def even(self: Any, threads: int) -> float:
            stepped(self, threads)
            return 0.02 if self.bf16 else 0.01

        patch.setattr(finetuning.FinetuningRun, "_seconds_on", even)
        offered = deep.bodies_of

        def few_passes(store: Any, architectures: Any) -> dict[str, Any]:
            found = offered(store, architectures)
            return {
                name: dataclasses.replace(body, passes=12 if body.passes > 30 else 20) for name, body in found.items()
            }

        patch.setattr(deep, "bodies_of", few_passes)
        patch.setattr(pretrained, "FLOAT_TRIED", float("inf"))  # which precision is faster no clock decides
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tables(mixed: Any, messages: Any, bars: Any, tones: Any, waves: Any) -> Callable[[str], tuple[Any, dict[str, str]]]:
    """tables(name) -> (source, settings)."""

    def make(name: str) -> tuple[Any, dict[str, str]]:
        if name.startswith("text"):
            frame = messages(160)
            if "+" in name:
                frame = frame.with_columns(length=pl.col("text").str.len_chars() + 0.5)
            return frame, {"target": "label"}
        if name == "series":
            return waves(), {"target": "label"}
        if name.startswith("audio"):
            frame = tones(80)
            if "+" in name:
                frame = frame.with_columns(x=pl.Series(np.random.default_rng(0).normal(size=80)))
            return frame, {"target": "label"}
        if name.startswith("image"):
            images, labels = bars(120, 12)
            if "+" not in name:
                return (images, labels), {}
            noise = np.random.default_rng(0).normal(size=120)
            return pl.DataFrame({
                "photo": images, "x": noise, "c": ["u", "v", None] * 40, "y": labels * 2.0 + noise + 0.01,
            }), {"target": "y"}  # fmt: skip
        if name == "multilabel":
            frame = mixed(240, "regression")
            high, odd = frame["y"] > frame["y"].median(), frame["y"] < frame["y"].quantile(0.3)
            tags = [[t for t, yes in (("high", a), ("low", b)) if yes] for a, b in zip(high, odd, strict=True)]
            return frame.drop("y").with_columns(y=pl.Series(tags)), {"target": "y"}
        return mixed(240, name), {"target": "y"}

    return make


@pytest.fixture(scope="module")
def source_of(tables: Any, tiny_bert: Path) -> Callable[[str, str], tuple[Any, dict[str, str]]]:
    """source_of(contender, table) -> (source, settings): with a body, where the contender reads one."""

    def make(contender: str, table: str) -> tuple[Any, dict[str, str]]:
        source, settings = tables(table)
        return source, settings | ({"weights": str(tiny_bert)} if PORTFOLIO[contender].pretrained else {})

    return make


@pytest.fixture(autouse=True, scope="module")
def _few_fits() -> Iterator[None]:
    """The readable machine is the mean of eight fits where there is time; of two it is the same machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ebm, "BAGS", 2)
        yield


def _learn(name: str, store: Store, seed: int = 0, clock: Clock | None = None) -> list[Any]:
    return list(PORTFOLIO[name].fit(Data(store=store, clock=clock or Clock(500.0), threads=1), seed))


@pytest.fixture(scope="module", params=_able(), ids=lambda pair: f"{pair[0]}-{pair[1]}")
def trained(
    request: pytest.FixtureRequest, source_of: Any, prepare: Any, tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    name, table = request.param
    source, settings = source_of(name, table)
    made = prepare(source, **settings)
    *progress, fitted = _learn(name, made.store)
    path = tmp_path_factory.mktemp("contract") / "model.onnx"
    path.write_bytes(assemble(made.store, fitted.graph().SerializeToString(), {"contender": name}))
    return Trained(name, made, fitted, progress, Model(path))


def test_every_contender_is_here() -> None:
    writers = {"ngram", "lstm", "gpt"}  # test_language.py is for them
    assert {name for name, _ in _able()} | writers == set(PORTFOLIO)


def test_a_fit_is_progress_and_then_the_fitted(trained: Trained) -> None:
    assert all(isinstance(item, Progress) for item in trained.progress)
    scores = [item.score for item in trained.progress if item.score is not None]
    assert np.isfinite([*scores, trained.fitted.score]).all() and (scores or trained.name == "baseline")


def test_the_valid_score_is_that_of_the_answers_that_are_kept(trained: Trained) -> None:
    store, answers = trained.store, trained.fitted.valid
    if trained.name == "baseline":
        assert answers is None
        return
    truth = np.asarray(store.labels[store.split.valid])
    assert METRICS[store.task.metric](truth, answers) == pytest.approx(trained.fitted.score, rel=1e-5)
    assert trained.fitted.params > 0 and trained.fitted.bytes > 0
    assert trained.fitted.describe and all(isinstance(line, str) for line in trained.fitted.describe)


def test_with_time_enough_it_uses_the_valid_rows_and_is_not_undertrained(trained: Trained) -> None:
    assert trained.fitted.trained_on_valid is True and trained.fitted.undertrained is False


def test_answers_are_probabilities_or_values(trained: Trained) -> None:
    scores, classes = trained.scores, len(trained.store.task.classes)
    assert np.isfinite(scores).all()
    if classes:
        assert scores.shape == (trained.store.rows, classes) and scores.dtype == np.float32
        assert scores.min() >= 0
        if trained.store.task.multilabel:
            assert scores.max() <= 1
        else:
            np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    else:
        assert scores.shape == (trained.store.rows,) and scores.dtype == np.float64


def test_it_learns(trained: Trained) -> None:
    store = trained.store
    metric, test = METRICS[store.task.metric], store.split.test
    floor = _learn("baseline", store)[-1].predict(store, test)
    truth = trained.made.table.labels[test]
    found, base = metric(truth, trained.scores[test]), metric(truth, floor)
    assert trained.name == "baseline" or metric.better(found, base)


def test_the_same_seed_gives_the_same_result(trained: Trained) -> None:
    again = _learn(trained.name, trained.store)[-1]
    np.testing.assert_array_equal(again.predict(trained.store, trained.rows), trained.scores)
    assert again.score == trained.fitted.score


def test_the_file_answers_as_the_contender_on_every_row(trained: Trained) -> None:
    shipped, scores = trained.shipped(trained.frame), trained.scores
    np.testing.assert_allclose(shipped, scores, rtol=0, atol=PARITY * trained.unit)
    if trained.store.task.multilabel:
        np.testing.assert_array_equal(shipped >= LIKELY, scores >= LIKELY)
    elif trained.store.task.classes:
        np.testing.assert_array_equal(shipped.argmax(axis=1), scores.argmax(axis=1))


def test_a_row_alone_is_answered_as_in_any_batch(trained: Trained) -> None:
    frame, together = trained.frame, trained.shipped(trained.frame)
    alone = np.concatenate([trained.shipped(frame[row : row + 1]) for row in range(25)])
    np.testing.assert_allclose(alone, together[:25], rtol=0, atol=ALONE * trained.unit)
    odd = trained.shipped(frame[7:20:3])
    np.testing.assert_allclose(odd, together[7:20:3], rtol=0, atol=ALONE * trained.unit)


def test_rows_with_nothing_in_them_are_answered(trained: Trained) -> None:
    frame = trained.frame
    empty = frame[:3].with_columns(
        pl.lit(None, frame[name].dtype).alias(name)
        for name, facts in trained.model.contract["inputs"].items()
        if facts["kind"] not in ("image", "audio")
    )
    answers = trained.shipped(empty)
    assert np.isfinite(answers.astype(np.float64)).all()


def test_a_wrong_input_is_refused_and_not_answered(trained: Trained) -> None:
    session = Session(trained.model.path)
    feeds: dict[str, Any] = {}
    for name, facts in trained.model.contract["inputs"].items():
        shape = {"image": (2, 12, 12, 1), "audio": (2, 900), "series": (2, 24)}.get(facts["kind"])
        feeds[name] = np.zeros(shape, facts["dtype"]) if shape else _zeros(facts["dtype"])
    session(feeds)
    name = next(iter(feeds))
    with pytest.raises(Exception, match="Unexpected input data type"):
        session({**feeds, name: np.zeros(2, np.float16)})
    with pytest.raises(ValueError, match=rf"Required inputs .*'{name}'.* are missing"):
        session({other: value for other, value in feeds.items() if other != name})
    with pytest.raises(ModelError, match=rf"data lacks column '{name}', which the model reads"):
        trained.model.predict(trained.frame.drop(name).with_columns(something=1))


def _zeros(dtype: str) -> np.ndarray:
    return np.array(["", "a"], object) if dtype == "str" else np.zeros(2, dtype)


@pytest.mark.parametrize("pair", _able(), ids=lambda pair: f"{pair[0]}-{pair[1]}")
@pytest.mark.parametrize("why", ["no time", "asked to stop"])
def test_without_time_it_still_ends_with_something(
    pair: tuple[str, str], why: str, source_of: Any, prepare: Any
) -> None:
    name, table = pair
    source, settings = source_of(name, table)
    store = prepare(source, **settings).store
    stop = threading.Event()
    if why == "asked to stop":
        stop.set()
    began = time.monotonic()
    fitted = _learn(name, store, clock=Clock(0.0 if why == "no time" else 500.0, stop))[-1]
    assert np.isfinite(fitted.predict(store, store.split.test)).all() and np.isfinite(fitted.score)
    assert time.monotonic() - began < 6


CELLS: dict[str, Callable[[], pl.Series]] = {
    "number": lambda: pl.Series(np.random.default_rng(0).normal(size=60)),
    "category": lambda: pl.Series(["a", "b", "c"] * 20),
    "time": lambda: pl.Series([f"{year}-0{month}-11" for year in range(1960, 1980) for month in (1, 5, 9)]),
    "text": lambda: pl.Series([f"a few words and the number {i * i}" for i in range(60)]),
    "image": lambda: pl.Series(np.random.default_rng(0).integers(0, 256, (60, 10, 14, 3)).astype(np.uint8)),
    "audio": lambda: pl.Series([_wav(np.random.default_rng(i).normal(0, 0.1, 3_000)) for i in range(60)]),
    "series": lambda: pl.Series(np.random.default_rng(0).normal(size=(60, 12))),
    "tags": lambda: pl.Series([["a; b", "b; c; a", "c"][i % 3] for i in range(60)]),
    "tokens": lambda: pl.Series([f"a stretch of text, the {i}th,\n" for i in range(60)]),
}
ODD = {
    "number": ["", "1e999", "x", None, "-0"],
    "category": ["", "ü", None, "a\0b", "a" * 5_000],
    "time": ["", "0000-00-00", None, "9999-12-31", "1960-01-11T"],
    "text": ["", "\0\0", None, "🐟" * 100, "word " * 3_000, "\ud7ff\uffff"],
    "image": [b"", b"\x89PNG", None, b"GIF89a", b"x" * 100],
    "audio": [b"", b"RIFF", None, b"OggS", b"x" * 100],
    "series": [[1.0] * 12, [], None, [1e300, None] * 6, [float("nan")] * 3],
    "tags": ["", "ü;a", None, "a\0b;;", "|", "a;" * 5_000],
    "tokens": ["", "\0\0", None, "🐟" * 100, "\ud7ff\uffff"],
}


def _wav(samples: np.ndarray) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, 8_000, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("name", KINDS)
class TestKind:
    def _fit(self, name: str) -> tuple[Any, Any, Any, Any]:
        kind, cells = KINDS[name], CELLS[name]().alias("x")
        settings = kind.sniff(cells, None) if name not in STATED else {}
        assert settings is not None
        values = kind.decode(cells, None, settings).values
        values = np.stack(values) if kind.variable_shape else values
        fit = kind.fit(
            [list(values) if kind.variable_shape else values], settings, Limits(rows=60, seconds=30, columns=("x",))
        )
        return kind, settings, values, fit

    def test_its_own_cells_are_recognised_first(self, name: str) -> None:
        cells = CELLS[name]()
        first = next(n for n, kind in KINDS.items() if kind.sniff(cells, None) is not None)
        assert (first == name) == (name not in STATED)

    def test_shapes_types_and_the_same_fit_twice(self, name: str) -> None:
        _, _, values, fit = self._fit(name)
        tensor = Session(fit.encode.graph)({"x": values})["encoded"]
        assert tensor.dtype == fit.encode.dtype
        if fit.encode.padding is None:
            assert tensor.shape == (60, *fit.encode.shape)
        else:
            assert len(tensor) == 60 and tensor.shape[1] <= fit.encode.shape[0]
        for form, made in fit.forms.items():
            found = Session(made.graph)({"x": values} if made.from_values else {"encoded": tensor})[form]
            assert found.shape == (60, *made.shape) and found.dtype == made.dtype
        again = self._fit(name)[3]
        assert again.encode.graph.SerializeToString() == fit.encode.graph.SerializeToString()
        assert again.settings == fit.settings

    def test_a_row_alone_is_encoded_as_in_a_batch(self, name: str) -> None:
        _, _, values, fit = self._fit(name)
        graphs = [("encoded", Session(fit.encode.graph), "x", values)]
        tensor = graphs[0][1]({"x": values})["encoded"]
        for form, made in fit.forms.items():
            feed, array = ("x", values) if made.from_values else ("encoded", tensor)
            graphs.append((form, Session(made.graph), feed, array))
            if made.cut is not None:
                cut = Session(made.cut)
                parts = graphs[-1][1]({feed: array})[form]
                graphs += [(group, cut, form, parts) for group in cut.outputs]
        for output, session, feed, array in graphs:
            together = session({feed: array})[output]
            for i in range(60):
                (alone,) = session({feed: array[i : i + 1]})[output]
                if session.inputs == ["grams"]:  # parts of a longer row lie further apart
                    np.testing.assert_array_equal(alone[alone != 0], together[i][together[i] != 0])
                    continue
                own = together[i][: len(alone)]
                np.testing.assert_array_equal(alone, own)
                assert (together[i][len(alone) :] == fit.encode.padding).all()

    def test_odd_cells_are_bad_or_encoded_and_never_raise(self, name: str) -> None:
        kind, settings, _, fit = self._fit(name)
        decoded = kind.decode(pl.Series(ODD[name]), None, settings)
        assert len(decoded.values) == len(ODD[name])
        if kind.variable_shape:
            assert set(decoded.bad) == {i for i, value in enumerate(decoded.values) if value is None}
        else:
            tensor = Session(fit.encode.graph)({"x": decoded.values})["encoded"]
            assert tensor.shape[0] == len(ODD[name]) and not np.isinf(tensor.astype(np.float64)).any()

    def test_settings_travel_as_json(self, name: str, tmp_path: Path) -> None:
        import json

        _, settings, _, fit = self._fit(name)
        assert json.loads(json.dumps([settings, dict(fit.settings)])) == [settings, dict(fit.settings)]
