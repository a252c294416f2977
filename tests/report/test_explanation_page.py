"""The page of an explanation: whole on a desk and on a phone, honest where a check fails, and safe with odd names."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadline.core.parts import Layout, grid, pieces, windows
from leadline.kinds import KINDS
from leadline.report.explanation import render
from leadline.use.explain.records import (
    Agreement,
    ColumnEffect,
    Curve,
    Depth,
    Explanation,
    Importance,
    Layer,
    Loss,
    Map,
    Margin,
    Mean,
    Method,
    PartEffects,
    RowExplanation,
    Unit,
)
from leadline.use.explain.words import terminal

LONG = "a_column_with_a_name_that_is_far_longer_than_anybody_would_like_it_to_be_on_a_telephone"
EVIL = "<script>alert(1)</script>"
RNG = np.random.default_rng(0)
RUNS_OVER = """[...document.querySelectorAll('body *')].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width && !e.closest('.scroll, pre, svg') && (box.right > innerWidth + 1 || box.left < -1) })
  .map(e => e.outerHTML.slice(0, 120))"""


def _part(column: str, kind: str, value: Any, parts: Any, settings: dict[str, Any] | None = None) -> PartEffects:
    return PartEffects(
        column=column, kind=kind, layout=parts.layout, names=parts.names, shape=parts.shape, edges=parts.edges,
        effects=RNG.normal(size=len(parts)), value=value, settings=settings or {},
    )  # fmt: skip


def _curve(deletion: bool, gaps: list[float], layout: Layout | None = None) -> Curve:
    shares = tuple(np.linspace(0, 1, 9))
    return Curve(
        of=LONG, layout=layout, deletion=deletion, shares=shares, own=tuple(np.linspace(1, 0, 9) ** 2),
        random=tuple(np.linspace(1, 0, 9)), gap=Mean.of(gaps),
    )  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Explanation:
    picture = RNG.integers(0, 255, (24, 40, 3), np.uint8)
    text = f"{EVIL} هذا الفيلم رائع  and then {LONG} again"
    series = np.where(np.arange(60) % 17 == 0, np.nan, RNG.normal(size=60))
    sound = RNG.integers(-9_000, 9_000, 3_000).astype(np.int16)
    audio, rate = (
        next(kind for kind in KINDS.values() if kind.variable_shape and kind.sound(sound, {"rate": 8_000})),
        8_000,
    )
    words = [(0, 10), (11, 20), (21, len(text))]
    parts = (
        _part("photo", "image", picture, grid(picture)), _part(EVIL, "text", text, pieces(text, words)),
        _part("empty", "text", "", pieces("", [])), _part("trace", "series", series, windows(series)),
        *(_part("clip", audio.name, sound, each, {"rate": rate}) for each in audio.parts(sound, {"rate": rate})),
    )  # fmt: skip
    effects = tuple(
        ColumnEffect(columns=(name,), value=EVIL, effect=effect, low=effect - 1, high=effect + 1, occlusion=effect)
        for name, effect in ((LONG, 3.0), (EVIL, -2.0), ("x", 0.0))
    )
    row = RowExplanation(
        row=1_233, source_row=4_000, output=EVIL, predicted=EVIL, truth="ham", right=False,
        answer=0.93, margin=2.5, base=-0.1, columns=effects, parts=parts,
    )  # fmt: skip
    unit = Unit(number=3, activations=(1.0,), rows=(7,), values=({"photo": picture},), written=({"photo": ""},))
    depth = Depth(
        learned=1_600, held=90, score="accuracy",
        layers=tuple(Layer(name=f"layer {i}", shape=(8,), probe=Mean.of(RNG.random(90) < 0.5 + i / 10), units=(unit,))
                     for i in range(4)),
        filters=RNG.normal(size=(12, 3, 3, 3)), map=Map(points=RNG.normal(size=(90, 2)), shares=(0.4, 0.2)),
        classes=tuple(str(i % 13) for i in range(90)), called="test row",
        inputs={"photo": ("image", {})},
    )  # fmt: skip
    return Explanation(
        model="runs/a/model.onnx", contender="cnn", task="multiclass", target=LONG, numeric=False, source=LONG,
        called="test row", total=9_999, compared=300, method=Method.SHAPLEY, margin=Margin.LOG_ODDS, against=8,
        replaced=16, additive_error=None, rounding=None, output="ham",
        loss=Loss.CHANGE, rows=(row,), importances=(Importance(column=LONG, increase=Mean.of([1.0, 2.0, 1.5])),),
        dependences=(), curves=(_curve(True, [0.3, 0.35, 0.28]), _curve(True, 3 * [0.1, -0.2, 0.05], Layout.WORDS),
                                _curve(False, [0.1])),
        agreements=(Agreement(of=LONG, layout=None, methods=(Method.SHAPLEY, Method.OCCLUSION),
                              correlation=Mean.of([0.8, 0.7])),),
        answered=1_000, depth=depth,
    )  # fmt: skip


def test_a_check_that_fails_is_the_first_thing_that_is_read(found: Explanation) -> None:
    page = render(found)
    assert "Checked: columns" in page and page.index("Do not rely on it: words of") < page.index("Row by row")
    assert EVIL not in page and "no labels of" in page and "There is no value" in page
    assert "1 row cannot show that adding the columns ranked first" in terminal(found) and "1 rows" not in page
    assert "Test row 1,234 (row 4,001 of the source): predicted" in page and "sampled Shapley values" in page
    assert "against 8 rows, the same for every row" in page and "the values of 4 rows stand" in page


def test_scores_of_classes_are_not_called_odds(found: Explanation) -> None:
    centred = dataclasses.replace(found, margin=Margin.CENTRED, rows=(_row_of("one", [1.0], 2.0, 1.0),))
    told = terminal(centred)
    assert "Effects of columns are in the score of the class before softmax, less the mean over all classes" in told
    assert "Effects of parts are in log odds" in told


@pytest.mark.parametrize(("width", "dark"), [(1_200, False), (390, False), (390, True)])
def test_it_fits(found: Explanation, browser: Any, tmp_path: Path, width: int, dark: bool) -> None:
    path = tmp_path / "why.html"
    path.write_text(render(found), encoding="utf-8")
    browser.open(path, width, dark=dark)
    assert browser.ask(RUNS_OVER) == [] and browser.complaints == []
    assert browser.ask("document.documentElement.scrollWidth <= innerWidth + 1")
    assert browser.ask("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert browser.ask("document.querySelectorAll('audio').length") == 1


def _row_of(text: str, effects: list[float], column: float, other: float) -> RowExplanation:
    """A row of a text and a number, with the effects of both and of the words of the text."""
    spans = [(at, at + len(word)) for at, word in zip(range(0, 10_000, 4), text.split(), strict=False)]
    part = dataclasses.replace(_part("note", "text", text, pieces(text, spans)), effects=np.array(effects))
    columns = tuple(
        ColumnEffect(columns=(name,), value="", effect=effect, low=None, high=None, occlusion=effect)
        for name, effect in (("size", other), ("note", column))
    )
    return RowExplanation(
        row=0, source_row=None, output="ham", predicted="ham", truth=None, right=None,
        answer=0.9, margin=2.0, base=0.0, columns=columns, parts=(part,)
    )  # fmt: skip


def test_words_of_a_text_that_hardly_counts_are_pale(found: Explanation) -> None:
    strong = dataclasses.replace(found, rows=(_row_of("one two", [2.0, 0.1], 2.0, 1.0),), depth=None)
    weak = dataclasses.replace(found, rows=(_row_of("one two", [0.002, 0.001], 0.002, 5.0),), depth=None)
    assert "var(--signal) 45%" in render(strong) and "background:color-mix(in srgb, var(--signal)" not in render(weak)
    assert "#" not in terminal(weak).split("words of note")[1].split("\n\n")[0]


def test_where_no_word_changes_the_answer_it_is_said(found: Explanation) -> None:
    none = dataclasses.replace(found, rows=(_row_of("one two", [0.0, 0.0], 0.0, 5.0),), depth=None)
    assert "No word changes the answer by itself" in render(none)
    assert "words of note: none changes the answer by itself" in terminal(none)


def test_a_very_long_text_scrolls(found: Explanation, browser: Any, tmp_path: Path) -> None:
    text = "one " * 6_000
    part = _part("note", "text", text, pieces(text, [(at, at + 3) for at in range(0, len(text), 4)]))
    row = dataclasses.replace(_row_of("one", [1.0], 2.0, 1.0), parts=(part,))
    long = dataclasses.replace(found, rows=(row,), depth=None)
    path = tmp_path / "long.html"
    path.write_text(render(long), encoding="utf-8")
    browser.open(path, 390)
    assert browser.ask("document.querySelector('.words.long').getBoundingClientRect().height") < 600
    assert browser.ask(RUNS_OVER) == []
