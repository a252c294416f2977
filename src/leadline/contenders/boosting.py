"""Gradient boosted trees (LightGBM; Ke et al. 2017), and their exact conversion to ONNX.

Trees are fitted to float32 features and the thresholds shipped are rounded down to float32, which leaves `x <= t` the
same for every float32 x: the shipped file takes the same turn at every node. A category split becomes a set-membership
node. Settings are tried in turn, by valid, while the clock allows; the best one is refitted on train and valid.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.families import CLASSICAL
from leadline.contenders.features import NOT_AGAIN, Layout, affordable, layout, matrix
from leadline.core.contender import Contender, Data, Fitted, Progress, State, digest
from leadline.core.note import CUT, Note
from leadline.core.task import Scale, Task
from leadline.core.tensors import Tensors
from leadline.metrics.metrics import METRICS, Metric
from leadline.system.threads import Threads, timed

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
SLIGHT, SMALL = 3e-3, 0.01  # share of the loss that is a better one, and of a small loss the share of this
SHARE = 0.6  # of the seconds left may go to one trial
LOOKS = 5  # rounds from one score on valid to the next
A_TREE = 1.5e-7  # seconds for one row through one tree on one core: what scoring the test rows will take
LEAVES = 10  # that the train rows are enough for, however few: under 200 rows, fewer than 20 of them in a leaf
WIDE = 200  # features
MANY = 2_000  # labels times features: a round is a tree a label
SLOW = 0.2  # seconds of a round above which valid is scored after each one
FEW_LOOKS = 4  # of a trial that was cut; with fewer nobody can say whether it had learned
FALLING = 0.01  # share of the valid loss by which it still fell: with more time the trees would be better
STEEP = 0.3  # the largest learning rate, where there is time for a dozen rounds
REFIT = 1.1  # rounds of the last fit, which has the valid rows too, over the best number found


class Boosting(Contender):
    name = "boosting"
    family = CLASSICAL

    def inputs(self, store: Tensors) -> list[str]:
        return list(layout(store, ("codes", "dense")).tensors)

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        run = _Run(data, seed)
        yield from run.tried()
        yield from run.again()
        yield run.fitted()


class _Run:
    """One fit: the rows as LightGBM reads them, the trials on them, and the last growth on all of them."""

    def __init__(self, data: Data, seed: int) -> None:
        import lightgbm as lgb

        store = data.store
        self.data, self.plan, self.metric = data, layout(store, ("codes", "dense")), METRICS[store.task.metric]
        self.train, self.said = affordable(self.plan, store.split.train, seed, data.memory_gb)
        self.valid = store.split.valid
        self.x, self.x_valid = matrix(store, self.plan, self.train), matrix(store, self.plan, self.valid)
        self.task, self.scale = data.task, data.scale()
        self.y, self.y_valid = data.encoded(self.train, self.scale), data.encoded(self.valid, self.scale)
        self.pull: Any = None
        self.losses, self.odds = list[Any](), None
        if self.task.multilabel:
            self.pull, self.losses, self.odds = _pull(self.y), [_loss(self.y_valid)], _odds(self.y)
            # LightGBM knows one label a row: these are ours
            self.y, self.y_valid = np.zeros(len(self.train)), np.zeros(len(self.valid))
        self.base = {**BASE, **self.task.objective(), "seed": seed, "num_threads": data.threads, "verbose": -1}
        self.base["min_data_in_leaf"] = min(BASE["min_data_in_leaf"], max(1, len(self.train) // LEAVES))
        self.base["force_col_wise"] = True  # left to itself, LightGBM chooses by a timing, and the last bits follow
        self.wide = self.x.shape[1] > WIDE or (self.task.multilabel and data.classes * self.x.shape[1] > MANY)
        if self.wide:  # many alike features (gradients, counts): fewer of them a tree lose nothing and cost less
            self.base |= {"feature_fraction": 0.2, "max_bin": 63, "learning_rate": 0.1}
        self.dataset = lgb.Dataset(
            self.x, self.y, categorical_feature=self.plan.categories, params=self.base, free_raw_data=False,
            init_score=_start(self.odds, self.x),
        )  # fmt: skip
        if data.threads > 1 and not data.clock.endless:
            self.base["num_threads"] = threads_for(self.base, self.dataset, data.threads, data.clock.spent, self.pull)
        self.checks = lgb.Dataset(
            self.x_valid, self.y_valid, reference=self.dataset, categorical_feature=self.plan.categories,
            params=self.base, init_score=_start(self.odds, self.x_valid),
        )  # fmt: skip
        self.seen, self.trials, self.step = list[tuple[float, float]](), list[_Trial](), 0
        # seconds of a round to score the test rows, and the valid rows once
        scored = len(store.split.test) + len(self.valid)
        self.scoring = A_TREE * max(1, data.classes if data.classes > 2 else 1) * scored

    def look(self, raw: np.ndarray, _: lightgbm.Dataset) -> tuple[str, float, bool]:
        """The score on valid, and its standard error, as LightGBM asks for it."""
        answers = self.task.from_objective(np.asarray(raw), self.scale)
        inner, moves = self.metric.influence(self.data.labels(self.valid), answers)
        ends = self.metric.finish(np.array([inner, max(inner - float(moves.std()) / len(moves) ** 0.5, 0.0)]))
        self.seen.append((float(ends[0]), float(abs(ends[0] - ends[1]))))
        return "look", self.seen[-1][0], self.metric.higher_is_better

    def tried(self) -> Iterator[Progress]:
        """Grow by one setting after another, while there is time."""
        import lightgbm as lgb

        clock = self.data.clock
        for change in TRIALS[:1] if self.wide or clock.endless else TRIALS:
            settings = self.base | change
            if self.trials and settings["num_leaves"] >= len(self.train) / 20:
                continue
            booster = lgb.Booster(settings, self.dataset).add_valid(self.checks, "valid")
            trial = _Trial(booster, settings, clock.spent())
            self.trials.append(trial)
            yield from self.grown(trial, clock.spent() + SHARE * clock.left())
            if clock.left() < 2.5 * (trial.seconds + self.scoring * trial.rounds):
                break

    def grown(self, trial: _Trial, until: float) -> Iterator[Progress]:
        """Grow one trial until nothing gets better, or to a second of the clock."""
        data, metric = self.data, self.metric
        while not trial.rounds or not trial.stale(metric) and data.clock.spent() < until:
            if data.clock.left() < self.scoring * trial.rounds + 1.5 * trial.a_round:
                yield Progress(step=self.step, note=Note(CUT, f"stopped at the time limit at round {trial.rounds}"))
                break
            full = trial.booster.update(fobj=self.pull)
            due = trial.rounds % LOOKS == 0 or trial.a_round > SLOW
            measured = trial.booster.eval_valid([*self.losses, *([self.look] if due else [])] or None)
            trial.note(measured, self.seen[-1] if due else None, data.clock.spent())
            self.step += 1
            if self.task.multilabel and trial.rounds == 1 and not data.clock.endless:
                trial.hurry(until)
            if trial.rounds % 20 == 1:
                yield Progress(step=self.step, score=_chosen(self.trials, metric)[1].score)
            if full:
                trial.full = True
                break

    def again(self) -> Iterator[Progress]:
        """As many rounds as valid chose, fitted on train and valid rows, where there is time."""
        import lightgbm as lgb

        data, clock = self.data, self.data.clock
        self.best, self.at = best, at = _chosen(self.trials, self.metric)
        self.booster, self.trained_on_valid = best.booster, False
        self.on_valid = answers(best.booster, self.x_valid, self.odds, self.task, self.scale, at.round)
        again_s = best.seconds * at.round / best.rounds + self.scoring * at.round
        if clock.left() <= 1.5 * REFIT * again_s:
            return
        yield Progress(step=self.step, note="refitted on train and valid rows")
        both = np.concatenate([self.x, self.x_valid])
        everything = lgb.Dataset(
            both, np.concatenate([self.y, self.y_valid]), categorical_feature=self.plan.categories, params=self.base,
            init_score=_start(self.odds, both),
        )  # fmt: skip
        second = lgb.Booster(best.settings, everything)
        pull = _pull(data.encoded(np.concatenate([self.train, self.valid]))) if self.task.multilabel else None
        for _ in range(int(REFIT * at.round) + 1):
            if clock.left() < self.scoring * at.round + 1.5 * best.a_round:
                return
            second.update(fobj=pull)
        self.booster, self.trained_on_valid = second, True

    def fitted(self) -> FittedBoosting:
        import lightgbm as lgb

        best, at, said, booster = self.best, self.at, list(self.said), self.booster
        grown = f"{at.round} rounds, as valid chose"
        undertrained = best.undertrained(self.metric)
        if undertrained:
            reason = f"stopped at the time limit at round {best.rounds}"
            said.append(f"{reason}, while the valid loss fell: too little time to learn")
        if self.trained_on_valid:
            grown += "; refitted on train and valid rows"
        else:
            said.append(NOT_AGAIN)
            booster = lgb.Booster(model_str=booster.model_to_string(num_iteration=at.round))
        chosen = ", ".join(f"{key} {best.settings[key]}" for key in ("learning_rate", "num_leaves"))
        describe = [*said, grown, chosen]
        fitted = FittedBoosting(booster, self.plan, self.task, self.scale, at.score, describe, self.odds)
        fitted.undertrained, fitted.trained_on_valid = undertrained, self.trained_on_valid
        fitted.valid = self.on_valid
        return fitted


def threads_for(
    settings: Mapping[str, Any], dataset: lightgbm.Dataset, most: int, clock: Callable[[], float], pull: Any = None
) -> int:
    """Threads that pay for trees on this data, chosen by a few rounds that are discarded."""
    import lightgbm as lgb

    grown: dict[int, lightgbm.Booster] = {}

    def seconds_on(threads: int) -> float:
        if threads not in grown:
            grown[threads] = lgb.Booster({**settings, "num_threads": threads}, dataset)
        return timed(lambda: grown[threads].update(fobj=pull), clock)

    tried = Threads(most, seconds_on, lambda threads: None)
    tried.begin()
    return tried.now


def _odds(marks: np.ndarray) -> np.ndarray:
    """Log odds of each label, from which its trees start: learned by trees they would cost the first dozen rounds."""
    share = (marks.sum(axis=0) + 0.5) / (len(marks) + 1)
    return np.asarray(np.log(share / (1 - share)), np.float32)


def _start(odds: np.ndarray | None, x: np.ndarray) -> np.ndarray | None:
    """Where each row starts [n, labels]."""
    return None if odds is None else np.tile(odds.astype(np.float64), (len(x), 1))


def _pull(marks: np.ndarray) -> Callable[[np.ndarray, Any], tuple[np.ndarray, np.ndarray]]:
    """The gradient of the log loss of each label by itself: one tree a label and round."""

    def pull(raw: np.ndarray, _: Any) -> tuple[np.ndarray, np.ndarray]:
        likely = 1 / (1 + np.exp(-raw))
        return likely - marks, np.maximum(likely * (1 - likely), 1e-6)

    return pull


def _loss(marks: np.ndarray) -> Callable[[np.ndarray, Any], tuple[str, float, bool]]:
    """The mean log loss of all labels, as LightGBM asks for it."""

    def loss(raw: np.ndarray, _: Any) -> tuple[str, float, bool]:
        return "loss", float(np.logaddexp(0, np.where(marks > 0, -raw, raw)).mean()), False

    return loss


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What the valid rows say after some rounds."""

    round: int
    score: float
    error: float  # standard error of the score
    loss: float


class _Trial:
    """One setting, as far as it has grown."""

    def __init__(self, booster: lightgbm.Booster, settings: dict[str, Any], began: float) -> None:
        self.booster, self.settings, self._began = booster, settings, began
        self.rounds, self.seconds = 0, 0.0
        self.looks: list[_Look] = []
        self.full = False  # no further split gains anything
        self._lowest, self._lowest_round = math.inf, 0

    def note(self, measured: Sequence[tuple[Any, ...]], look: tuple[float, float] | None, now: float) -> None:
        """Take what one more round gives on valid: the loss, and now and then (score, its standard error)."""
        self.rounds += 1
        self.seconds = now - self._began
        loss = next(float(row[2]) for row in measured if row[1] != "look")
        if loss + SLIGHT * max(loss, SMALL) < self._lowest:
            self._lowest, self._lowest_round = loss, self.rounds
        if look is not None:
            self.looks.append(_Look(round=self.rounds, score=look[0], error=look[1], loss=loss))

    @property
    def a_round(self) -> float:
        """Seconds of one, so far."""
        return self.seconds / max(1, self.rounds)

    def hurry(self, until: float) -> None:
        """Learn faster where the time is enough for few rounds: those of many labels are a tree each."""
        rounds = max(1.0, (until - self._began) / self.a_round)
        rate = min(STEEP, max(float(self.settings["learning_rate"]), 4 / rounds))
        self.settings["learning_rate"] = rate
        self.booster.reset_parameter({"learning_rate": rate})

    def stale(self, metric: Metric) -> bool:
        """Neither the score nor, but for trifles, the loss, which moves more evenly, has improved for long."""
        top = max(self.looks, key=lambda look: metric.sign * look.score)  # the first of the best ones
        since = self.rounds - max(top.round, self._lowest_round)
        return self.rounds >= ROUNDS or since > max(PATIENCE, self.rounds // 8)

    def undertrained(self, metric: Metric) -> bool:
        """Whether time ended it while the last quarter of its evaluations still lowered the valid loss."""
        if self.full or self.stale(metric):
            return False
        losses = [look.loss for look in self.looks]
        early = losses[: len(losses) * 3 // 4]
        return len(losses) < FEW_LOOKS or min(losses) < (1 - FALLING) * min(early)


def _chosen(trials: Sequence[_Trial], metric: Metric) -> tuple[_Trial, _Look]:
    """The best look of all trials, and its trial."""
    at = _best([look for trial in trials for look in trial.looks], metric)
    return next(trial for trial in trials if any(look is at for look in trial.looks)), at


def _best(looks: Sequence[_Look], metric: Metric) -> _Look:
    """The best score; of those that lie within its standard error, the one of lowest loss.

    Few valid rows tell rounds apart badly by a score that counts hits (Breiman et al. 1984, the rule of one error).
    """
    top = looks[0]
    for look in looks:
        top = look if metric.better(look.score, top.score) else top
    near = [look for look in looks if metric.sign * (top.score - look.score) <= top.error]
    return min(near, key=lambda look: look.loss)


def answers(
    booster: lightgbm.Booster, x: np.ndarray, odds: np.ndarray | None, task: Task, scale: Scale,
    rounds: int | None = None,
) -> np.ndarray:  # fmt: skip
    """Scores of rows [n, features] after so many rounds, or all."""
    raw = np.asarray(booster.predict(x, num_iteration=rounds))
    if odds is not None:
        raw = raw.reshape(len(x), -1) + odds
    return task.from_objective(raw, scale)


class FittedBoosting:
    """A grown ensemble."""

    def __init__(
        self, booster: lightgbm.Booster, plan: Layout, task: Task, scale: Scale, score: float,
        describe: list[str], odds: np.ndarray | None,
    ) -> None:  # fmt: skip
        self._booster, self._plan, self._task, self._scale = booster, plan, task, scale
        self._odds = odds  # of several labels, which trees add to
        self.score, self.describe = score, describe
        self.undertrained = self.trained_on_valid = False
        self.valid: np.ndarray | None = None
        text = booster.model_to_string()  # of thousands of trees `dump_model` would take seconds
        self.params = sum(2 * int(leaves) for leaves in re.findall(r"^num_leaves=(\d+)$", text, re.MULTILINE))
        self.bytes = len(text.encode())

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        return answers(self._booster, matrix(store, self._plan, rows), self._odds, self._task, self._scale)

    def digest(self) -> str:
        odds = b"" if self._odds is None else self._odds.tobytes()
        return digest(self._booster.model_to_string().encode() + odds)

    def graph(self) -> onnx.ModelProto:
        from leadline.graph.builder import Graph
        from leadline.graph.trees import ensemble

        g = Graph("boosting")
        plan = self._plan
        parts = [
            g.op("Cast", g.input(name, dtype, ["N", width]), to=1)
            for name, dtype, width in zip(plan.tensors, plan.dtypes, plan.widths, strict=True)
        ]
        x = g.op("Concat", *parts, axis=1)
        task = self._task
        raw = ensemble(g, x, self._booster.dump_model(), task.columns)
        if self._odds is not None:
            raw = g.op("Add", raw, g.const(self._odds))
        if task.one_class and task.columns == 1:
            up = g.op("Sigmoid", raw)  # as LightGBM itself does
            both = g.op("Concat", g.op("Sub", g.const(np.float32(1)), up), up, axis=1)
            g.output("scores", both, np.float32, ["N", 2])
        else:
            task.head(g, raw, self._scale, task.columns)
        return g.model()
