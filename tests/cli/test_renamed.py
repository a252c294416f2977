"""Options of earlier versions work, and say what they are called now."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadline.cli.commands import main
from leadline.cli.renamed import today


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("--rounds 3", "--repeats 3"), ("--rounds=3", "--repeats=3"), ("--unit byte", "--token-unit byte"),
        ("--time day", "--time-column day"), ("--need latency<5ms", "--max-latency 5ms"),
        ("--need size<=2MB --need interpretable", "--max-size 2MB --interpretable"), ("--clean --older 30d",
        "clear --older-than 30d"), ("--need=memory<1GB", "--max-memory 1GB"),
    ],
)  # fmt: skip
def test_an_old_option_is_the_one_of_today(before: str, now: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert today(["fit", *before.split()]) == ["fit", *now.split()]
    said = capsys.readouterr().err.splitlines()
    assert said and all(line.startswith("leadline: --") and " is now called " in line for line in said)


def test_options_of_today_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", "x.csv", "--repeats", "3", "--target", "time", "--max-latency=1ms"]
    assert today(words) == words and capsys.readouterr().err == ""


def test_a_command_runs_by_an_old_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("day,x,y\n" + "".join(f"{i},{i * i % 7},{'ab'[i % 2]}\n" for i in range(60)))
    assert main(["check", str(tmp_path / "t.csv"), "--target", "y", "--time", "day"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "leadline: --time is now called --time-column.\n" and "--time-column day" in shown.out
