"""The report states evaluations, looks and changes as they were counted."""

from __future__ import annotations

from typing import Any

import pytest

from leadline.report.certainty import certainty
from leadline.report.facts import Facts
from leadline.report.flaws import flaws
from leadline.report.leaderboard import learning
from leadline.report.media_budget import Room
from leadline.report.provenance import data, rule

ROWS = {"train": 480, "valid": 60, "calib": 0, "test": 100}
ONCE = {"sets": 1, "most": 1, "rows": 100, "most_a_row": 1}
SEEDS = {"sets": 1, "most": 3, "rows": 100, "most_a_row": 3}
FOLDS = {"sets": 7, "most": 1, "rows": 891, "most_a_row": 2}


@pytest.mark.parametrize(
    ("counted", "level", "said"),
    [
        (ONCE, 0.95, "labels of the 100 test rows were held out until the race had ended, and scored once. After"),
        (SEEDS, 0.95, "scored 3 times: 3 trainings were scored on the same rows. Nothing was chosen by what they"),
        (SEEDS, 0.975, "Whether to go on was read from them, for which an interval of 97.5% pays."),
        (FOLDS, 0.95, "each of 7 folds was scored once, after its race, 891 rows in all, a row at most 2 times,"),
    ],
)
def test_evaluations_of_the_test_rows(counted: dict[str, int], level: float, said: str) -> None:
    made = {"rows": ROWS, "test_evaluations": counted["most"], "evaluations": counted, "verdict": {"level": level}}
    page = rule(Facts.of(made))
    assert said in page and "Earlier runs on these rows are not counted." in page


def test_a_result_that_counted_nothing_states_nothing() -> None:
    assert "scored" not in rule(Facts.of({"rows": ROWS}))


def test_what_was_not_searched_for_is_not_called_absent() -> None:
    page = flaws(Facts.of({"flaws": [], "searched_for": ["near duplicates"]}), {}, Room(0))
    assert page == "<p>Nothing was found. Searched for: near duplicates.</p>"


def test_distinct_values_that_were_estimated_are_called_so() -> None:
    column = {"name": "x", "kind": "number", "role": "input", "missing": 0.0, "unique": 1_234_000}
    pages = [data(Facts.of({"rows": ROWS, "columns": [{**column, "estimated": told}]})) for told in (True, False)]
    assert ["about 1,234,000" in page for page in pages] == [True, False]


@pytest.mark.parametrize(
    ("changed", "calib", "said"),
    [
        ([0, 0], 60, ["it changed no answers, of 2 contenders together", "50 rows that took no part in training."]),
        ([1, 0], 0, ["it changed 1 answer, of 2", "of other folds, each answered by a contender that was trained"]),
        ([None, None], 60, ["not the answer. The error"]),
    ],
)
def test_what_calibration_changed(changed: list[int | None], calib: int, said: list[str]) -> None:
    curve = [[0.6, 0.5, 20], [0.9, 0.95, 20]]
    each: dict[str, Any] = {"method": "temperature", "rows": 50, "describe": "by a temperature", "curve": [curve] * 2}
    each |= {"log_loss": [0.5, 0.4], "ece": [0.1, 0.05]}
    held = {"coverage": 0.9, "rows": 50, "observed": 0.91, "low": 0.89, "high": 0.93, "size": 1.2, "empty": 0.0}
    names = zip(("cnn", "boosting"), changed, strict=True)
    made = {
        "rows": {**ROWS, "calib": calib}, "conformal": held,
        "calibration": {name: each if many is None else {**each, "changed": many} for name, many in names},
    }  # fmt: skip
    page = certainty(Facts.of(made))
    assert all(words in page for words in said)


def test_scores_have_two_digits_however_wide_their_intervals_are() -> None:
    contenders = [
        {"name": name, "family": "classical", "score": score, "low": 0.02, "high": 9.8}
        for name, score in (("ebm", 0.3072), ("linear", 1.4079))
    ]
    measure = Facts.of({"metric": "rmse", "higher_is_better": False, "contenders": contenders}).measure
    assert [measure.text(each["score"]) for each in contenders] == ["0.307", "1.408"]


def test_a_learning_curve_of_shares_ends_at_all_of_them() -> None:
    contender = {"name": "mlp", "family": "deep", "score": 1.0, "curve": [[0.5, 1, 1.0], [1.0, 2, 1.0]]}
    page = learning(Facts.of({"metric": "accuracy", "contenders": [contender]}))
    assert "100" in page and "105" not in page and "110" not in page
