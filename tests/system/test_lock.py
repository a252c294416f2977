"""A lock is held as long as its process lives, by nobody that it starts, and is free however the process ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from leadline.system.lock import holder, take


def test_a_lock_is_had_once_and_shared_ones_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert holder(path) is None and not path.exists()  # to look makes no file
    with take(path) as lock:  # type: ignore[union-attr]
        assert holder(path) == os.getpid() and take(path) is None and take(path, shared=True) is None
        lock.release()
        assert holder(path) is None
    first, second = take(path, shared=True), take(path, shared=True)
    assert first is not None and second is not None and take(path) is None and holder(path) is None
    first.release()
    second.release()
    with pytest.raises(FileNotFoundError):
        take(tmp_path / "nowhere" / "lock")


def test_a_look_does_not_take_the_lock_from_who_comes_then(tmp_path: Path) -> None:
    """A look holds the lock for a moment: who wants it then tries again."""
    code = "import sys, time; from leadline.system.lock import take; from pathlib import Path\n"
    code += "lock = take(Path(sys.argv[1]), shared=True); print(flush=True); time.sleep(0.07)"
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "lock"], stdout=subprocess.PIPE) as looks:
        assert looks.stdout is not None
        looks.stdout.readline()
        with take(tmp_path / "lock") as lock:  # type: ignore[union-attr]
            assert lock is not None


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_children_hold_no_lock_of_their_parent(tmp_path: Path) -> None:
    """One that is started, and one that is forked, both outlive the lock."""
    code = """if True:
        import os, subprocess, sys, time
        from pathlib import Path
        from leadline.system.lock import take
        lock = take(Path(sys.argv[1]))
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"], close_fds=False)
        if os.fork() == 0:
            time.sleep(30)
        print(flush=True)
        time.sleep(30)
    """
    maker = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path / "lock"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert maker.stdout is not None
    maker.stdout.readline()
    assert holder(tmp_path / "lock") == maker.pid
    os.kill(maker.pid, 9)
    until = time.monotonic() + 10
    while holder(tmp_path / "lock") is not None and time.monotonic() < until:
        time.sleep(0.01)
    assert holder(tmp_path / "lock") is None  # before it is collected
    os.killpg(maker.pid, 9)
    maker.wait()
    maker.stdout.close()
