"""What is made of a folder of weights once, how long that may take, and how fast its body is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import leadline as ll
from leadline.contenders.finetuned import Finetuned
from leadline.contenders.pretrained import Pretrained
from leadline.core.tensors import Block
from leadline.kinds import KINDS, kept
from leadline.kinds.kept import room
from leadline.kinds.weights import find_body, verify
from leadline.results.run_folder import read_config
from leadline.system.errors import BudgetError
from leadline.system.resources import most_threads

SLOW = "is not used: to open it the first time takes about .* leadline check with the same --weights, which opens it"


@pytest.fixture
def cold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is kept of any folder."""
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_takes_longer_than_there_is_time_for_is_not_begun_unless_it_is_kept(
    cold: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(kept, "slowdown", lambda: 1e6)
        with pytest.raises(BudgetError, match=f"^--weights {tiny_bert} {SLOW}"):
            verify(str(tiny_bert), 60.0)
        assert not cold.exists()
        assert verify(str(tiny_bert))  # without a budget it may take what it takes
        verify(str(tiny_bert), 60.0)
    assert not verify("none", 60.0)


def test_a_package_counts_where_it_has_to_be_imported(cold: Path, tiny_bert: Path) -> None:
    packages = ("onnxruntime",)
    with room(5.0), pytest.MonkeyPatch.context() as patch:
        patch.setitem(kept.IMPORTS, "onnxruntime", 100.0)
        assert kept.kept(tiny_bert, "imported", lambda: b"1", packages) == b"1"
        patch.delitem(__import__("sys").modules, "onnxruntime")
        with pytest.raises(kept.NoRoomError):
            kept.kept(tiny_bert, "not imported", lambda: b"1", packages)


def test_a_folder_is_asked_once_also_where_no_cache_can_be_written(
    cold: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, asked = find_body(KINDS["text"], str(tiny_bert)), list[int]()
    assert found is not None and found.body.trial is not None

    def trial(real: Callable[[], Any] = found.body.trial) -> Any:
        asked.append(1)
        return real()

    found = replace(found, body=replace(found.body, trial=trial))
    ready_s, a_row_s = found.pace() or (0.0, 0.0)
    assert ready_s > 0 and a_row_s > 0
    assert found.pace() == (ready_s, a_row_s) and len(asked) == 1
    cold.rename(cold.with_name("away"))
    cold.write_text("a file, where a folder is needed")
    assert found.pace() is not None and found.pace() is not None and len(asked) == 2


def test_a_row_takes_as_long_as_it_is(tiny_bert: Path) -> None:
    found = find_body(KINDS["text"], str(tiny_bert))
    assert found is not None
    facts: dict[str, Any] = {"kind": "text", "columns": ("x",), "decode": {}, "dtype": "int64", "settings": {}}
    one, other = (
        Block(name="x", shape=(1,), forms={"pieces": ((length,), "uint16", "")}, **facts) for length in (16, 64)
    )
    assert found.body.size(one, 0.5) == 8 and found.body.size(other, 0.5) == 32
    assert found.body.size(other, None) == 16


def test_seconds_are_those_of_the_body(
    prepare: Any, messages: Any, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from leadline.contenders.states import readers

    store = prepare(messages(240), target="label", weights=str(tiny_bert)).store
    (reader,) = readers(store)
    pieces = np.asarray(store.tensor(reader.tensor)[reader.some(store)])
    monkeypatch.setattr(type(reader.found), "pace", lambda self: (7.0, 0.25))
    ready_s, a_row_s = reader.pace(store) or (0.0, 0.0)
    assert ready_s == 7.0 and a_row_s == pytest.approx(0.25 * (pieces > 0).sum(axis=1).mean())
    contender, split = Pretrained(), store.split
    assert contender.answer_seconds(store) == pytest.approx(a_row_s / most_threads())
    assert Finetuned().answer_seconds(store) == contender.answer_seconds(store)  # of its file too
    rows = len(split.test) + len(split.valid) + len(split.calib)
    assert contender.seconds_needed(store) > 7.0 + contender.answer_seconds(store) * rows


def test_a_run_that_has_no_time_to_open_it_goes_on_without_and_says_what_would_do(
    cold: Path, messages: Any, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "slowdown", lambda: 1e6)
    wanted: dict[str, Any] = {"target": "label", "weights": str(tiny_bert), "budget": 8}
    with pytest.raises(BudgetError, match=SLOW):
        ll.fit(messages(120), only="linear,pretrained", out=tmp_path / "none", **wanted)
    run = ll.fit(messages(120), only="linear", out=tmp_path / "run", repeats=1, **wanted)
    assert run.result["warnings"][0].startswith(f"--weights {tiny_bert} is not used")
    assert read_config(run.folder, messages(120))[0].weights == "none"
    events = [json.loads(line) for line in (run.folder / "journal.jsonl").read_text().splitlines()]
    said = next(event["said"] for event in events if event["event"] == "unopened")
    assert said == run.result["warnings"][:1]
