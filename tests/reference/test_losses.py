"""Our losses against PyTorch's own, and scikit-learn's pinball loss, which PyTorch has not: values and derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import mean_pinball_loss
from torch import Tensor, nn

from leadline.train.losses import BCE, CTC, L1, MSE, CrossEntropy, Huber, Loss, NextToken, Quantile

LEVELS = (0.1, 0.5, 0.9)
SHORT = torch.tensor([[3, 1, 1, 2], [2, -1, -1, -1], [1, 3, -1, -1], [-1, -1, -1, -1]])
TOKENS = torch.tensor([[0, 3, 1, 4, 2], [2, 2, -1, -1, -1], [1, -1, -1, -1, -1], [-1, -1, 4, 0, 1]])


def _drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _classes(*shape: int) -> Tensor:
    return torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(1))


def _pinball(out: Tensor, y: Tensor) -> Tensor:
    below = torch.tensor(LEVELS, dtype=out.dtype)
    return torch.where(out < y, below * (y - out), (1 - below) * (out - y)).mean()


def _ctc(blank: int) -> Callable[[Tensor, Tensor], Tensor]:
    """PyTorch's module on targets that lie one after another, without what fills them up."""

    def loss(out: Tensor, y: Tensor) -> Tensor:
        lengths = [int((row >= 0).sum()) for row in y]
        steps = [out.shape[1]] * len(out)
        return nn.CTCLoss(blank=blank)(out.log_softmax(2).permute(1, 0, 2), y[y >= 0], steps, lengths)

    return loss


def _next_token(out: Tensor, y: Tensor) -> Tensor:
    pairs = [(out[n, t], y[n, t + 1]) for n in range(len(y)) for t in range(y.shape[1] - 1) if y[n, t + 1] >= 0]
    return F.cross_entropy(torch.stack([logits for logits, _ in pairs]), torch.stack([token for _, token in pairs]))


CASES: dict[str, tuple[Loss, Callable[[Tensor, Tensor], Tensor], Tensor, Tensor]] = {
    "cross_entropy": (CrossEntropy(), F.cross_entropy, _drawn(9, 5), _classes(9)),
    "smoothed": (
        CrossEntropy(label_smoothing=0.1), nn.CrossEntropyLoss(label_smoothing=0.1), _drawn(9, 5), _classes(9),
    ),
    "a class at each place": (CrossEntropy(), F.cross_entropy, _drawn(3, 5, 2, 4), _classes(3, 2, 4)),
    "smoothed at each place": (
        CrossEntropy(label_smoothing=0.2), nn.CrossEntropyLoss(label_smoothing=0.2), _drawn(3, 5, 4), _classes(3, 4),
    ),
    "bce": (BCE(), nn.BCEWithLogitsLoss(), _drawn(9, 3), _drawn(9, 3, seed=1).sigmoid()),
    "mse": (MSE(), nn.MSELoss(), _drawn(9, 3), _drawn(9, 3, seed=1)),
    "l1": (L1(), nn.L1Loss(), _drawn(9, 3), _drawn(9, 3, seed=1)),
    "huber": (Huber(delta=0.7), nn.HuberLoss(delta=0.7), _drawn(9, 3), _drawn(9, 3, seed=1)),
    "median": (Quantile(), lambda out, y: F.l1_loss(out, y) / 2, _drawn(9, 1), _drawn(9, 1, seed=1)),
    "quantile": (Quantile(levels=LEVELS), _pinball, _drawn(9, 3), _drawn(9, 1, seed=1)),
    "ctc": (CTC(), _ctc(0), _drawn(4, 7, 5), SHORT),
    "ctc, the last is blank": (CTC(blank=4), _ctc(4), 3 * _drawn(4, 5, 5), SHORT),
    "next_token": (NextToken(), _next_token, _drawn(4, 5, 6), TOKENS),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_value_and_derivative_are_those_of_pytorch(name: str) -> None:
    loss, theirs, out, y = CASES[name]
    leaves = [out.clone().requires_grad_() for _ in range(2)]
    expected = theirs(leaves[0], y)
    value = loss(leaves[1], y)
    derivative, ours = (torch.autograd.grad(v, leaf)[0] for v, leaf in zip((expected, value), leaves, strict=True))
    into = torch.full_like(out, torch.nan)
    with torch.no_grad():
        written_out = loss.gradient(out, y, into)
    close: dict[str, Any] = {"atol": 1e-14, "rtol": 1e-12}
    torch.testing.assert_close(value, expected, **close)
    torch.testing.assert_close(written_out, expected.detach(), **close)
    torch.testing.assert_close(ours, derivative, **close)
    torch.testing.assert_close(into, derivative, **close)


@pytest.mark.parametrize("name", CASES)
def test_the_derivative_is_that_of_finite_differences(name: str) -> None:
    """Independent of autograd, whose rule for CTC is PyTorch's own and holds for normalised logits only."""
    loss, _, out, y = CASES[name]
    into, step = torch.empty_like(out), 1e-6
    loss.gradient(out, y, into)
    for place in range(0, out.numel(), 5):
        ends = []
        for sign in (1, -1):
            moved = out.clone()
            moved.view(-1)[place] += sign * step
            ends.append(float(loss(moved, y)))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert into.flatten()[place].item() == pytest.approx(slope, abs=1e-8, rel=1e-5)


def test_quantile_is_scikit_learns_pinball_loss() -> None:
    out, y = _drawn(50, 3), _drawn(50, 1, seed=1)
    theirs = [mean_pinball_loss(y[:, 0], out[:, i], alpha=level) for i, level in enumerate(LEVELS)]
    assert float(Quantile(levels=LEVELS)(out, y)) == pytest.approx(sum(theirs) / 3, rel=1e-12)


def test_single_precision_is_close_to_double() -> None:
    for loss, _, out, y in CASES.values():
        single, double = torch.empty_like(out, dtype=torch.float32), torch.empty_like(out)
        low = y.float() if y.is_floating_point() else y
        value = loss.gradient(out.float(), low, single)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), loss.gradient(out, y, double), atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(single.double(), double, atol=1e-6, rtol=1e-5)
