"""Losses as a user meets them: by name, in parts, on targets that do not fit, and in a training that ends well."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import leadline as ll
from leadline.system.errors import LeadlineError
from leadline.train.batches import Rows
from leadline.train.losses import (
    BCE,
    CTC,
    L1,
    LOSSES,
    MSE,
    CrossEntropy,
    Huber,
    Loss,
    NextToken,
    Own,
    Quantile,
    chosen,
)
from leadline.train.scoring import score

ROWS = 11


def _drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _filled(rows: int, longest: int, low: int, high: int) -> Tensor:
    """Integers from `low` to below `high`, in rows of lengths from 0 on, filled up with -1."""
    generator = torch.Generator().manual_seed(2)
    y = torch.randint(low, high, (rows, longest), generator=generator)
    return y.masked_fill(torch.arange(longest) >= (torch.arange(rows) % (longest + 1))[:, None], -1)


# Name: the loss, its outputs, its targets, and how many items its mean is over.
CASES: dict[str, tuple[Loss, Tensor, Tensor, int]] = {
    "cross_entropy": (CrossEntropy(), _drawn(ROWS, 4), torch.arange(ROWS) % 4, ROWS),
    "smoothed": (CrossEntropy(label_smoothing=0.1), _drawn(ROWS, 4), torch.arange(ROWS) % 4, ROWS),
    "places": (CrossEntropy(), _drawn(ROWS, 4, 3, 2), torch.arange(ROWS * 6).view(ROWS, 3, 2) % 4, ROWS * 6),
    "bce": (BCE(), _drawn(ROWS, 3), _drawn(ROWS, 3, seed=1).sigmoid(), ROWS * 3),
    "mse": (MSE(), _drawn(ROWS, 3), _drawn(ROWS, 3, seed=1), ROWS * 3),
    "l1": (L1(), _drawn(ROWS, 3), _drawn(ROWS, 3, seed=1), ROWS * 3),
    "huber": (Huber(delta=0.5), _drawn(ROWS, 3), _drawn(ROWS, 3, seed=1), ROWS * 3),
    "quantile": (Quantile(levels=(0.2, 0.7)), _drawn(ROWS, 2), _drawn(ROWS, 1, seed=1), ROWS),
    "ctc": (CTC(), _drawn(ROWS, 9, 4), _filled(ROWS, 4, 1, 4), ROWS),
    "next_token": (NextToken(), _drawn(ROWS, 4, 5), _filled(ROWS, 4, 0, 5), 12),  # twice 1 + 2 + 3
    "own": (Own(lambda out, y: (out.sin() * y).mean()), _drawn(ROWS, 3), _drawn(ROWS, 3, seed=1), ROWS),
}


def test_every_loss_with_a_name_is_tried() -> None:
    assert {type(loss) for loss, *_ in CASES.values()} == {*LOSSES.values(), Own}
    assert list(LOSSES) == sorted(LOSSES) and all(isinstance(chosen(name), LOSSES[name]) for name in LOSSES)
    assert chosen(CTC(blank=3)) == CTC(blank=3) and isinstance(chosen(lambda out, y: out.mean()), Own)


@pytest.mark.parametrize("sizes", [(11,), (1, 10), (6, 3, 2), (1, 1, 4, 5)])
@pytest.mark.parametrize("name", CASES)
def test_unequal_parts_weighed_by_what_they_count_are_the_whole(name: str, sizes: tuple[int, ...]) -> None:
    """Also where a part, such as a row of one token, has nothing that counts."""
    loss, out, y, items = CASES[name]
    assert loss.count(y) == items
    whole, value, into = torch.empty_like(out), 0.0, torch.empty_like(out)
    expected = float(loss.gradient(out, y, whole))
    for part, targets, place in zip(out.split(sizes), y.split(sizes), into.split(sizes), strict=True):
        share = loss.count(targets) / items
        value += share * float(loss.gradient(part, targets, place))
        place.mul_(share)
    assert value == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(into, whole, atol=1e-15, rtol=1e-11)


def test_ctc_is_the_sum_over_all_alignments() -> None:
    """Every path of three classes and a blank over four steps that tells the target, counted one by one."""
    out, blank = _drawn(1, 4, 4), 2
    probability = out[0].softmax(1)
    for target in ([1], [0, 3], [1, 1], [3, 1, 0]):
        total = 0.0
        for path in itertools.product(range(4), repeat=4):
            told = [step for step, _ in itertools.groupby(path) if step != blank]
            if told == target:
                total += math.prod(float(probability[t, c]) for t, c in enumerate(path))
        found = float(CTC(blank=blank)(out, torch.tensor([[*target, *[-1] * (4 - len(target))]])))
        assert found == pytest.approx(-math.log(total) / len(target), rel=1e-12)


def test_ctc_says_how_many_steps_a_target_needs() -> None:
    """With one step less there is no alignment at all, and the loss would be infinite."""
    for y in ([[1, 2, 3]], [[1, 1, 2]], [[2, 2, 2]], [[3, -1, -1]], [[-1, -1, -1]]):
        target = torch.tensor(y)
        needed = int(CTC().steps(target))
        assert math.isfinite(CTC()(_drawn(1, max(1, needed), 4), target))
        if needed > 1:
            assert math.isinf(CTC()(_drawn(1, needed - 1, 4), target))


def test_tokens_of_which_none_counts_give_nothing() -> None:
    for y in ([[-1, -1], [-1, -1]], [[3, -1], [0, -1]], [[3], [0]]):
        tokens = torch.tensor(y)
        out, into = _drawn(*tokens.shape, 5).requires_grad_(), torch.full((*tokens.shape, 5), torch.nan).double()
        value = NextToken()(out, tokens)
        value.backward()  # type: ignore[no-untyped-call]
        assert value.item() == NextToken().gradient(out.detach(), tokens, into).item() == NextToken().count(tokens) == 0
        assert not into.any() and out.grad is not None and not out.grad.any()


def test_tokens_may_be_stored_in_any_type() -> None:
    out, tokens = _drawn(3, 6, 200), torch.arange(18).view(3, 6) * 11
    expected = NextToken()(out, tokens)
    for dtype in (torch.uint8, torch.int16, torch.int32):
        assert torch.equal(NextToken()(out, tokens.to(dtype)), expected)
        assert NextToken().count(tokens.to(dtype)) == 15


@pytest.mark.parametrize("name", ["quantile", "next_token", "ctc", "cross_entropy"])
def test_scores_do_not_depend_on_how_rows_are_cut(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of unequal counts give the mean over all items, as one batch does."""
    loss, out, y, _ = CASES[name]
    found = []
    for size in (512, 3):
        monkeypatch.setattr("leadline.train.scoring.SCORED", size)
        found.append(score(nn.Identity().double(), Rows((out.float(),), y), loss, None))
    assert found[0].loss == pytest.approx(found[1].loss, rel=1e-6) == pytest.approx(float(loss(out, y)), rel=1e-5)
    assert found[0].accuracy == found[1].accuracy
    assert (found[0].accuracy is None) == (name in ("quantile", "ctc"))


def _net(*layers: nn.Module) -> nn.Module:
    made = nn.Sequential(*layers)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for p in made.parameters():
            p.copy_(torch.randn_like(p) * 0.3)
    return made


def test_quantiles_are_found() -> None:
    """Of a normal distribution whose width grows with x: what lies under each line is its level."""
    x = torch.rand(2000, 1, generator=torch.Generator().manual_seed(0)) * 2
    y = x[:, 0] + (0.2 + x[:, 0]) * torch.randn(2000, generator=torch.Generator().manual_seed(1))
    levels = (0.1, 0.5, 0.9)
    made = [
        ll.train(net, (x, y), loss=Quantile(levels=levels), lr=0.02, epochs=15, schedule="cosine")
        for net in (_net(nn.Linear(1, 3)), nn.Sequential(_net(nn.Linear(1, 3))))
    ]
    assert [m.history.facts["path"].split(":")[0] for m in made] == [
        "forward and backward written out", "eager autograd",
    ]  # fmt: skip
    for trained in made:
        under = (y[:, None] < trained.predict(x)).double().mean(0)
        np.testing.assert_allclose(under, levels, atol=0.03)
    one = ll.train(_net(nn.Linear(1, 1)), (x, y), loss="quantile", lr=0.02, epochs=15, schedule="cosine")
    assert float((y[:, None] < one.predict(x)).double().mean()) == pytest.approx(0.5, abs=0.03)


class Reads(nn.Module):
    """A table of logits: what follows each token."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.table = nn.Embedding(tokens + 1, tokens)  # the last is read where a row is filled up

    def forward(self, x: Tensor) -> Tensor:
        return self.table(torch.where(x < 0, self.table.num_embeddings - 1, x))


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_next_token_is_foretold(accumulate: int) -> None:
    """Rows count up from anywhere, modulo 7, and are filled up: every next token can be known."""
    starts, lengths = torch.arange(60), torch.arange(60) % 8 + 2
    x = (starts[:, None] + torch.arange(10)) % 7
    x = x.masked_fill(torch.arange(10) >= lengths[:, None], -1).int()
    trained = ll.train(
        _net(Reads(7)), (x, x), loss="next_token", lr=0.1, batch_size=16, epochs=12, accumulate=accumulate, valid=(x, x)
    )
    scores = trained.evaluate((x, x))
    assert scores.accuracy == 1.0 and scores.loss < 0.1
    assert trained.history.checks[0].valid is not None and trained.predict(x).shape == (60, 10, 7)


def test_parts_of_a_batch_with_unequal_tokens_are_the_batch() -> None:
    x = _filled(30, 6, 0, 7).int()
    runs = [ll.train(_net(Reads(7)), (x, x), loss="next_token", batch_size=12, epochs=2, accumulate=n) for n in (1, 4)]
    np.testing.assert_allclose(runs[0].history.losses, runs[1].history.losses, rtol=1e-5)


def test_a_sequence_without_places_is_learned() -> None:
    """Each row is a melody of one-hot classes, each held for one to three steps; y tells the classes alone."""
    rng = np.random.default_rng(0)
    x, y = np.zeros((200, 12, 4), np.float32), np.full((200, 4), -1)
    for row in range(200):
        at, told = 0, []
        while at < 12 and len(told) < 4:
            known = rng.choice([c for c in (1, 2, 3) if c != (told[-1] if told else 0)])
            x[row, at : at + rng.integers(1, 4), known] = 1
            told.append(known)
            at = int(np.flatnonzero(x[row].any(1))[-1]) + 1
        y[row, : len(told)] = told
    trained = ll.train(_net(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 4)), (x, y), loss="ctc", lr=0.02, epochs=40)
    paths = trained.predict(x).argmax(2)
    read = [[int(c) for c, _ in itertools.groupby(path.tolist()) if c] for path in paths]
    assert np.mean([found == [c for c in row if c >= 0] for found, row in zip(read, y.tolist(), strict=True)]) > 0.95


STEPS = nn.Linear(3, 4)  # reads [N, T, 3]
X5 = np.zeros((6, 5, 3), np.float32)
Y5 = np.array([[1, 2, -1]] * 6)
TOKENS = np.arange(30).reshape(6, 5) % 4
WRONG: dict[str, tuple[Any, Any, Any, str]] = {
    "levels": (lambda: Quantile(levels=(0.5, 1.0)), X5[:, 0], Y5[:, 0], r"levels=\(0.5, 1.0\) was given, where shares"),
    "no level": (lambda: Quantile(levels=()), X5[:, 0], Y5[:, 0], "shares between 0 and 1"),
    "outputs": (lambda: "quantile", X5[:, 0], Y5[:, 0], r"gives \['N', 4\] .* \['N', 1\] for levels=\(0.5,\)"),
    "columns": (lambda: Quantile(levels=(0.1, 0.2, 0.3, 0.4)), X5[:, 0], Y5, r"y of data has shape \['N', 3\], where"),
    "nan": (lambda: Quantile(levels=(0.1, 0.2, 0.3, 0.4)), X5[:, 0], Y5[:, 0] * np.nan, "values that are not finite"),
    "ctc floats": (lambda: "ctc", X5, Y5 * 1.0, "holds torch.float64, where class numbers were expected for ctc"),
    "ctc flat": (lambda: "ctc", X5[:, 0], Y5, r"gives \['N', 4\] and y of data has .*outputs \[N, steps, classes\]"),
    "ctc one class": (lambda: "ctc", X5, Y5[:, 0], r"y of data has shape \['N'\], where outputs"),
    "ctc blank": (lambda: CTC(blank=4), X5, Y5, "blank=4 was given, where a class from 0 to 3"),
    "ctc told blank": (lambda: "ctc", X5, Y5 * 0, r"holds the class 0, which is the blank of ctc; .* CTC\(blank=3\)"),
    "ctc classes": (lambda: "ctc", X5, Y5 + 2, "holds classes from 1 to 4, where 0 to 3, and -1 behind"),
    "ctc below": (lambda: "ctc", X5, Y5 - 1, "holds classes from -2 to 1"),
    "ctc nothing": (lambda: "ctc", X5, np.full((6, 3), -1), "holds no class at all"),
    "ctc gap": (lambda: "ctc", X5, np.array([[1, 2, -1]] * 5 + [[1, -1, 2]]), "holds -1 before a class in row 5"),
    "ctc too long": (
        lambda: "ctc", X5, np.array([[1, 2, 3, 1, 2]] * 5 + [[1, 1, 2, 2, 2]]),
        "holds 1 of 6 targets that do not fit into the 5 steps .* in row 5, which needs 8",
    ),
    "token floats": (lambda: "next_token", X5, TOKENS * 1.0, "holds torch.float64, where tokens were expected"),
    "token shape": (lambda: "next_token", X5, TOKENS[:, :3], r"y of data has shape \['N', 3\], .*too: \(X, X\)"),
    "token range": (lambda: "next_token", X5, TOKENS + 1, "holds tokens from 1 to 4, where 0 to 3, and -1 for none"),
    "token alone": (lambda: "next_token", X5, np.where(np.arange(5) > 0, -1, TOKENS), "no token that follows another"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_targets_that_do_not_fit_are_said_before_training(name: str) -> None:
    loss, x, y, message = WRONG[name]
    with pytest.raises(LeadlineError, match=message) as caught:
        ll.train(STEPS, (x, y), loss=loss(), epochs=1)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_target_that_just_fits_is_trained_on() -> None:
    y = np.array([[1, 1, 2, -1], [1, 2, 3, 1], [1, -1, -1, -1]])
    net = _net(nn.Linear(3, 4))
    trained = ll.train(net, (np.ones((3, 4, 3), np.float32), y), loss="ctc", epochs=3)
    losses = trained.history.losses
    assert all(map(math.isfinite, losses)) and losses[-1] < losses[0]
