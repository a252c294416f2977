"""A run that was killed goes on; a finished one is repeated to the same bytes; and what cannot be is said."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import leadline as ll
from leadline.cli.commands import main
from leadline.race.history import ContenderRecord
from leadline.rerun import Replay, _other_weights
from leadline.system.errors import LeadlineError
from leadline.system.lock import holder


@pytest.fixture
def pictures(tmp_path: Path, bars: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of small pictures, in class folders."""
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    images, labels = bars(240)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = tmp_path / "pictures" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(image).squeeze()).save(folder / f"{number}.png")
    return tmp_path / "pictures"


def _start(source: Path, out: Path, *words: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "leadline", "fit", str(source), "--out", str(out), "--quiet", *words]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)


def _start_uncollected(source: Path, out: Path, *words: str) -> tuple[subprocess.Popen[bytes], int]:
    """(a process that never collects its child, the run that is its child)."""
    code = "import subprocess, sys, time; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); time.sleep(600)"
    command = [sys.executable, "-m", "leadline", "fit", str(source), "--out", str(out), "--quiet", *words]
    parent = subprocess.Popen([sys.executable, "-c", code, *command], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def _wait(seen: Any, seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := seen():
            return found
        time.sleep(0.02)
    raise AssertionError("nothing came")


def _digests(run: Path) -> dict[str, str]:
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    return {e["contender"]: e["digest"] for e in events if e["event"] == "end" and "digest" in e}


def test_a_killed_run_goes_on_to_the_same_file(pictures: Path, tmp_path: Path) -> None:
    words = ("--epochs", "16", "--only", "cnn,linear")
    assert _start(pictures, tmp_path / "whole", *words).wait() == 0
    parent, process = _start_uncollected(pictures, tmp_path / "killed", *words)
    _wait(lambda: list(tmp_path.glob(".killed.partial-*/contenders/cnn/checkpoints/0*")))
    partial = tmp_path / f".killed.partial-{process}"
    with pytest.raises(LeadlineError, match=f"killed is still running, as process {process}; wait for it"):
        ll.resume(tmp_path / "killed")
    os.kill(process, signal.SIGKILL)
    _wait(lambda: "State:\tZ" in Path(f"/proc/{process}/status").read_text())  # its number stays taken
    with (partial / "journal.jsonl").open("a") as journal:
        journal.write('{"t": 1.0, "ev')  # it was writing this line
    assert main(["resume", str(tmp_path / "killed"), "--quiet"]) == 0
    os.kill(process, 0)
    parent.kill()
    parent.communicate()
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert _digests(whole) == _digests(killed) and _digests(whole).keys() == {"cnn", "linear"}
    assert (whole / "model.onnx").read_bytes() == (killed / "model.onnx").read_bytes()
    events = [json.loads(line) for line in (killed / "journal.jsonl").read_text().splitlines()]
    assert [e["event"] for e in events].count("resumed") == 1
    assert [e["t"] for e in events] == sorted(e["t"] for e in events)
    assert any(e.get("note") == "resumes from its last checkpoint" for e in events)
    assert {path.name for path in killed.iterdir()} == {path.name for path in whole.iterdir()}
    assert not list(killed.glob("contenders/*/checkpoints")) and not list(tmp_path.glob(".killed*"))
    with pytest.raises(LeadlineError, match="killed is finished, so there is nothing to resume"):
        ll.resume(killed)


def test_a_killed_run_with_edge_still_makes_its_smaller_file(mixed: Any, tmp_path: Path, capsys: Any) -> None:
    mixed(1_600).write_csv(tmp_path / "table.csv")
    words = ("--target", "y", "--only", "linear,mlp", "--epochs", "200", "--repeats", "1", "--edge")
    process = _start(tmp_path / "table.csv", tmp_path / "killed", *words)
    _wait(lambda: any('"start"' in path.read_text() for path in tmp_path.glob(".killed.partial-*/journal.jsonl")))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert main(["resume", str(tmp_path / "killed"), "--quiet"]) == 0
    small = ll.open_run(tmp_path / "killed").small
    assert small is not None and small.result["why"] in capsys.readouterr().out


def test_a_budget_is_repeated_to_the_same_bytes(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    run = tmp_path / "run"
    assert _start(pictures, run, "--budget", "20s", "--repeats", "1").wait() == 0
    assert main(["replay", str(run), "--quiet"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(_digests(run)) + 1 >= 3 and all(line.endswith(" the same bytes") for line in said)
    assert _digests(run) == _digests(tmp_path / "run-replay")
    with pytest.raises(LeadlineError, match="run-replay already exists; choose another --out"):
        ll.replay(run)
    # A difference is found: one reading of a clock that is changed leads elsewhere.
    clock = run / "contenders" / "cnn" / "clock.f64"
    readings = np.frombuffer(clock.read_bytes()).copy()
    readings[4:] += 60.0  # as if the time was up before the first step
    clock.write_bytes(readings.tobytes())
    found = ll.replay(run, out=tmp_path / "other")
    assert not found.same and found.contenders["linear"] and not found.contenders["cnn"]
    assert "cnn          NOT the same bytes" in str(found) and found.elsewhere == ()
    other = dataclasses.replace(found, elsewhere=("cores 8, not 2",))
    assert str(other).endswith("promised on the same machine; here differ: cores 8, not 2.")
    next(pictures.rglob("*.png")).unlink()
    with pytest.raises(LeadlineError, match="is not what .* was run on: its content has changed"):
        ll.replay(run, out=tmp_path / "third")
    assert not list(tmp_path.glob(".*partial*"))


def test_a_run_that_was_killed_keeps_to_its_budget_and_is_replayed(pictures: Path, tmp_path: Path, capsys: Any) -> None:
    budget, run = 30.0, tmp_path / "run"
    process = _start(pictures, run, "--budget", "30s", "--only", "cnn,linear,boosting", "--repeats", "1")
    _wait(lambda: list(tmp_path.glob(".run.partial-*/contenders/cnn/checkpoints/0*")))
    process.terminate()
    assert process.wait() == -signal.SIGTERM
    assert main(["resume", str(run)]) == 0
    said = capsys.readouterr().out
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    (resumed,) = (place for place, event in enumerate(events) if event["event"] == "resumed")
    spent = events[resumed - 1]["t"]
    assert f"{budget - spent:.0f} s left of 30 s for everything" in said
    (start,) = (e for e in events[resumed:] if e["event"] == "start" and e["contender"] == "cnn")
    assert start["t"] + start["left"] < budget and start["before"] > 0
    assert f"cnn        resumes, up to {start['left']:.0f} s" in said
    result = json.loads((run / "result.json").read_text())
    assert sum(result["seconds"].values()) == pytest.approx(result["spent_s"], abs=0.1)
    assert result["seconds"]["earlier"] == pytest.approx(spent, abs=0.1)
    assert result["spent_s"] <= budget + 5.0  # a busy machine may end late, not by a contender's old seconds
    assert main(["replay", str(run), "--quiet"]) == 0
    assert "NOT" not in capsys.readouterr().out


def test_what_cannot_go_on_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LeadlineError, match="runs was not begun, or left nothing"):
        ll.resume()
    with pytest.raises(LeadlineError, match="nowhere was not begun, or left nothing"):
        ll.resume("nowhere")
    with pytest.raises(LeadlineError, match="nowhere holds no finished run; leadline resume continues"):
        ll.replay("nowhere")
    empty = tmp_path / "runs" / f".early.partial-{os.getppid()}"  # the number of a process that lives, but is another
    empty.mkdir(parents=True)
    with pytest.raises(LeadlineError, match="holds no journal of a run that began"):
        ll.resume()
    journal = empty / "journal.jsonl"
    for damaged in ('{"event": "begin"\n', '{"event": "begin", "t": 0}\n{"event": "progress"}\n', "[1]\n", '"begin"\n'):
        journal.write_text(damaged)
        with pytest.raises(
            LeadlineError, match=r"journal\.jsonl is damaged and cannot be followed; start the run again"
        ):
            ll.resume()
    journal.write_text('{"event": "begin", "t": 0, "digest": "0"}\n')
    for config in (None, "source: [", "budget: 8s\n", "text"):
        if config is not None:
            (empty / "config.yaml").write_text(config)
        with pytest.raises(LeadlineError, match=r"config\.yaml is missing or damaged; start the run again"):
            ll.resume()
    (tmp_path / "runs" / "early").mkdir()
    with pytest.raises(
        LeadlineError, match=r"early was made by another run since; move it away, or remove .*early\.part"
    ):
        ll.resume()
    assert not holder(empty / "lock")  # a refusal leaves it free


def test_arrays_have_to_be_given_again(bars: Any, tmp_path: Path, own_cache: Path) -> None:
    X, y = bars(120)
    run = ll.fit((X, y), budget="8s", only="linear", out=tmp_path / "run", cache=own_cache)
    with pytest.raises(LeadlineError, match=r"was run on a tuple in memory; give it again"):
        ll.replay(run.folder)
    assert ll.replay(run.folder, (X, y)).same


def test_a_budget_and_passes_are_not_both_given() -> None:
    with pytest.raises(LeadlineError, match="--budget and --epochs both say how long to train"):
        ll.fit("digits", budget="8s", epochs=2)
    with pytest.raises(LeadlineError, match="--epochs 0 was given"):
        ll.fit("digits", epochs=0)


def test_a_run_begun_anew_says_that_it_could_go_on(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / ".mine.partial-4194303").mkdir()
    run = ll.fit(pictures, out=tmp_path / "mine", only="linear", budget="15s")
    assert any("was killed: leadline resume" in said for said in run.result["warnings"])


def test_a_replay_with_other_weights_names_them(tmp_path: Path) -> None:
    def record(digest: str) -> ContenderRecord:
        bodies = [{"name": "bert mine", "digest": digest}]
        return ContenderRecord(seconds=1.0, threads=1, facts={"digest": "a", "transfer": {"bodies": bodies}})

    then, now = record("7f5d0e7e5c4e"), record("cd911c92958f")
    assert (
        _other_weights({"pretrained": then, "linear": ContenderRecord(seconds=1.0, threads=1)}, {"pretrained": then})
        == ()
    )
    weights = _other_weights({"pretrained": then, "finetuned": then}, {"pretrained": now, "finetuned": now})
    run = ll.Run(folder=tmp_path, verdict=None, result={})  # type: ignore[arg-type]
    said = str(Replay(run=run, contenders={"pretrained": True}, model=False, elsewhere=(), weights=weights))
    assert said.endswith(
        "The weights have changed since the run, of bert mine (digest 7f5d0e7e then, cd911c92 now); give those of then."
    )
