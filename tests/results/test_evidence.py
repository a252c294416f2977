"""What contenders said and answered, as the run's page has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.contenders.features import affordable, layout
from leadline.core.note import FROM_SCRATCH, code_of
from leadline.race.entry import ContenderRun
from leadline.race.worker import coded
from leadline.results import evidence
from leadline.results.evidence import warned
from leadline.stats import uncertainty
from leadline.stats.calibration import Calibrator


def test_a_sample_for_want_of_memory_is_told(prepare: Any, mixed: Any) -> None:
    plan = layout(prepare(mixed(200), target="y").store, ("codes", "dense"))
    rows, described = affordable(plan, np.arange(5_000), 0, memory_gb=0.0)
    assert len(rows) == 2_000
    message = json.loads(json.dumps({"describe": described, "coded": coded(described)}))  # as between two processes
    assert code_of(message["describe"][0]) is None
    entries = [
        ContenderRun(name=name, family="classical", folder=Path(name), facts=facts)
        for name, facts in (("linear", message), ("boosting", {"describe": ["10 repeats, as valid chose"]}))
    ]
    assert warned(entries) == ["linear learned from a random sample of 2,000 of 5,000 rows, to fit into memory."]


def test_a_network_that_found_nothing_to_begin_from_is_said() -> None:
    entry = ContenderRun(name="bag", family="deep", folder=Path())
    entry.facts["coded"] = {FROM_SCRATCH: "nothing of the bag of a run fits here: it began from scratch"}
    assert warned([entry]) == ["bag: nothing of the bag of a run fits here: it began from scratch."]


def test_worst_mistakes_are_as_sure_as_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probabilities are calibrated everywhere: on the page as in predictions.parquet."""
    seen: list[np.ndarray] = []
    examples = evidence.examples

    def spied(table: Any, store: Any, truth: np.ndarray, scores: np.ndarray) -> Any:
        seen.append(scores)
        return examples(table, store, truth, scores)

    monkeypatch.setattr(evidence, "examples", spied)
    timid = Calibrator(method="temperature", rows=100, temperature=3.0)
    monkeypatch.setattr(uncertainty, "calibrator", lambda truth, scores, seed: timid)
    x = np.random.default_rng(0).normal(size=7_000)
    run = ll.fit(pl.DataFrame({"x": x, "y": np.where(x > 0, "yes", "no")}), target="y", only="linear", epochs=1,
                 repeats=1, out=tmp_path / "run")  # fmt: skip
    held = pl.read_parquet(run.folder / "predictions.parquet").select(pl.selectors.starts_with("p_")).to_numpy()
    raw = np.load(run.folder / "contenders" / "linear" / "test.npy")
    assert np.abs(raw - held).max() > 0.01
    np.testing.assert_allclose(seen[0], held, atol=1e-6)
