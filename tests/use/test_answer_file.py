"""Answers in a file: the same whatever their parts, whole or not at all, and in memory that does not grow."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from leadline.readers.csv import convert
from leadline.system.errors import OutputError, SourceError
from leadline.use.answer_file import WRITERS, write

FRAME = pl.DataFrame({"prediction": ["a", 'b "c", d', None, "é\nf", "a"], "p_a": [0.5, 0.25, None, 1 / 3, 1.0]})
LISTS = pl.DataFrame({"prediction": [["a", "b"], [], ["c"], None]})


def _parts(frame: pl.DataFrame, size: int) -> Iterator[pl.DataFrame]:
    for start in range(0, len(frame), size):
        yield frame.slice(start, size)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("frame", [FRAME, LISTS], ids=["words", "lists"])
def test_the_parts_do_not_show(frame: pl.DataFrame, suffix: str, tmp_path: Path) -> None:
    found = {}
    for size in (1, 2, len(frame)):
        out = tmp_path / f"{size}{suffix}"
        assert write(_parts(frame, size), out) == len(frame)
        found[size] = pl.read_parquet(out).to_dicts() if suffix == ".parquet" else out.read_text(encoding="utf-8")
    assert found[1] == found[2] == found[len(frame)]
    if suffix == ".parquet":
        assert found[1] == frame.to_dicts()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{size}{suffix}" for size in (1, 2, len(frame)))


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_that_is_there_stays_where_answers_fail(suffix: str, tmp_path: Path) -> None:
    def failing() -> Iterator[pl.DataFrame]:
        yield FRAME
        raise SourceError("the second part cannot be read")

    out = tmp_path / f"answers{suffix}"
    out.write_text("earlier")
    with pytest.raises(SourceError, match="second part"):
        write(failing(), out)
    assert out.read_text() == "earlier" and os.listdir(tmp_path) == [out.name]


@pytest.mark.parametrize("suffix", WRITERS)
def test_what_the_system_refuses_is_one_sentence(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"answers{suffix}"
    out.mkdir()
    with pytest.raises(OutputError, match=r"cannot be written \(.+\); choose another --out\."):
        write([FRAME], out)
    assert os.listdir(tmp_path) == [out.name]


def test_an_error_of_a_part_is_not_said_of_the_file(tmp_path: Path) -> None:
    def failing() -> Iterator[pl.DataFrame]:
        yield FRAME
        raise FileNotFoundError(2, "No such file or directory", "photo.png")

    with pytest.raises(FileNotFoundError, match=r"photo\.png"):
        write(failing(), tmp_path / "answers.csv")


def test_a_link_and_a_pipe_are_written_through(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("earlier")
    link, pipe = tmp_path / "link.csv", tmp_path / "pipe.csv"
    link.symlink_to("real.csv")
    write([FRAME], link)
    assert link.is_symlink() and (tmp_path / "real.csv").read_text() == FRAME.write_csv()
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write([FRAME], pipe)
    reader.join(10)
    assert read == [FRAME.write_csv()] and stat.S_ISFIFO(pipe.stat().st_mode)


KILLED = """
import sys, time
from pathlib import Path
import polars as pl
import leadline.use.model
from leadline.cli.commands import main
from leadline.use.answer_file import write

def parts():
    yield pl.DataFrame({"prediction": ["a"] * 10_000})
    print("begun", flush=True)
    time.sleep(60)

class Model:
    def __init__(self, path): pass
    def predict_to(self, source, out): return write(parts(), out)

leadline.use.model.Model = Model
sys.exit(main(["predict", "model.onnx", "rows.csv", "--out", sys.argv[1]]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without a word to it")
@pytest.mark.parametrize(("name", "number"), [("a.csv", signal.SIGTERM), ("a.parquet", signal.SIGINT)])
def test_a_command_that_is_stopped_leaves_nothing_beside_an_earlier_file(
    name: str, number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("earlier")
    words = [sys.executable, "-c", KILLED, name]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "begun\n" and len(os.listdir(tmp_path)) == 2
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number and "Traceback" not in said
    assert os.listdir(tmp_path) == [name] and (tmp_path / name).read_text() == "earlier"


CONVERT = """
import sys
from pathlib import Path
from leadline.readers.csv import convert
convert(Path(sys.argv[1]), Path(sys.argv[2]), "x.csv")
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say how much was held")
def test_a_large_file_is_converted_in_the_memory_of_a_small_one(tmp_path: Path) -> None:
    peaks = []
    for name, copies in (("small", 1), ("large", 40)):
        source, folder = tmp_path / f"{name}.csv", tmp_path / name
        folder.mkdir()
        rows = "".join(f"{i},{i * 7 % 1000},some words {i % 99},x{i % 7}\n" for i in range(100_000))
        source.write_text("a,b,c,d\n" + rows * copies)
        done = subprocess.run(
            [sys.executable, "-c", CONVERT, str(source), str(folder)], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 90, peaks  # 157 MB more where chunks grow with the file


def test_a_value_longer_than_a_chunk_is_read(tmp_path: Path) -> None:
    long = "x" * 3_000_000
    (tmp_path / "long.csv").write_text("a,b\n" + f'"{long}\n{long}",1\n' + "y,2\n" * 50_000)
    frame = pl.read_parquet(convert(tmp_path / "long.csv", tmp_path, "long.csv").table)
    assert frame.shape == (50_001, 2) and frame["a"][0] == f"{long}\n{long}"
