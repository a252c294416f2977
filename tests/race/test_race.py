"""The race: one contender's trouble costs nobody else anything."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadline.contenders.portfolio import PORTFOLIO
from leadline.race import order
from leadline.race import race as racing
from leadline.race.entry import eligible_contenders, incapable
from leadline.race.finalization_time import MOST
from leadline.race.history import ContenderRecord, read
from leadline.race.order import LEAST
from leadline.race.race import SOONEST, TINY
from leadline.race.spare import _environment
from leadline.results.evidence import overspent
from leadline.system.errors import LeadlineError
from leadline.system.resources import MemoryMonitor, tree_gb


def _set(monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    for module in (racing, order):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)


def _status(contest: Any) -> dict[str, str]:
    return {entry.name: entry.status for entry in contest.entries if entry.family != "baseline"}


def _why(contest: Any, name: str) -> Any:
    return next(entry.why for entry in contest.entries if entry.name == name)


def test_those_that_can_learn_from_the_columns_race(mixed: Any, messages: Any, bars: Any, prepare: Any) -> None:
    table = prepare(mixed(200), target="y").store
    assert eligible_contenders(table, None) == ["baseline", "linear", "boosting", "mlp"]
    texts = prepare(messages(60), target="label").store
    assert eligible_contenders(texts, None) == ["baseline", "linear", "boosting", "bag", "transformer", "rnn"]
    assert set(eligible_contenders(prepare(bars(40)).store, None)) == {"baseline", "linear", "boosting", "mlp", "cnn"}
    assert eligible_contenders(table, "deep") == ["baseline", "mlp"]
    assert eligible_contenders(table, " boosting , mlp") == ["baseline", "boosting", "mlp"]
    assert eligible_contenders(table, "baseline") == ["baseline"]


def test_those_that_need_long_race_in_short_runs_where_they_are_named(messages: Any, prepare: Any) -> None:
    texts = prepare(messages(60), target="label").store
    assert eligible_contenders(texts, None, budget_s=60) == ["baseline", "linear", "boosting", "bag"]
    assert eligible_contenders(texts, "deep", budget_s=60) == ["baseline", "bag"]
    assert eligible_contenders(texts, "rnn,linear", budget_s=60) == ["baseline", "linear", "rnn"]
    assert eligible_contenders(texts, "deep", budget_s=120) == ["baseline", "bag", "transformer", "rnn"]


@pytest.mark.parametrize(
    ("only", "message"),
    [
        (
            "resnet",
            r"--only resnet is not known; contenders and families are baseline, linear, .*, classical, deep\.",
        ),
        ("linear,x", r"--only x is not known"),
        ("cnn", r"--only cnn leaves no contender for these columns; baseline, linear, boosting, mlp could race\."),
    ],
)
def test_only_what_exists_and_fits(only: str, message: str, mixed: Any, prepare: Any) -> None:
    with pytest.raises(LeadlineError, match=message):
        eligible_contenders(prepare(mixed(200), target="y").store, only)


def test_one_that_is_named_and_reads_none_of_the_columns_is_left_out_in_a_sentence(mixed: Any, prepare: Any) -> None:
    store = prepare(mixed(200), target="y").store
    names = eligible_contenders(store, "linear,cnn")
    assert names == ["baseline", "linear"]
    assert incapable(store, "linear,cnn", names) == ["cnn is left out: it reads no columns of these kinds."]


def test_every_contender_has_its_own_name_and_a_known_family() -> None:
    assert all(contender.name == name for name, contender in PORTFOLIO.items())
    assert {contender.family for contender in PORTFOLIO.values()} == {"deep", "classical", "baseline"}


def test_crashes_are_reported_and_the_others_finish(race: Any, tmp_path: Path) -> None:
    contest, watched = race({"linear": "fine", "boosting": "crash", "mlp": "raise"})
    assert _status(contest) == {"linear": "finished", "boosting": "failed", "mlp": "failed"}
    assert _why(contest, "boosting") == "its process ended with code 3; see contenders/boosting/log.txt"
    assert _why(contest, "mlp") == "ValueError: the sea is too deep"
    linear = contest.entries[0]
    assert linear.scores().shape[1] == 2 and linear.curve[0][1:] == (1, 0.5)
    assert contest.export(linear, patience=5.0) == b"graph"
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert lines == watched
    ends = {line["contender"]: line["status"] for line in lines if line["event"] == "end"}
    assert ends == _status(contest)


def test_one_that_the_system_ends_costs_nobody_else(race: Any) -> None:
    contest, _ = race({"linear": "fine", "boosting": "killed"})
    assert _status(contest) == {"linear": "finished", "boosting": "failed"}
    said = "its process was ended from outside, by signal 9; see contenders/boosting/log.txt"
    assert _why(contest, "boosting") == said


def test_one_for_which_no_time_is_left_is_skipped(race: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leadline.race.race.TINY", 1.0)
    _set(monkeypatch, "LEAST", 100.0)
    contest, _ = race({"linear": "fine", "boosting": "fine"}, seconds=5.0)
    assert _status(contest) == {"linear": "finished", "boosting": "skipped"}
    assert re.fullmatch(r"the budget left no time for it; --budget 1[01]0s would do", _why(contest, "boosting"))


def test_one_that_overruns_is_ended(race: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TINY", "LEAST", "IMPORTS", "GRACE_LEAST"):
        _set(monkeypatch, name, 1.0)
    began = time.monotonic()
    contest, _ = race({"linear": "fine", "boosting": "silent"}, seconds=3.0)
    assert _status(contest) == {"linear": "finished", "boosting": "failed"}
    assert "it ran over its" in _why(contest, "boosting") and time.monotonic() - began < 10
    assert not contest.entries[1].alive


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        ({"linear": "late", "boosting": "crash"}, {"linear": "finished", "boosting": "failed"}),
        ({"linear": "crash", "boosting": "late"}, {"linear": "failed", "boosting": "finished"}),
        ({"linear": "fine", "boosting": "late"}, {"linear": "finished", "boosting": "failed"}),
    ],
    ids=["the fastest", "the last that runs", "not where another has finished"],
)
def test_one_without_which_nothing_could_be_shipped_may_overrun(
    behaviour: dict[str, str], status: dict[str, str], race: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TINY", "LEAST", "IMPORTS", "GRACE_LEAST"):
        _set(monkeypatch, name, 0.5)
    contest, _ = race(behaviour, seconds=1.5)
    assert _status(contest) == status


def test_the_last_hope_has_an_end(race: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TINY", "LEAST", "IMPORTS", "LAST_HOPE"):
        _set(monkeypatch, name, 1.0)
    began = time.monotonic()
    contest, _ = race({"linear": "silent"}, seconds=1.0)
    assert _status(contest) == {"linear": "failed"} and 1.9 < time.monotonic() - began < 8
    assert not contest.entries[0].alive


def test_the_largest_is_ended_where_all_processes_together_need_too_much_memory(
    race: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadline.race.race.TIGHT", 0.0)  # so that all are kept until the end, as usual
    cap = tree_gb(os.getpid()) + 0.25
    contest, _ = race({"linear": "fine", "boosting": "hungry"}, seconds=8.0, memory_gb=cap)
    assert _status(contest) == {"linear": "finished", "boosting": "failed"}
    assert f" MB) than it may use ({1e3 * cap:,.0f} MB); raise --memory" in _why(contest, "boosting")


def test_one_that_needs_too_much_memory_for_its_graph_is_ended(race: Any) -> None:
    cap = tree_gb(os.getpid()) + 0.25
    contest, watched = race({"linear": "swells"}, seconds=8.0, memory_gb=cap)
    assert [event["status"] for event in watched if event["event"] == "end"] == ["finished", "failed"]
    assert "raise --memory" in _why(contest, "linear") and not contest.entries[0].alive


def test_where_memory_is_short_one_that_has_ended_leaves_before_the_next_starts(
    race: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leadline.race.race.PATIENCE", 1.0)  # these stay until they are told to go
    monkeypatch.setattr("leadline.race.race.SIDE_BY_SIDE", 1e3)
    cap = tree_gb(os.getpid()) + 1.0
    monkeypatch.setattr("leadline.race.race.TIGHT", cap + 1)
    contest, watched = race({"linear": "fine", "boosting": "fine"}, seconds=20.0, memory_gb=cap)
    assert _status(contest) == {"linear": "finished", "boosting": "finished"}
    ends = {line["contender"]: line["t"] for line in watched if line["event"] == "end"}
    starts = {line["contender"]: line["t"] for line in watched if line["event"] == "start"}
    assert starts["boosting"] > ends["linear"] + 1.0
    assert not contest.entries[0].alive


def test_the_gauge_sees_what_is_held_and_given_back() -> None:
    with MemoryMonitor() as monitor:
        before = tree_gb(os.getpid())
        held = bytearray(b"x" * 200_000_000)
        time.sleep(0.7)
        del held
    assert monitor.peak > before + 0.15


def test_a_budget_too_small_races_the_fastest_alone(race: Any) -> None:
    contest, _ = race({"linear": "fine", "boosting": "fine", "mlp": "fine"}, seconds=TINY - 1)
    assert _status(contest) == {"linear": "finished", "boosting": "skipped", "mlp": "skipped"}
    assert re.fullmatch(r"the budget is too small to train it; --budget \d+0s would do", _why(contest, "mlp"))


def test_one_core_runs_one_at_a_time(race: Any) -> None:
    _, watched = race({"linear": "fine", "boosting": "fine", "mlp": "fine"}, seconds=20.0, cores=1)
    order = [event["event"] for event in watched if event["event"] in ("start", "end")]
    assert order == ["start", "end"] * 3


def test_ctrl_c_ends_with_what_there_is(race: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one asks those that run to end and skips those that wait."""
    pressed: list[float] = []

    def press(contest: Any) -> None:
        receive = contest._receive

        def interrupted(wait: float) -> None:
            running = [entry for entry in contest.entries if entry.curve]
            if running and not pressed:
                pressed.append(time.monotonic())
                raise KeyboardInterrupt
            receive(wait)

        contest._receive = interrupted

    contest, watched = race({"linear": "waits", "boosting": "fine"}, seconds=60.0, cores=1, before=press)
    assert pressed and time.monotonic() - pressed[0] < 5
    assert _status(contest) == {"linear": "cut", "boosting": "skipped"} and contest.stopped
    assert _why(contest, "boosting") == "stopped before its turn"
    assert "stopping" in [event["event"] for event in watched]


def test_a_second_ctrl_c_leaves_at_once(race: Any) -> None:
    def press(contest: Any) -> None:
        def interrupted(wait: float) -> None:
            raise KeyboardInterrupt

        contest._receive = interrupted

    with pytest.raises(KeyboardInterrupt):
        race({"linear": "waits"}, before=press)


def test_an_export_that_dies_is_an_error_and_not_a_hang(race: Any) -> None:
    contest, _ = race({"linear": "dies on export"})
    began = time.monotonic()
    with pytest.raises(LeadlineError, match=r"linear could not be exported; see contenders/linear/log\.txt\."):
        contest.export(contest.entries[0], patience=30.0)
    assert time.monotonic() - began < 5


def test_what_needs_more_than_its_share_is_left_out_but_not_the_last_of_a_family(
    race: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("boosting", "mlp"):
        monkeypatch.setattr(PORTFOLIO[name], "seconds_needed", lambda store: 1_000.0)
    contest, watched = race({"linear": "fine", "boosting": "fine", "mlp": "fine"}, seconds=20.0)
    assert _status(contest) == {"linear": "finished", "boosting": "skipped", "mlp": "finished"}
    (skipped,) = (event for event in watched if event["event"] == "end" and event["status"] == "skipped")
    assert skipped["code"] == "no_time" and "it needs about 1000 s here" in skipped["why"]
    assert skipped["why"].endswith("--budget 1010s would do")  # 20 s, as many times as long


def test_what_ships_a_file_that_takes_too_long_to_check_is_left_out_even_as_the_last_of_its_family(
    race: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PORTFOLIO["mlp"], "answer_seconds", lambda store: 1.0)  # of 40 test rows
    contest, watched = race({"linear": "fine", "mlp": "fine"}, seconds=20.0)
    assert _status(contest) == {"linear": "finished", "mlp": "skipped"}
    (skipped,) = (event for event in watched if event["event"] == "end" and event["status"] == "skipped")
    assert skipped["code"] == "no_time"
    assert "takes about 40 s here, 8 s are kept; --budget 100s would do" in skipped["why"]


def test_workers_end_when_the_race_is_gone(race: Any) -> None:
    contest, _ = race({"linear": "fine"})
    process = contest.entries[0].handle.process
    assert process.poll() is None  # kept for export
    process.stdin.close()  # as the system does when the race itself is killed
    assert process.wait(timeout=5) == 0


def test_a_real_worker_gives_what_the_contender_gives(prepare: Any, mixed: Any, tmp_path: Path) -> None:
    import onnx

    from leadline.core.contender import Clock, Data
    from leadline.race.journal import Journal
    from leadline.race.local_executor import LocalExecutor
    from leadline.race.race import Race
    from leadline.race.setup import Setup

    store = prepare(mixed(200), target="y").store
    journal = Journal(tmp_path / "journal.jsonl", time.monotonic())
    setup = Setup(executor=LocalExecutor(1, 50.0))
    contest = Race(store, ["baseline", "linear"], tmp_path / "c", setup, seed=0, journal=journal)
    try:
        contest.run(time.monotonic() + 60)
        entry = contest.entries[1]
        assert entry.status == "finished" and entry.facts["peak_mb"] > 0 and entry.facts["predict_us"] > 0
        fitted: Any = list(PORTFOLIO["linear"].fit(Data(store=store, clock=Clock(60.0), threads=1), 0))[-1]
        np.testing.assert_allclose(entry.scores(), fitted.predict(store, store.split.test), atol=1e-6)
        onnx.checker.check_model(onnx.load_from_string(contest.export(entry, patience=30.0)))
    finally:
        contest.close()
        journal.close()


def test_one_that_repeats_an_earlier_race_may_take_longer(race: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TINY", "LEAST", "IMPORTS", "GRACE_LEAST", "LAST_HOPE"):
        _set(monkeypatch, name, 0.2)
    past = {name: ContenderRecord(seconds=0.5, threads=1) for name in ("linear", "boosting")}
    contest, _ = race({"linear": "late", "boosting": "late"}, seconds=float("inf"), past=past)
    assert _status(contest) == {"linear": "finished", "boosting": "finished"}


def test_a_worker_has_no_more_threads_than_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MKL_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "16")
    found = _environment(2, tight=False)
    assert [found[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS")] == ["1", "2", "2"]
    assert found["OMP_WAIT_POLICY"] == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert _environment(2, tight=False)["OMP_WAIT_POLICY"] == "ACTIVE"


def test_one_that_the_clock_cut_is_told_by_a_code(race: Any) -> None:
    contest, watched = race({"linear": "cut", "boosting": "fine"})
    assert _status(contest) == {"linear": "cut", "boosting": "finished"}
    assert [line["note"] for line in watched if line.get("code") == "cut"] == ["time was up"]


def test_one_that_measures_that_it_needs_more_begins_again_with_more(
    race: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Taken from races that would follow; once, and only where there is as much."""
    _set(monkeypatch, "TINY", 1.0)
    monkeypatch.setattr(PORTFOLIO["mlp"], "claims", True, raising=False)
    contest, _ = race({"mlp": "short"}, seconds=5.0, most=20.0)
    (entry,) = (entry for entry in contest.entries if entry.name == "mlp")
    assert entry.status == "finished" and 6.0 <= entry.seconds <= 20.0 and entry.why is None
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines if line["event"] in ("start", "end")] == ["start", "start", "end"]
    begin = {"t": 0.0, "event": "begin", "digest": ""}
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [begin, *lines]))
    assert read(tmp_path).records["mlp"].seconds == entry.seconds  # a replay begins with these
    less, _ = race({"mlp": "short"}, seconds=5.0, folder="less")
    assert _status(less) == {"mlp": "failed"}
    assert re.fullmatch(r"the states take 7 s; --budget \d+s would do", _why(less, "mlp"))
    never, _ = race({"mlp": "never"}, seconds=8.0, folder="never")
    assert _status(never) == {"mlp": "failed"} and [entry.code for entry in never.entries] == ["no_time"]


def _killed(seconds: float, ran_s: float, **facts: Any) -> ContenderRecord:
    return ContenderRecord(seconds=seconds, threads=1, ran_s=ran_s, **facts)


def test_what_a_killed_run_left_is_all_that_a_resumed_one_gives(race: Any, tmp_path: Path) -> None:
    """Whether a contender had begun or not; one with a checkpoint has what it had spent besides."""
    done = {"score": 0.5, "fit_s": 1.0, "predict_us": 1.0}
    past = {
        "linear": _killed(4.0, 1.0, status="finished", facts=done),
        "mlp": _killed(60.0, 20.0),
        "cnn": _killed(60.0, 20.0),
    }
    checkpoint = tmp_path / "contenders" / "mlp" / "checkpoints" / "0007"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text(json.dumps({"state": {"spent_s": 19.0}}))
    contest, watched = race({"linear": "fine", "mlp": "fine", "cnn": "fine"}, seconds=14.0, past=past)
    starts = {line["contender"]: line for line in watched if line["event"] == "start"}
    assert starts.keys() == {"mlp", "cnn"} and all(line["seconds"] == 60.0 for line in starts.values())
    assert all(LEAST <= line["left"] <= 14.0 for line in starts.values())
    assert starts["mlp"]["before"] == 19.0 and starts["cnn"]["before"] == 0.0
    given = contest.given()
    assert given["mlp"] == pytest.approx(19.0 + starts["mlp"]["left"]) and given["cnn"] == starts["cnn"]["left"]
    jobs = {name: json.loads((tmp_path / "contenders" / name / "job.json").read_text()) for name in starts}
    assert all(jobs[name]["left"] == starts[name]["left"] for name in starts)


def test_a_resumed_one_has_no_more_than_it_was_given(race: Any, tmp_path: Path) -> None:
    checkpoint = tmp_path / "contenders" / "mlp" / "checkpoints" / "0007"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text(json.dumps({"state": {"spent_s": 19.0}}))
    _, watched = race({"mlp": "fine"}, seconds=40.0, past={"mlp": _killed(25.0, 20.0)})
    (start,) = (line for line in watched if line["event"] == "start")
    assert start["left"] == pytest.approx(6.0)


def test_one_that_had_begun_is_left_out_where_there_is_no_time_any_more(race: Any) -> None:
    done = {"score": 0.5, "fit_s": 1.0, "predict_us": 1.0}
    past = {"linear": _killed(4.0, 1.0, status="finished", facts=done), "boosting": _killed(60.0, 20.0)}
    contest, watched = race({"linear": "fine", "boosting": "fine"}, seconds=2.0, past=past)
    assert _status(contest) == {"linear": "finished", "boosting": "skipped"}
    assert _why(contest, "boosting") == "the budget left no time for it after the run was killed"
    assert not [line for line in watched if line["event"] == "start"]


def test_the_fastest_has_what_is_left_of_a_tiny_budget_and_no_more(race: Any) -> None:
    _, watched = race({"linear": "fine", "mlp": "fine"}, seconds=2.5)
    (start,) = (line for line in watched if line["event"] == "start")
    assert start["contender"] == "linear" and SOONEST <= start["seconds"] <= 2.5


@pytest.mark.parametrize("seconds", [0.5, 2.0, 5.0])
def test_the_budget_that_would_do_is_long_enough_for_all(race: Any, seconds: float) -> None:
    """Of which the end of a run has its share."""
    contest, _ = race({"linear": "fine", "mlp": "fine"}, seconds=seconds)
    (budget,) = map(float, re.findall(r"--budget (\d+)s would do", _why(contest, "mlp")))
    assert seconds + (1.0 - MOST) * (budget - seconds) >= TINY


def test_one_that_finds_its_seconds_too_few_names_the_budget_that_would_do(race: Any) -> None:
    contest, _ = race({"linear": "fine", "mlp": "never"}, seconds=8.0)
    (said,) = re.findall(r"^the states take 7 s; --budget (\d+)s would do$", _why(contest, "mlp"))
    assert (contest.entries[1].code, contest.entries[1].enough_s) == ("no_time", int(said))


def test_a_run_that_takes_longer_than_its_budget_is_told_which_would_do(race: Any) -> None:
    contest, _ = race({"linear": "fine", "mlp": "fine"}, seconds=2.0)
    assert contest.tiny and overspent(2.0, contest) == []
    assert overspent(9.2, contest) == ["The run took 9.2 s, where its budget is 2 s; --budget 20s would do."]
    longer, _ = race({"linear": "fine"}, seconds=20.0, folder="longer")
    assert not longer.tiny
    assert overspent(23.04, longer) == ["The run took 23.0 s, where its budget is 20 s."]
