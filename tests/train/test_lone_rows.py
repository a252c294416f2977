"""A last batch of one row, and a module that cannot take a row alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import leadline as ll
from leadline.system.errors import LeadlineError
from leadline.train.batches import Batches, Rows


def _net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def _rows(count: int) -> tuple[Tensor, Tensor]:
    X = torch.randn(count, 6, generator=torch.Generator().manual_seed(0))
    return X, (X[:, 0] > 0).long()


@pytest.mark.parametrize(("count", "size"), [(65, 32), (33, 16), (9, 8)])
def test_the_lone_row_joins_its_neighbour(count: int, size: int) -> None:
    seen: list[int] = []
    net = _net()
    net.register_forward_pre_hook(lambda module, x: seen.append(len(x[0])) if module.training else None)
    trained = ll.train(net, _rows(count), batch_size=size, epochs=2, precision="float32")
    assert seen[-2 * (count // size) :] == [*[size] * (count // size - 1), size + 1] * 2
    assert len(trained.history.losses) == 2 * (count // size)
    assert all(bool(torch.isfinite(p).all()) for p in net.parameters())


def test_a_module_that_takes_a_row_alone_is_given_it() -> None:
    trained = ll.train(nn.Sequential(nn.Linear(6, 3)), _rows(65), batch_size=32, epochs=1)
    assert len(trained.history.losses) == 3
    spatial = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2 * 16, 3))
    X = torch.randn(5, 1, 6, 6)
    assert len(ll.train(spatial, (X, torch.zeros(5).long()), batch_size=2, epochs=1).history.losses) == 3


@pytest.mark.parametrize(("count", "settings"), [(40, {"batch_size": 1}), (64, {"batch_size": 4, "accumulate": 4})])
def test_where_every_step_would_have_one_row_it_is_said_before_the_first(count: int, settings: dict[str, int]) -> None:
    net = _net()
    before = [t.clone() for t in net.state_dict().values()]
    with pytest.raises(LeadlineError, match="needs two rows at once in training .*; raise batch_size, or lower"):
        ll.train(net, _rows(count), epochs=1, **settings)  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(before, net.state_dict().values(), strict=True))


def test_parts_of_the_last_batch_have_two_rows_too() -> None:
    trained = ll.train(_net(), _rows(35), batch_size=16, epochs=2, accumulate=2)
    assert len(trained.history.losses) == 6  # 16, 16 and 3 rows: 3 are not cut into 2 and 1


def test_every_row_is_drawn_once_a_pass_with_joined_ones() -> None:
    x = torch.arange(9.0)[:, None]
    batches = Batches(Rows((x,), torch.arange(9)), 4, torch.float32, least=2)
    for _ in range(3):
        drawn = [batches.draw() for _ in range(len(batches))]
        assert [len(y) for _, y in drawn] == [4, 5]
    drawn_x = torch.cat([x[0] for x, _ in drawn])[:, 0]
    assert sorted(drawn_x.tolist()) == list(range(9))


def test_a_module_that_keeps_its_input_keeps_those_rows() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 3)
            self.seen: list[Tensor] = []

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.seen.append(x[:, :2])  # a view of the batch
            return self.layer(x)

    for X in (_rows(256)[0], (torch.rand(256, 6) * 255).to(torch.uint8)):
        net = Keeps()
        ll.train(net, (X, torch.zeros(256).long()), optimizer="sgd", lr=1e-9, batch_size=32, epochs=1)
        kept = torch.cat(net.seen[-8:])
        expected = X.float() / 255 if X.dtype == torch.uint8 else X
        torch.testing.assert_close(kept.sort(0).values, expected[:, :2].sort(0).values)


def test_a_loss_that_keeps_outputs_keeps_those_rows() -> None:
    X, y = _rows(64)
    net, outs = nn.Sequential(nn.Linear(6, 3)), []

    def loss(out: Tensor, y: Tensor) -> Tensor:
        outs.append(out)
        return nn.functional.cross_entropy(out, y)

    ll.train(net, (X, y), loss=loss, optimizer="sgd", lr=1e-12, batch_size=16, epochs=1)
    with torch.no_grad():
        expected = net(X).sort(0).values
    torch.testing.assert_close(torch.cat(outs[-4:]).detach().sort(0).values, expected)
