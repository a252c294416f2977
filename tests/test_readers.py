"""One value, one reading: the same table brought by any reader gives the same store, and the same answers.

The generated tables are those of benchmarks/readers.py, which tries 2,000 of them in every form.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.internal.conjecture import providers

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import reader_tables

import readers

sys.path.pop(0)


def _pair_that_differs(drawn: reader_tables.Drawn, place: int, folder: Path) -> str | None:
    """The first form against another one, at fit and at predict."""
    made = list(reader_tables.forms(drawn, folder))
    (_, first), (name, other) = made[0], made[1 + place % (len(made) - 1)]
    sources = first(), other()
    one, two = (readers.stored(source, folder / "cache") for source in sources)
    if (found := readers.differs(one, two)) or isinstance(one, str):
        return found and f"fit, {name}: {found}"
    model = readers.shipped(one.store, folder / "model.onnx")
    said = readers.apart(*(model.predict(source, cache=folder / "cache") for source in sources))
    return said and f"predict, {name}: {said}"


def test_no_pair_of_readers_differs(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    # Hypothesis takes constants from the modules that are loaded: the tables would depend on which tests ran before.
    monkeypatch.setattr(providers, "_get_local_constants", providers.Constants, raising=False)
    places = iter(range(1_000))

    @settings(
        max_examples=18, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(reader_tables.tables())
    def compare(drawn: reader_tables.Drawn) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert _pair_that_differs(drawn, next(places), tmp_path_factory.mktemp("table")) is None

    compare()


# --- what a model says of cells that are written otherwise -----------------------------------------------------------


@pytest.fixture(scope="module")
def ship(prepare: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """ship(source, **settings): a model whose answers depend on every encoded value."""

    def run(source: Any, **asked: Any) -> Any:
        made = prepare(source, target="y", **asked)
        return readers.shipped(made.store, tmp_path_factory.mktemp("model") / "model.onnx")

    return run


def _days(form: str, days: Iterator[str] | list[str]) -> pl.DataFrame:
    return pl.DataFrame({"day": [pd.Timestamp(day).strftime(form) for day in days]})


DAYS = [f"2023-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(60)]


def _dated(form: str | None) -> pl.DataFrame:
    days = pl.Series("day", DAYS).str.to_date() if form is None else _days(form, DAYS)["day"]
    return pl.DataFrame({"day": days, "y": ["a", "b"] * 30})


@pytest.mark.parametrize("trained", [None, "%m/%d/%Y", "%d.%m.%Y"])
@pytest.mark.parametrize("asked", ["%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y"])
def test_a_column_of_days_is_read_by_one_form_and_it_is_said(trained: str | None, asked: str, ship: Any) -> None:
    model = ship(_dated(trained))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # ISO days are never in doubt
        right = model.predict(_days("%Y-%m-%d", DAYS))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = model.predict(_days(asked, DAYS))
    assert readers.apart(right, found) is None
    assert [f"are read as {asked}" in str(each.message) for each in said] == ([] if trained == asked else [True])


def test_one_row_is_read_by_the_contract_and_a_guess_is_said(ship: Any) -> None:
    american, dated = ship(_dated("%m/%d/%Y")), ship(_dated(None))
    one = pl.DataFrame({"day": ["04/03/2023"]})
    april = american.predict(pl.DataFrame({"day": ["2023-04-03"]}))
    assert readers.apart(april, american.predict(one)) is None
    with pytest.warns(UserWarning, match=r"are read as %d/%m/%Y, though %m/%d/%Y fits them too; write days as 2024"):
        dated.predict(one)


@pytest.mark.parametrize(
    ("cells", "number"),
    [(["1.234,50", "12,5"], 1234.5), (["1234.5", "0.25"], 1234.5), (["1,234.50", "12.5"], 1234.5)],
)
@pytest.mark.parametrize("comma", [False, True])
def test_numbers_in_another_notation_are_read_by_the_whole_file(
    cells: list[str], number: float, comma: bool, ship: Any
) -> None:
    numbers = [float(i * i) + 0.5 for i in range(60)]
    train = [f"{n:.2f}".replace(".", ",") for n in numbers] if comma else numbers
    model = ship(pl.DataFrame({"n": train, "y": ["a", "b"] * 30}))
    right = model.predict(pl.DataFrame({"n": [number]}))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert readers.apart(right, model.predict(pl.DataFrame({"n": cells})).head(1)) is None


def test_columns_of_unseen_missing_or_unreadable_values_are_said(ship: Any) -> None:
    train = {"town": ["Ulm", "Bonn", "Kiel"] * 20, "n": [float(i * i) for i in range(60)], "y": ["a", "b"] * 30}
    model = ship(pl.DataFrame(train))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model.predict(pl.DataFrame({"town": ["Wien"] * 6 + ["Ulm"] * 4, "n": ["n.k."] * 3 + [None] * 7}))
    assert [str(each.message) for each in said] == [
        "In column 'n' 3 values count as missing, such as row 1 ('n.k.' is not a number).",
        "6 of 10 values of 'town' never occur in the rows that the model learned from, such as 'Wien'.",
        "7 of 10 values of 'n' are missing, where 0% were in the train rows.",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(pl.DataFrame({"town": ["Wien"] + ["Ulm"] * 9, "n": [None] + [3.0] * 9}))


def test_codes_keep_their_zeros_whoever_read_them(ship: Any) -> None:
    codes = ["02139", "10001", "00501"]
    model = ship(pl.DataFrame({"zip": codes * 20, "x": range(60), "y": ["a", "b"] * 30}), kind=("zip=category",))
    right = model.predict(pl.DataFrame({"zip": codes, "x": [1, 1, 1]}))
    assert right["p_a"].n_unique() == 3
    for cells in ([2139, 10001, 501], [2139.0, 10001.0, 501.0], ["2139", "10001", "501"]):
        assert readers.apart(right, model.predict(pl.DataFrame({"zip": cells, "x": [1, 1, 1]}))) is None


def test_files_of_version_1_still_predict(ship: Any, tmp_path: Path) -> None:
    import json

    import onnx

    from leadline.graph.digest import CONTRACT, DIGEST
    from leadline.use.model import Model

    frame = pl.DataFrame({"t": ["u", "v", "w"] * 20, "flag": [1.0, 0.0] * 30, "y": ["a", "b"] * 30})
    file = onnx.load(ship(frame).path)
    contract = json.loads(next(entry.value for entry in file.metadata_props if entry.key == CONTRACT))
    contract["version"] = 1
    for facts in contract["inputs"].values():
        facts["decode"] = {}
        facts.pop("levels", None), facts.pop("missing", None)
    next(entry for entry in file.metadata_props if entry.key == CONTRACT).value = json.dumps(contract)
    file.metadata_props.remove(next(entry for entry in file.metadata_props if entry.key == DIGEST))
    onnx.save(file, tmp_path / "old.onnx")
    with pytest.warns(UserWarning, match="old.onnx has no digest"):
        old = Model(tmp_path / "old.onnx")
    answers = old.predict(pl.DataFrame({"t": ["u", None, "never"], "flag": [True, False, None]}))
    assert answers["prediction"].null_count() == 0
    text = old.predict(pl.DataFrame({"t": ["u", "", "never"], "flag": ["True", "FALSE", None]}))
    np.testing.assert_allclose(answers["p_a"], text["p_a"], atol=1e-6)
