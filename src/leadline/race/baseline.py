"""What guessing gives: the baseline of a race, which needs no process of its own."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from leadline.core.contender import Clock, Data
from leadline.race.race import Race


def answer_baseline(race: Race) -> dict[str, np.ndarray]:
    """{name: its answers on the test rows}; its entry is then finished."""
    answers, store = {}, race.store
    for entry in race.entries:
        if not entry.baseline:
            continue
        data = Data(store=store, clock=Clock(10.0), threads=1)
        began = time.perf_counter()
        fitted: Any = list(entry.contender.fit(data, 0))[-1]
        fit_s = time.perf_counter() - began
        answers[entry.name] = fitted.predict(store, store.split.test)
        spent = time.perf_counter() - began - fit_s
        entry.status = "finished"
        entry.facts = {
            "score": fitted.score, "params": fitted.params, "bytes": fitted.bytes, "describe": fitted.describe,
            "fit_s": fit_s, "predict_us": spent / len(answers[entry.name]) * 1e6, "peak_mb": None,
            "undertrained": fitted.undertrained, "trained_on_valid": fitted.trained_on_valid,
        }  # fmt: skip
    return answers
