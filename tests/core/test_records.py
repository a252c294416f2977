"""What is written for programs: a run's result.json and contract are as the schemas in docs/ say."""

from __future__ import annotations

import copy
import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import polars as pl
import pytest

import leadline
from leadline.core.record_keys import wrong_keys
from leadline.core.records import Contract, ResultV2

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
    assert [error.message for error in _checker("result.v2.json").iter_errors(written)] == []
    assert [error.message for error in _checker("contract.v2.json").iter_errors(run.model.contract)] == []


def test_a_schema_refuses_what_is_not_so(run: leadline.Run) -> None:
    checker, written = _checker("result.v2.json"), json.loads((run.folder / "result.json").read_text())
    for key, value in (("seed", "one"), ("a_new_key", 1), ("verdict", {})):
        assert not checker.is_valid({**written, key: value}), key
    less = copy.deepcopy(written)
    del less["contenders"][0]["score"]
    assert not checker.is_valid(less)


def test_the_schemas_in_docs_are_those_of_the_code() -> None:
    made = runpy.run_path(str(ROOT / "benchmarks" / "schemas.py"))["texts"]()
    there = {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.iterdir()}
    assert made == there, "run `make schemas`"


def test_a_key_that_is_not_in_the_schema_is_found_when_it_is_written(run: leadline.Run) -> None:
    assert list(wrong_keys(run.result, ResultV2, "result")) == []
    assert list(wrong_keys(run.model.contract, Contract, "contract")) == []
    wrong = copy.deepcopy(run.result)
    wrong["contenders"][1]["scor"] = wrong["contenders"][1].pop("score")
    wrong["verdict"]["rounds"] = 3
    assert set(wrong_keys(wrong, ResultV2, "result")) == {
        "result.contenders[1] has no 'score'", "result.contenders[1] has an unknown 'scor'",
        "result.verdict has an unknown 'rounds'",
    }  # fmt: skip


def test_the_architecture_page_names_every_key() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    listed = page[page.index("`result.json` holds") : page.index("### The model\n")]
    assert [key for key in ResultV2.__annotations__ if f"`{key}`" not in listed] == []
