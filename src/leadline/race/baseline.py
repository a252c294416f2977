"""What guessing gives: the baseline of a race.

It stays apart from the other contenders, in the process of the run: it learns in milliseconds, where a worker takes a
second or more to start, a large part of a short budget. It takes part in no verdict and cannot be shipped, and there is
a score to compare with in every run, whatever becomes of the others.
"""

from __future__ import annotations

import math
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
            "score": None if math.isnan(fitted.score) else fitted.score, "params": fitted.params, "bytes": fitted.bytes,
            "describe": fitted.describe, "fit_s": fit_s,
            "predict_us": spent / len(answers[entry.name]) * 1e6, "peak_mb": None,
            "undertrained": fitted.undertrained, "trained_on_valid": fitted.trained_on_valid,
        }  # fmt: skip
    return answers
