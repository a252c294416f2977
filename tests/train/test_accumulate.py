"""A batch in parts moves the weights as the whole batch does, whatever the loss is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import leadline as ll
from leadline.system.errors import LeadlineError

WEIGHTS = torch.tensor([0.1, 1.0, 5.0])


def _contrast(out: Tensor, y: Tensor) -> Tensor:
    """Every row against every other one: no weights of parts could put this together."""
    return (torch.cdist(out, out) * ((y[:, None] == y) * 2.0 - 1)).mean()


LOSSES: dict[str, Any] = {
    "by name": "cross_entropy",
    "mean": nn.CrossEntropyLoss(),
    "class weights": nn.CrossEntropyLoss(weight=WEIGHTS),
    "ignored": nn.CrossEntropyLoss(ignore_index=0),
    "sum": nn.CrossEntropyLoss(reduction="sum"),
    "rows together": _contrast,
}
NETS: dict[str, Any] = {
    "written out": lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)),
    "autograd": lambda: nn.Sequential(nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8)), nn.Linear(8, 3)),
}


def _net(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return NETS[name]()  # type: ignore[no-any-return]


def _moved(net: nn.Module, points: tuple[Tensor, Tensor], **settings: Any) -> Tensor:
    X, y = points[0][:61], points[1][:61].sort().values  # parts of other classes than the whole
    ll.train(net, (X, y), optimizer="sgd", lr=0.1, batch_size=61, steps=2, precision="float32", **settings)
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("loss", LOSSES)
def test_parts_move_the_weights_as_the_whole(net: str, loss: str, points: tuple[Tensor, Tensor]) -> None:
    before = torch.cat([p.detach().flatten() for p in _net(net).parameters()])
    whole = _moved(_net(net), points, loss=LOSSES[loss])
    assert float((whole - before).abs().max()) > 1e-3
    for parts in (2, 4):
        found = _moved(_net(net), points, loss=LOSSES[loss], accumulate=parts)
        assert float((found - whole).abs().max()) <= 1e-6 * max(1.0, float((whole - before).abs().max()))


@pytest.mark.parametrize("accumulate", [1, 4])
@pytest.mark.parametrize("name", NETS)
def test_a_penalty_on_the_weights_inside_the_loss_counts(
    name: str, accumulate: int, points: tuple[Tensor, Tensor]
) -> None:
    """A loss may read the module's own weights, beside its outputs."""
    net, twin = _net(name), _net(name)

    def loss(out: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(out, y) + 0.5 * sum(p.square().sum() for p in net.parameters())

    X, y = points[0][:61], points[1][:61].sort().values
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (F.cross_entropy(twin(X), y) + 0.5 * sum(p.square().sum() for p in twin.parameters())).backward()
        optimizer.step()
    expected = torch.cat([p.detach().flatten() for p in twin.parameters()])
    torch.testing.assert_close(_moved(net, points, loss=loss, accumulate=accumulate), expected, atol=1e-6, rtol=1e-5)


def test_noise_and_statistics_of_a_part_are_those_of_one_pass(points: tuple[Tensor, Tensor]) -> None:
    """The outputs are found once more than the weights move: dropout must repeat itself, batch norm must not count."""

    class Noted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
            self.outs: list[Tensor] = []

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.net(x)
            if self.training:
                self.outs.append(out.detach().clone())
            return out

    net = Noted()
    ll.train(net, points, loss=nn.CrossEntropyLoss(), batch_size=64, steps=1, accumulate=2, precision="float32")
    first, second = net.outs[-4:-2], net.outs[-2:]
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])
    assert int(net.net[1].num_batches_tracked) == 2


def test_a_loss_cut_off_from_the_outputs_is_one_sentence(points: tuple[Tensor, Tensor]) -> None:
    for loss in (lambda out, y: F.cross_entropy(out.detach(), y), lambda out, y: torch.tensor(1.0)):
        for name in NETS:
            with pytest.raises(LeadlineError, match=r"autograd cannot follow back to the outputs.*leave out \.detach"):
                ll.train(_net(name), points, loss=loss, steps=1)
