"""Sets and intervals at 90%: how many rows they hold, over 20 splits of real data, with many calib rows or few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from evidence_sets import SETS
from record import Found

from leadline.stats.calibration import calibrator
from leadline.stats.conformal import COVERAGE, conformal, seen

SPLITS, MOST_TEST = 20, 20_000
CALIB = {
    "few": (100, (0.88, 0.93)),
    "some": (250, (0.88, 0.93)),
    "enough": (500, (0.89, 0.92)),
    "many": (2_000, (0.89, 0.92)),
}


def sets_and_intervals(data: Path, folder: Path) -> Found:
    """The answers of a quick model on rows it has not seen are split 20 times into calib and test rows."""
    found = []
    for name, load in SETS.items():
        truth, answers = load(data)
        for rows, bounds in CALIB.values():
            found.append(_cell(name, truth, answers, rows, bounds))
    return found


def _cell(name: str, truth: np.ndarray, answers: np.ndarray, rows: int, bounds: tuple[float, float]) -> dict[str, Any]:
    shares, sizes = [], []
    for split in range(SPLITS):
        order = np.random.default_rng(split).permutation(len(truth))
        calib, test = order[:rows], order[rows : rows + MOST_TEST]
        mapped = calibrator(truth[calib], answers[calib], split) if answers.ndim == 2 else None
        both = [answers[part] if mapped is None else mapped(answers[part]) for part in (calib, test)]
        made = conformal(truth[calib], both[0])
        assert made is not None
        told = seen(made, truth[test], both[1])
        shares.append(told["observed"])
        sizes.append(told["size"])
    mean = float(np.mean(shares))
    kind = "sets" if answers.ndim == 2 else "intervals"
    return {
        "what": f"{kind} at {COVERAGE:.0%}, {rows} calib rows of {name}",
        "must": f"hold {bounds[0]:.0%} to {bounds[1]:.0%}",
        "seen": f"{mean:.1%} (splits {min(shares):.1%} to {max(shares):.1%}), mean size {np.mean(sizes):.4g}",
        "met": bounds[0] <= mean <= bounds[1], "n": SPLITS,
    }  # fmt: skip
