"""Sentences on smaller files carry their numbers, and none contradicts itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from leadline.metrics.metrics import METRICS
from leadline.shrink.limits import Units
from leadline.shrink.words import drop_of, microseconds, notes_on, why_it_ships, why_none_ships
from leadline.stats.noninferiority import Comparison, compare


def _file(name: str, **facts: float) -> Any:
    return SimpleNamespace(
        name=name, describe="its weights rounded", integer=False, status="", measured=facts.__getitem__
    )


FULL = _file("full", bytes=10_000.0, one_us=0.7, batch_us=0.1)


@pytest.mark.parametrize(
    ("one_us", "said"),
    [(9.1, "13 times slower"), (0.95, "1.4 times slower"), (0.74, "1.06 times slower"), (0.71, None), (0.3, None)],
)
def test_a_file_that_is_slower_says_how_much_in_the_note_and_the_last_sentence(one_us: float, said: str | None) -> None:
    small = _file("float16", bytes=5_000.0, one_us=one_us, batch_us=0.1)
    bench: Any = SimpleNamespace(
        base=FULL, judges=np.arange(900), store=SimpleNamespace(task=SimpleNamespace(metric="accuracy"))
    )
    proof = Comparison(rows=900, drop=0.0, upper=0.0049, p=0.04, limit=0.005)
    why, notes = why_it_ships(small, bench, proof, Units(count=30, groups=True), 0.005), notes_on(small, FULL, [small])
    assert "on 900 test rows in 30 groups" in why and "at most 0.49%" in why and "where 0.50% is allowed" in why
    if said is None:
        assert not notes and "slower" not in why
        return
    assert f"but {said} for one row" in why and len(notes) == 1 and said in notes[0]
    times = [word for word in notes[0].split() if word.replace(".", "").isdigit()]
    assert times[-2] != times[-1]


def test_a_slow_file_names_a_faster_one_only_where_there_is_one() -> None:
    slow, fast = (_file("packed", bytes=5_000.0, one_us=one_us, batch_us=0.1) for one_us in (9.1, 0.3))
    assert "--prefer speed" not in notes_on(slow, FULL, [slow])[0]
    assert "--prefer speed" in notes_on(slow, FULL, [slow, fast])[0]
    fast.status = "not certified: a drop of 9.00%, at most 9.90%"
    assert "--prefer speed" not in notes_on(slow, FULL, [slow, fast])[0]


def test_a_file_that_failed_names_its_drop_and_the_limit_that_it_would_have_kept() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    full = np.eye(2)[truth]
    small = full.copy()
    small[:5] = small[:5, ::-1]
    found = compare(truth, full, small, METRICS["accuracy"], 0.01)
    entry = _file("int8", bytes=1.0, one_us=1.0, batch_us=1.0)
    entry.status = f"not certified: {drop_of(found)}"
    assert entry.status.startswith("not certified: a drop of 1.25%, at most ")
    why = why_none_ships([entry], {"int8": found}, 0.01)
    enough = float(why.partition("--max-drop ")[2].partition("%")[0]) / 100
    assert "The drop of int8 is 1.25%" in why and compare(truth, full, small, METRICS["accuracy"], enough).proved
    hopeless = Comparison(rows=9, drop=0.5, upper=1.0, p=1.0, limit=0.01)
    assert "would have" not in why_none_ships([entry], {"int8": hopeless}, 0.01)


def test_a_time_below_a_microsecond_is_not_none() -> None:
    assert [microseconds(value) for value in (0.004, 0.7, 9.96, 1_234.5)] == ["0.004", "0.7", "10", "1,234"]
