"""The pages and the code say the same: their examples run, their commands exist, their outputs are what is printed.

Numbers of a run depend on the machine (`make docs` writes them anew), so outputs are compared by their shape: figures
and names of contenders left out, every word and sign kept. The words come from the code: from a run, from the terminal,
and from the judge for every answer that there is.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.cli.commands import _parser, _settings, main
from leadline.cli.progress import WORDS, Terminal
from leadline.config import from_mapping
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data, Progress
from leadline.kinds import KINDS
from leadline.metrics.metrics import METRICS
from leadline.race.ending import RaceSummary, ending
from leadline.ship.assemble import assemble
from leadline.stats.intervals import Gap, Outlook
from leadline.stats.verdict import FamilyBest, Trial, judge
from leadline.use.model import Model

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *DOCS.glob("*.md"))}
SHOWN = re.findall(r"```console\n\$ leadline (.*)\n([^$]+?)```", README)  # commands with what they print


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
    assert re.fullmatch("[0-9a-f]{32}", fitted.digest()) and fitted.trained_on_valid and not fitted.undertrained
    scores = fitted.predict(store, np.arange(store.rows))
    path.write_bytes(assemble(store, fitted.graph().SerializeToString(), {}))
    model = Model(path)
    found, bad = model.answer(made.table.take(np.arange(store.rows), list(model.contract["inputs"])), None)
    shipped = found["probabilities"]
    assert not bad
    right = scores[store.split.test].argmax(axis=1) == made.table.labels[store.split.test]
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
    ((words, shown),) = [(words, shown) for words, shown in SHOWN if words.startswith("check ")]
    assert main(words.split()) == 0
    machine = r"on \d+ cores?(, [\d.]+ GB)?"
    assert re.sub(machine, "here", capsys.readouterr().out) == re.sub(machine, "here", shown)


def _commands(page: str) -> list[list[str]]:
    """The command lines of a page, without their comments."""
    blocks = re.findall(r"```console\n(.*?)```", PAGES[page], re.DOTALL)
    return [shlex.split(line[2:], comments=True) for block in blocks for line in block.splitlines() if line[:2] == "$ "]


@pytest.mark.parametrize("page", [page for page in PAGES if _commands(page)])
def test_every_command_of_the_pages_exists(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in _commands(page):
        tool, *rest = [word for word in words if "ADDRESS" not in word]
        if tool == "make":
            assert set(rest) <= set(targets), words
        elif tool == "leadline":
            given, more = _parser().parse_known_args(rest)
            assert given.command is not None and not more, words
            if given.command in ("fit", "check"):
                from_mapping(_settings(given))
        else:
            assert tool == "pip", words


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """(a folder in which README's first command was followed, if shortly; what it printed)."""
    folder = tmp_path_factory.mktemp("readme")
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as said:
        assert main(["fit", "digits", "--budget", "9s", "--only", "linear", "--out", "digits-run"]) == 0
        yield folder, said.getvalue()


def _shape(text: str) -> str:
    """A line without its figures, units of size, and names of contenders."""
    names = "|".join(sorted(PORTFOLIO, key=len, reverse=True))
    text = re.sub(rf"\b({names})\b", "NAME", text)
    text = re.sub(r"[+-]?\d[\d,]*(\.\d+)?", "#", text)
    text = re.sub(r"# cores?\b", "# cores", text)  # a machine may have one
    return re.sub(r" +", " ", re.sub(r"# ([kMG]?B)\b", "# B", text)).strip()


def _sentences() -> set[str]:
    """The shape of every verdict on accuracy that the judge can write, as the terminal puts it."""
    spread = np.linspace(-1, 1, 2_001)
    trials = [
        ("model", Trial(rows=400)),
        ("model", Trial(rows=400, repeat_s=3.0, over=lambda folds: Outlook.of(0.01 + 0.001 * spread))),
        ("model", Trial(rows=400, repeat_s=3.0, over=lambda folds: Outlook.of(0.01 + 0.05 / folds * spread))),
        ("method", Trial(rows=400, by="folds", repeats=5)),
        ("method", Trial(rows=400, by="seeds", repeats=3)),
    ]
    made = []
    for centre, width in (
        (0.1, 0.01),
        (-0.1, 0.01),
        (0.0, 0.001),
        (0.0, 0.02),
        (0.01, 0.02),
        (-0.01, 0.02),
        (0.0, 0.9),
    ):
        gap = {"size": centre, "draws": centre + width * spread}
        for costs in ((1.0, 9.0), (1.0, 1.0)):
            for undertrained in (False, True):
                deep = FamilyBest(name="cnn", cost=costs[0], score=0.9 + centre, undertrained=undertrained)
                classical = FamilyBest(name="linear", cost=costs[1], score=0.9)
                for of, trial in trials:
                    made.append(judge(deep, classical, Gap(**gap, of=of), METRICS["accuracy"], trial))
    assert {verdict.answer for verdict in made} == set(WORDS)
    return {_shape(f"{WORDS[verdict.answer]}: {verdict.why}") for verdict in made}


def test_the_first_output_of_the_readme_is_what_a_run_prints(
    digits: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ((words, shown),) = [(words, shown) for words, shown in SHOWN if words.startswith("fit digits")]
    assert words == "fit digits --budget 30s --out digits-run"
    run, shown_lines = digits[1].splitlines(), shown.splitlines()
    before = next(place for place, line in enumerate(run) if " starts" in line)  # the same on every machine
    assert shown_lines[1:before] == run[1:before]
    with Terminal() as terminal:
        terminal.take({"event": "start", "t": 0.2, "contender": "cnn", "seconds": 9.0})
        terminal.take({"event": "progress", "t": 12.0, "contender": "cnn", "step": 9, "steps": 99, "score": 0.5})
        for status in ("finished", "cut"):
            terminal.take({"event": "end", "t": 9.0, "contender": "cnn", "status": status, "why": None, "score": 0.5})
        for left, fewest in ((1.0, 3), (8.0, 3), (8.0, 1)):  # used up; no time for two more, for one more
            facts = {"repeats": 1, "most": 25, "expected": 17.0, "left": left, "budget": 30.0, "fewest": fewest}
            terminal.take({"event": "race ended", "t": 9.0, "why": ending(RaceSummary(**facts)).why})
    known = {_shape(line) for line in (*run, *capsys.readouterr().out.splitlines())}
    *race, verdict, shipped, model, report = shown_lines
    assert not [line for line in (*race, shipped, model, report) if _shape(line) not in known]
    assert _shape(verdict) in _sentences()
    # What is said of it below holds of it.
    (seconds,) = re.findall(r"\((\d+) s of 30 s\)", report)
    assert f"That was two cores and {seconds} seconds." in README and "on 2 cores" in race[0]
    assert ("too close to call" in verdict) == ('"too close to call" is an answer' in README)


def test_the_code_of_the_readme_runs_beside_onnx_runtime(
    digits: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "onnxruntime" in code]
    exec(compile(code, "README.md", "exec"), {})
    labels, chances = re.fullmatch(r"(\[.*?\]) (\[.*?\])\n", capsys.readouterr().out).groups()  # type: ignore[union-attr]
    shown = re.search(r"# (\[.*?\]) (\[.*?\])\n", code)
    assert shown is not None and shown[1] == labels
    for said in (shown[2], chances):
        figures = said.strip("[]").split()
        assert len(figures) == 5 and all(0 < float(figure) <= 1 for figure in figures)


def test_the_readme_lists_what_a_run_leaves(digits: tuple[Path, str]) -> None:
    (listed,) = re.findall(r"\n    digits-run/\n(.*?)\n\n", README, re.DOTALL)
    told = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in listed.splitlines())
    there = {path.name + "/" * path.is_dir() for path in (digits[0] / "digits-run").iterdir()}
    assert there <= set(told)
    assert all("if there are any" in told[name] or "where there were any" in told[name] for name in set(told) - there)


def test_the_network_of_the_readme_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "nn.Sequential" in code]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert capsys.readouterr().out.rstrip().endswith(names["trained"].describe().splitlines()[-1])
    assert (tmp_path / "curves.svg").is_file() and names["trained"].history.losses


def test_the_names_in_the_python_of_the_readme_exist() -> None:
    held = {"ll": ll, "run": ll.Run}
    found = 0
    for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in held:
                owner = held[node.value.id]
                assert hasattr(owner, node.attr) or node.attr in getattr(owner, "__annotations__", {}), node.attr
                found += 1
    assert found >= 7


def test_the_figures_of_the_readme_are_those_of_the_evidence() -> None:
    (said,) = re.findall(r"how often it was measured to hold: (.*?)\n\n", README, re.DOTALL)
    figures = re.findall(r"\d+ of [\d,]+|\d+% to \d+%", said)
    held = re.sub(r"[\d.]+(?=%)", lambda number: f"{float(number[0]):.0f}", PAGES["evidence.md"])
    assert len(figures) >= 3 and not [figure for figure in figures if figure not in held]
