"""The section on what the textbook expected: it agrees, it is overruled, or nothing is known, and it says which."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from leadline.report.page import render

EXPECTED = {
    "answer": "deep", "confidence": "often",
    "why": "The textbook often expects deep learning to win here, because <so>.",
    "reasons": [{"finding": "images, 900 rows", "points_to": "deep", "source": "Somebody 1998"}],
}  # fmt: skip


def page(measured: str, **more: Any) -> str:
    verdict = {"answer": measured, "winner": "cnn", "why": "Measured."}
    return render({"title": "t", "verdict": verdict, "expected": {**EXPECTED, **more}}, pl.DataFrame(), [])


@pytest.mark.parametrize(
    ("expects", "measured", "said"),
    [
        ("deep", "deep", "The measurement above agrees."),
        ("either", "tie", "The measurement above agrees."),
        ("deep", "classical", "The measurement above says otherwise. What was measured on these rows counts"),
        ("classical", "deep", "The measurement above says otherwise. What was measured on these rows counts"),
        ("classical", "tie", "the two make no practical difference. What was measured counts."),
        ("either", "deep", "The measurement above settles it for these rows."),
        ("deep", "unsure", "neither confirms nor refutes this."),
    ],
)
def test_the_measurement_has_the_last_word(expects: str, measured: str, said: str) -> None:
    assert said in page(measured, answer=expects)


def test_the_reasons_are_listed_with_their_sources() -> None:
    text = page("deep")
    assert '<h2 id="expected-title">What the textbook expected</h2>' in text and "because &lt;so&gt;." in text
    assert "images, 900 rows" in text and "Somebody 1998" in text


def test_an_older_result_has_no_such_section() -> None:
    assert "textbook" not in render({"title": "t"}, pl.DataFrame(), [])
