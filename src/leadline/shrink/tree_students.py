"""Fewer trees that learn what many trees answer: boosted trees fitted to a model's raw scores.

The first rounds of an ensemble were grown to be followed by others. Trees that are grown by a larger learning rate on
the ensemble's own answers, which are without the noise of labels, say as much in fewer leaves (Bucila, Caruana and
Niculescu-Mizil 2006, 'Model compression'). Enters: a network with a tree ensemble. Leaves: students.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.boosting import BASE, FittedBoosting
from leadline.contenders.features import layout, matrix
from leadline.core.contender import Clock, Data
from leadline.core.tensors import Tensors
from leadline.shrink.distill import Student
from leadline.shrink.network import scores
from leadline.shrink.teacher import raw_answers
from leadline.shrink.trees import leaves_of, trees_of
from leadline.system.resources import most_threads

if TYPE_CHECKING:
    import lightgbm
    import onnx

__all__ = ["tree_students"]

SHARES = (3, 6, 12, 24)  # by which a student has fewer leaves
LEAVES = 31  # of a tree
MOST_ROWS = 100_000  # times outputs, each of which has trees of its own
LEARNING = (6.0, 0.05, 0.3)  # the rate is the first over the rounds, within the other two


def tree_students(network: onnx.ModelProto, store: Tensors, seed: int) -> Iterator[Student]:
    """Students of a third to a twenty-fourth of the leaves; rows of train and valid teach, by answers alone."""
    _, outputs = trees_of(network)
    plan = layout(store, ("codes", "dense"))
    rows = np.concatenate([store.split.train, store.split.valid])
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[: MOST_ROWS // outputs])
    scale = Data(store=store, clock=Clock(1.0), threads=1).scale()
    answers = scores(network, store, rows, most_threads())
    raw = raw_answers(answers, store.task, scale, store.task.columns)
    x = matrix(store, plan, rows)
    for share in SHARES:
        rounds = leaves_of(network) // (share * LEAVES * outputs)
        if rounds < 1:
            return
        boosters = [_fitted(x, column, plan.categories, rounds, seed) for column in raw.T]
        joined: Any = _Joined(boosters)
        fitted = FittedBoosting(joined, plan, store.task, scale, float("nan"), [], None)
        yield Student(
            name=f"trees taught/{share}", describe=f"{rounds:,} rounds of trees of {LEAVES} leaves, taught by all",
            network=fitted.graph(),
        )  # fmt: skip


def _fitted(x: np.ndarray, y: np.ndarray, categories: Any, rounds: int, seed: int) -> lightgbm.Booster:
    import lightgbm as lgb

    settings = {
        **BASE, "objective": "l2", "num_leaves": LEAVES, "verbosity": -1, "seed": seed, "deterministic": True,
        "learning_rate": float(np.clip(LEARNING[0] / rounds, *LEARNING[1:])), "num_threads": most_threads(),
        "min_data_in_leaf": min(int(BASE["min_data_in_leaf"]), max(1, len(y) // 10)), "force_row_wise": True,
    }  # fmt: skip
    data = lgb.Dataset(x, y, categorical_feature=categories, params=settings)
    return lgb.train(settings, data, rounds)


class _Joined:
    """Boosters of one output each, as one of several: its rounds have a tree an output."""

    def __init__(self, boosters: list[lightgbm.Booster]) -> None:
        self._boosters = boosters

    def dump_model(self) -> dict[str, Any]:
        """The trees, round by round; a booster that ended early adds nothing in later rounds."""
        trees = [booster.dump_model()["tree_info"] for booster in self._boosters]
        nothing = {"tree_structure": {"leaf_value": 0.0}}
        rounds = max(len(each) for each in trees)
        return {"tree_info": [each[k] if k < len(each) else nothing for k in range(rounds) for each in trees]}

    def model_to_string(self) -> str:
        """The text of all of them, by which weights are counted."""
        return re.sub(r"\n+", "\n", "\n".join(booster.model_to_string() for booster in self._boosters))
