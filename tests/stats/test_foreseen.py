"""Which of two smaller models the judging rows certify is foreseen better by probabilities than by labels alone."""

from __future__ import annotations

import numpy as np
import pytest

from leadline.metrics.metrics import METRICS
from leadline.metrics.multilabel import packed
from leadline.shrink.choose import last_proved, sequence
from leadline.stats.foreseen import chance_to_fail, drawn_drops, evidence
from leadline.stats.noninferiority import compare
from leadline.tasks import Language, Multiclass, Multilabel, Regression, Task

ACCURACY = METRICS["accuracy"]
CLASSES, LIMIT, JUDGES = 3, 0.003, 10_000
NAMES = ("a", "b", "c")
SCORED = [Multiclass(target="y", classes=NAMES, metric=name) for name in Multiclass.metrics]
SCORED += [Multilabel(target="y", classes=NAMES, metric=name) for name in Multilabel.metrics]
SCORED += [Regression(target="y", classes=(), metric=name) for name in Regression.metrics]


def _classes(metric: str = "accuracy") -> Task:
    return Multiclass(target="y", classes=NAMES, metric=metric)


def _values(metric: str = "rmse") -> Task:
    return Regression(target="y", classes=(), metric=metric)


def _model(rng: np.random.Generator, rows: int, sharp: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """(calibrated probabilities, labels drawn from them)."""
    logits = sharp * rng.normal(size=(rows, CLASSES))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return p, (rng.random(rows)[:, None] > p.cumsum(axis=1)[:, :-1]).sum(axis=1)


def _moved(rng: np.random.Generator, p: np.ndarray, by: float) -> np.ndarray:
    """Probabilities after the noise of a coarser arithmetic."""
    logits = np.log(p) + by * rng.normal(size=p.shape)
    made = np.exp(logits)
    return np.asarray(made / made.sum(axis=1, keepdims=True))


def _expected(task: Task, truth: np.ndarray, full: np.ndarray, small: np.ndarray) -> float:
    return float(drawn_drops(task, truth, full, small).mean())


def _answered(task: Task, rng: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """(scores of a model that knows how sure it is, labels), of any task."""
    if task.numeric:
        full = rng.normal(size=rows)
        return full, full + 0.4 * rng.normal(size=rows)
    if task.multilabel:
        full = 1 / (1 + np.exp(-2.0 * rng.normal(size=(rows, CLASSES))))
        return full, packed(rng.random(full.shape) < full)
    return _model(rng, rows)


def _coarser(task: Task, rng: np.random.Generator, full: np.ndarray, by: float) -> np.ndarray:
    """Scores after the noise of a coarser arithmetic."""
    if task.numeric:
        return np.asarray(full + by * rng.normal(size=full.shape))
    if task.multilabel:
        return np.asarray(1 / (1 + (1 / full - 1) * np.exp(by * rng.normal(size=full.shape))))
    return _moved(rng, full, by)


def test_the_expected_drop_is_the_mean_of_the_drops_that_are_seen() -> None:
    rng = np.random.default_rng(0)
    p, truth = _model(rng, 200_000)
    small = _moved(rng, p, 0.5)
    seen = compare(truth, p, small, ACCURACY, LIMIT).drop
    assert _expected(_classes(), truth, p, small) == pytest.approx(seen, abs=0.001) and seen > 0.004


@pytest.mark.parametrize("task", SCORED, ids=lambda task: f"{task.name}, {task.metric}")
def test_equal_answers_expect_no_drop(task: Task) -> None:
    full, truth = _answered(task, np.random.default_rng(1), 400)
    found = evidence(task, truth, full, full, LIMIT, JUDGES)
    assert _expected(task, truth, full, full) == 0 and not found.far and found.distance == 0


def test_a_drop_of_a_loss_is_a_share_of_it() -> None:
    rng = np.random.default_rng(2)
    p, truth = _model(rng, 50_000)
    small, loss = _moved(rng, p, 1.0), METRICS["log loss"]
    assert _expected(_classes("log loss"), truth, p, small) == pytest.approx(
        compare(truth, p, small, loss, 0.1).drop, rel=0.1
    )


def test_the_nearer_of_two_candidates_is_foreseen_to_pass_more_often_than_labels_say() -> None:
    by_labels = by_chance = 0
    for draw in range(25):
        rng = np.random.default_rng(draw)
        p, truth = _model(rng, 2_500)
        near, far = _moved(rng, p, 0.03), _moved(rng, p, 0.09)
        expected = [_expected(_classes(), truth, p, each) for each in (near, far)]
        chance = [
            chance_to_fail(truth, p, each, ACCURACY, LIMIT, JUDGES, drop)
            for each, drop in zip((near, far), expected, strict=True)
        ]
        by_chance += chance[0] < chance[1]
        by_labels += compare(truth, p, near, ACCURACY, LIMIT).p < compare(truth, p, far, ACCURACY, LIMIT).p
    assert by_chance >= 24 and by_chance > by_labels


def test_a_student_is_judged_by_labels_where_it_decides_otherwise() -> None:
    """The model is sure of what is wrong: its probabilities expect a drop, and labels say that there is none."""
    rng = np.random.default_rng(3)
    p, truth = _model(rng, 4_000)
    wrong = rng.permutation(4_000)[:800]
    truth[wrong] = rng.integers(0, CLASSES, 800)
    student = p.copy()
    student[wrong[:400]] = 0.9 * np.eye(CLASSES)[truth[wrong[:400]]] + 0.1 / CLASSES
    expected = _expected(_classes(), truth, p, student)
    assert expected > LIMIT and compare(truth, p, student, ACCURACY, LIMIT).drop < -0.03
    assert chance_to_fail(truth, p, student, ACCURACY, LIMIT, JUDGES, expected) < 1e-3


def test_more_rows_that_judge_make_a_failure_less_likely() -> None:
    rng = np.random.default_rng(4)
    p, truth = _model(rng, 2_000)
    small = _moved(rng, p, 0.05)
    chances = [chance_to_fail(truth, p, small, ACCURACY, 0.005, judges, 0.0005) for judges in (200, 2_000, 20_000)]
    assert chances == sorted(chances, reverse=True) and chances[0] > 0.5 > chances[-1]


def test_rows_of_one_group_are_one_witness() -> None:
    """As the judging rows' test has it: what is lost in one group of many alike rows is one loss, not many."""
    rng = np.random.default_rng(6)
    p, truth = _model(rng, 2_000)
    group = np.arange(2_000) // 100
    lost = rng.permutation(np.flatnonzero((p.argmax(axis=1) == truth) & (group < 2)))[:40]
    small = p.copy()
    small[lost] = np.eye(CLASSES)[(truth[lost] + 1) % CLASSES]
    rows = chance_to_fail(truth, p, small, ACCURACY, 0.04, 2_000, None)
    groups = chance_to_fail(truth, p, small, ACCURACY, 0.04, 20, None, group)
    assert rows < 0.01 and groups > 0.3
    alone = chance_to_fail(truth, p, small, ACCURACY, 0.04, 2_000, None, np.arange(2_000))
    assert alone == pytest.approx(rows)


def test_answers_that_are_no_numbers_are_never_certified() -> None:
    p, truth = _model(np.random.default_rng(5), 400)
    broken = p.copy()
    broken[7] = np.nan
    found = compare(truth, p, broken, ACCURACY, 0.5)
    assert not found.proved and (found.drop, found.upper) == (1, 1)
    assert _expected(_classes(), truth, p, broken) == chance_to_fail(truth, p, broken, ACCURACY, 0.5, 400, None) == 1


@pytest.mark.parametrize("task", SCORED, ids=lambda task: f"{task.name}, {task.metric}")
def test_a_drop_is_expected_as_large_as_other_rows_have_it(task: Task) -> None:
    rng = np.random.default_rng(7)
    full, truth = _answered(task, rng, 40_000)
    small = _coarser(task, rng, full, 0.3)
    seen = compare(truth, full, small, METRICS[task.metric], LIMIT)
    expected = _expected(task, truth[:10_000], full[:10_000], small[:10_000])
    assert expected == pytest.approx(seen.drop, abs=max(0.15 * seen.drop, 2 * (seen.upper - seen.drop)))
    assert expected > 0.001


@pytest.mark.parametrize("task", SCORED, ids=lambda task: f"{task.name}, {task.metric}")
def test_what_hardly_differs_is_tested_first_and_certified(task: Task) -> None:
    """A float16 file beside two of 8 bits, whose moves lie by chance on the side of labels of the rows that choose."""
    limit, lost = 0.02, 0
    for draw in range(20):
        rng = np.random.default_rng(draw)
        full, truth = _answered(task, rng, 1_100)
        files = [_coarser(task, rng, full, by) for by in (1e-4, 0.15, 0.2)]
        chooses, judges = slice(0, 100), slice(100, None)
        found = [evidence(task, truth[chooses], full[chooses], each[chooses], limit, 1_000) for each in files]
        order = sequence(range(3), lambda k: -float(k), lambda k, found=found: found[k])
        assert order[0] == 0 and found[0].far <= task.flips(full[chooses], files[0][chooses]).any()
        metric = METRICS[task.metric]

        def proved(k: int, files: list[np.ndarray] = files, full: np.ndarray = full, truth: np.ndarray = truth) -> bool:
            return compare(truth[judges], full[judges], files[k][judges], metric, limit).proved  # noqa: B023

        lost += last_proved(order, proved) is None
    assert lost == 0


@pytest.mark.parametrize("metric", Regression.metrics)
def test_of_two_files_of_values_the_nearer_is_tested_first_whatever_few_rows_show(metric: str) -> None:
    by_labels = by_evidence = 0
    for draw in range(40):
        rng = np.random.default_rng(draw)
        full, truth = _answered(_values(), rng, 60)
        files = [_coarser(_values(), rng, full, by) for by in (0.05, 0.1)]
        near, far = (evidence(_values(metric), truth, full, each, 0.01, 300) for each in files)
        by_evidence += near < far
        near_p, far_p = (chance_to_fail(truth, full, each, METRICS[metric], 0.01, 300, None) for each in files)
        by_labels += near_p < far_p
    assert by_evidence >= by_labels + 3


@pytest.mark.parametrize("metric", Regression.metrics)
def test_the_unit_of_values_decides_nothing(metric: str) -> None:
    rng, task = np.random.default_rng(8), _values(metric)
    full, truth = _answered(task, rng, 80)
    small = _coarser(task, rng, full, 0.05)
    found = [evidence(task, k * truth, k * full, k * small, 0.01, 300) for k in (1.0, 1e-5, 1e5)]
    assert found[0].far and 0.0001 < found[0].chance < 0.9999
    assert [each.chance for each in found] == pytest.approx([found[0].chance] * 3, rel=1e-6)


def test_a_student_of_values_that_is_better_is_tested_first_among_those_that_differ() -> None:
    rng = np.random.default_rng(9)
    full, truth = _answered(_values(), rng, 500)
    student, coarse = full + 0.5 * (truth - full), _coarser(_values(), rng, full, 0.1)
    found = [evidence(_values(), truth, full, each, 0.01, 1_000) for each in (student, coarse)]
    assert found[0] < found[1] and found[0].chance < 1e-3


def test_a_text_that_goes_on_has_no_labels_to_draw() -> None:
    task = Language(target=None, classes=(), metric="bits a byte")
    bits, many = np.full(6, 20.0), np.full(6, 10)
    found = evidence(task, many, bits, bits, 0.01, 6)
    assert not len(drawn_drops(task, many, bits, bits)) and found.far and found.chance == 0


@pytest.mark.parametrize("metric", ["auc", "average precision"])
def test_draws_of_one_class_alone_are_left_out(metric: str) -> None:
    full = np.tile([1 - 1e-9, 1e-9], (30, 1))
    task = Multiclass(target="y", classes=("a", "b"), metric=metric)
    assert not len(drawn_drops(task, np.arange(30) % 2, full, full))


def test_a_file_whose_moves_follow_the_errors_is_not_near() -> None:
    """What no draw of the labels shows, the labels do."""
    rng = np.random.default_rng(10)
    full, truth = _answered(_values(), rng, 5_000)
    worse, better = full - 0.03 * (truth - full), full + 0.03 * (truth - full)
    assert np.abs(drawn_drops(_values(), truth, full, worse)).max() < 0.0025
    found = [evidence(_values(), truth, full, each, 0.01, 5_000) for each in (worse, better)]
    assert found[0].far and found[1].far and found[0].chance > 0.99 and found[1].chance < 0.01
