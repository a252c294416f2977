"""As many threads as pay, told in the history, written in checkpoints; and everything put back afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import leadline as ll
from leadline.system.threads import Threads
from leadline.train import checkpoint
from leadline.train import threads as module


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Two threads may be used, on whatever machine; and nothing is remembered of other tests."""
    before = torch.get_num_threads()
    monkeypatch.setattr(module, "most_threads", lambda: 2)
    monkeypatch.setattr(module, "idle_cores", lambda: 2)
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """found(1.5, 0.5): two threads are so many times as fast, trial by trial; the last one holds on."""

    def make(*gains: float) -> None:
        left = list(gains)

        def trial(*_: Any) -> Callable[[int], float]:
            gain = left.pop(0) if len(left) > 1 else left[0]
            return lambda threads: 0.01 if threads == 1 else 0.01 / gain

        monkeypatch.setattr(module, "trial", trial)
        monkeypatch.setattr("leadline.train.module_run.trial", trial)

    return make


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step is ever slow, whatever else the machine does while this is tested."""
    monkeypatch.setattr(Threads, "note", lambda threads, seconds: None)


def _net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


def _rows() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(640, 784, generator=generator), torch.arange(640) % 10


def _used(**settings: Any) -> tuple[ll.Trained, set[int]]:
    seen: set[int] = set()
    trained = ll.train(_net(), _rows(), callbacks=[lambda check: seen.add(torch.get_num_threads())], **settings)
    return trained, seen


def _weights(trained: Any) -> bytes:
    return b"".join(p.detach().numpy().tobytes() for p in trained.module.parameters())


def test_one_thread_unless_two_pay(
    found: Any, steady: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    for gain, expected in ((1.0, 1), (1.2, 1), (1.5, 2)):
        found(gain)
        monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / f"{gain}"))  # on a quiet machine the first is remembered
        trained, seen = _used(epochs=2)
        assert seen == {expected} and torch.get_num_threads() == 2, "put back"
        assert trained.history.facts["threads"].startswith(f"{expected} of 2; a trial of a step: 10 ms on 1")
        assert trained.threads == expected


def test_a_real_trial_gives_a_number_and_leaves_no_trace() -> None:
    drops = nn.Sequential(nn.Linear(784, 64), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 10))
    state = {name: value.clone() for name, value in drops.state_dict().items()}
    noise = torch.get_rng_state()
    batch = (_rows()[0][:64],), _rows()[1][:64]
    chosen = module.begin(drops, lambda: batch, nn.functional.cross_entropy, False, 2)  # type: ignore[arg-type]
    assert chosen.now in (1, 2) and torch.equal(torch.get_rng_state(), noise)
    assert all(torch.equal(value, state[name]) for name, value in drops.state_dict().items())
    assert all(p.grad is None for p in drops.parameters())


def test_a_module_that_cannot_be_copied_is_trained_on_one() -> None:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = _net()

        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("there is only one")

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    assert ll.train(Single(), _rows(), epochs=1).history.facts["threads"].startswith("1 of 2")


def test_what_a_quiet_machine_showed_is_remembered(found: Any, steady: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "quiet", lambda: False)
    found(1.0)
    assert _used(epochs=1)[1] == {1}
    found(1.8)
    assert _used(epochs=1)[1] == {2}, "what other work disturbed is tried again"
    found(1.0)
    assert _used(epochs=1)[1] == {2}, "other work never makes two faster than they are"


def test_where_other_work_leaves_one_core_nothing_is_tried(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found(1.8)
    assert _used(epochs=1)[1] == {2}
    monkeypatch.setattr(module, "idle_cores", lambda: 1)
    monkeypatch.setattr(module, "trial", lambda *_: pytest.fail("a trial beside other work"))
    assert _used(epochs=1)[1] == {1}, "not even where two have paid before"


def test_a_trial_that_would_take_much_of_the_budget_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def slow(*_: Any) -> Callable[[int], float]:
        def seconds_on(threads: int) -> float:
            asked.append(threads)
            return 0.4 / threads

        return seconds_on

    monkeypatch.setattr(module, "trial", slow)
    assert _used(budget=1.0)[1] == {1} and asked == [1]


def test_threads_that_wait_for_each_other_are_given_up(found: Any) -> None:
    class Shared(nn.Module):
        """From its fortieth step on other work takes a core."""

        def __init__(self) -> None:
            super().__init__()
            self.inner, self.calls = _net(), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 40 and torch.get_num_threads() > 1:
                time.sleep(0.05)
            return self.inner(x)

    found(1.8, 0.5)
    trained = ll.train(Shared(), _rows(), batch_size=64, epochs=12, precision="float32")
    (note,) = [note for note in trained.history.notes if "thread" in note]
    assert note.endswith("1 thread in place of 2, by a trial beside what else the machine does")
    assert int(note.removeprefix("step ").split(":")[0]) < 80
    assert trained.threads == 1 and torch.get_num_threads() == 2


def test_a_checkpoint_goes_on_with_the_same_threads_to_the_same_bytes(
    found: Any, steady: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "SOONEST", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", 1e9)
    found(1.8)
    whole = _used(epochs=4)[0]

    def cut(check: Any) -> None:
        if check.epoch >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ll.train(_net(), _rows(), epochs=4, folder=tmp_path / "kept", callbacks=[cut])
    assert torch.get_num_threads() == 2
    found(0.5)  # the machine has become busy
    again, seen = _used(epochs=4, folder=tmp_path / "kept")
    assert seen == {2} and _weights(again) == _weights(whole)


def test_errors_leave_the_number_as_it_was(found: Any) -> None:
    def broken(out: Tensor, y: Tensor) -> Tensor:
        raise RuntimeError("of the user's own")

    found(1.0)
    with pytest.raises(ll.LeadlineError, match="own"):
        ll.train(nn.Sequential(_net()), _rows(), loss=broken, epochs=1)
    assert torch.get_num_threads() == 2
    with pytest.raises(ll.LeadlineError, match="own"):
        ll.trace(_net(), _rows(), loss=broken)
    assert torch.get_num_threads() == 2
    trained = _used(epochs=1)[0]
    with pytest.raises(ll.LeadlineError):
        trained.evaluate((_rows()[0][:, :3], _rows()[1]))
    assert torch.get_num_threads() == 2


def test_a_trace_leaves_the_number_as_it_was() -> None:
    seen = ll.trace(_net(), (_rows()[0][:64], _rows()[1][:64]))
    assert torch.get_num_threads() == 2 and seen.worst is not None and seen.worst < 1e-3


SCRIPT = """
import os, torch, leadline as ll
from torch import nn
before, environment = torch.get_num_threads(), {k: v for k, v in os.environ.items() if k[:4] in ("OMP_", "MKL_")}
net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
trained = ll.train(net, (torch.randn(640, 784), torch.arange(640) % 10), epochs=1)
ll.trace(net, (torch.randn(64, 784), torch.arange(64) % 10))
assert torch.get_num_threads() == before
assert environment == {k: v for k, v in os.environ.items() if k[:4] in ("OMP_", "MKL_")}
print(before, trained.history.facts["threads"].split(";")[0])
"""


def test_what_the_user_set_is_kept() -> None:
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "ACTIVE"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=settings, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1", "1", "of", "1"], done.stderr
