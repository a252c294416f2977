"""A model in other processes: pickled, copied, used in threads and in forked children; and files beside the data."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import leadline as ll

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (300, 4)).astype(np.float32)
    out = tmp_path_factory.mktemp("processes") / "run"
    ll.fit((X, (X[:, 0] > 0).astype(int)), only="linear", budget="10s", out=str(out))
    return out


ROWS = np.random.default_rng(1).normal(0, 1, (50, 4)).astype(np.float32)


def test_pickles_and_copies_answer_alike(run_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(run_folder.parent)
    model = ll.Model("run/model.onnx")
    expected = model.predict(ROWS)
    packed = pickle.dumps(model)
    monkeypatch.chdir(tmp_path)  # unpickled elsewhere
    for other in (pickle.loads(packed), copy.copy(model), copy.deepcopy(model)):
        assert other.predict(ROWS).equals(expected)


def test_threads_answer_alike(run_folder: Path) -> None:
    model = ll.Model(run_folder / "model.onnx")
    expected = model.predict(ROWS)
    with ThreadPoolExecutor(4) as pool:
        assert all(found.equals(expected) for found in pool.map(lambda _: model.predict(ROWS), range(12)))


FORKED = """
import os, sys
import numpy as np
import leadline as ll

model = ll.Model(sys.argv[1])
X = np.random.default_rng(1).normal(0, 1, (50, 4)).astype(np.float32)
if sys.argv[2] == "used":
    model.predict(X)
pid = os.fork()
if pid == 0:
    try:
        print("answered", len(model.predict(X)), flush=True)
    except ll.LeadlineError as error:
        print("refused", error, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print("answered", len(model.predict(X)), flush=True)
"""


@forks
@pytest.mark.parametrize(("before", "child"), [("unused", "answered 50"), ("used", "refused Reading data cannot run")])
def test_a_forked_child_answers_or_says_at_once_that_it_cannot(run_folder: Path, before: str, child: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(run_folder / "model.onnx"), before],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    said = done.stdout.splitlines()
    assert said[0].startswith(child) and said[1] == "answered 50"
    if before == "used":
        assert "start it by 'spawn'" in said[0]


@forks
def test_the_graph_itself_answers_in_a_forked_child(run_folder: Path) -> None:
    """The threads of a session do not come along in a fork; a child opens its own."""
    from leadline.graph.runtime import Session

    session = Session(run_folder / "model.onnx", threads=2)
    feeds = {name: ROWS[:, place].astype(np.float64) for place, name in enumerate(session.inputs)}
    expected = session(feeds)["prediction"].tolist()
    assert _in_child(lambda: session(feeds)["prediction"].tolist() == expected)


def _in_child(what: Callable[[], bool]) -> bool:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if what() else 1)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def _table(folder: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (300, 3)).round(3)
    rows = "\n".join(",".join(map(str, row)) + f",{'p' if row.sum() > 0 else 'q'}" for row in x)
    (folder / "t.csv").write_text(f"a,b,c,y\n{rows}\n")


@pytest.mark.parametrize("command", [["-m", "leadline"], [str(Path(sys.executable).with_name("leadline"))]])
def test_modules_beside_the_data_are_not_imported(command: list[str], tmp_path: Path) -> None:
    """Names of the standard library that Leadline and its libraries import while they work."""
    _table(tmp_path)
    for name in ("queue", "token", "secrets", "statistics", "numbers", "json", "numpy"):
        (tmp_path / f"{name}.py").write_text("print('mine')\nopen('imported', 'w').close()\n")
    start = [sys.executable, *command] if command[0] == "-m" else command
    if not Path(start[0]).exists():
        pytest.skip("the command is not installed here")
    done = subprocess.run(
        [*start, "fit", "t.csv", "--target", "y", "--only", "linear", "--budget", "10s", "--out", "run"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "linear is shipped" in done.stdout and "mine" not in done.stdout
    assert not (tmp_path / "imported").exists()


def test_what_a_worker_prints_at_its_start_is_no_message() -> None:
    from leadline.core.executor import Message
    from leadline.race.local_executor import _message

    assert _message("mine\n") is None and _message("3\n") is None and _message('{"queue": 1}\n') is None
    assert _message('{"event": "exported"}\n') == Message(event="exported", facts={})


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes the streams")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(closed: str, tmp_path: Path) -> None:
    _table(tmp_path)
    command = f"'{sys.executable}' -m leadline fit t.csv --target y --only linear --budget 10s --out run {closed}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").read_text().count("</html>") == 1
    assert not done.stderr or "Traceback" not in done.stderr
