"""What the page says of pretrained bodies: frozen beside tuned, and what int8 costs."""

from __future__ import annotations

from typing import Any

import pytest

from leadline.report.facts import Facts
from leadline.report.transfer import transfer

BODY = {"name": "MiniLM", "licence": "Apache-2.0", "precision": "int8", "rows_per_s": {"int8": 500.0}}
FROZEN = {"bodies": [BODY], "both": 0.85, "body_alone": 0.8, "features_alone": 0.81, "layers": [], "int8_rows": 0}
TUNED = {**FROZEN, "both": 0.89, "body_alone": 0.88, "tuned": 6}


def _page(**transfers: dict[str, Any]) -> str:
    contenders = [
        {"name": name, "family": "deep", "score": 0.9, "low": 0.88, "high": 0.92, "transfer": held}
        for name, held in transfers.items()
    ]
    return transfer(Facts.of({"metric": "accuracy", "task": "binary", "contenders": contenders}))


def test_a_tuned_body_stands_beside_the_frozen_one() -> None:
    page = _page(pretrained=FROZEN, finetuned=TUNED)
    assert "Frozen and tuned" in page and "6 of its layers trained further" in page
    assert "89.0" in page and "85.0" in page and "The linear model alone" in page
    alone = _page(pretrained=FROZEN)
    assert "Frozen and tuned" not in alone and "trained further" not in alone


@pytest.mark.parametrize(
    ("gain", "precision", "says"),
    [(-0.02, "int8", "there was no time for float32"), (-0.02, "float32", "float32 is used"), (-0.004, "int8", None)],
)
def test_what_int8_costs_is_said_where_it_is_much(gain: float, precision: str, says: str | None) -> None:
    page = _page(
        pretrained={**FROZEN, "bodies": [{**BODY, "precision": precision}], "int8_gain": gain, "int8_rows": 256}
    )
    assert "On 256 of the valid rows, the score with int8 is" in page
    assert (says is None) == ("more than half a point" not in page)
    assert says is None or says in page


def test_what_int8_changes_is_said_as_better_or_worse() -> None:
    for gain, said in ((0.1645, "better by 16"), (-0.004, "worse by 0.4"), (0.0, "the same.")):
        page = _page(pretrained={**FROZEN, "int8_gain": gain, "int8_rows": 64})
        assert f"On 64 of the valid rows, the score with int8 is {said}" in page
