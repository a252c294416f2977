"""`ll.train` does what a plain loop would do, for modules of any sort, and says what it cannot do."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leadline as ll
from leadline.readers.source import read
from leadline.system.errors import LeadlineError
from leadline.train.autotune import Choice
from leadline.train.batches import Rows
from leadline.train.config import Settings
from leadline.train.flat import Flat
from leadline.train.losses import CrossEntropy
from leadline.train.module_run import ModuleRun
from leadline.train.optim import SGD, AdamW


def _seeded(make: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def _mlp(inputs: int = 6, outputs: int = 3) -> nn.Module:
    return _seeded(lambda: nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs)))


def _eager(inputs: int = 6, outputs: int = 3) -> nn.Module:
    """The same function with the same weights, in a form that only autograd takes."""
    return nn.Sequential(_mlp(inputs, outputs))


class Odd(nn.Module):
    """Batch norm, dropout, tied weights, a frozen layer and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.unused = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(2, 2)
        self.second.weight = self.first.weight
        self.norm, self.drop = nn.BatchNorm1d(6), nn.Dropout(0.2)
        self.frozen, self.head = nn.Linear(6, 6).requires_grad_(False), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.norm(self.second(F.relu(self.first(x)))))
        return self.head(F.relu(self.frozen(x)))


MAKERS = {"written out": _mlp, "autograd": _eager, "odd": lambda: _seeded(Odd)}


def _weights(module: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in module.state_dict().values()])


@pytest.mark.parametrize("name", MAKERS)
def test_same_seed_same_bytes_whatever_the_global_state(name: str, points: Any) -> None:
    def run(seed: int) -> bytes:
        made = ll.train(MAKERS[name](), points, batch_size=32, epochs=3, seed=seed)
        return _weights(made.module).numpy().tobytes() + np.array(made.history.losses).tobytes()

    torch.manual_seed(1)
    first = run(0)
    torch.manual_seed(2)
    torch.rand(5)
    assert run(0) == first != run(1)


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_global_is_changed(name: str, points: Any) -> None:
    torch.manual_seed(7)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    ll.train(MAKERS[name](), points, epochs=1, seed=3)
    assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_both_ways_are_a_plain_loop(loss: str, points: Any) -> None:
    """Same order of rows, same weights after three passes with a last smaller batch and weight decay."""
    X, y = points
    y = y if loss == "cross_entropy" else F.one_hot(y, 3).float()
    runs = [
        ll.train(make(), (X, y), loss=loss, optimizer=AdamW(weight_decay=0.1), lr=1e-2, batch_size=32, epochs=3)
        for make in (_mlp, _eager)
    ]
    plain, generator = _mlp(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=0.1)
    losses = []
    for _ in range(3):
        for part in torch.randperm(len(X), generator=generator).split(32):
            value = getattr(F, loss if loss == "cross_entropy" else "mse_loss")(plain(X[part]), y[part])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            losses.append(value.item())
    for run in runs:
        assert len(run.history.losses) == 3 * 7
        np.testing.assert_allclose(run.history.losses, losses, rtol=1e-4)
        torch.testing.assert_close(_weights(run.module), _weights(plain), atol=1e-5, rtol=1e-4)
    assert [run.history.facts["path"].split(":")[0] for run in runs] == [
        "forward and backward written out", "eager autograd",
    ]  # fmt: skip


def test_an_odd_module_stays_correct(points: Any) -> None:
    made = ll.train(_seeded(Odd), points, epochs=3, lr=1e-2)
    before, after = _seeded(Odd), made.module
    assert after.second.weight is after.first.weight and not after.training
    for layer in ("frozen", "unused"):
        assert torch.equal(getattr(before, layer).weight, getattr(after, layer).weight)
    assert after.norm.num_batches_tracked == 3 * 4
    assert np.mean(made.history.losses[-4:]) < np.mean(made.history.losses[:4])


@pytest.mark.parametrize("name", MAKERS)
def test_the_module_is_given_back_whole(name: str, points: Any) -> None:
    """Each parameter has memory of its own and no gradient, so it can be saved, copied and trained elsewhere."""
    module = ll.train(MAKERS[name](), points, epochs=1).module
    for p in module.parameters():
        assert p.grad is None and p.untyped_storage().nbytes() == p.numel() * p.element_size()
    copy.deepcopy(module)(points[0]).sum().backward()


def test_bytes_are_shares_of_255_then_normalised() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (120, 4, 4)).astype(np.uint8), rng.integers(0, 2, 120)
    scaled = (torch.from_numpy(X).float() / 255 - 0.4) / 0.3

    def net() -> nn.Module:
        return _seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2)))

    ours = ll.train(net(), (X, y), epochs=2, normalise=(0.4, 0.3))
    theirs = ll.train(net(), (scaled, y), epochs=2)
    torch.testing.assert_close(_weights(ours.module), _weights(theirs.module), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.predict(X), theirs.predict(scaled), atol=1e-5, rtol=1e-4)
    assert ours.evaluate((X, y)).accuracy == theirs.evaluate((scaled, y)).accuracy


def test_normalise_by_channel() -> None:
    X = np.random.default_rng(0).integers(0, 256, (40, 3, 4, 4)).astype(np.uint8)
    mean, std = [0.1, 0.2, 0.3], [1.0, 2.0, 3.0]
    net = _seeded(lambda: nn.Sequential(nn.Conv2d(3, 2, 4), nn.Flatten()))
    trained = ll.train(net, (X, np.arange(40) % 2), epochs=1, normalise=(mean, std))
    wanted = (torch.from_numpy(X) / 255 - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(trained.predict(X), net(wanted).detach(), atol=1e-5, rtol=1e-4)


def test_a_source_of_images_with_valid_and_test_rows(bars: Any, own_cache: Any) -> None:
    """Images come as [N, channels, height, width]; its own valid rows are looked at after every pass."""
    images, labels = bars(400)
    whole = read((images, labels), cache=own_cache)
    source = dataclasses.replace(
        whole, train=whole.train.slice(0, 300), valid=whole.train.slice(300, 50), test=whole.train.slice(350)
    )
    net = _seeded(lambda: nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)))
    net(torch.zeros(1, 1, 16, 16))
    seen: list[Any] = []
    trained = ll.train(net, source, epochs=4, lr=3e-3, batch_size=32, callbacks=[seen.append])
    assert [check.step for check in seen] == [10, 20, 30, 40] and seen == trained.history.checks
    assert all(check.valid.accuracy is not None for check in seen)
    assert trained.evaluate(source).accuracy > 0.9


def test_a_source_of_numbers(own_cache: Any) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200))
    source = read({"a": a, "b": b, "label": (a > b).astype(int)}, cache=own_cache)
    with pytest.raises(LeadlineError, match="rows state no target"):
        ll.train(_mlp(2, 2), source, epochs=1)
    pair = read((np.stack([a, b], 1), (a > b).astype(int)), cache=own_cache)
    trained = ll.train(_mlp(2, 2), pair, epochs=20, lr=1e-2)
    assert trained.evaluate((np.stack([a, b], 1), (a > b).astype(int))).accuracy > 0.95
    words = read(pl.DataFrame({"text": ["a", "b"], "label": [0, 1]}), cache=own_cache)
    with pytest.raises(LeadlineError, match=r"text \(String\).*use ll.fit"):
        ll.train(_mlp(2, 2), dataclasses.replace(words, target="label"), epochs=1)


def test_rows_that_may_only_be_read(tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ll.train(_mlp(), (np.load(tmp_path / "x.npy", mmap_mode="r"), np.arange(50) % 3), epochs=1)


def test_tokens_are_given_as_they_are() -> None:
    tokens = torch.randint(0, 9, (60, 5), dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    net = _seeded(lambda: nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 9)))
    assert ll.train(net, (tokens, tokens[:, 0]), epochs=40, lr=0.03).evaluate((tokens, tokens[:, 0])).accuracy == 1.0


@pytest.mark.parametrize("loss", ["mse", "l1", "huber", "bce"])
@pytest.mark.parametrize("make", [_mlp, _eager])
def test_one_output_and_a_flat_target(loss: str, make: Any, points: Any) -> None:
    X, _ = points
    y = (X[:, 0] > 0).numpy().astype(np.float64)
    trained = ll.train(make(6, 1), (X, y), loss=loss, lr=1e-2, epochs=15)
    scores = trained.evaluate((X, y))
    assert trained.predict(X).shape == (203, 1) and scores.loss < trained.history.losses[0]
    assert (scores.accuracy is not None) == (loss == "bce")


def test_a_loss_of_ones_own_gives_the_same_as_the_built_in(points: Any) -> None:
    for make in (_mlp, _eager):
        ours, own = (
            ll.train(make(), points, epochs=2, loss=loss).history.losses for loss in ("cross_entropy", F.cross_entropy)
        )
        np.testing.assert_allclose(ours, own, rtol=1e-4)


def test_settings_reach_both_ways(points: Any) -> None:
    """Smoothing, momentum, clipping, an average and a schedule: the two ways agree to rounding."""
    found = [
        ll.train(
            make(), points, epochs=3, loss=CrossEntropy(label_smoothing=0.1),
            optimizer=SGD(momentum=0.9, nesterov=True), lr=0.1, schedule="one_cycle", clip=0.1, ema=0.9,
        )
        for make in (_mlp, _eager)
    ]  # fmt: skip
    torch.testing.assert_close(_weights(found[0].module), _weights(found[1].module), atol=1e-5, rtol=1e-4)


def test_the_average_is_validated_and_kept(points: Any) -> None:
    X, y = points
    plain, averaged = (ll.train(_mlp(), points, valid=(X, y), epochs=2, ema=ema) for ema in (None, 0.99))
    assert plain.history.losses == averaged.history.losses  # it does not touch the training itself
    assert not torch.equal(_weights(plain.module), _weights(averaged.module))
    last = averaged.history.checks[-1].valid
    assert last is not None and averaged.evaluate((X, y)).loss == pytest.approx(last.loss, rel=1e-5)


def test_looking_at_valid_rows_changes_nothing(points: Any) -> None:
    X, y = points
    for make in (_mlp, lambda: _seeded(Odd)):
        with_valid, without = (ll.train(make(), points, valid=held, epochs=2) for held in ((X[:50], y[:50]), None))
        assert with_valid.history.losses == without.history.losses
        assert torch.equal(_weights(with_valid.module), _weights(without.module))


def test_steps_and_budget(points: Any) -> None:
    assert len(ll.train(_mlp(), points, steps=5).history.losses) == 5
    assert len(ll.train(_mlp(), points, steps=11, batch_size=64).history.checks) == 3
    trained = ll.train(_mlp(), points, budget=0.5)
    assert 0.3 < sum(trained.history.seconds.values()) < 1.0 and len(trained.history.losses) > 5
    assert "steps planned" in trained.history.notes[0]


def test_a_trial_leaves_no_trace(points: Any) -> None:
    """The first losses of a budgeted run are those of a run by epochs: weights, norms and order begin the same."""
    budgeted = ll.train(_seeded(Odd), points, budget=1.5).history.losses
    assert budgeted[:4] == ll.train(_seeded(Odd), points, epochs=1).history.losses


def test_a_trial_leaves_no_trace_in_the_average(points: Any) -> None:
    how = Settings(
        loss=CrossEntropy(), optimizer=AdamW(), schedule=lambda done: 1.0, lr=0.1, batch_size=32, epochs=None,
        steps=None, budget=0.1, precision="auto", normalise=None, clip=None, ema=0.9,
        accumulate=1, patience=None, seed=0, compile=False, device="cpu",
    )  # fmt: skip
    net = _mlp()
    flat, first = Flat(net), _weights(net)
    with torch.no_grad():
        course = ModuleRun(net, flat, Rows((points[0],), points[1]), None, how, Choice())
        course.plan(0.1)
        assert torch.equal(_weights(net), first) and course.history.losses == []
        assert torch.equal(course.state()["average"], flat.values)


def test_bfloat16_is_autocast(points: Any) -> None:
    trained = ll.train(_mlp(), points, epochs=10, lr=1e-2, precision="bfloat16")
    assert trained.history.facts["path"] == "eager autograd: bfloat16"
    assert all(p.dtype == torch.float32 for p in trained.module.parameters())
    assert trained.history.losses[-1] < trained.history.losses[0]


def test_seconds_add_up_and_describe_says_it(points: Any) -> None:
    trained = ll.train(_mlp(), points, valid=points, epochs=3)
    seconds = trained.history.seconds
    assert list(seconds) == ["data", "forward", "backward", "optimizer", "valid", "other"]
    assert all(spent > 0 for spent in seconds.values())
    text = trained.describe()
    assert "written out" in text and "float32" in text and "valid loss" in text and "backward" in text


def _broken() -> nn.Module:
    net = _mlp()
    nn.init.constant_(net[0].weight, torch.nan)  # type: ignore[index]
    return net


def _x(**changes: Any) -> dict[str, Any]:
    X, y = np.zeros((8, 6), np.float32), np.arange(8) % 3
    return {"module": _mlp(), "data": (X, y), "epochs": 1, **changes}


X8, Y8 = np.zeros((8, 6), np.float32), np.arange(8) % 3
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "loss": ({"loss": "hinge"}, "loss='hinge' is not known; it can be bce, cross_entropy"),
    "optimizer": ({"optimizer": "lion"}, "optimizer='lion' is not known; it can be adam, adamw, muon, sgd"),
    "schedule": ({"schedule": "step"}, "schedule='step' is not known; it can be constant"),
    "precision": ({"precision": "half"}, "precision='half' is not known; it can be auto"),
    "no length": ({"epochs": None}, "neither epochs, steps nor budget was given"),
    "two lengths": ({"steps": 3}, "epochs=1 and steps=3 was given, where exactly one"),
    "no epoch": ({"epochs": 0}, "epochs=0 was given"),
    "half an epoch": ({"epochs": 0.5}, "epochs=0.5 was given, where a whole number"),
    "batch": ({"batch_size": 0}, "batch_size=0 was given"),
    "rate": ({"lr": 0.0}, r"lr=0.0 was given, where a rate above 0"),
    "clip": ({"clip": 0}, "clip=0 was given"),
    "ema": ({"ema": 1.0}, r"ema=1.0 was given"),
    "one thing": ({"data": X8}, r"data is a ndarray, where a pair \(X, y\)"),
    "three things": ({"data": (X8, Y8, Y8)}, "data is 3 things, where a pair"),
    "lengths": ({"data": (X8, Y8[:5])}, "X of data has 8 rows and y has 5"),
    "empty": ({"data": (X8[:0], Y8[:0])}, "data has no row"),
    "words": ({"data": (X8, Y8.astype(str))}, "y of data holds <U.*, where real numbers were expected"),
    "columns": (
        {"data": (X8[:, :4], Y8)},
        r"X of data with shape \['N', 4\] of torch.float32: .*; reshape or convert X",
    ),
    "images": ({"data": (np.zeros((8, 2, 3), np.float32), Y8)}, "such as nn.Flatten"),
    "labels": ({"data": (X8, Y8 + 1)}, "y of data holds classes from 1 to 3, where 0 to 2 were expected"),
    "below": ({"data": (X8, Y8 - 1)}, "holds classes from -1 to 1"),
    "float labels": ({"data": (X8, Y8 * 1.0)}, "holds torch.float64, where class numbers were expected"),
    "targets": ({"loss": "mse", "data": (X8, np.zeros((8, 2)))}, r"y of data has shape \['N', 2\] and the module"),
    "bce": ({"loss": "bce", "data": (X8, np.full((8, 3), 2.0))}, "y of data goes from 2 to 2, where 0 to 1"),
    "nan target": ({"loss": "mse", "data": (X8, np.full((8, 3), np.nan))}, "holds values that are not finite"),
    "nan row": ({"data": (X8 * np.nan, Y8)}, "X of data holds values that are not finite, met at step 1"),
    "nan loss": ({"loss": lambda out, y: out.sum() * np.nan}, "No step had a finite loss; lower lr=0.001"),
    "nan losses": (
        {"loss": lambda out, y: out.sum() * np.nan, "epochs": 9},
        "The loss became nan at step 4, and 3 times before, each time at half the rate",
    ),
    "nan weights": ({"module": _broken()}, "The module's weights are not finite before its training"),
    "no number": ({"loss": lambda out, y: out}, r"The loss function gave a tensor of shape \[2, 3\]"),
    "nothing to train": ({"module": nn.ReLU()}, "no parameter with requires_grad=True"),
    "types": ({"module": _mlp().half()}, "parameters are torch.float16 on cpu, where all in float32"),
    "lazy": ({"module": nn.Sequential(nn.LazyLinear(3))}, "lazy layers whose shapes are not known yet.*call it once"),
    "double": ({"module": _mlp().double(), "precision": "float32"}, "was given for a module in torch.float64"),
    "normalise": ({"normalise": (0.5, 0.0)}, "has a std of 0 or less"),
    "normalise channels": ({"normalise": ([0.5, 0.5], 1.0)}, "has 2 numbers, where one or as many as axis 1"),
    "normalise tokens": ({"data": (np.zeros((8, 6), np.int64), Y8), "normalise": (0.5, 0.5)}, "bytes or floats"),
    "valid": ({"valid": (X8, Y8 + 5)}, "y of valid holds classes from 5 to 7"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_one_sentence_that_says_how_to_mend_it(name: str) -> None:
    changes, message = WRONG[name]
    arguments = _x(**changes)
    module = arguments.pop("module")
    with pytest.raises(LeadlineError, match=message) as caught:
        ll.train(module, arguments.pop("data"), **arguments)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    assert all(p.grad is None for p in module.parameters())


def test_a_run_that_fails_gives_the_module_back(points: Any) -> None:
    net = _mlp()
    with pytest.raises(LeadlineError, match="lower lr=1e\\+20, or clip"):
        ll.train(net, points, lr=1e20, optimizer="sgd", epochs=50)
    assert torch.is_grad_enabled() and all(p.grad is None for p in net.parameters())
