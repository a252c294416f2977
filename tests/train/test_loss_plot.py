"""The picture of a run shows what happened in it, for runs of any length, and is one document of its own."""

from __future__ import annotations

import math
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

import leadline as ll
from leadline.train.history import Check, History, Scores
from leadline.train.loss_plot import curves

SVG = "{http://www.w3.org/2000/svg}"


def _run(losses: list[float], every: int = 0, accuracy: float | None = None, notes: list[str] | None = None) -> History:
    checks = [
        Check(step=step, epoch=step / every, loss=losses[step - 1], seconds=step / 100,
              valid=Scores(loss=1.1 * abs(losses[step - 1]), accuracy=accuracy))
        for step in range(every, len(losses) + 1, every)
    ] if every else []  # fmt: skip
    return History(losses=losses, checks=checks, notes=notes or [])


def _drawn(history: History) -> ElementTree.Element:
    """The document, which holds on its own; everything in it lies within its frame."""
    text = curves(history)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    root = ElementTree.fromstring(text)
    wide, high = (float(part) for part in root.attrib["viewBox"].split()[2:])
    for each in root.iter():
        for name, most in (("x", wide), ("cx", wide), ("y", high), ("cy", high)):
            assert 0 <= float(each.get(name, 0)) <= most
    for line in root.iter(f"{SVG}polyline"):
        for x, y in _points(line):
            assert 0 <= x <= wide and 0 <= y <= high
    return root


def _points(line: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.attrib["points"].split())]


def _lines(root: ElementTree.Element, css: str) -> list[list[tuple[float, float]]]:
    return [_points(line) for line in root.iter(f"{SVG}polyline") if line.get("class") == f"line {css}"]


def _words(root: ElementTree.Element) -> list[str]:
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def _told(root: ElementTree.Element, kind: str) -> list[str]:
    return [title.text or "" for each in root.iter(f"{SVG}{kind}") for title in each.iter(f"{SVG}title")]


def test_a_trained_module_has_a_picture() -> None:
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    trained = ll.train(nn.Linear(4, 2), (x, (x[:, 0] > 0).long()), valid=(x, (x[:, 0] > 0).long()), epochs=5, lr=0.05)
    root = _drawn(trained.history)
    assert _words(root)[0].startswith("25 steps, 5 epochs, ")
    assert {"loss", "accuracy on valid rows", "step"} < set(_words(root))
    told = _told(root, "circle")
    assert told == [str(check) for check in trained.history.checks] * 2  # on its loss, and on its accuracy


def test_a_falling_loss_falls_and_a_rising_accuracy_rises() -> None:
    history = _run([2.0 / step for step in range(1, 51)])
    history.checks.extend(
        Check(step=step, epoch=step / 10, loss=1.0, seconds=1.0, valid=Scores(loss=3.0 / step, accuracy=step / 60))
        for step in range(10, 51, 10)
    )
    root = _drawn(history)
    (train,), (loss, accuracy) = _lines(root, "train"), _lines(root, "valid")
    for line, falls in ((train, True), (loss, True), (accuracy, False)):
        heights = [-y for _, y in line]
        assert heights == sorted(heights, reverse=falls) and len(set(heights)) > 4
        assert [x for x, _ in line] == sorted({x for x, _ in line})
    assert loss[-1][0] == train[-1][0] == accuracy[-1][0]  # all end at the last step
    assert any(words.endswith("%") for words in _words(root))


@pytest.mark.parametrize("steps", [1, 2, 3, 99, 100, 601, 1201, 50_000])
def test_runs_of_any_length(steps: int) -> None:
    root = _drawn(_run([1.0 + math.sin(step) / 2 for step in range(steps)], every=max(1, steps // 7), accuracy=0.5))
    assert len(ElementTree.tostring(root)) < 60_000
    assert all(len(line) <= 602 for css in ("raw train", "train", "valid") for line in _lines(root, css))
    assert f"{steps:,} step" in _words(root)[0]
    if steps == 1:
        assert _told(root, "circle")[0] == "step 1: loss 1"
    if steps >= 100:
        assert len(_lines(root, "raw train")) == 1 and any("mean of" in words for words in _words(root))


def test_a_run_without_steps_or_without_a_finite_loss_says_so() -> None:
    assert "No step was taken yet." in _words(_drawn(History()))
    root = _drawn(History(losses=[math.nan, math.inf], notes=["the loss became nan at step 1"]))
    assert "None of 2 steps had a finite loss." in _words(root)
    assert [each.text for each in root.iter(f"{SVG}desc")] == ["the loss became nan at step 1"]


def test_no_spike_is_lost_and_none_flattens_the_rest() -> None:
    """One step of 30,000 at ten times the loss: its stretch is drawn beyond the frame, the rest fills the plot."""
    losses = [2.0 + 0.1 * math.sin(step) for step in range(30_000)]
    losses[17_003] = 20.0
    (raw,) = _lines(_drawn(_run(losses)), "raw train")
    heights = sorted(y for _, y in raw)
    assert heights[0] < heights[1] and heights[-1] - heights[1] > 100


def test_gaps_and_huge_losses_are_drawn_around() -> None:
    losses = [1.0] * 300
    losses[100], losses[200] = math.nan, 1e30
    root = _drawn(_run(losses))
    (line,) = _lines(root, "train")
    assert "loss, log scale" in _words(root) and len({y for _, y in line[-50:]}) == 1  # back at 1.0, and exactly


@pytest.mark.parametrize(
    ("losses", "name"),
    [
        ([2.0 * 0.9**step for step in range(60)], "loss, log scale"),
        ([2.0 - step / 60 for step in range(60)], "loss"),
        ([1.0 - step for step in range(60)], "loss"),  # a loss of one's own may be below zero
        ([0.0] * 60, "loss"),
        ([5.0] * 60, "loss"),
    ],
)
def test_the_scale_is_logarithmic_where_the_range_asks_for_it(losses: list[float], name: str) -> None:
    root = _drawn(_run(losses))
    assert name in _words(root)
    ticks = [each.text or "" for each in root.iter(f"{SVG}text") if each.get("class") == "end"]
    assert len(ticks) >= 3 and len(set(ticks)) == len(ticks)


def test_notes_are_marks_at_their_steps_and_are_told_safely() -> None:
    notes = [
        "2,814 steps planned, 2.1 ms each", "step 60: planned again: 270 steps, 470.1 a second",
        "the loss became nan at step 150: back to the weights of step 100", "<b>&\x00 at step 150",
        "stopped at the time limit at step 1,000 of 1200",
    ]  # fmt: skip
    root = _drawn(_run([1.0] * 1000, notes=notes))
    assert _told(root, "path") == [notes[1], f"{notes[2]}\n<b>&\ufffd at step 150", notes[4]]
    assert _told(root, "text") == [notes[0]] and any(words.endswith("▲ 1 note") for words in _words(root))
    marks = [float(each.attrib["d"][1:].split()[0]) for each in root.iter(f"{SVG}path") if each.get("class") == "note"]
    left, right = marks[0] - 0.06 * (marks[2] - marks[0]) / 0.94, marks[2]
    assert marks[1] == pytest.approx(left + 0.15 * (right - left), abs=0.5)


def test_it_is_read_in_the_dark_and_on_a_phone() -> None:
    text = curves(_run([1.0] * 10))
    assert "prefers-color-scheme:dark" in text and "max-width:480px" in text and 'role="img"' in text
    assert 'aria-label="A training run: 10 steps"' in text


def test_the_same_run_gives_the_same_picture() -> None:
    def history() -> Any:
        return _run([1 / step for step in range(1, 400)], every=50, accuracy=0.3, notes=["stopped at step 10"])

    assert curves(history()) == curves(history())
