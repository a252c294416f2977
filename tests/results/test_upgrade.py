"""A run of an earlier version opens with the keys and names of today."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import leadline as ll
from leadline.cli.commands import main
from leadline.results.upgrade import upgraded
from leadline.system.errors import SourceError

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "result.v2.json"


@pytest.fixture
def old() -> dict[str, Any]:
    """As version 0.1.0 wrote it, of a run with --fix all; rows of flaws are fewer."""
    return dict(json.loads((Path(__file__).parent / "result.v1.json").read_text()))


def _folder(result: dict[str, Any], tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_text(json.dumps(result))
    return tmp_path / "run"


def test_an_old_result_is_as_the_schema_of_today_says(old: dict[str, Any]) -> None:
    before = copy.deepcopy(old)
    new = upgraded(old)
    checker = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert [error.message for error in checker.iter_errors(new)] == []
    assert old == before  # what was read stays
    assert upgraded(new) == new
    assert [each["name"] for each in new["contenders"]] == ["baseline", "linear"]
    assert new["chosen"] == [{"of": "classical", "contender": "linear", "by": "metric"}]
    assert new["contenders"][0]["family"] == "baseline"
    assert [flaw["name"] for flaw in new["flaws"]] == ["near_duplicates", "target_leakage", "label_errors"]
    assert new["flaws"][0]["examples"][0] == {"row": 392, "duplicate_of": 1013, "suggested_label": None}
    assert new["flaws"][0]["test_duplicates"] == 7 and new["flaws"][1]["impact"]["size"] == pytest.approx(-0.085)
    assert new["test_evaluations"] == 1 and new["repeats_run"][0]["scores"] == {"linear": 0.93}


def test_names_are_replaced_wherever_they_are(old: dict[str, Any]) -> None:
    old["contenders"].append({**old["contenders"][1], "name": "glassbox", "code": "first_round"})
    old["verdict"] |= {"winner": "glassbox", "against": "linear", "rounds": 3, "settle_rounds": 2, "gone": 1}
    old["within"] = [{**dict.fromkeys(("gap", "low", "high"), 0.0), "family": "classical", "first": "glassbox",
                      "second": "linear", "answer": "tie", "why": "They are the same."}]  # fmt: skip
    old["rounds_run"][0]["scores"] = {"glassbox": 0.9}
    old["shipped"]["contender"] = old["flaws"][2]["price"]["of"] = "glassbox"
    old["needs"] = {"asked": ["interpretable"], "ruled_out": {"glassbox": "slow"}, "price": "It costs nothing."}
    old["ended"]["code"] = "rounds"
    new = upgraded(old)
    assert new["contenders"][2]["name"] == "ebm" and new["contenders"][2]["code"] == "first_repeat"
    verdict = new["verdict"]
    assert (verdict["winner"], verdict["repeats"], verdict["settle_repeats"]) == ("ebm", 3, 2) and "gone" not in verdict
    assert new["within"][0]["first"] == "ebm" and new["repeats_run"][0]["scores"] == {"ebm": 0.9}
    assert new["shipped"]["contender"] == new["flaws"][2]["impact"]["of"] == "ebm"
    assert new["needs"] == {"conditions": ["interpretable"], "excluded": {"ebm": "slow"}, "cost": "It costs nothing."}
    assert new["ended"]["code"] == "repeats" and "glassbox" not in json.dumps(new)


def test_an_old_run_is_opened_and_shown(old: dict[str, Any], tmp_path: Path, capsys: Any) -> None:
    folder = _folder(old, tmp_path)
    assert ll.open_run(folder).verdict.repeats == 1
    assert main(["show", str(folder)]) == 0
    assert "linear is shipped: accuracy 0.93" in capsys.readouterr().out


def test_a_result_of_a_newer_version_is_refused(old: dict[str, Any], tmp_path: Path) -> None:
    folder = _folder({**old, "schema_version": 3, "leadline": "9.0"}, tmp_path)
    with pytest.raises(SourceError, match=r"was made by Leadline 9\.0 \(schema 3\); update with `pip install -U"):
        ll.open_run(folder)
