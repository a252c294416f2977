"""What is no batch of numbers, and losses that compare what does not belong together, are one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leadline as ll
from leadline.system.errors import LeadlineError

X = torch.randn(120, 3, generator=torch.Generator().manual_seed(0))
Y = X @ torch.tensor([1.0, -2, 3])


def _net(outputs: int = 1, zero: bool = False) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Linear(3, outputs)
    if zero:
        nn.init.zeros_(net.weight)
        nn.init.zeros_(net.bias)
    return net


BROADCAST: dict[str, Any] = {
    "a module": nn.MSELoss(),
    "a function": F.l1_loss,
    "by hand": lambda out, y: (out - y).square().mean(),
    "a sum": lambda out, y: (out - y).abs().sum(),
}


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("name", BROADCAST)
def test_a_loss_of_all_rows_with_all_targets_is_refused(name: str, zero: bool) -> None:
    with pytest.raises(LeadlineError, match=r"compares every row with every target.*reshape y to \['N', 1\]"):
        ll.train(_net(zero=zero), (X, Y), loss=BROADCAST[name], epochs=1)
    trained = ll.train(_net(zero=zero), (X, Y[:, None]), loss=BROADCAST[name], lr=0.05, epochs=100)
    assert np.corrcoef(trained.predict(X)[:, 0], Y)[0, 1] > 0.95


@pytest.mark.parametrize(
    "loss",
    [lambda out, y: F.mse_loss(out[:, 0], y), lambda out, y: F.mse_loss(out.squeeze(1), y)],
)
def test_a_loss_that_brings_the_shapes_together_itself_is_taken(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    trained = ll.train(_net(zero=True), (X, Y), loss=loss, lr=0.05, epochs=100)
    assert np.corrcoef(trained.predict(X)[:, 0], Y)[0, 1] > 0.99


def test_a_loss_that_does_not_read_y_is_taken() -> None:
    net = _net()
    trained = ll.train(net, (X, Y), loss=lambda out, y: out.square().mean(), lr=0.05, epochs=100)
    assert float(trained.predict(X).abs().mean()) < 0.05


def test_a_loss_that_cannot_compare_them_is_one_sentence() -> None:
    with pytest.raises(LeadlineError, match=r"could not compare outputs \['N', 3\] with y of data \['N', 2\]"):
        ll.train(_net(3), (X, torch.zeros(120, 2)), loss=nn.MSELoss(), epochs=1)
    with pytest.raises(LeadlineError, match="NameError: name 'missing'") as said:
        ll.train(_net(3), (X, Y), loss=lambda out, y: missing(out), epochs=1)  # type: ignore[name-defined]  # noqa: F821
    assert isinstance(said.value.__cause__, NameError)  # a fault in the user's own code is theirs to see


NO_ROWS: dict[str, tuple[Any, str]] = {
    "complex": (X.to(torch.complex64), "holds torch.complex64, where real numbers.*view_as_real"),
    "complex array": (X.numpy().astype(complex), "holds complex128, where real numbers.*view_as_real"),
    "sparse": (X.to_sparse(), r"is a torch.sparse_coo tensor.*\.to_dense\(\)"),
    "meta": (X.to("meta"), "lies on the device 'meta'"),
    "masked": (np.ma.masked_greater(X.numpy(), 1.0), r"has masked values.*\.filled\(VALUE\)"),
    "times": (np.array(["2020-01-01"] * 120, "datetime64[D]"), r"holds datetime64\[D\].*convert times"),
    "records": (np.zeros(120, [("a", "f4"), ("b", "f4")]), "give its fields as columns"),
    "ragged": ([[1.0], [1.0, 2.0]], "cannot be read as an array"),
}


@pytest.mark.parametrize("name", NO_ROWS)
def test_what_is_no_array_of_real_numbers_is_one_sentence(name: str) -> None:
    value, says = NO_ROWS[name]
    with pytest.raises(LeadlineError, match=f"X of data .*{says}"):
        ll.train(_net(), (value, Y), loss="mse", epochs=1)


def test_what_only_looks_odd_is_taken() -> None:
    class Tagged(Tensor):
        pass

    with torch.inference_mode():
        made_inside = X * 1.0
    for x in (np.ma.masked_array(X.numpy()), X.as_subclass(Tagged), made_inside, X.requires_grad_(False)):
        trained = ll.train(_net(), (x, Y[:, None]), loss="mse", lr=0.05, epochs=100)
        assert np.corrcoef(trained.predict(X)[:, 0], Y)[0, 1] > 0.99
    net = _net()
    with torch.inference_mode():
        trained = ll.train(net, (X, Y[:, None]), loss="mse", lr=0.05, epochs=100)
    assert np.corrcoef(trained.predict(X)[:, 0], Y)[0, 1] > 0.99


def _inside() -> nn.Module:
    with torch.inference_mode():
        return nn.Linear(3, 1)


def _overlapping() -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    net[1].weight.data = net[0].weight.data.t()
    return net


MODULES: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "meta": (lambda: nn.Linear(3, 1, device="meta"), "weight of the module lies on the device 'meta'"),
    "inference": (_inside, "weight of the module was made inside torch.inference_mode"),
    "overlapping": (_overlapping, "Two parameters of the module share memory"),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_that_cannot_be_trained_is_one_sentence(name: str) -> None:
    make, says = MODULES[name]
    with pytest.raises(LeadlineError, match=says):
        ll.train(make(), (X, Y), loss="mse", epochs=1)
