"""What a terminal shows: a live table on a screen, plain lines elsewhere; narrow, colourless and plain ones too."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from leadline.cli.commands import main
from leadline.cli.progress import Terminal, plainly

MACHINE = {"cores": 2}
EVENTS: list[dict[str, Any]] = [
    {"event": "begin", "t": 0.0, "source": "houses", "budget_s": 30.0, "epochs": None, "machine": MACHINE},
    {
        "event": "encoded", "t": 0.1, "rows": {"train": 1_200, "test": 300}, "task": "binary",
        "blocks": ["number: x, y -> float32 [2]"], "said": ["Column 'id' is left out: it counts the rows."],
    },
    {"event": "start", "t": 0.2, "contender": "boosting", "seconds": 8.0},
    {"event": "start", "t": 0.2, "contender": "mlp", "seconds": 12.0},
    *[
        {"event": "progress", "t": 1.0 + i, "contender": "mlp", "step": 1_000 * i, "steps": 12_000, "score": score}
        for i, score in enumerate((0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85))
    ],
    {"event": "end", "t": 9.0, "contender": "boosting", "status": "failed", "why": "it crashed [see its log]"},
]  # fmt: skip
ENDED = {"event": "race ended", "t": 9.1, "code": "used", "why": "The time for racing is used up."}
VERDICT = {"event": "verdict", "t": 12.0, "spent_s": 12.0}


class Screen(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8", screen: bool = True) -> None:
        self.bytes = io.BytesIO()
        self._screen = screen
        super().__init__(self.bytes, encoding=encoding)

    def isatty(self) -> bool:
        return self._screen

    def text(self) -> str:
        self.flush()
        return self.bytes.getvalue().decode(self.encoding)


def show(
    monkeypatch: pytest.MonkeyPatch, *, columns: int = 100, encoding: str = "utf-8", screen: bool = True, **more: str
) -> str:  # fmt: skip
    """What a stream gets of a run."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40", **more}.items():
        monkeypatch.setenv(name, value)
    stream = Screen(encoding, screen)
    monkeypatch.setattr(sys, "stdout", stream)
    plainly()
    with Terminal() as terminal:
        for event in [*EVENTS, ENDED, VERDICT]:
            terminal.take(event)
    return stream.text()


ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def test_a_screen_gets_a_table_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = ESCAPE.sub("", show(monkeypatch))
    assert "houses: 30 s for everything, on 2 cores" in shown
    monkeypatch.setitem(EVENTS[0], "edge_s", 6.0)
    monkeypatch.setitem(EVENTS[0], "machine", {**EVENTS[0]["machine"], "cores": 1})
    assert "30 s for everything, 6 s of it for --edge, on 1 core\n" in ESCAPE.sub("", show(monkeypatch)).replace(
        "\r", ""
    )
    last = shown[shown.rindex("contender") :]
    assert re.search(r"mlp +0\.8500 +▁▂▃▄▅▆▇█ +7,000/12,000 +", last) and "12 s" in last
    assert "failed: it crashed [see its log]" in last


def test_a_file_gets_plain_lines_whatever_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    for more in ({}, {"FORCE_COLOR": "1"}, {"TERM": "dumb"}):
        shown = show(monkeypatch, screen=more.get("TERM") == "dumb", **more)
        assert "\x1b" not in shown and "\r" not in shown
        assert [line for line in shown.splitlines() if " mlp " in line] == ["   0.2 s  mlp        starts, up to 12 s"]
        assert "   9.1 s  the race ends: The time for racing is used up.\n" in shown


def test_plain_lines_of_steps_come_every_ten_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    told = {"event": "progress", "contender": "mlp", "steps": 400, "score": 0.5}
    with Terminal() as terminal:
        terminal.take({"event": "start", "t": 0.2, "contender": "mlp", "seconds": None})
        for t in range(1, 32):
            terminal.take({**told, "t": float(t), "step": 10 * t})
    assert capsys.readouterr().out.splitlines() == [
        "   0.2 s  mlp        starts",
        *(f"  {t}.0 s  mlp        step {10 * t} of 400: 0.5000 on valid" for t in (10, 20, 30)),
    ]


def test_steps_of_what_came_before_are_not_those_of_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    told = {"event": "progress", "contender": "pretrained"}
    with Terminal() as terminal:
        terminal.take({"event": "start", "t": 0.2, "contender": "pretrained", "seconds": None})
        terminal.take({**told, "t": 1.0, "step": 8_156, "steps": 8_156, "score": None})
        terminal.take({**told, "t": 12.0, "step": 1, "steps": None, "score": 0.5})
    assert capsys.readouterr().out.splitlines()[-1] == "  12.0 s  pretrained step 1: 0.5000 on valid"


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = {code for found in COLOUR.findall(show(monkeypatch, NO_COLOR="1")) for code in found[2:-1].split(";")}
    assert not codes & {str(n) for n in (*range(30, 50), *range(90, 108))}  # bold may stay, colour may not


@pytest.mark.parametrize("columns", [20, 40, 60, 100])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_wider_than_the_terminal(columns: int, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = ESCAPE.sub("", show(monkeypatch, columns=columns, encoding=encoding))
    assert max(len(line.rstrip()) for part in shown.split("\n") for line in part.split("\r")) <= columns
    assert "mlp" in shown and "0.8500" in shown


def test_letters_that_a_terminal_lacks_become_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = ESCAPE.sub("", show(monkeypatch, encoding="ascii"))
    assert re.search(r"mlp +0\.8500 +_\.-:=\+\*# +7,000", shown) and "?" not in shown
    stream = Screen("ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    plainly()
    print("5 µs a row, ±2, naïve")
    assert stream.text() == "5 us a row, +/-2, na?ve\n"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mixed: Any) -> str:
    monkeypatch.chdir(tmp_path)
    mixed(120).write_csv("table.csv")
    return "table.csv"


def _strict(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_json_is_one_document_and_nothing_else(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", table, "--target", "y", "--budget", "1s", "--out", "run", "--json"]) == 0
    said = capsys.readouterr()
    result = json.loads(said.out, parse_constant=_strict)
    assert result.pop("folder") == "run" and result == json.loads(Path("run/result.json").read_text())
    assert said.err == ""


def test_json_leaves_errors_as_they_are(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", table, "--target", "nowhere", "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("leadline: --target nowhere is not a column") and said.err[-2] == "."
    with pytest.raises(SystemExit):
        main(["fit", table, "--json", "--quiet"])
    assert "not allowed with argument --json" in capsys.readouterr().err


def test_json_survives_a_terminal_of_few_letters(table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(table).write_text(Path(table).read_text().replace("yes", "“oui”"))
    stream = Screen("ascii", screen=False)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["fit", table, "--target", "y", "--budget", "1s", "--out", "run", "--json"]) == 0
    assert "“oui”" in json.loads(stream.text())["classes"]


def test_the_verdict_is_four_lines(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", table, "--target", "y", "--budget", "1s", "--out", "run", "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].startswith("unsure: ") and " is shipped: " in lines[1]
    assert lines[2:] == ["model   run/model.onnx", lines[3]] and re.fullmatch(
        r"report  run/report.html   \(\d+ s of 1 s\)", lines[3]
    )


@pytest.mark.parametrize(("epochs", "said"), [(1, "1 pass of every network"), (3, "3 passes of every network")])
def test_the_length_of_a_run_by_epochs(epochs: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal() as terminal:
        terminal.take({**EVENTS[0], "budget_s": None, "epochs": epochs})
    assert f"houses: {said} for everything" in capsys.readouterr().out


def test_a_resumed_run_shows_what_is_left_and_who_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Screen(screen=False)
    monkeypatch.setattr(sys, "stdout", stream)
    start = {"event": "start", "t": 13.0, "seconds": 20.0}
    with Terminal() as terminal:
        for event in (
            {**EVENTS[0], "t": 12.0, "earlier_s": 12.0}, {**start, "contender": "cnn", "left": 6.0, "before": 8.0},
            {**start, "contender": "boosting", "left": 4.0, "before": 0.0},
            {**start, "contender": "linear", "again": True},
            {"event": "overspent", "t": 31.0, "said": ["The run took 31.0 s."]},
        ):  # fmt: skip
            terminal.take(event)
    lines = [line.strip() for line in stream.text().splitlines()]
    assert lines == [
        "houses: 18 s left of 30 s for everything, on 2 cores", "13.0 s  cnn        resumes, up to 6 s",
        "13.0 s  boosting   starts again, up to 4 s", "13.0 s  linear     is trained again, for its file",
        "note: The run took 31.0 s.",
    ]  # fmt: skip
