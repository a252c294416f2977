"""How many pictures and sounds are decoded, where that takes longer than a sample of them told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from leadline.core.kind import Decoded
from leadline.dataset.sampling import FEWEST, Ration, Sample
from leadline.dataset.split import split
from leadline.dataset.store import Store, build
from leadline.kinds import KINDS

ROWS, SECONDS = 300, 11.0  # 3.9 s to decode what takes 7.5


def test_a_smaller_share_is_a_part_of_a_larger_one() -> None:
    few, many = Ration(1_000, 0.2).drawn(), Ration(1_000, 0.7).drawn()
    assert 150 < few.sum() < 250 and 650 < many.sum() < 750
    assert not (few & ~many).any()


def test_a_share_never_shrinks_without_a_limit_or_in_time() -> None:
    for seconds in (float("inf"), 60.0):
        ration = Ration(300, 0.9, seconds)
        for row in range(300):
            ration.took(slice(row, row + 1))
        assert ration.share == 0.9


@pytest.mark.parametrize(("first", "rest", "whole"), [(0.01, 0.001, True), (0.01, 0.01, False)])
def test_slow_first_rows_cost_nothing_if_the_others_are_quick(
    first: float, rest: float, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    ration = Ration(1_000, 1.0, 5.0, blocks=2)
    for row in range(1_000):
        mine = slice(row, row + 1)
        if ration.wants(mine):
            now += first if row < 50 else rest
            ration.took(mine)  # a picture
            ration.took(mine)  # and the columns beside it
    assert (ration.share == 1.0) == whole
    assert whole or (0.4 < ration.share < 0.6 and now < 1.1 * 5.0)


def test_what_was_decoded_is_not_thrown_away_to_end_a_moment_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A last stretch of slow rows once left 100 of 60,000: the nearer the end, the fewer rows there was time for."""
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    ration = Ration(2_000, 1.0, 10.0)
    for row in range(2_000):
        mine = slice(row, row + 1)
        if ration.wants(mine):
            now += 0.005 if row < 1_700 else 0.02
            ration.took(mine)
    assert ration.drawn().all() and now < 15.0


def test_pieces_that_hold_nothing_of_the_share_are_not_begun() -> None:
    ration = Ration(1_000, 0.01)
    wanted = np.flatnonzero(ration.drawn())
    assert ration.starts(slice(500, 1_000), 1) == [int(row) for row in wanted if row >= 500]
    pieces = ration.starts(slice(500, 1_000), 64)
    assert len(pieces) < 8 and all((start - 500) % 64 == 0 for start in pieces)
    assert all(any(start <= row < start + 64 for start in pieces) for row in wanted if row >= 500)


def test_decoding_that_slows_down_leaves_rows_out_at_random(
    tmp_path: Path, bars: Any, prepare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample takes no time at all; then the machine gets busy. The run it makes can be made again by its share."""
    for place, (picture, label) in enumerate(zip(*bars(ROWS, 16), strict=True)):
        folder = tmp_path / "pictures" / ("lying", "standing")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{place:03}.png")
    kind, decode, calls = KINDS["image"], KINDS["image"].decode, 0

    def slow(*given: Any) -> Decoded:
        nonlocal calls
        calls += 1
        if calls > 2 * kind.sample:
            time.sleep(0.05)
        return decode(*given)

    monkeypatch.setattr(kind, "decode", slow)
    monkeypatch.setattr("leadline.dataset.store.most_threads", lambda: 2)
    made = prepare(tmp_path / "pictures", budget=f"{SECONDS:g}s")
    store, kept = made.store, np.sort(np.concatenate(list(vars(made.store.split).values())))
    assert FEWEST <= len(kept) < 0.9 * ROWS and store.unread == ROWS - len(kept)
    assert 0.3 < (kept < ROWS // 2).mean() < 0.7, "late rows are as likely to be kept as early ones"
    monkeypatch.undo()
    again = build(
        made.table,
        split(made.table.labels, made.table.part, 0),
        tmp_path,
        seconds=SECONDS,
        key={},
        sample=Sample(share=store.share),
    )
    assert again.unread == store.unread and again.share == store.share
    name = store.blocks[0].name
    np.testing.assert_array_equal(again.tensor(name)[kept], store.tensor(name)[kept])


def test_a_resumed_run_decodes_in_what_is_left_and_leaves_the_store_of_a_whole_budget_alone(
    tmp_path: Path, bars: Any, prepare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, (picture, label) in enumerate(zip(*bars(ROWS, 16), strict=True)):
        folder = tmp_path / "pictures" / ("lying", "standing")[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{place:03}.png")
    table = prepare(tmp_path / "pictures", budget="600s").table
    parts = split(table.labels, table.part, 0)

    def made(**sample: float) -> Store:
        return build(table, parts, tmp_path, seconds=600.0, key={}, sample=Sample(**sample))

    less = made(spent=600.0 - 1e-6)  # in which nothing can be decoded but the fewest
    assert less.share < 0.6 and less.unread >= ROWS - 2 * FEWEST
    again = made(share=less.share)
    assert again.path == less.path  # a second resume, or a replay
    whole = made()
    assert whole.share == 1.0 and whole.path != less.path
    assert made(spent=500.0).path == whole.path  # it is there already
