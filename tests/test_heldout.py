"""Nothing that is learned, chosen or taken out depends on a label of a test row: raised on where it is read, and seen.

Each source is fitted twice: as it is, and with other labels in the rows that it is tested on. Meanwhile labels that are
sealed raise where anything reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.config import from_mapping
from leadline.core.tensors import Split
from leadline.dataset.audit import audit
from leadline.dataset.heldout import HeldOut
from leadline.dataset.split_table import draw
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.dataset.table import read as understand
from leadline.race.race import Race
from leadline.readers.source import read


class Sealed(np.ndarray):
    """Labels of which some must not be read; whatever takes them all raises too."""

    secret: np.ndarray

    def __getitem__(self, key: Any) -> Any:
        touched = np.arange(len(self))[key]
        if np.isin(touched, self.secret).any():
            raise AssertionError("a sealed label was read")
        return np.array(self)[key]

    def __array_ufunc__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("sealed labels were computed with")

    def __array_function__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("sealed labels were computed with")


def _sealed(labels: np.ndarray, secret: np.ndarray) -> Any:
    made = np.array(labels).view(Sealed)
    made.secret = secret
    return made


@pytest.fixture(autouse=True)
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened, in order; with labels that raise, in the table and in every store of this process."""
    happened: list[str] = []
    without, evaluate, opened, run, init = (
        HeldOut.without, HeldOut.evaluate, HeldOut.opened, Race.run, Store.__init__,
    )  # fmt: skip

    def sealing(self: HeldOut, table: Table, split: Split) -> Table:
        made = without(self, table, split)
        object.__setattr__(made, "labels", _sealed(made.labels, split.test))
        return made

    def opening(self: Store, path: Path) -> None:
        init(self, path)
        self.labels = _sealed(self.labels, self.split.test)

    def noting(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def done(*args: Any, **more: Any) -> Any:
            found = step(*args, **more)
            happened.append(name)
            return found

        return done

    monkeypatch.setattr(HeldOut, "without", sealing)
    monkeypatch.setattr(Store, "__init__", opening)
    for owner, name, step in ((HeldOut, "evaluate", evaluate), (HeldOut, "opened", opened), (Race, "run", run)):
        monkeypatch.setattr(owner, name, noting(name, step))
    return happened


def _learned(run: ll.Run, round_: int | None = None) -> dict[str, str]:
    """A digest of what every contender of a round learned."""
    events = [json.loads(line) for line in (run.folder / "journal.jsonl").read_text().splitlines()]
    mine = [e for e in events if e["event"] == "end" and "digest" in e and e.get("round") == round_]
    return {e["contender"]: e["digest"] for e in mine}


def _table(rows: int = 1_200) -> pl.DataFrame:
    """A table with wrong labels, copies, and a column that gives the label away but in some groups."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3)).round(3)
    y = (x[:, 0] + x[:, 1] > 0) ^ (rng.random(rows) < 0.08)
    code = np.where(rng.random(rows) < 0.03, ~y, y)
    made = pl.DataFrame(
        {f"x{i}": x[:, i] for i in range(3)}
        | {"town": rng.choice(["Ulm", "Köln", "Bonn"], rows), "who": rng.integers(0, 60, rows)}
        | {"code": np.where(code, "p", "q"), "label": np.where(y, "yes", "no")}
    )
    return pl.concat([made, made.sample(30, seed=1)])


def _turned(frame: pl.DataFrame, rows: np.ndarray) -> pl.DataFrame:
    """The same frame, with the other label in some rows."""
    other = pl.col("label").replace({"yes": "no", "no": "yes"})
    chosen = pl.Series(np.isin(np.arange(len(frame)), rows))
    return frame.with_columns(pl.when(chosen).then(other).otherwise("label").alias("label"))


def _tested(run: ll.Run) -> np.ndarray:
    return pl.read_parquet(run.folder / "predictions.parquet")["row"].to_numpy()


def test_a_table_drawn_by_groups_and_mended(tmp_path: Path, order: list[str]) -> None:
    frame, settings = _table(), {"group": "who", "fix": "all", "epochs": 2, "only": "linear"}
    one = ll.fit(frame, out=tmp_path / "one", **settings)
    fixed = {flaw["name"]: flaw["fixes"] for flaw in one.result["flaws"] if flaw["fixed"]}
    # There was something to take out.
    assert fixed["near_duplicates"] == 30 and fixed["target_leakage"] == 1 and fixed["label_errors"] > 5
    assert order == ["run", "evaluate", *["opened"] * 2]
    two = ll.fit(_turned(frame, _tested(one)), out=tmp_path / "two", **settings)
    np.testing.assert_array_equal(_tested(one), _tested(two))
    assert _learned(one) == _learned(two) and len(_learned(one)) == 1
    assert one.result["rows"] == two.result["rows"] and one.result["columns"] == two.result["columns"]
    listed = pl.read_csv(tmp_path / "one" / "flaws.csv").filter(pl.col("flaw") == "label_errors")["row"].to_numpy() - 1
    assert np.isin(_tested(one), listed).any()  # wrong labels of test rows are named, once the verdict is made
    said = [flaw["says"] for flaw in one.result["flaws"] if flaw["name"] == "label_errors"][0]
    assert "of train and valid rows" not in said


def test_each_fold_is_mended_by_its_own_rows(tmp_path: Path, order: list[str], own_cache: Path) -> None:
    frame, fix = _table(), "label_errors,target_leakage"
    settings = {"group": "who", "fix": fix, "epochs": 2, "only": "linear", "repeats": 2}
    asked = from_mapping({**settings, "target": "label"})
    table, _ = audit(understand(read(frame, cache=own_cache), asked), asked)
    fold = draw(table, asked, 1, 0)
    one = ll.fit(frame, out=tmp_path / "one", **settings)
    two = ll.fit(_turned(frame, fold.test), out=tmp_path / "two", **settings)
    assert order == ["run", "evaluate", "run", "evaluate", "opened", "opened"] * 2
    assert _learned(one, 1) == _learned(two, 1) != {}
    assert _learned(one) != _learned(two)  # the first round learned from these rows
    assert one.result["test_openings"] == 1
    counted = one.result["evaluations"]
    assert (counted["sets"], counted["most"], counted["most_a_row"]) == (2, 1, 1)
    assert counted["rows"] == len(fold.test) + one.result["rows"]["test"]
    assert [each["seeds"] for each in one.result["contenders"]] == [0, 2]
    assert "each of 2 folds was scored once" in one.report().read_text()


def test_pictures_with_a_stated_test(tmp_path: Path, bars: Any) -> None:
    X, y = bars(320)
    settings = {"fix": "all", "epochs": 1, "only": "linear"}
    runs = [
        ll.fit((X[:280], y[:280]), test=(X[280:], labels), out=tmp_path / str(place), **settings)
        for place, labels in enumerate((y[280:], 1 - y[280:]))
    ]
    assert _learned(runs[0]) == _learned(runs[1]) != {}
    assert runs[0].result["shipped"]["score"] > 0.9 > 0.1 > runs[1].result["shipped"]["score"]


def test_texts_with_a_stated_test(tmp_path: Path, messages: Any) -> None:
    frame, test = messages(300), messages(80, seed=1)
    other = test.with_columns(pl.col("label").replace({"spam": "ham", "ham": "spam"}))
    runs = [
        ll.fit(frame, test=rows, target="label", fix="all", epochs=1, only="linear", out=tmp_path / str(place))
        for place, rows in enumerate((test, other))
    ]
    assert _learned(runs[0]) == _learned(runs[1]) != {}


def test_several_labels_and_values(tmp_path: Path, mixed: Any) -> None:
    values = mixed(300, "regression").drop("when")
    tags = pl.when(pl.col("weight") > 2).then(pl.lit("heavy;big")).otherwise(pl.lit("light")).alias("y")
    for place, (frame, task) in enumerate(((values, "regression"), (values.with_columns(tags), "multilabel"))):
        run = ll.fit(
            frame, target="y", task=task, fix="all", epochs=1, only="linear", out=tmp_path / str(place)
        )  # fmt: skip
        assert run.result["task"] == task and run.result["shipped"] is not None


def test_a_test_that_is_scored_again_says_so(tmp_path: Path, order: list[str]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2))
    y = np.where(x[:, 0] > 0, "a", "b")
    run = ll.fit(
        (x[:200], y[:200]), test=(x[200:], y[200:]), epochs=1, only="linear", rounds=3, out=tmp_path / "run"
    )  # fmt: skip
    assert run.result["test_openings"] == 3 == order.count("evaluate")
    assert run.result["evaluations"] == {"sets": 1, "most": 3, "rows": 100, "most_a_row": 3}
    assert "scored 3 times: 3 trainings were scored on the same rows" in run.report().read_text()


def test_the_guard_of_these_tests_raises(prepare: Any, mixed: Any) -> None:
    made = prepare(mixed(300), target="y")
    held = HeldOut(made.table)
    table = held.without(made.table, made.store.split)
    with pytest.raises(AssertionError, match="a sealed label was read"):
        table.labels[made.store.split.test[:1]]
    with pytest.raises(AssertionError, match="computed with"):
        np.unique(table.labels)
    with pytest.raises(AssertionError, match="before the verdict"):
        held.opened(table)
