"""The page of a smaller file: with many candidates, names in its plot do not lie over each other."""

from __future__ import annotations

from typing import Any

import pytest

from leadline.shrink.page import NAMED, _plot


@pytest.mark.parametrize("count", [NAMED - 1, 2 * NAMED])
def test_of_many_candidates_those_on_the_frontier_are_named(count: int) -> None:
    rows: list[dict[str, Any]] = [{"name": "full", "bytes": 1_000_000, "score": 0.9, "drop": None}]
    rows += [{"name": f"file-{k}", "bytes": 500_000 + 1_000 * k, "score": 0.9, "drop": 0.0} for k in range(count - 1)]
    result = {"max_drop": 0.01, "higher_is_better": True, "metric": "accuracy", "chosen": "file-1"}
    plot = _plot(result, rows)
    named = [row["name"] for row in rows if f">{row['name']}</text>" in plot]
    assert named == ([row["name"] for row in rows] if count <= NAMED else ["full", "file-0", "file-1"])
    assert all(f"<title>{row['name']}: " in plot for row in rows), "a sign says its name where it is pointed at"
