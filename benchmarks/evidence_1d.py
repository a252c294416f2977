"""MNIST-1D, where the truth is known: a convolution beats a plain network by far, and not once positions are mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from record import Found

from kinds import fit

PUBLISHED = {"linear": (0.32, 0.03), "mlp": (0.68, 0.04)}
BUDGET, SEEDS = "300s", 3


def mnist1d(data: Path, folder: Path) -> Found:
    found = []
    for name in ("mnist1d", "mnist1d-shuffled"):
        result, wall = fit(Path(name), "--budget", BUDGET, "--repeats", SEEDS, folder=folder, name=name)
        scores = {
            each: [one["scores"][each] for one in result["rounds_run"] if each in one["scores"]]
            for each in result["rounds_run"][0]["scores"]
        }
        found += [_score(name, each, shares) for each, shares in scores.items() if each in PUBLISHED or each == "cnn"]
        found.append(_within(name, result))
    return found


def _score(name: str, contender: str, shares: list[float]) -> dict[str, Any]:
    mean = float(np.mean(shares))
    seen = f"{mean:.1%} ({min(shares):.1%} to {max(shares):.1%})"
    if contender in PUBLISHED:
        published, margin = PUBLISHED[contender]
        must, met = f"{published:.0%} ± {margin:.0%}", abs(mean - published) <= margin
    else:
        must, met = ("at least 92%", mean >= 0.92) if name == "mnist1d" else ("reported", True)
    return {"what": f"{name}: {contender}", "must": must, "seen": seen, "met": met, "n": len(shares)}


def _within(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """What the verdict says among the deep contenders."""
    told = [one for one in result["within"] if {one["first"], one["second"]} == {"cnn", "mlp"}]
    better = [
        one["first"] if one["answer"] == "first" else one["second"]
        for one in told
        if one["answer"] in ("first", "second")
    ]
    plain = name == "mnist1d"
    return {
        "what": f"{name}: among the deep contenders", "must": "cnn over mlp" if plain else "cnn not over mlp",
        "seen": "; ".join(one["why"] for one in told) + f"; the verdict: {result['verdict']['answer']}",
        "met": bool(told) and (better == ["cnn"]) == plain, "n": result["verdict"]["rounds"],
    }  # fmt: skip
