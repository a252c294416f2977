"""Gradient boosted trees (LightGBM; Ke et al. 2017), and their exact conversion to ONNX.

Trees are grown on float32 features and the thresholds shipped are rounded down to float32, which leaves `x <= t` the
same for every float32 x: the shipped file takes the same turn at every node. A category split becomes a set-membership
node. Settings are tried in turn, by valid, while the clock allows; the best is grown again on train and valid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.contender import Data, Fitted, Progress, State, digest
from leadline.contenders.features import Layout, affordable, layout, matrix, values
from leadline.data.store import Store
from leadline.judge.metrics import METRICS, Metric

if TYPE_CHECKING:
    import lightgbm
    import onnx

BASE = {
    "learning_rate": 0.06, "num_leaves": 31, "min_data_in_leaf": 20, "feature_fraction": 0.8, "bagging_fraction": 0.85,
    "bagging_freq": 1, "lambda_l2": 1.0, "max_bin": 255, "max_cat_threshold": 32, "cat_smooth": 20.0,
}  # fmt: skip
TRIALS: tuple[dict[str, Any], ...] = (
    {},
    {"learning_rate": 0.03, "num_leaves": 63, "feature_fraction": 0.6},
    {"learning_rate": 0.03, "num_leaves": 15, "min_data_in_leaf": 40, "lambda_l2": 5.0},
    {"learning_rate": 0.02, "num_leaves": 127, "feature_fraction": 0.5, "min_data_in_leaf": 10},
)
ROUNDS = 4_000
PATIENCE = 50  # rounds without a better valid loss end a trial (an eighth of the rounds, where that is more)
SHARE = 0.6  # of the seconds left may go to one trial
SCORED = 5  # rounds from one score on valid to the next
A_TREE = 1.5e-7  # seconds for one row through one tree on one core: what scoring the test rows will take
WIDE = 200  # features
REFIT = 1.1  # rounds of the last fit, which has the valid rows too, over the best number found


class Boosting:
    name = "boosting"
    family = "classical"
    cores = "one"

    def inputs(self, store: Store) -> list[str]:
        return list(layout(store, ("codes", "dense")).tensors)

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        import lightgbm as lgb

        store = data.store
        plan = layout(store, ("codes", "dense"))
        train, said = affordable(plan, store.split.train, seed)
        valid = store.split.valid
        x, x_valid = matrix(store, plan, train), matrix(store, plan, valid)
        mean, deviation = data.scale() if data.classes == 0 else (0.0, 1.0)
        y, y_valid = (data.labels(train) - mean) / deviation, (data.labels(valid) - mean) / deviation
        base = {**BASE, **_objective(data), "seed": seed, "num_threads": data.threads, "verbose": -1}
        base["force_col_wise"] = True  # left to itself, LightGBM chooses by a timing, and the last bits follow
        wide = x.shape[1] > WIDE
        if wide:  # many alike features (gradients, counts): fewer of them a tree lose nothing and cost less
            base |= {"feature_fraction": 0.2, "max_bin": 63, "learning_rate": 0.1}
        dataset = lgb.Dataset(x, y, categorical_feature=plan.categories, params=base, free_raw_data=False)
        checks = lgb.Dataset(x_valid, y_valid, reference=dataset, categorical_feature=plan.categories, params=base)
        metric = METRICS[store.task.metric]

        def scored(raw: np.ndarray, _: lgb.Dataset) -> tuple[str, float, bool]:
            answers = _answers(raw, data.classes, (mean, deviation))
            return "score", metric(data.labels(valid), answers), metric.higher_is_better

        best, step = None, 0
        scoring = A_TREE * max(1, data.classes if data.classes > 2 else 1) * len(store.split.test)  # seconds a round
        for change in TRIALS[:1] if wide or data.clock.endless else TRIALS:
            settings = base | change
            if best is not None and settings["num_leaves"] >= len(train) / 20:
                continue
            booster = lgb.Booster(settings, dataset).add_valid(checks, "valid")
            trial = _Trial(booster, settings, data.clock.spent(), metric)
            until = data.clock.spent() + SHARE * data.clock.left()
            while not trial.rounds or not trial.stale and data.clock.spent() < until:
                if data.clock.left() < scoring * trial.rounds:
                    yield Progress(step=step, note=f"cut by the clock at round {trial.rounds}")
                    break
                full = booster.update()
                trial.note(booster.eval_valid(scored if trial.rounds % SCORED == 0 else None), data.clock.spent())
                step += 1
                if trial.rounds % 20 == 1:
                    leader = trial if best is None or trial.beats(best) else best
                    yield Progress(step=step, score=leader.score)
                if full:
                    break
            best = trial if best is None or trial.beats(best) else best
            if data.clock.left() < 2.5 * (trial.seconds + scoring * trial.rounds):
                break
        assert best is not None
        booster, grown = best.booster, f"{best.best_round} rounds, as valid chose"
        again_s = best.seconds * best.best_round / best.rounds + scoring * best.best_round
        if data.clock.left() > 1.5 * REFIT * again_s:
            yield Progress(step=step, note="grown again on train and valid rows")
            grown += "; grown again on train and valid rows"
            everything = lgb.Dataset(
                np.concatenate([x, x_valid]), np.concatenate([y, y_valid]), categorical_feature=plan.categories,
                params=base,
            )  # fmt: skip
            again = lgb.Booster(best.settings, everything)
            for _ in range(int(REFIT * best.best_round) + 1):
                if data.clock.left() < scoring * best.best_round:
                    break
                again.update()
            else:
                booster = again
        if booster is best.booster:
            booster = lgb.Booster(model_str=booster.model_to_string(num_iteration=best.best_round))
        chosen = ", ".join(f"{key} {best.settings[key]}" for key in ("learning_rate", "num_leaves"))
        yield FittedBoosting(booster, plan, data.classes, (mean, deviation), best.score, [*said, grown, chosen])


def _objective(data: Data) -> dict[str, Any]:
    if data.classes == 0:
        return {"objective": "regression", "metric": ["rmse"]}
    if data.classes == 2:
        return {"objective": "binary", "metric": ["binary_logloss"]}
    return {"objective": "multiclass", "num_class": data.classes, "metric": ["multi_logloss"]}


def _answers(raw: Any, classes: int, scale: tuple[float, float]) -> np.ndarray:
    """What LightGBM predicts, as probabilities [n, classes], or as values [n] in the target's unit."""
    raw = np.asarray(raw)
    if classes == 0:
        return np.asarray(raw * scale[1] + scale[0], np.float64)
    return (np.stack([1 - raw, raw], axis=1) if classes == 2 else raw).astype(np.float32)


class _Trial:
    """One setting, as far as it has grown."""

    def __init__(self, booster: lightgbm.Booster, settings: dict[str, Any], began: float, metric: Metric) -> None:
        self.booster, self.settings, self._began, self._metric = booster, settings, began, metric
        self.rounds, self.best_round, self._lowest_round, self.seconds = 0, 0, 0, 0.0
        self.score, self.loss, self._lowest = float("nan"), float("inf"), float("inf")

    def note(self, measured: Sequence[tuple[Any, ...]], now: float) -> None:
        """Take what one more round gives on valid: (name, metric, value, higher is better); a score now and then."""
        self.rounds += 1
        self.seconds = now - self._began
        values = {row[1]: float(row[2]) for row in measured}
        score = values.pop("score", None)
        (loss,) = values.values()
        if loss < self._lowest:
            self._lowest, self._lowest_round = loss, self.rounds
        if score is not None and self._better(score, loss, self.score, self.loss):
            self.score, self.loss, self.best_round = score, loss, self.rounds

    def beats(self, other: _Trial) -> bool:
        return self._better(self.score, self.loss, other.score, other.loss)

    def _better(self, score: float, loss: float, than: float, its_loss: float) -> bool:
        """By the score; among equals by the loss."""
        return math.isnan(than) or self._metric.better(score, than) or (score == than and loss < its_loss)

    @property
    def stale(self) -> bool:
        """Neither the score nor the loss, which moves more evenly, has improved for long."""
        since = self.rounds - max(self.best_round, self._lowest_round)
        return self.rounds >= ROUNDS or since > max(PATIENCE, self.rounds // 8)


class FittedBoosting:
    """A grown ensemble."""

    def __init__(
        self, booster: lightgbm.Booster, plan: Layout, classes: int, scale: tuple[float, float], score: float,
        describe: list[str],
    ) -> None:  # fmt: skip
        self._booster, self._plan, self._classes, self._scale = booster, plan, classes, scale
        self.score, self.describe, self.starved = score, describe, False
        self.params = sum(2 * tree["num_leaves"] for tree in booster.dump_model()["tree_info"])
        self.bytes = len(booster.model_to_string().encode())

    def predict(self, store: Store, rows: np.ndarray) -> np.ndarray:
        return _answers(self._booster.predict(matrix(store, self._plan, rows)), self._classes, self._scale)

    def digest(self) -> str:
        return digest(self._booster.model_to_string().encode())

    def graph(self) -> onnx.ModelProto:
        from leadline.ship.graph import Graph
        from leadline.ship.trees import ensemble

        g = Graph("boosting")
        plan = self._plan
        parts = [
            g.op("Cast", g.input(name, dtype, ["N", width]), to=1)
            for name, dtype, width in zip(plan.tensors, plan.dtypes, plan.widths, strict=True)
        ]
        x = g.op("Concat", *parts, axis=1)
        raw = ensemble(g, x, self._booster.dump_model(), self._classes if self._classes > 2 else 1)
        if self._classes == 0:
            values(g, raw, self._scale)
        elif self._classes == 2:
            up = g.op("Sigmoid", raw)
            g.output(
                "scores", g.op("Concat", g.op("Sub", g.const(np.float32(1)), up), up, axis=1), np.float32, ["N", 2]
            )
        else:
            g.output("scores", g.op("Softmax", raw, axis=1), np.float32, ["N", self._classes])
        return g.model()
