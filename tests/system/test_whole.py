"""What is made beside a result appears whole, keeps the mode of what it replaces, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import leadline as ll
from leadline.system.errors import OutputError
from leadline.system.whole import appear, maker, named, replace_text, scratch

KILLED = """
import sys, time
from pathlib import Path
from leadline.system.whole import scratch
with scratch(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("x")
    print("made", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_a_live_one_has_is_not(tmp_path: Path) -> None:
    final = tmp_path / "made [1]"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(final)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "made\n"
        assert maker(final) == process.pid
        (left,) = tmp_path.iterdir()
        with scratch(final) as own:
            assert left.is_dir() and own.is_dir()
        process.send_signal(signal.SIGKILL)
    assert maker(final) is None and [left] == list(tmp_path.iterdir())
    with scratch(tmp_path / "another"):
        assert left.is_dir()
    with scratch(final) as own:
        assert not left.exists()
    assert not list(tmp_path.iterdir())


def test_of_two_results_of_one_name_the_second_is_refused_in_a_sentence(tmp_path: Path) -> None:
    final = tmp_path / "made"
    with scratch(final) as first, scratch(final) as second:
        for folder in (first, second):
            (folder / "made").mkdir()
            (folder / "made" / "file").write_text(folder.name)
        appear(first / "made", final)
        with pytest.raises(OutputError, match="made already exists; choose another --out"):
            appear(second / "made", final)
    assert [path.name for path in tmp_path.iterdir()] == ["made"] and (final / "file").read_text() == first.name


def test_a_file_that_is_replaced_keeps_its_mode_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    replace_text(page, "new")
    (tmp_path / "beside").write_text("as any other file")
    assert _mode(page) == _mode(tmp_path / "beside")
    page.chmod(0o640)
    replace_text(page, "newer")
    assert _mode(page) == 0o640 and page.read_text() == "newer"
    with pytest.raises(UnicodeEncodeError):
        replace_text(page, "\ud800")
    assert page.read_text() == "newer" and {path.name for path in tmp_path.iterdir()} == {"page.html", "beside"}


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_folder_of_no_name_is_called_as_its_path_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert named(Path()) == tmp_path.resolve() and named(Path("..")) == tmp_path.resolve().parent
    assert named(Path("runs/x")) == Path("runs/x")


def test_what_the_cache_keeps_is_as_open_as_any_new_file(tmp_path: Path) -> None:
    cache, rows = tmp_path / "cache", tmp_path / "rows.zip"
    with zipfile.ZipFile(rows, "w") as archive:
        archive.writestr("rows.csv", "a,y\n" + "".join(f"{k % 7},{k % 2}\n" for k in range(60)))
    ll.fit(rows, target="y", only="linear", epochs=1, repeats=1, out=tmp_path / "run", cache=cache)
    (cache / "new").mkdir()
    kept = [*(cache / "stores").iterdir(), *(cache / "unpacked").iterdir()]
    assert len(kept) == 2 and {_mode(folder) for folder in kept} == {_mode(cache / "new")}
