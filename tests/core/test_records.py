"""What is written for programs: a run's result.json and contract are as the schemas in docs/ say."""

from __future__ import annotations

import copy
import dataclasses
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pytest

import leadline
from leadline.core.records import VerdictResult, WithinResult
from leadline.stats.verdict import Verdict, Within

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"


def _checker(name: str) -> Any:
    return jsonschema.Draft202012Validator(json.loads((SCHEMAS / name).read_text()))


@pytest.fixture(scope="module", params=["binary", "language"])
def run(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    mixed: Callable[..., pl.DataFrame],
    story: Callable[..., Path],
) -> leadline.Run:
    out = tmp_path_factory.mktemp("records") / "run"
    if request.param == "language":
        return leadline.fit(story(300), only="ngram", epochs=1, out=out)
    return leadline.fit(mixed(300), target="y", only="linear,mlp", epochs=2, out=out)


def test_a_run_writes_what_the_schemas_say(run: leadline.Run) -> None:
    written = json.loads((run.folder / "result.json").read_text())
    assert [error.message for error in _checker("result.v1.json").iter_errors(written)] == []
    assert [error.message for error in _checker("contract.v2.json").iter_errors(run.model.contract)] == []


def test_a_schema_refuses_what_is_not_so(run: leadline.Run) -> None:
    checker, written = _checker("result.v1.json"), json.loads((run.folder / "result.json").read_text())
    for key, value in (("seed", "one"), ("a_new_key", 1), ("verdict", {})):
        assert not checker.is_valid({**written, key: value}), key
    less = copy.deepcopy(written)
    del less["contenders"][0]["score"]
    assert not checker.is_valid(less)


def test_the_schemas_in_docs_are_those_of_the_code() -> None:
    made = runpy.run_path(str(ROOT / "benchmarks" / "schemas.py"))["texts"]()
    there = {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.iterdir()}
    assert made == there, "run `make schemas`"


@pytest.mark.parametrize(("record", "kept"), [(VerdictResult, Verdict), (WithinResult, Within)])
def test_a_record_has_the_fields_that_are_written(record: Any, kept: Any) -> None:
    assert list(record.__annotations__) == [field.name for field in dataclasses.fields(kept)]
