"""Wrong labels: their share is bracketed, the rows are found, and the arithmetic of the price is exact."""

import numpy as np
import pytest

from leadline.flaws.confident_learning import cleaned, noise, suspects


def _made(share: float, sure: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(answers, labels, which are wrong) of a model that is right on `sure` of the rows, more where it is surer."""
    rng = np.random.default_rng(seed)
    n, classes = 8_000, 4
    truth = rng.integers(0, classes, n)
    confidence = np.clip(rng.beta(6 * sure, 6 * (1 - sure), n), 0.3, 0.999)
    guess = np.where(rng.random(n) < confidence, truth, (truth + rng.integers(1, classes, n)) % classes)
    answers = np.repeat(((1 - confidence) / (classes - 1))[:, None], classes, axis=1)
    answers[np.arange(n), guess] = confidence
    wrong = rng.random(n) < share
    labels = np.where(wrong, (truth + rng.integers(1, classes, n)) % classes, truth)
    return answers, labels, wrong


@pytest.mark.parametrize("share", [0.0, 0.03, 0.1])
def test_the_share_of_wrong_labels_lies_within_its_bounds(share: float) -> None:
    answers, labels, wrong = _made(share, 0.9)
    found = noise(answers, labels)
    assert found is not None
    assert found.low <= wrong.mean() <= found.high < share + 0.05


def test_half_of_the_suspects_are_wrong_and_most_wrong_ones_are_suspects() -> None:
    answers, labels, wrong = _made(0.05, 0.93)
    found = suspects(answers, labels, 0.05)
    assert wrong[found].mean() > 0.4
    assert wrong[found].sum() / wrong.sum() > 0.6


def test_clean_labels_have_no_suspects() -> None:
    answers, labels, _ = _made(0.0, 0.95)
    found = noise(answers, labels)
    assert found is not None
    assert len(suspects(answers, labels, found.share)) < 0.02 * len(labels)


def test_accuracy_on_true_labels_follows_from_that_on_wrong_ones() -> None:
    truth = 0.9
    for classes, share in ((2, 0.1), (10, 0.2)):
        seen = truth * (1 - share) + (1 - truth) * share / (classes - 1)
        assert cleaned(seen, share, classes) == pytest.approx(truth)


def test_few_rows_tell_nothing() -> None:
    assert noise(np.full((100, 2), 0.5), np.zeros(100, np.int64)) is None
