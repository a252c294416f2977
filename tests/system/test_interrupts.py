"""Ctrl-C while modules load, and while a run is cleared away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import leadline as ll
from leadline import pipeline as journey
from leadline.system.interrupts import WRITING, at_once, deaf, ended, warned_once

# Ctrl-C comes as the module `sys.argv[1]` is looked for.
PRESSED = """
import os, signal, sys
class Press:
    def find_spec(self, name, *more):
        if name == at:
            os.kill(os.getpid(), signal.SIGINT)
at = sys.argv.pop(1)
sys.meta_path.insert(0, Press())
from leadline.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "module",
    ["leadline.cli.commands", "argparse", "leadline.config", "leadline.pipeline", "numpy", "polars", "rich.console"],
)
def test_ctrl_c_while_modules_load_is_one_sentence(module: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", PRESSED, module, "fit", "digits", "--budget", "1m"]
    done = subprocess.run(words, cwd=tmp_path, text=True, capture_output=True, timeout=60, check=False)
    assert done.stderr == "leadline: stopped; nothing was written.\n" and done.stdout == ""
    assert done.returncode == 130 and not list(tmp_path.iterdir())


def test_clearing_away_is_not_interrupted() -> None:
    with deaf():
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("presses", [1, 2])
def test_the_first_ctrl_c_while_the_result_is_written_is_told_what_it_would_lose(
    presses: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write = journey.write_report

    def pressed(*what: Any) -> None:
        for _ in range(presses):
            os.kill(os.getpid(), signal.SIGINT)
        write(*what)

    monkeypatch.setattr("leadline.pipeline.write_report", pressed)
    words: dict[str, Any] = {"only": "linear", "budget": "8s", "out": tmp_path / "run", "cache": tmp_path / "cache"}
    if presses == 1:
        assert ll.fit("digits", **words).report().exists()
    else:
        with pytest.raises(KeyboardInterrupt):
            ll.fit("digits", **words)
        assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert capfd.readouterr().err.count(WRITING) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_is_an_exception_where_nobody_can_continue_and_waits_for_a_removal() -> None:
    with pytest.raises(SystemExit, match="143"), ended():
        with deaf():
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_what_is_ignored_or_anothers_stays_so() -> None:
    for handler in (signal.SIG_IGN, lambda number, frame: None):
        held = signal.signal(signal.SIGINT, handler)
        try:
            with at_once():
                assert signal.getsignal(signal.SIGINT) is handler
            with warned_once():
                assert signal.getsignal(signal.SIGINT) is handler
            assert signal.getsignal(signal.SIGINT) is handler
        finally:
            signal.signal(signal.SIGINT, held)


def test_a_thread_may_clear_away_too() -> None:
    done = []

    def work() -> None:
        with deaf(), at_once():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done and signal.getsignal(signal.SIGINT) is signal.default_int_handler
