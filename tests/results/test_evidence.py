"""What a contender says of itself in a code reaches the warnings of the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from leadline.contenders.features import affordable, layout
from leadline.core.note import FROM_SCRATCH, code_of
from leadline.race.entry import ContenderRun
from leadline.race.worker import coded
from leadline.results.evidence import warned


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
