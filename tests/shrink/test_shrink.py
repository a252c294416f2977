"""A run's model becomes smaller and is proved not worse, whatever the folder holds, or one sentence says why not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest

import leadline as ll
from leadline.cli.commands import main
from leadline.config import Settings
from leadline.core.contender import Clock
from leadline.shrink.distill import StudentRun, designs
from leadline.shrink.lessons import lesson_of
from leadline.shrink.network import network_of, scores
from leadline.shrink.recipes import recipes
from leadline.shrink.run_report import add_section
from leadline.shrink.shrink import beside
from leadline.shrink.stopwatch import here, measure
from leadline.shrink.words import refused
from leadline.stats.noninferiority import Comparison
from leadline.system.errors import LeadlineError, ModelError, OutputError
from leadline.system.process_state import torch_threads
from leadline.system.whole import scratch

TAGS = pl.DataFrame({"a": np.arange(800) % 7 * 0.5, "b": np.arange(800) % 3, "y": [["u"], ["v"], ["u", "v"], []] * 200})


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few repetitions, and in this process but for one run, since no test asserts a time."""
    monkeypatch.setattr("leadline.shrink.stopwatch.SECONDS", 0.01)
    monkeypatch.setattr("leadline.shrink.frontier.measure", partial(here, seconds=0.01))
    monkeypatch.setattr("leadline.shrink.candidates.CALIBRATION", 64)


@pytest.fixture(scope="module")
def run_of(
    tmp_path_factory: pytest.TempPathFactory, mixed: Any, messages: Any, bars: Any, story: Any
) -> Callable[[str], tuple[ll.Run, Any]]:
    """run_of(name): a finished run, and its source."""
    many = mixed(800, "regression").with_columns(y=(pl.col("y").rank("ordinal") // 101).cast(pl.String))
    sources: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
        "mixed": (lambda: mixed(1_600), {"target": "y", "only": "linear,mlp"}),
        "columns called as tensors are": (
            lambda: mixed(1_600).rename({"size": "number", "colour": "category"}),
            {"target": "y", "only": "mlp"},
        ),
        "regression": (lambda: mixed(1_000, "regression"), {"target": "y", "only": "boosting"}),
        "many classes": (lambda: many, {"target": "y", "only": "boosting"}),
        "multilabel": (lambda: TAGS, {"target": "y", "only": "linear"}),
        "texts": (lambda: messages(600), {"target": "label", "only": "bag"}),
        "pictures": (lambda: bars(240), {"only": "cnn"}),
        "corpus": (lambda: story(800), {"only": "lstm"}),
    }
    made: dict[str, tuple[ll.Run, Any]] = {}

    def make(name: str) -> tuple[ll.Run, Any]:
        if name not in made:
            source, settings = sources[name]
            place = tmp_path_factory.mktemp("runs") / name.replace(" ", "-")
            given = source()
            made[name] = ll.fit(given, epochs=2, out=place, repeats=1, **settings), given
        return made[name]

    return make


@pytest.mark.parametrize(
    "name",
    [
        "mixed", "columns called as tensors are", "regression", "many classes", "multilabel", "texts", "pictures",
        "corpus",
    ],
)  # fmt: skip
def test_every_sort_of_run_gives_a_smaller_file_that_is_proved(
    name: str, run_of: Callable[[str], tuple[ll.Run, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "mixed":  # as users have it: each file in a process of its own
        monkeypatch.setattr("leadline.shrink.frontier.measure", measure)
    run, source = run_of(name)
    before = _content(run.folder)
    found = run.shrink(source, out=tmp_path / "small", max_drop=0.2)
    assert _content(run.folder) == before
    page = run.report().read_text()
    assert page.count('<section id="smaller"') == page.count('<a href="#smaller">') == 1
    assert (run.folder / re.findall('href="([^"]*small/report.html)"', page)[0]).samefile(found.report())
    back = re.findall('href="([^"]*report.html)"', found.report().read_text())
    assert (found.folder / back[0]).samefile(run.report())
    result = json.loads((tmp_path / "small" / "shrink.json").read_text())
    assert result == json.loads(json.dumps(found.result)) and result["chosen"] is not None, found
    rows = result["choosing_rows"] + result["judging_rows"]
    assert rows == run.result["rows"]["test"] and result["upper"] <= 0.2 + 1e-6
    frontier = {row["name"]: row for row in result["frontier"]}
    assert frontier[result["chosen"]]["bytes"] == (tmp_path / "small" / "model.onnx").stat().st_size
    assert frontier[result["chosen"]]["bytes"] < frontier["full"]["bytes"]
    assert all(row["one_us"] > 0 and row["batch_us"] > 0 for row in frontier.values())
    checked = found.model.verify(None if name == "corpus" else source if not isinstance(source, tuple) else source[0])
    assert checked.certificate is not None and checked.certificate["of"] == "the full model"
    assert checked.certificate["judged_rows"] == result["judging_rows"]
    if name == "corpus":
        assert found.model.generate(length=5)
    else:
        answers, full = (
            model.predict(source if not isinstance(source, tuple) else source[0]) for model in (found.model, run.model)
        )
        assert answers.columns == full.columns and len(answers) == len(full)
    assert result["why"].split(":")[0] in found.report().read_text()
    assert [port[0] for port in result["outputs"]] == list(found.model.contract["outputs"].values())
    for recipe in recipes("model.onnx", result["inputs"], result["outputs"]):
        assert f"<summary>{recipe.platform}: {recipe.tried}</summary>" in page


def _content(folder: Path) -> dict[Path, bytes]:
    """All files but the report, which gets a section."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "report.html"}


def test_the_five_lines_of_the_report_run_without_torch(run_of: Any, tmp_path: Path, mixed: Any) -> None:
    run, source = run_of("mixed")
    run.shrink(source, out=tmp_path / "small", max_drop=0.1)
    mixed(10).write_csv(tmp_path / "small" / "rows.csv")
    code = recipes("model.onnx", [], [])[0].code
    code += "import sys; assert 'torch' not in sys.modules and 'onnx' not in sys.modules\n"
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "small", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "judged by" in ran.stdout and "p_yes" in ran.stdout


def test_what_cannot_be_is_one_sentence(run_of: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, source = run_of("multilabel")
    cases: list[tuple[dict[str, Any], type[LeadlineError], str]] = [
        ({"max_drop": "little"}, LeadlineError, "--max-drop little is not a drop"),
        ({"max_drop": "120%"}, LeadlineError, "is not a drop"),
        ({"max_drop": "0.01%"}, LeadlineError, r"cannot be certified: 80 test rows judge, .* is 3\.69%"),
        ({"max_size": "small"}, LeadlineError, "--max-size small is not a quantity"),
        ({"distill": "soon"}, LeadlineError, "--distill soon is not a time"),
        ({"unlabelled": "more.csv"}, LeadlineError, "read by students alone; give them time too"),
        ({"prefer": "beauty"}, LeadlineError, "--prefer beauty is not known"),
        ({"out": tmp_path}, OutputError, "already exists"),
        ({"out": tmp_path / "no" / "where"}, OutputError, "there is no folder"),
    ]
    for settings, kind, sentence in cases:
        with pytest.raises(kind, match=sentence):
            run.shrink(source, **settings)
    with pytest.raises(LeadlineError, match="content has changed"):
        run.shrink(TAGS.with_columns(a=pl.col("a") + 1))
    found = run.shrink(source, max_size="10B", out=tmp_path / "none")
    assert found.result["chosen"] is None and "excluded: it has" in found.result["why"]
    with pytest.raises(ModelError, match="holds no model"):
        _ = found.model
    assert main(["shrink", str(run.folder), "--max-drop", "x"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_default_allows_what_few_rows_can_certify_and_says_so(run_of: Any, tmp_path: Path) -> None:
    run, source = run_of("multilabel")
    told: list[str] = []
    found = run.shrink(source, out=tmp_path / "small", watch=told.append)
    files = [row["name"] for row in found.result["frontier"][1:]]
    assert [line.partition(":")[0] for line in told] == files  # as each is measured: it may take minutes
    assert found.result["max_drop"] == pytest.approx(0.0369, abs=1e-4)
    assert any(
        "80 test rows judge, and the smallest drop that they can certify is 3.69%" in n for n in found.result["notes"]
    )


def test_students_are_taught_and_quantised(run_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadline.shrink.distill.SHARES", (2, 8))
    monkeypatch.setattr("leadline.contenders.deep.STARVED", 0)  # however short the time
    monkeypatch.setattr("leadline.shrink.distill.LEAST", 0)
    monkeypatch.setattr("leadline.shrink.candidates.METHODS", ("minmax",))
    monkeypatch.setattr("leadline.shrink.candidates.FRAGILE", ())
    run, source = run_of("pictures")
    found = run.shrink(source, out=tmp_path / "small", max_drop=0.5, distill="2s")
    names = [row["name"] for row in found.result["frontier"]]
    assert {"student/2 float16", "student/8 float16", "student/8 int8", "pruned/2 int8", "lean/2 int8"} <= set(names)
    rows = {row["name"]: row for row in found.result["frontier"]}
    assert rows["student/8 int8"]["bytes"] < rows["student/2 int8"]["bytes"] < rows["int8"]["bytes"]


def test_the_time_that_a_student_needs_is_foreseen_by_its_first_steps(run_of: Any) -> None:
    run, source = run_of("texts")
    data = run.data(source)
    network = network_of(onnx.load(run.folder / "model.onnx"), data.store)
    lesson, _ = lesson_of(data, network, run.folder, "bag", None, 0.0)
    design = designs(network, "bag", lesson)["student/8"]
    with torch_threads():
        student = StudentRun(design, lesson, Clock(1.0), 0)
        training = student.fit(None)
        next(training)  # it is prepared
        needed, began = student.enough_s(), time.perf_counter()
        *_, fitted = training
        took = (time.perf_counter() - began) / student.standing.step  # with looks at valid rows, and the last score
        hurried = StudentRun(design, lesson, Clock(needed / 10), 0)
        next(hurried.fit(None))
    assert not student.hurried and not fitted.undertrained and hurried.hurried
    least = student.least_passes() * len(student.rows) / student.batch
    assert 0.25 < needed / (least * took) < 8  # the machine may do other work at any moment


def test_a_target_is_the_softened_answer_and_some_label(run_of: Any) -> None:
    run, source = run_of("pictures")
    data = run.data(source)
    network = network_of(onnx.load(run.folder / "model.onnx"), data.store)
    lesson, _ = lesson_of(data, network, run.folder, "cnn", None, 60.0)
    rows = data.rows("train")
    assert np.allclose(lesson.targets[rows].sum(axis=1), 1, atol=1e-5) and not lesson.targets[data.rows("test")].any()
    soft = np.sqrt(np.clip(scores(network, data.store, rows), 1e-7, 1))
    soft /= soft.sum(axis=1, keepdims=True)
    labels = np.eye(2)[data.store.labels[rows]]
    assert np.allclose(lesson.targets[rows], 0.7 * soft + 0.3 * labels, atol=1e-5)


def test_students_of_texts_learn_from_stretches_and_rows_without_labels(
    run_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadline.shrink.lessons.TIMES", 2)
    monkeypatch.setattr("leadline.contenders.deep.STARVED", 0)
    monkeypatch.setattr("leadline.shrink.distill.LEAST", 0)
    run, source = run_of("texts")
    data = run.data(source)
    network = network_of(onnx.load(run.folder / "model.onnx"), data.store)
    more = source.drop("label").head(50)
    lesson, said = lesson_of(data, network, run.folder, "bag", more, 60.0)
    train = data.rows("train")
    new = lesson.store.split.train[len(train) :]
    assert len(new) == 50 + 2 * len(train)
    assert said[1] == (
        f"They learned from 50 of your rows without labels and {2 * len(train):,} variants of train rows too, which it "
        "answered."
    )
    (name,) = lesson.teacher.inputs
    assert lesson.store.tensor(name)[new].any(axis=1).mean() > 0.9
    assert np.allclose(lesson.targets[new], lesson.teacher.softened(scores(network, lesson.store, new)), atol=1e-4)
    found = run.shrink(source, out=tmp_path / "small", max_drop=0.5, distill="3s", unlabelled=more)
    rows = {row["name"]: row for row in found.result["frontier"]}
    assert rows["student/32 int8 tables"]["bytes"] < rows["int8 tables"]["bytes"], found


def test_fit_with_edge_makes_it_too_within_its_budget(
    mixed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed(1_600).write_csv(tmp_path / "table.csv")
    settings = ["--target", "y", "--only", "linear", "--epochs", "1", "--repeats", "1", "--quiet", "--edge"]
    assert main(["fit", str(tmp_path / "table.csv"), *settings, "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    small = ll.open_run(tmp_path / "run").small
    assert small is not None and small.result["why"] in said and str(small.folder) in said
    assert Settings(budget="100s", edge=True).seconds == 80 and Settings(budget="100s").edge_seconds == 0
    assert ll.open_run(tmp_path / "run").result["command"].endswith("--edge")
    with pytest.raises(OutputError, match="run-small, which --edge makes, already exists"):
        ll.fit(tmp_path / "table.csv", target="y", edge=True, out=tmp_path / "run")


def test_why_nothing_ships_is_a_sentence_however_many_files_there_are() -> None:
    statuses = ["not tested"] * 20 + ["not certified"] + ["excluded: it has 3 kB", "excluded: it has 2 kB"]
    files: Any = [SimpleNamespace(name=f"file {k}", status=status) for k, status in enumerate(statuses)]
    assert refused(files) == (
        "file 20: not certified; file 21, file 22: excluded: it has 3 kB; "
        "file 0, file 1, file 2 and 17 more: not tested"
    )


def test_groups_of_rows_judge_and_too_few_are_refused_in_their_own_words(mixed: Any, tmp_path: Path) -> None:
    def grouped(groups: int, place: str) -> tuple[ll.Run, pl.DataFrame]:
        rows = mixed(1_200).with_columns(who=pl.Series([f"p{k % groups}" for k in range(1_200)]))
        fitted = ll.fit(rows, target="y", group="who", only="linear", epochs=1, repeats=1, out=tmp_path / place)
        return fitted, rows

    run, rows = grouped(30, "few")
    with pytest.raises(ModelError, match=r"\d test groups of rows can choose .* \d test groups of rows can judge it"):
        run.shrink(rows)
    run, rows = grouped(200, "more")
    with pytest.raises(LeadlineError, match=r"^\d+ groups of test rows judge, .* more than the 5% .*--max-drop \d"):
        run.shrink(rows)
    found = run.shrink(rows, max_drop=0.3)
    assert 10 <= found.result["judging_groups"] < found.result["judging_rows"]
    assert f"in {found.result['judging_groups']} groups" in found.report().read_text()
    assert found.result["chosen"] is None or f"in {found.result['judging_groups']} groups" in found.result["why"]


def test_a_run_is_shrunk_from_within_its_folder(
    run_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = run_of("mixed")
    copy = Path(shutil.copytree(run.folder, tmp_path / "the-run"))
    monkeypatch.chdir(copy)
    assert beside(Path()) == (tmp_path / "the-run-small").resolve() and ll.open_run(".").small is None
    assert main(["shrink", "."]) == 2  # its data were in memory
    assert "was run on a DataFrame in memory" in capsys.readouterr().err
    with pytest.raises(OutputError, match="already exists"):
        ll.fit("digits", edge=True, out=".")
    with pytest.raises(LeadlineError, match="in memory"):
        ll.replay(".")


def test_the_report_of_the_run_keeps_its_mode_and_nothing_stays_beside_it(run_of: Any, tmp_path: Path) -> None:
    run, source = run_of("mixed")
    run.report().chmod(0o644)
    before = {path.name for path in run.folder.parent.iterdir()}
    run.shrink(source, out=run.folder.parent / "kept", max_drop=0.2)
    assert run.report().stat().st_mode & 0o777 == 0o644
    assert {path.name for path in run.folder.parent.iterdir()} - before == {"kept"}


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"<main></main>", "it has no place for one"), (b"\xff", "not text in UTF-8"), (None, "No such file")],
)
def test_a_report_that_can_have_no_section_stays_and_a_warning_says_why(
    content: bytes | None, why: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "report.html").write_bytes(content)
    nothing = {"chosen": None, "why": "", "metric": "accuracy", "higher_is_better": True, "max_drop": 0.1, "notes": []}
    rows = {"choosing_rows": 1, "choosing_part": "calib", "judging_rows": 1, "judging_groups": None, "processor": ""}
    full = {"name": "full", "bytes": 9, "one_us": 1.0, "batch_us": 1.0, "peak_mb": 1.0, "score": 1.0, "drop": None}
    with pytest.warns(UserWarning, match=f"has no section on the smaller file: .*{why}"):
        add_section(tmp_path, {**nothing, **rows, "frontier": [{**full, "status": ""}]}, tmp_path / "small")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([] if content is None else [content])


def test_the_slower_of_two_shrinks_into_one_folder_is_refused_in_a_sentence(run_of: Any, tmp_path: Path) -> None:
    run, source = run_of("mixed")
    out = tmp_path / "small"

    def other_was_faster(message: str) -> None:
        out.mkdir(exist_ok=True)
        (out / "model.onnx").write_bytes(b"of another")

    with pytest.raises(OutputError, match="small already exists; choose another --out, or remove it"):
        run.shrink(source, out=out, max_drop=0.2, watch=other_was_faster)
    assert [path.name for path in tmp_path.iterdir()] == ["small"] and not list(tmp_path.glob(".*"))
    with scratch(tmp_path / "busy"), pytest.raises(OutputError, match=rf"is being made by process {os.getpid()}"):
        run.shrink(source, out=tmp_path / "busy")


def test_a_file_that_was_tested_and_failed_has_its_numbers_everywhere(
    run_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = Comparison(rows=160, drop=0.0123, upper=0.0345, p=0.4, limit=0.02)
    monkeypatch.setattr("leadline.shrink.shrink.compare", lambda *_: failed)
    run, source = run_of("mixed")
    found = run.shrink(source, out=tmp_path / "small", max_drop=0.02)
    (row,) = (row for row in found.result["frontier"] if row["status"].startswith("not certified"))
    assert (row["judged_drop"], row["judged_upper"]) == (0.0123, 0.0345)
    assert all(each["judged_drop"] is None for each in found.result["frontier"] if each is not row)
    for said in (row["status"], found.result["why"], str(found), found.report().read_text()):
        assert "1.23%" in said and "3.45%" in said
    assert "--max-drop 3.45% would have certified it" in found.result["why"]


def test_rows_without_labels_that_cannot_be_used_are_found_before_anything_is_made(
    run_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr("leadline.shrink.shrink.Bench", lambda *_: made.append("bench"))
    run, source = run_of("texts")
    pl.DataFrame({"other": ["a", "b"]}).write_csv(tmp_path / "other.csv")
    tags, rows = run_of("multilabel")
    with pytest.raises(LeadlineError, match=r"--unlabelled \S+no.csv is not there"):
        run.shrink(out=tmp_path / "x", distill="5s", unlabelled=tmp_path / "no.csv")  # before its own data are read
    with pytest.raises(LeadlineError, match="--unlabelled cannot be used: .* lacks column"):
        run.shrink(source, out=tmp_path / "x", distill="5s", unlabelled=tmp_path / "other.csv")
    with pytest.raises(LeadlineError, match="cannot be used where a row has several labels"):
        tags.shrink(out=tmp_path / "x", distill="5s", unlabelled=rows)
    assert not made


def test_the_budget_of_a_run_with_edge_is_the_one_that_was_given(
    mixed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed(1_600).write_csv(tmp_path / "table.csv")
    line = ["fit", str(tmp_path / "table.csv"), "--target", "y", "--only", "linear", "--repeats", "1", "--edge"]
    assert main([*line, "--budget", "20", "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    run = ll.open_run(tmp_path / "run")
    assert run.result["budget_s"] == 20 and "20 s for everything, 4 s of it for --edge" in said
    assert re.search(r"\(\d+ s of 20 s\)", said) and re.search(r"--edge took \d+ s", said)
    assert run.small is not None and run.small.result["spent_s"] > 0
