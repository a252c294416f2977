"""The examples of the pages run: what they make keeps the contracts, and a check prints what the page shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.cli import main
from leadline.contenders.contender import Clock, Data, Progress
from leadline.contenders.portfolio import PORTFOLIO
from leadline.kinds import KINDS
from leadline.ship.model import Model, assemble

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def _run(page: str) -> dict[str, Any]:
    text = (DOCS / page).read_text()
    assert len(text.splitlines()) < 60
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, page, "exec"), names)
    return names


def _ship(contender: Any, made: Any, path: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """(answers of the fitted contender, answers of its file) on all rows, and its accuracy on the test."""
    store = made.store
    *progress, fitted = contender.fit(Data(store=store, clock=Clock(60.0), threads=1), 0)
    assert all(isinstance(item, Progress) for item in progress)
    assert re.fullmatch("[0-9a-f]{32}", fitted.digest())
    scores = fitted.predict(store, np.arange(store.rows))
    path.write_bytes(assemble(store, fitted.graph().SerializeToString(), {}))
    model = Model(path)
    found, bad = model.answer(made.table.take(np.arange(store.rows), list(model.contract["inputs"])), None)
    shipped = found["probabilities"]
    assert not bad
    right = scores[store.split.test].argmax(axis=1) == store.sealed()
    return scores, shipped, float(right.mean())


def test_the_contender_of_the_page(mixed: Any, prepare: Any, tmp_path: Path) -> None:
    made = prepare(mixed(300), target="y")
    contender = _run("adding-a-contender.md")["NearestMean"]()
    scores, shipped, accuracy = _ship(contender, made, tmp_path / "model.onnx")
    np.testing.assert_allclose(shipped, scores, atol=1e-5)
    assert accuracy > 0.6


def test_the_kind_of_the_page(prepare: Any, tmp_path: Path) -> None:
    colour = _run("adding-a-kind.md")["Colour"]()
    others = dict(KINDS)
    KINDS.clear()
    KINDS.update({"colour": colour, **others})
    try:
        rng = np.random.default_rng(0)
        levels = rng.integers(0, 256, (200, 3))
        cells = [None if i % 20 == 7 else f"#{row[0]:02x}{row[1]:02X}{row[2]:02x}" for i, row in enumerate(levels)]
        frame = pl.DataFrame({"paint": cells, "warm": np.where(levels[:, 0] > levels[:, 2], "yes", "no")})
        made = prepare(frame, target="warm")
        (block,) = made.store.blocks
        assert block.kind == "colour"
        held = made.store.tensor("colour")
        known = np.array([cell is not None for cell in cells])
        np.testing.assert_array_equal(held[known], levels[known])
        assert np.isnan(held[~known]).all()
        scores, shipped, accuracy = _ship(PORTFOLIO["linear"], made, tmp_path / "model.onnx")
        np.testing.assert_allclose(shipped, scores, atol=1e-5)
        assert accuracy > 0.85
    finally:
        KINDS.clear()
        KINDS.update(others)


def test_the_check_of_the_readme_prints_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    (words, shown) = re.findall(r"```console\n\$ leadline (check .*)\n([^$]*?)```", (ROOT / "README.md").read_text())[0]
    assert main(words.split()) == 0
    machine = r"on \d+ cores?(, [\d.]+ GB)?"
    assert re.sub(machine, "here", capsys.readouterr().out) == re.sub(machine, "here", shown)
