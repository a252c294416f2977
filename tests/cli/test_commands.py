"""The command line, as a user meets it: exit codes, one sentence for what is wrong, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from leadline.cli.commands import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def leadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """leadline(*words) -> (exit code, standard output, standard error), run in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: Any) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def table(tmp_path: Path, mixed: Any) -> Path:
    mixed(120).write_csv(tmp_path / "table.csv")
    return tmp_path / "table.csv"


GOOD = "x,c,y\n" + "".join(f"{i * 0.37 % 5:.2f},{'uv'[i % 2]},{'ab'[i // 3 % 2]}\n" for i in range(30))

DATA = "data.csv"
ERRORS = [
    ("no such source", None, "nowhere.csv", "there is no file, folder or sample 'nowhere.csv' in "),
    ("a near miss", GOOD, "data.cvs", "did you mean 'data.csv'?"),
    ("empty source", "", DATA, "data.csv is empty, where a table was expected"),
    ("header alone", "x,y\n", DATA, "data.csv has a header line and no row"),
    ("no target", GOOD.replace(",y", ",z"), DATA, "No target is given; add --target COLUMN, one of x, c, z."),
    ("missing target", GOOD, f"{DATA} --target q", "--target q is not a column of data; columns are x, c, y."),
    ("constant target", "x,y\n" + "1,a\n2,a\n" * 9, DATA, "Column 'y' is 'a' in every row; a target must vary; choose"),
    ("class with one row", GOOD.replace("b", "a") + "1,u,b\n", DATA, "Class 'b' of column 'y' has one row (row 31);"),
    ("nothing to learn from", "k,y\n" + "1,a\n1,b\n" * 9, DATA, "data has no usable column besides the target ('k'"),
    ("too few rows", "x,y\n" + "1,a\n2,b\n" * 3, DATA, "Only 6 usable rows to learn from in data; at least 8 are"),
    ("bad kind", GOOD, f"{DATA} --kind x=banana", "--kind x=banana is not COLUMN=KIND; kinds are audio, image,"),
    ("kind of no column", GOOD, f"{DATA} --kind q=text", "'q' is not a column of data; columns are x, c, y."),
    ("kind that does not fit", GOOD, f"{DATA} --kind c=time", "Column 'c' holds strings, which cannot be read as time"),
    ("number that is none", GOOD, f"{DATA} --kind c=number", "cannot be read, such as row 1: 'u' is not a number"),
    ("bad budget", GOOD, f"{DATA} --budget soon", "--budget soon is not a time; write seconds or a unit"),
    ("bad memory", GOOD, f"{DATA} --memory lots", "--memory lots is not a size; write a number and a unit"),
    ("bad task", GOOD, f"{DATA} --task guess", "--task guess is not known; it can be binary, multiclass,"),
    ("regression of words", GOOD, f"{DATA} --task regression", "text such as 'a'; --task regression needs numbers."),
    ("unknown contender", GOOD, f"{DATA} --only resnet", "--only resnet is not known; contenders and families are"),
    ("contender that cannot", GOOD, f"{DATA} --only cnn", "--only cnn leaves no contender for these columns;"),
    ("unknown time column", GOOD, f"{DATA} --time-column t", "--time-column t is not a column; columns are x, c, y."),
    ("time of words", GOOD, f"{DATA} --time-column c", "--time-column c holds values that are neither numbers nor"),
    ("old fix", GOOD, f"{DATA} --fix all,leak", "--fix leak is now called --fix target_leakage."),
    ("old kind", GOOD, f"{DATA} --kind c=list", "--kind c=list is now called --kind c=tags."),
    ("old contender", GOOD, f"{DATA} --only glassbox", "--only glassbox is now called --only ebm."),
    ("bound without a unit", GOOD, f"{DATA} --max-size 2", "--max-size 2 is not a quantity; write a number and a unit"),
    ("one group", GOOD.replace(",v", ",u"), f"{DATA} --group c", "the split leaves no train rows; give more rows, or"),
    ("test without a column", GOOD, f"{DATA} --test other.csv", "The test part of data lacks column 'c'"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "words", "message"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS])
def test_what_is_wrong_is_said_in_one_sentence(
    content: str | None, words: str, message: str, leadline: Run, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "data.csv").write_text(content)
    (tmp_path / "other.csv").write_text("x,y\n1,a\n2,b\n")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = leadline("fit", *words.split())
    assert code == 2 and message in err, err
    assert err.startswith("leadline: ") and err.count("\n") == 1 and "Traceback" not in out + err
    assert sorted(tmp_path.rglob("*")) == before


def test_an_existing_out_is_left_alone(leadline: Run, table: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("keep")
    code, _, err = leadline("fit", table, "--target", "y", "--out", "mine")
    assert code == 2 and err == "leadline: mine already exists; choose another --out, or remove it.\n"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["precious.txt"]


def test_an_out_that_cannot_be_made(leadline: Run, table: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = leadline("fit", table, "--target", "y", "--out", "file/run")
    assert code == 2 and "file/run cannot be made (" in err and err.endswith("choose another --out.\n")


def test_debug_shows_the_traceback(leadline: Run) -> None:
    with pytest.raises(Exception, match=r"no file, folder or sample 'nowhere\.csv'"):
        leadline("fit", "nowhere.csv", "--debug")


@pytest.mark.parametrize("words", [["fit"], ["fit", "x", "--lanes", "3"], ["sail"], ["fit", "x", "--seed", "one"]])
def test_wrong_words_show_the_usage(words: list[str], leadline: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        leadline(*words)
    assert exit.value.code == 2 and "usage: leadline" in capsys.readouterr().err


def test_without_a_command_help_is_shown(leadline: Run) -> None:
    code, out, _ = leadline()
    assert code == 0 and "usage: leadline" in out and "predict" in out


def test_a_tiny_budget_gives_the_floor_and_the_fastest(leadline: Run, table: Path, tmp_path: Path) -> None:
    code, out, err = leadline("fit", table, "--target", "y", "--budget", "1s", "--out", "run")
    assert code == 0 and err == ""
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    status = {row["name"]: row["status"] for row in result["contenders"]}
    assert status["baseline"] == status["linear"] == "finished" and set(status.values()) == {"finished", "skipped"}
    assert result["shipped"]["contender"] == "linear" and result["verdict"]["answer"] == "unsure"
    assert "No deep contender finished" in out
    answers = leadline("predict", "run", table)[1]
    assert answers.startswith("prediction,p_no,p_yes\n") and answers.count("\n") == 121


def test_quiet_prints_the_verdict_alone(leadline: Run, table: Path) -> None:
    code, out, _ = leadline("fit", table, "--target", "y", "--budget", "1s", "--out", "run", "--quiet")
    assert code == 0 and out.startswith("unsure: No deep contender finished") and len(out.splitlines()) <= 4


def test_a_corrupt_image_is_set_aside(leadline: Run, tmp_path: Path, bars: Any) -> None:
    images, labels = bars(30, 12)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / "pictures" / ("lying", "standing")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i:02}.png")
    broken = tmp_path / "pictures" / "lying" / "04.png"
    broken.write_bytes(broken.read_bytes()[:50])
    code, out, _ = leadline("fit", "pictures", "--budget", "1s", "--out", "run")
    assert code == 0 and "1 row was moved to quarantine.csv, such as pictures row 3: lying/04.png cannot be read" in out
    (row,) = pl.read_csv(tmp_path / "run" / "quarantine.csv").to_dicts()
    assert "04.png" in row["reason"] and json.loads((tmp_path / "run" / "result.json").read_text())["quarantined"] == 1
    code, out, err = leadline("predict", "run", "pictures/lying")
    assert code == 0 and "has no answer: 04.png cannot be read as an image" in err
    answers = pl.read_csv(out.encode())
    assert answers.height == 15 and answers.filter(pl.col("prediction").is_null())["image"].to_list() == ["04.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["nowhere.onnx", "table.csv"],
            "There is no model at nowhere.onnx; `leadline fit` writes model.onnx into its run folder.",
        ),
        (["table.csv", "table.csv"], "table.csv cannot be loaded as an ONNX model ("),
    ],
)
def test_predict_without_a_model(words: list[str], message: str, leadline: Run, table: Path) -> None:
    code, out, err = leadline("predict", *words)
    assert code == 2 and message in err and err.count("\n") == 1 and out == ""


def test_predict_checks_what_it_is_given(leadline: Run, table: Path, tmp_path: Path) -> None:
    assert leadline("fit", table, "--target", "y", "--budget", "1s", "--out", "run")[0] == 0
    code, _, err = leadline("predict", "run", table, "--out", "answers.docx")
    assert (
        code == 2
        and err == "leadline: --out answers.docx has no known suffix; use one of .csv, .tsv, .jsonl, .parquet.\n"
    )
    code, _, err = leadline("predict", "run", table, "--out", "gone/answers.csv")
    assert (code, err) == (
        2, "leadline: there is no folder gone to write answers.csv to; make it, or choose another --out.\n",
    )  # fmt: skip
    pl.read_csv(table).drop("colour").write_csv(tmp_path / "lacking.csv")
    code, _, err = leadline("predict", "run/model.onnx", "lacking.csv")
    assert code == 2 and "lacking lacks column 'colour', which the model reads" in err
    for suffix, reader in ((".csv", pl.read_csv), (".parquet", pl.read_parquet), (".jsonl", pl.read_ndjson)):
        code, out, _ = leadline("predict", "run", table, "--out", f"answers{suffix}")
        assert code == 0 and out == f"120 answers in answers{suffix}\n"
        assert reader(tmp_path / f"answers{suffix}").columns == ["prediction", "p_no", "p_yes"]


def test_ctrl_c_in_the_middle_gives_a_verdict_on_what_there_is(tmp_path: Path, mixed: Any) -> None:
    rng = np.random.default_rng(0)
    frame = mixed(4_000).with_columns(pl.Series(f"n{i}", rng.normal(size=4_000)) for i in range(10))
    frame.write_csv(tmp_path / "table.csv")
    words = ["fit", "table.csv", "--target", "y", "--budget", "10m", "--out", "run"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "leadline", *words], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=os.environ,
    )  # fmt: skip
    try:
        journal = None
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            journal = next(tmp_path.glob(".run.partial-*/journal.jsonl"), None)
            events = [json.loads(line) for line in journal.read_text().splitlines()] if journal else []
            started = {event["contender"] for event in events if event.get("score") is not None}
            if {"linear", "mlp"} <= started or {"linear", "boosting"} <= started:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    assert "Stopping: each contender keeps its best state so far" in out and "Traceback" not in out + err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["verdict"]["winner"] and (tmp_path / "run" / "model.onnx").exists() and result["spent_s"] < 120
    assert {"finished", "cut"} & {row["status"] for row in result["contenders"] if row["family"] != "baseline"}
    assert not list(tmp_path.glob(".run.partial-*"))


def test_a_pattern_that_the_shell_has_spread_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(tmp_path / f"{name}.csv") for name in "abc"]
    for name in names:
        Path(name).write_text("x,y\n1,2\n")
    with pytest.raises(SystemExit):
        main(["fit", *names])
    assert (
        "3 sources are given, where one was expected; quote a pattern, as in 'sales/*.csv'" in capsys.readouterr().err
    )
    with pytest.raises(SystemExit):
        main(["fit", names[0], "--nonsense"])
    assert "unrecognized arguments: --nonsense" in capsys.readouterr().err


def test_fit_prints_the_result_as_json_and_nothing_else(
    tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", str(table), "--target", "y", "--only", "linear", "--budget", "8s", "--out", str(tmp_path / "run")]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(tmp_path / "run") and found["shipped"]["contender"] == "linear"
