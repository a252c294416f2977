"""What a contender that had begun, or ended, takes of a resumed run's seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from leadline.contenders.portfolio import PORTFOLIO
from leadline.race.entry import ContenderRun
from leadline.race.history import ContenderRecord
from leadline.race.order import IMPORTS
from leadline.race.resumed import again_s, kept_s, spared_s


def _entry(name: str, folder: Path, **facts: Any) -> ContenderRun:
    return ContenderRun(name=name, family=PORTFOLIO[name].family, folder=folder / name, **facts)


def _checkpoint(entry: ContenderRun, text: str, step: int = 7) -> None:
    folder = entry.folder / "checkpoints" / f"{step:012d}"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(text)


def test_the_newest_checkpoint_says_what_is_kept(tmp_path: Path) -> None:
    entry, record = _entry("cnn", tmp_path), ContenderRecord(seconds=60.0, threads=1, ran_s=20.0)
    assert kept_s(entry, record) == spared_s(entry, record) == 0.0
    _checkpoint(entry, json.dumps({"state": {"spent_s": 5.0}}), 3)
    _checkpoint(entry, json.dumps({"state": {"spent_s": 19.0}}), 12)
    assert kept_s(entry, record) == spared_s(entry, record) == 19.0
    _checkpoint(entry, '{"state": {"sp', 13)
    assert kept_s(entry, record) == 0.0


@pytest.mark.parametrize(("scored", "spared"), [(False, 0.0), (True, 20.0)])
def test_states_are_kept_once_there_is_a_score(scored: bool, spared: float, tmp_path: Path) -> None:
    record = ContenderRecord(seconds=60.0, threads=1, ran_s=20.0, curve=[(9.0, 1, 0.5)] if scored else [])
    assert spared_s(_entry("pretrained", tmp_path), record) == spared
    assert spared_s(_entry("boosting", tmp_path), record) == 0.0


def test_the_end_of_a_resumed_run_trains_the_longest_again(tmp_path: Path) -> None:
    done: dict[str, Any] = {"status": "finished"}
    linear = _entry("linear", tmp_path, facts={"fit_s": 3.0, "predict_us": 1e3}, **done)
    cnn = _entry("cnn", tmp_path, facts={"fit_s": 40.0, "predict_us": 1e3}, **done)
    records = {name: ContenderRecord(seconds=60.0, threads=1) for name in ("linear", "cnn")}
    assert again_s([linear, cnn], {}, 1000, 1.0) == 0.0  # they are of this go, and wait to be asked
    assert again_s([linear], records, 1000, 1.0) == pytest.approx(4.0)
    assert again_s([linear, cnn], records, 1000, 1.0) == pytest.approx(41.0)
    _checkpoint(cnn, json.dumps({"state": {"spent_s": 39.0}}))
    assert again_s([linear, cnn], records, 1000, 2.0) == pytest.approx(1.0 + 2 * IMPORTS + 1.0)
