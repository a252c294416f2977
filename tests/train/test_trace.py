"""`ll.trace` shows what a batch does in a module, finds what is wrong and invents nothing, and leaves no mark."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, rnn

import leadline as ll
from leadline.inspect.health import warnings_of
from leadline.inspect.layer_stats import Layer, measured
from leadline.system.errors import LeadlineError, OutputError
from leadline.train.flat import Flat
from leadline.train.losses import MSE, CrossEntropy


@pytest.fixture(autouse=True)
def _seed() -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _batch(*shape: int, classes: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(*shape), torch.randint(0, classes, (shape[0],))


def _by_name(layers: list[Layer]) -> dict[str, Layer]:
    return {layer.name: layer for layer in layers}


class Residual(nn.Module):
    """A block as published networks write it: one ReLU called twice and in place, a sum in place, batch norm."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm, self.act = nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        self.again = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.again(self.act(self.norm(self.conv(x))))
        y += x
        return self.act(y)


def _conv() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), Residual(), nn.Dropout(0.5),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip


class Reader(nn.Module):
    """Tokens, a weight of its own, an LSTM, attention, and an output layer tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.place = nn.Parameter(torch.randn(5, 8))
        self.rnn = nn.LSTM(8, 8, num_layers=2, dropout=0.3, batch_first=True)
        self.attend = nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed.weight
        self.frozen = nn.Linear(8, 8).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.rnn(self.embed(x) + self.place)[0]
        y = y + self.attend(query=y, key=y, value=y, need_weights=False)[0]
        return self.head(F.relu(self.frozen(y))[:, -1])


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(4, 5), nn.Embedding(6, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        return self.head(torch.tanh(self.left(x)) + self.right(code))


def test_a_net_by_hand() -> None:
    """x = (1, 2), W1 = ((1, 0), (-1, 0)), ReLU, W2 = (2, 3): h = (1, -1), r = (1, 0), out = 2, loss = (2 - 5)² = 9."""
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        net[2].weight.copy_(torch.tensor([[2.0, 3.0]]))
    seen = ll.trace(net, (torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0]])), loss="mse")
    assert seen.loss == 9.0
    first, act, last = seen.layers
    # d(out) = 2 (2 - 5) = -6; d(W2) = -6 r = (-6, 0); d(r) = -6 W2 = (-12, -18); d(h) = (-12, 0).
    assert [last.gradient, last.weight_gradient, act.gradient] == pytest.approx([6, 6, math.hypot(12, 18)])
    assert last.ratio == pytest.approx(6 / math.hypot(2, 3))
    # d(W1) = d(h)ᵀ x = ((-12, -24), (0, 0)).
    assert [first.gradient, first.weight_gradient] == pytest.approx([12, math.hypot(12, 24)])
    assert first.ratio == pytest.approx(math.hypot(12, 24) / math.sqrt(2))
    assert (first.mean, first.std, first.largest, first.zeros) == (0, 1, 1, 0)
    assert (act.mean, act.zeros, act.units, act.dead) == (0.5, 0.5, 2, (1,))
    assert (first.inputs, first.output, first.parameters, act.parameters) == (((1, 2),), (1, 2), 4, 0)
    assert first.product == "y[1, 2] = x[1, 2] W[2, 2]" and act.nonlinearity == "ReLU: max(x, 0)"
    assert seen.parameters == 6 and seen.flops == 2 * 4 + 2 + 2 * 2
    assert not seen.warnings  # one row says nothing of dead units
    by_name = {str(each): each.by_backpropagation for each in seen.chain}
    assert by_name["0.weight[0, 0]"] == -12 if "0.weight[0, 0]" in by_name else by_name["0.weight[0, 1]"] == -24


@pytest.mark.filterwarnings("ignore:LSTM with projections")  # PyTorch's own
@pytest.mark.parametrize(
    ("layer", "shape", "flops"),
    [
        (nn.Linear(784, 256), (64, 784), 2 * 64 * 784 * 256),
        (nn.Linear(8, 4, bias=False), (2, 5, 8), 2 * 10 * 8 * 4),
        (nn.Conv1d(3, 6, 5), (2, 3, 20), 2 * (2 * 6 * 16) * 3 * 5),
        (nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2), (2, 4, 8, 8), 2 * (2 * 8 * 16) * 2 * 9),
        (nn.Conv3d(1, 2, 2), (1, 1, 4, 4, 4), 2 * (2 * 27) * 8),
        (nn.ConvTranspose2d(3, 5, 2, stride=2), (2, 3, 4, 4), 2 * (2 * 3 * 16) * 5 * 4),
        (nn.LSTM(16, 32, batch_first=True), (4, 7, 16), 2 * 28 * 4 * 32 * (16 + 32)),
        (nn.GRU(16, 32, 2, bidirectional=True), (7, 4, 16), 2 * 28 * 2 * 3 * 32 * ((16 + 32) + (64 + 32))),
        (nn.LSTM(6, 8, proj_size=3), (7, 4, 6), 2 * 28 * (32 * (6 + 3) + 8 * 3)),
        (nn.RNN(5, 3), (2, 1, 5), 2 * 2 * 3 * 8),
        (nn.BatchNorm2d(4), (2, 4, 3, 3), 4 * 72),
        (nn.LayerNorm(6), (2, 6), 4 * 12),
        (nn.GELU(), (3, 4), 12),
        (nn.MaxPool2d(2), (1, 2, 4, 4), 32),
        (nn.Flatten(), (2, 3, 4), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_flops(layer: nn.Module, shape: tuple[int, ...], flops: int) -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            out = self.layer(x)
            return (out[0] if isinstance(out, tuple) else out).sum()

    seen = measured(Sum(), (torch.randn(shape),), torch.zeros(()), lambda out, y: out)
    assert [each.flops for each in seen] == [flops]
    assert seen[0].parameters == sum(p.numel() for p in layer.parameters())
    assert (seen[0].gradient is not None) == (seen[0].parameters > 0)


def test_flops_of_attention() -> None:
    """Rows 3, asked 5, seen 7, width 8: projections of Q, K, V and out, then scores and their sums of values."""
    attend = nn.MultiheadAttention(8, 2, batch_first=True)
    inputs = (torch.randn(3, 5, 8), torch.randn(3, 7, 8), torch.randn(3, 7, 8))
    head = nn.Linear(8, 1)

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attend, self.head = attend, head

        def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            return self.head(self.attend(query, key, value)[0])

    first = measured(Wrapped(), inputs, torch.zeros(3, 5, 1), MSE())[0]
    assert first.flops == 2 * 3 * (5 * 64 + 7 * 64 + 7 * 64 + 5 * 64) + 2 * 2 * 3 * 5 * 7 * 8
    assert first.parameters == sum(p.numel() for p in attend.parameters())  # also those of its output layer
    assert [layer.name for layer in measured(Wrapped(), inputs, torch.zeros(3, 5, 1), MSE())] == ["attend", "head"]


def test_gradients_are_those_of_backward() -> None:
    """Norms by weights and by outputs, where layers work in place, are called twice and have shortcuts."""
    net, (x, y) = _conv(), _batch(16, 3, 6, 6)
    net[3].p = 0.0
    layers = measured(net, (x,), y, CrossEntropy())
    assert [layer.name for layer in layers] == [
        "0", "1", "2.conv", "2.norm", "2.act", "2.again", "2.act", "3", "4", "5", "6",
    ]  # fmt: skip
    F.cross_entropy(net(x), y).backward()
    for layer in layers:
        weights = list(net.get_submodule(layer.name).parameters())
        norm = math.hypot(*(float(p.grad.norm()) for p in weights))
        assert (layer.weight_gradient or 0.0) == pytest.approx(norm, rel=1e-5)
    block = net[2]
    stages = [net[0](x)]
    for step in (F.relu, block.conv, block.norm, F.relu, block.again):
        stages.append(step(stages[-1]))
    stages.append(F.relu(stages[-1] + stages[1]))
    kept = torch.autograd.grad(F.cross_entropy(net[6](stages[-1].mean((2, 3))), y), stages)
    expected = [float(gradient.norm()) for gradient in kept]
    assert [layer.gradient for layer in layers[:7]] == pytest.approx(expected, rel=1e-4)


MODULES: dict[str, tuple[Callable[[], nn.Module], Callable[[], tuple[Any, Tensor]]]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), lambda: _batch(10, 6)),
    "conv": (_conv, lambda: _batch(10, 3, 6, 6)),
    "reader": (Reader, lambda: (torch.randint(0, 11, (10, 5)), torch.randint(0, 11, (10,)))),
    "two inputs": (Two, lambda: ((torch.randn(10, 4), torch.randint(0, 6, (10,))), torch.randint(0, 3, (10,)))),
}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("training", [True, False])
def test_leaves_no_mark(name: str, training: bool) -> None:
    """Weights, gradients, buffers, modes, hooks and the generator; with the gradients in one flat tensor."""
    make, rows = MODULES[name]
    net, (x, y) = make().train(training), rows()
    first = next(iter(net.children()))
    first.train(not training)  # a part in a mode of its own
    flat = Flat(net)
    flat.gradient.normal_()
    x = x if isinstance(x, tuple) else (x,)

    def state() -> list[Any]:
        held = [*net.state_dict(keep_vars=True).values(), *(p.grad for p in net.parameters())]
        bits = [(id(t), None if t is None else (t.data_ptr(), t.detach().numpy().tobytes())) for t in held]
        hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), m.training) for m in net.modules()]
        on_weights = [p._backward_hooks for p in net.parameters()]
        return [bits, hooks, on_weights, flat.gradient.tolist(), torch.get_rng_state().tolist()]

    before = state()
    with torch.no_grad():
        measured(net, x, y, CrossEntropy())
    assert state() == before
    seen = ll.trace(net, (x, y))
    assert state() == before
    assert seen.training is training
    assert torch.get_default_dtype() == torch.float32
    with pytest.raises(LeadlineError):
        ll.trace(net, (tuple(torch.zeros(10, 2, 2, 2, 2) for _ in x), y))
    assert state() == before


@pytest.mark.parametrize("name", MODULES)
def test_the_same_twice_and_the_chain_rule_holds(name: str) -> None:
    make, rows = MODULES[name]
    net, batch = make(), rows()
    one, two = ll.trace(net, batch, checks=12), ll.trace(net, batch, checks=12)
    assert one.chain == two.chain and len(one.chain) == 12
    assert one.worst is not None and one.worst < 1e-5
    assert [layer.weight_gradient for layer in one.layers] == [layer.weight_gradient for layer in two.layers]
    assert ll.trace(net, batch, checks=0).chain == []


def test_weights_belong_to_the_deepest_module_that_was_called() -> None:
    seen = ll.trace(Reader(), MODULES["reader"][1]())
    layers = _by_name(seen.layers)
    assert [layer.name for layer in seen.layers] == ["", "embed", "rnn", "attend", "frozen", "head"]
    assert layers[""].parameters == 40 and layers[""].holds == 5 and layers["attend"].parameters == 4 * (64 + 8)
    assert layers["embed"].parameters == layers["head"].parameters == 88  # tied: one gradient, one count
    assert layers["embed"].weight_gradient == layers["head"].weight_gradient
    assert layers["frozen"].weight_gradient is None and layers["frozen"].gradient is not None
    assert seen.parameters == sum(p.numel() for p in Reader().parameters())
    assert layers["rnn"].output == (10, 5, 8) and "2 layers" in layers["rnn"].product
    assert layers["embed"].inputs == ((10, 5),)
    assert not seen.warnings


def test_several_inputs_and_arrays() -> None:
    x, code = np.random.default_rng(0).normal(size=(9, 4)), np.arange(9) % 6
    seen = ll.trace(Two(), ((x, code), np.arange(9) % 3))
    assert [layer.type for layer in seen.layers] == ["Linear", "Embedding", "Linear"]
    assert seen.rows == 9 and seen.layers[0].output == (9, 5)


def test_bytes_are_shares_of_255() -> None:
    pixels = torch.full((20, 3), 255, dtype=torch.uint8)
    seen = ll.trace(nn.Sequential(nn.Identity(), nn.Linear(3, 2)), (pixels, torch.zeros(20, dtype=torch.long)))
    assert seen.layers[0].mean == 1.0


def test_packed_sequences_parametrised_weights_and_sparse_gradients() -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(7, 4, sparse=True)
            self.rnn = nn.GRU(4, 5, batch_first=True)
            self.head = parametrizations.weight_norm(nn.Linear(5, 3))
            self.spectral = parametrizations.spectral_norm(nn.Linear(3, 3))

        def forward(self, x: Tensor) -> Tensor:
            packed = rnn.pack_padded_sequence(self.embed(x), torch.tensor([4, 3, 2]), batch_first=True)
            return self.spectral(self.head(self.rnn(packed)[1][-1]))

    net = Packed()
    seen = ll.trace(net, (torch.randint(0, 7, (3, 4)), torch.tensor([0, 1, 2])))
    layers = _by_name(seen.layers)
    assert list(layers) == ["embed", "rnn", "head", "spectral"]
    assert layers["rnn"].flops == 2 * 9 * 3 * 5 * (4 + 5)  # nine tokens, no filling
    assert layers["head"].parameters == 15 + 3 + 3 and layers["head"].product.startswith("y[3, 3] = x[3, 5] W[5, 3]")
    assert all(layer.gradient for layer in seen.layers)
    assert seen.worst is not None and seen.worst < 1e-5


def test_dead_units_are_found_and_none_invented() -> None:
    net = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))
    batch = _batch(64, 6)
    seen = ll.trace(net, batch)
    assert seen.layers[1].dead == () and not seen.warnings
    with torch.no_grad():
        net[0].bias[[2, 7]] = -100.0
    seen = ll.trace(net, batch)
    assert seen.layers[1].dead == (2, 7) and seen.layers[1].units == 10
    assert seen.warnings == [
        "2 of 10 units of 1 (ReLU) are zero on all 64 rows and learn nothing from them; lower the learning rate, "
        "normalise before it, or use LeakyReLU."
    ]
    few = ll.trace(net, (batch[0][:8], batch[1][:8]))
    assert set(few.layers[1].dead) >= {2, 7} and not few.warnings  # eight rows are too few to say it
    with torch.no_grad():
        net[2].weight.zero_()
        net[2].bias.zero_()
    # An output that is zero still learns: only layers that hand no gradient back have dead units.
    assert ll.trace(net, batch).layers[2].dead == ()


def test_units_that_rest_on_a_batch_of_bright_pictures_are_not_called_dead() -> None:
    """Inputs from 0 to 1 leave some units of a fresh network without a row among 64; on more rows they wake."""
    pictures = torch.rand(64, 1) * torch.rand(64, 300)
    net = nn.Sequential(nn.Linear(300, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 3))
    seen = ll.trace(net, (pictures, torch.arange(64) % 3))
    assert len(seen.layers[3].dead) > 0 and not seen.warnings


def test_dead_channels_and_saturated_units() -> None:
    conv = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 16, 3))
    with torch.no_grad():
        conv[0].bias[3] = -100.0
    seen = ll.trace(conv, _batch(8, 1, 6, 6))
    assert seen.layers[1].dead == (3,) and "1 of 4 units of 1 (ReLU)" in seen.warnings[0]
    for act, bias in ((nn.Tanh(), 50.0), (nn.Sigmoid(), -50.0), (nn.ReLU6(), 50.0)):
        net = nn.Sequential(nn.Linear(6, 5), act, nn.Linear(5, 3))
        with torch.no_grad():
            net[0].bias[1] = bias
        seen = ll.trace(net, _batch(32, 6))
        assert seen.layers[1].dead == (1,), act
    sequence = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3))
    with torch.no_grad():
        sequence[0].bias[4] = -100.0
    seen = ll.trace(sequence, _batch(32, 4, 6))  # units along the last axis, after a Linear layer
    assert (seen.layers[1].units, seen.layers[1].dead) == (5, (4,))


def _deep(act: Callable[[], nn.Module], gain: float, layers: int = 12) -> nn.Module:
    net = nn.Sequential(*(m for _ in range(layers) for m in (nn.Linear(16, 16), act())), nn.Linear(16, 3))
    with torch.no_grad():
        for layer in net[:-1]:
            if isinstance(layer, nn.Linear):
                layer.weight.mul_(gain)
    return net


def test_vanishing_and_exploding_gradients_are_told_apart() -> None:
    batch = _batch(64, 16)
    vanishing = ll.trace(_deep(nn.Sigmoid, 1.0), batch)
    assert len(vanishing.warnings) == 1 and "The gradient vanishes at 0 (Linear), 2 (Linear)" in vanishing.warnings[0]
    assert vanishing.layers[0].gradient < 1e-6 * vanishing.layers[-1].gradient
    exploding = ll.trace(_deep(nn.Identity, 8.0), batch)
    assert len(exploding.warnings) == 1 and "The gradient explodes at 0 (Linear)" in exploding.warnings[0]
    for act, gain in ((nn.ReLU, 2.4), (nn.Tanh, 1.7), (nn.GELU, 2.4)):
        healthy = ll.trace(_deep(act, gain), batch)
        assert not [warning for warning in healthy.warnings if "gradient" in warning], act


def test_scaled_targets_explode_and_zero_weights_stop_gradients() -> None:
    net = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1))
    x = torch.randn(32, 6)
    found = ll.trace(net, (x, 1e5 * torch.randn(32, 1)), loss="mse").warnings
    assert len(found) == 1 and "scale the targets" in found[0]
    with torch.no_grad():
        net[2].weight.zero_()
    seen = ll.trace(net, (x, torch.randn(32, 1)), loss="mse")
    assert seen.warnings == [
        "No gradient at all reaches the weights of 0 (Linear); look for dead units or weights of zero between there "
        "and the loss."
    ]


def test_values_and_gradients_that_are_not_finite() -> None:
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        net[2].weight[0, 0] = math.inf
    seen = ll.trace(net, _batch(10, 6))
    assert seen.warnings[0].startswith("The output of 2 (Linear) holds values that are not finite")
    assert seen.chain == [] and "nan" in str(seen)

    class Root(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * 0).sqrt() + x

    seen = ll.trace(nn.Sequential(nn.Linear(6, 3), Root()), _batch(10, 6))
    assert "The gradient at 0 (Linear) is not finite" in seen.warnings[0]


def test_weights_that_take_no_part() -> None:
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    seen = ll.trace(Spare(), _batch(8, 4))
    assert [layer.name for layer in seen.layers] == ["used"]
    assert seen.warnings == [
        "No gradient reaches spare.weight, spare.bias: these weights take no part in the loss; use them in forward, "
        "freeze them, or remove them."
    ]
    net = nn.Sequential(nn.Linear(4, 3)).requires_grad_(False)
    frozen = ll.trace(net, _batch(8, 4))
    assert frozen.backward_s is None and frozen.chain == [] and not frozen.warnings
    assert "nothing to train" in str(frozen)


class Double(torch.autograd.Function):
    """y = 2 x, with a backward pass that says 3."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        return 3 * dy


def test_a_wrong_backward_pass_is_caught() -> None:
    class Wrong(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Double.apply(x)

    seen = ll.trace(nn.Sequential(nn.Linear(4, 5), Wrong(), nn.Linear(5, 3)), _batch(8, 4))
    before = [each.error for each in seen.chain if each.weight.startswith("0.")]
    behind = [each.error for each in seen.chain if each.weight.startswith("2.")]
    assert max(before) == pytest.approx(1 / 3, abs=1e-3) and max(behind) < 1e-5
    assert seen.worst == max(before)
    assert "The derivative by 0." in seen.warnings[-1] and "WRONG" in str(seen)


def test_the_chain_is_checked_with_noise_off_and_states_of_a_modules_own() -> None:
    class Own(nn.Module):
        """Dropout by hand, and a first state in the default type."""

        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTMCell(4, 5), nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            state = torch.zeros(len(x), 5), torch.zeros(len(x), 5)
            for _ in range(2):
                state = self.cell(x, state)
            return self.head(F.dropout(state[0], 0.5, self.training))

    seen = ll.trace(Own(), _batch(8, 4))
    assert seen.worst is not None and seen.worst < 1e-5
    assert [layer.name for layer in seen.layers] == ["cell", "cell", "head"]
    assert torch.get_default_dtype() == torch.float32

    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.float())

    seen = ll.trace(Single(), _batch(8, 4))
    assert seen.chain == [] and seen.warnings[-1].startswith("The chain rule was not checked")


def test_seconds_add_up() -> None:
    """Layers share the pass among them: none is counted twice, and containers are not counted at all."""
    net, (x, y) = _conv(), _batch(32, 3, 24, 24)
    seen = ll.trace(net, (x, y), checks=0)
    forward = sum(layer.forward_s for layer in seen.layers)
    backward = sum(layer.backward_s or 0 for layer in seen.layers)
    assert seen.backward_s is not None
    assert 0 < forward <= seen.forward_s and 0 < backward <= seen.backward_s
    assert all(layer.forward_s > 0 and (layer.backward_s is None or layer.backward_s > 0) for layer in seen.layers)


def test_data_are_not_overwritten_by_a_layer_that_works_in_place() -> None:
    net, (x, y) = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 3)), _batch(20, 4)
    kept = x.clone()
    assert measured(net, (x,), y, CrossEntropy())[0].zeros > 0
    seen = ll.trace(net, (x.double(), y))
    assert torch.equal(x, kept) and seen.worst is not None and seen.worst < 1e-5
    assert seen.layers[0].zeros == pytest.approx(float((kept <= 0).float().mean()))


def test_encoders_are_followed_in_eval_mode() -> None:
    """PyTorch takes another way through them where no gradient is asked for."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    net = nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(24, 3)).eval()
    seen = ll.trace(net, _batch(6, 3, 8))
    assert seen.worst is not None and seen.worst < 1e-5
    assert sum(layer.type == "MultiheadAttention" for layer in seen.layers) == 2
    frozen = ll.trace(net.requires_grad_(False), _batch(6, 3, 8))
    assert [layer.name for layer in frozen.layers] == [layer.name for layer in seen.layers]


def test_under_inference_mode() -> None:
    net = nn.Sequential(nn.Linear(4, 3))
    with torch.inference_mode():
        seen = ll.trace(net, (torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])))
    assert seen.layers[0].weight_gradient


def test_the_table_is_narrow_and_says_all() -> None:
    for make, rows in MODULES.values():
        seen = ll.trace(make(), rows())
        text = str(seen)
        assert max(map(len, text.splitlines())) <= 110
        places = [text.index(word) for word in ("FORWARD", "BACKWARD", "CHAIN RULE", "worst relative error")]
        assert places == sorted(places)
        for layer in seen.layers:
            assert layer.name in text and "\0" not in text
    seen = ll.trace(nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)), _batch(64, 784))
    lines = str(seen).splitlines()
    assert lines[0] == "Sequential in train mode, 64 rows, 203,530 parameters"
    assert any("y[64, 256] = x[64, 784] W[784, 256] + b[256]" in line and "25.7 M" in line for line in lines)


def test_the_drawing_stands_alone(tmp_path: Path) -> None:
    for name, (make, rows) in MODULES.items():
        seen = ll.trace(make(), rows())
        path = seen.save(tmp_path / f"{name}.svg")
        root = ElementTree.parse(path).getroot()
        assert root.tag.endswith("svg") and "prefers-color-scheme:dark" in path.read_text(encoding="utf-8")
        boxes = [each for each in root.iter() if each.tag.endswith("rect") and "box" in each.get("class", "")]
        assert len(boxes) == len(seen.layers)
        for box in boxes:
            assert float(box.get("x", "-1")) >= 0 and float(box.get("width", "999")) <= 400
        assert "http" not in path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    with pytest.raises(OutputError, match="cannot be written"):
        seen.save(tmp_path / "missing" / "net.svg")


@pytest.mark.parametrize(
    ("module", "batch", "settings", "words"),
    [
        (lambda: 3, lambda: _batch(4, 6), {}, "module is a int, where a torch.nn.Module was expected"),
        (lambda: nn.Linear(6, 3), lambda: torch.zeros(4, 6), {}, "batch is a Tensor, where a pair"),
        (lambda: nn.Linear(6, 3), lambda: _batch(4, 6), {"checks": -1}, "checks=-1 was given"),
        (lambda: nn.Linear(6, 3), lambda: _batch(4, 6), {"loss": "crossentropy"}, "loss='crossentropy' is not known"),
        (lambda: nn.LazyLinear(3), lambda: _batch(4, 6), {}, "lazy layers"),
        (lambda: nn.Linear(6, 3), lambda: (torch.zeros(4, 6), torch.zeros(5).long()), {}, "X of batch has 4 rows"),
        (lambda: nn.Linear(6, 3), lambda: (torch.full((4, 6), math.nan), torch.zeros(4).long()), {}, "not finite"),
        (
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(5, 3)),
            lambda: _batch(4, 6),
            {},
            r"Layer 1 \(Linear\) could not read \[4, 6\]: mat1 and mat2",
        ),
        (lambda: nn.Linear(6, 3), lambda: _batch(4, 6, classes=9), {}, "where 0 to 2 were expected"),
        (lambda: nn.LSTM(6, 3), lambda: _batch(4, 6), {}, "gave a tuple, where one tensor was expected"),
        (
            lambda: nn.Linear(6, 3),
            lambda: _batch(4, 6),
            {"loss": lambda out, y: out @ out},
            "The loss function could not compare outputs",
        ),
    ],
)
def test_errors(module: Any, batch: Any, settings: dict[str, Any], words: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # PyTorch's own, of lazy layers
        made = module()
    torch.manual_seed(1)
    with pytest.raises(LeadlineError, match=words) as raised:
        ll.trace(made, batch(), **settings)
    assert "\n" not in str(raised.value) and str(raised.value).endswith(".")


def test_warnings_are_said_once() -> None:
    """The training engine compares them as they are from check to check."""
    net, (x, y) = _deep(nn.Sigmoid, 1.0), _batch(64, 16)
    found = warnings_of(measured(net, (x,), y, CrossEntropy()))
    with torch.no_grad():
        net[-1].weight.mul_(1.01)
    assert warnings_of(measured(net, (x,), y, CrossEntropy())) == found
