"""The cache is shown and cleaned, and what is read now stays."""

import os
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from leadline.cli.commands import main
from leadline.config import Settings
from leadline.dataset.split_table import draw
from leadline.dataset.store import Store, build
from leadline.dataset.table import read as understand
from leadline.readers.source import read
from leadline.system.cache import clear, entries, in_use
from leadline.system.errors import LeadlineError


def _store(cache: Path, seed: int) -> Store:
    asked = Settings(target="y", seed=seed)
    frame = pl.DataFrame({"x": [i * 0.37 % 1 for i in range(80)], "y": ["a", "b"] * 40})
    table = understand(read(frame, cache=cache), asked)
    return build(table, draw(table, asked), cache, seconds=10.0, key={"seed": seed})


def test_what_is_kept_is_shown_with_its_source_and_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = _store(tmp_path, 0)
    (found,) = [each for each in entries(tmp_path) if each.what == "encoded"]
    assert found.path == store.path and found.bytes > 0 and found.source
    assert main(["cache", "--cache", str(tmp_path)]) == 0
    assert str(store.path) in capsys.readouterr().out


def test_nothing_goes_while_a_run_reads_and_all_after_it(tmp_path: Path) -> None:
    path = _store(tmp_path, 0).path
    with in_use(tmp_path), in_use(tmp_path), pytest.raises(LeadlineError, match="clear it when that run has ended"):
        clear(tmp_path)
    assert (path / "store.json").exists()
    assert path in [each.path for each in clear(tmp_path)]
    assert not path.exists() and entries(tmp_path) == []


def test_only_what_is_older_goes(tmp_path: Path) -> None:
    paths = [_store(tmp_path, seed).path for seed in (0, 1)]
    long_ago = time.time() - 40 * 86_400
    os.utime(paths[0], (long_ago, long_ago))
    assert [each.path for each in clear(tmp_path, older_than="30d")] == [paths[0]]
    assert paths[1].exists()


def test_all_goes_though_the_clock_was_set_back(tmp_path: Path) -> None:
    path = _store(tmp_path, 0).path
    tomorrow = time.time() + 2 * 86_400
    os.utime(path, (tomorrow, tomorrow))
    assert clear(tmp_path, older_than="1h") == []
    assert path in [each.path for each in clear(tmp_path)]
    assert not path.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["clear", "--older-than", "soon"], "--older-than soon is not a time"),
        (["--older-than", "3d"], "write leadline cache clear"),
    ],
)
def test_wrong_words_are_one_sentence(words: list[str], said: str, tmp_path: Path, capsys: Any) -> None:
    assert main(["cache", "--cache", str(tmp_path), *words]) == 2
    assert said in capsys.readouterr().err
