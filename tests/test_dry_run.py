"""`leadline check`, as a user meets it: sources of every sort, every mistake at one look, nothing trained or left."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

import leadline as ll
from leadline.cli.commands import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """look(*words) -> (exit code, standard output, standard error) of `leadline check`, run in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: Any) -> tuple[int, str, str]:
        code = main(["check", *map(str, words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def table(tmp_path: Path, mixed: Any) -> Path:
    mixed(300).with_columns(id=pl.int_range(300) + 1).write_csv(tmp_path / "table.csv")
    return tmp_path / "table.csv"


def test_a_table(look: Run, table: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, out, err = look("table.csv", "--target", "y", "--budget", "40s")
    assert code == 0 and err == ""
    assert sorted(tmp_path.rglob("*")) == before
    lines = out.splitlines()
    identifier = "  id      dropped   300 distinct; it counts the rows, as an identifier does"
    assert lines[0] == "table: 300 rows (192 train, 48 valid, 60 test)"
    assert lines[1].startswith("binary: y is one of ") and lines[1].endswith("measured by accuracy")
    assert identifier in lines
    assert any(line.startswith("  size    number    ") and "missing" in line for line in lines)
    assert "eligible contenders: mlp (deep) against linear, boosting (classical)" in lines
    assert "The textbook often expects classical models to win here, because so few rows suit" in out
    assert lines[-1] == "next  leadline fit table.csv --target y --budget 40s"


def test_it_says_what_a_run_then_finds(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = ll.check("table.csv", target="y", budget="12s", repeats=1)
    result = ll.fit("table.csv", target="y", budget="12s", repeats=1, out="run").result
    assert result["rows"] == found.rows and result["task"] == found.task and result["columns"] == found.columns
    assert {row["name"] for row in result["contenders"]} == {
        name for names in found.contenders.values() for name in names
    }
    assert result["expected"] == found.as_dict()["expected"] and result["command"] == found.command
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What the textbook expected" in page and "Hastie et al. 2009" in page


def test_json_is_the_same(look: Run, table: Path) -> None:
    code, out, _ = look("table.csv", "--target", "y", "--json")
    told = json.loads(out)
    assert code == 0 and told == json.loads(json.dumps(ll.check("table.csv", target="y").as_dict()))
    assert told["expected"]["answer"] == "classical" and told["problems"] == []


def test_folders_of_pictures_texts_and_numbers(look: Run, tmp_path: Path, messages: Any, mixed: Any) -> None:
    for i in range(24):
        folder = tmp_path / "pictures" / ("dark", "light")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((9, 9), i % 2 * 150 + i, np.uint8)).save(folder / f"{i}.png")
    code, out, _ = look("pictures")
    assert code == 0 and "eligible contenders: mlp, cnn (deep)" in out
    assert "images, 15 rows to learn from, 7 a class on average" in out

    messages().write_csv(tmp_path / "messages.csv")
    code, out, _ = look("messages.csv", "--target", "label")
    assert code == 0 and "eligible contenders: bag, transformer, rnn (deep) against linear, boosting (classical)" in out

    mixed(task="regression").write_csv(tmp_path / "numbers.csv")
    code, out, _ = look("numbers.csv", "--target", "y")
    assert code == 0 and "regression: y goes from " in out and "measured by rmse" in out


def test_running_text_and_sounds(look: Run, story: Any, tones: Any, tmp_path: Path) -> None:
    code, out, _ = look(story(), "--token-unit", "byte")
    assert code == 0 and "eligible contenders: lstm, gpt (deep) against ngram (classical)" in out
    assert "language: the next token is predicted" in out and out.rstrip().endswith("--token-unit byte")
    found = ll.check(tones(), target="label")
    assert found.contenders["deep"] == ["cnn", "crnn"] and found.command is None


def test_without_a_target_the_columns_are_shown(look: Run, table: Path) -> None:
    pl.read_csv(table).rename({"y": "answer"}).write_csv(table)
    code, out, err = look("table.csv")
    assert code == 2 and err == "" and "next" not in out
    assert "  colour  category  " in out and "  when    time" in out
    assert (
        "  No target is given; add --target COLUMN, one of size, weight, colour, when, answer, id." in out.splitlines()
    )


def test_every_mistake_at_one_look_in_the_words_of_fit(look: Run, table: Path) -> None:
    words = ["table.csv", "--target", "y", "--drop", "a", "--drop", "b", "--kind", "colour=number", "--group", "q"]
    code, out, _ = look(*words)
    assert code == 2
    said = out[out.index("errors of fit") :]
    for sentence in ("--group q is not a column; columns are ", "'a' is not a column of table; columns are ",
                     "'b' is not a column of table; columns are ", "rows cannot be read, such as row "):  # fmt: skip
        assert said.count(sentence) == 1, sentence
    problems = ll.check("table.csv", target="y", group="q", drop=["a", "b"]).problems
    assert len(problems) == 3
    for problem in problems:
        wrong = {"group": "q"} if "group" in problem else {"drop": [problem[1]]}
        with pytest.raises(ll.LeadlineError) as refused:
            ll.fit("table.csv", target="y", **wrong)
        assert str(refused.value) == problem


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("x,y\n" + "1,a\n2,a\n" * 9, "", "Column 'y' is 'a' in every row; a target must vary; choose"),
        ("k,y\n" + "1,a\n1,b\n" * 9, "", "data has no usable column besides the target ('k': it holds"),
        ("x,y\n" + "1,a\n2,b\n" * 3, "", "Only 6 usable rows to learn from in data; at least 8 are needed."),
        (
            "x,y\n" + "".join(f"{i % 7},{'ab'[i % 2]}\n" for i in range(40)),
            "--time-column y",
            "values that are neither numbers",
        ),
        (
            "x,y\n" + "".join(f"{i % 7},{'ab'[i % 2] if i % 3 else ''}\n" for i in range(40)),
            "",
            "14 rows would be quarantined",
        ),
    ],
)
def test_what_is_wrong_with_the_rows(content: str, words: str, message: str, look: Run, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(content)
    code, out, err = look("data.csv", *words.split())
    assert message in out and "Traceback" not in out + err
    assert code == (0 if "would be quarantined" in message else 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("nowhere.csv", "there is no file, folder or sample 'nowhere.csv' in "),
        ("table.csv --budget soon", "--budget soon is not a time; write seconds or a unit"),
        ("table.csv --kind x=banana", "--kind x=banana is not COLUMN=KIND; kinds are "),
        ("table.csv --task guess", "--task guess is not known; it can be "),
        ("table.csv --test nowhere.csv --target y", "there is no file, folder or sample 'nowhere.csv' in "),
    ],
)
def test_what_cannot_be_looked_at_is_one_sentence(words: str, message: str, look: Run, table: Path) -> None:
    code, out, err = look(*words.split())
    assert code == 2 and out == "" and err.startswith("leadline: ") and message in err and err.count("\n") == 1


def test_files_that_cannot_be_opened(look: Run, tmp_path: Path) -> None:
    for i in range(12):
        folder = tmp_path / "pictures" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i}.png").write_bytes(b"no picture")
    code, out, _ = look("pictures")
    assert code == 2 and "rows cannot be read, such as row 1: " in out and "eligible contenders" not in out


def test_a_folder_that_may_only_be_read(look: Run, table: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        code, out, _ = look("table.csv", "--target", "y")
    finally:
        tmp_path.chmod(0o755)
    assert code == 0 and "next  leadline fit table.csv --target y" in out


def test_a_model_to_be_read(look: Run, table: Path) -> None:
    code, out, _ = look("table.csv", "--target", "y", "--interpretable")
    assert code == 0 and "whoever must explain each answer needs a model that can be read" in out
    assert "tree" in out.split("against")[1].splitlines()[0]  # as fit would race


def test_weights_that_cannot_be_read_or_are_not_used_are_reported(
    look: Run, table: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, said, _ = look(table, "--target", "y", "--weights", "nowhere")
    assert code == 2 and "--weights nowhere is no folder" in said and "eligible contenders" in said
    code, said, _ = look(table, "--target", "y", "--weights", tiny_bert)
    assert code == 0 and "is not used: its body reads no column of these kinds, only text." in said
    monkeypatch.setenv("LEADLINE_WEIGHTS", "nowhere")
    code, said, _ = look(table, "--target", "y")
    assert code == 2 and "LEADLINE_WEIGHTS=nowhere is no folder" in said and "eligible contenders" in said


def test_a_broken_folder_of_weights_is_an_error_of_fit(
    look: Run, messages: Any, tmp_path: Path, tiny_bert: Path
) -> None:
    messages(200).write_csv(tmp_path / "texts.csv")
    broken = shutil.copytree(tiny_bert, tmp_path / "broken")
    (broken / "vocab.txt").write_text("a\nb\n")
    code, said, _ = look("texts.csv", "--target", "label", "--weights", "broken")
    assert code == 2 and "--weights broken has a vocab.txt without [UNK], [CLS], [SEP]" in said
    assert "bag, transformer, rnn (deep)" in said


def test_an_earlier_run_that_cannot_be_begun_from_is_an_error_of_fit(look: Run, table: Path) -> None:
    code, said, _ = look(table, "--target", "y", "--init", "nowhere")
    assert code == 2 and "--init nowhere holds no finished run" in said and "eligible contenders" in said


def test_the_command_that_installs_a_body_is_shown_where_one_could_race(
    look: Run, messages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_bert: Path
) -> None:
    from leadline.kinds import KINDS

    messages(200).write_csv(tmp_path / "texts.csv")
    assert "could race" not in look("texts.csv", "--target", "label")[1]  # the tests say that none races
    monkeypatch.delenv("LEADLINE_WEIGHTS")
    monkeypatch.setattr(type(KINDS["text"]), "pretrained", (_absent(KINDS["text"].pretrained[0]),))
    said = look("texts.csv", "--target", "label")[1]
    assert "a pretrained body could race too: pip install 'leadline[pretrained]'" in said
    assert "none here is pretrained" in said
    said = look("texts.csv", "--target", "label", "--weights", tiny_bert)[1]
    assert "bag, transformer, rnn, pretrained, finetuned (deep)" in said and "could race" not in said
    assert "a pretrained body can read them" in said


def test_a_budget_that_is_too_short_for_the_body_of_a_folder_is_a_warning(
    look: Run, messages: Any, tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages(200).write_csv(tmp_path / "texts.csv")
    words = ("texts.csv", "--target", "label", "--weights", tiny_bert, "--budget", "60s")
    assert "pretrained needs" not in look(*words)[1]
    monkeypatch.setattr("leadline.contenders.states.Reader.pace", lambda self, store: (20.0, 0.1))
    _, said, _ = look(*words)
    (line,) = (line for line in said.splitlines() if "pretrained needs" in line)
    needed, check, budget = (int(number) for number in re.findall(r"(\d+) ?s ", line))
    assert needed >= 20 and budget > max(60, needed + check)


def _absent(body: Any) -> Any:
    return dataclasses.replace(body, find=lambda: None)
