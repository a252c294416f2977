"""The recurrent networks against PyTorch's cells, unrolled, and its bidirectional LSTM over packed rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.nets.embed import Embed
from leadline.nets.rnn import LSTM, Bidirectional

WIDTH, VOCABULARY = 12, 9


@pytest.fixture(autouse=True)
def _same_draws() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(params=[(), (2, 4)], ids=["tokens", "n-grams"])
def net(request: pytest.FixtureRequest) -> LSTM:
    made = LSTM(Embed(VOCABULARY, WIDTH, request.param, 32), layers=2)
    with torch.no_grad():
        for p in made.parameters():
            p.normal_(std=0.4)
    return made.eval()


def _unrolled(net: LSTM, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits [N, T, V], and what the layers give out and hold at the end, token by token through cells."""

    def normal(x: Tensor) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).sqrt()

    cells = [nn.LSTMCell(WIDTH, WIDTH) for _ in range(2)]
    for number, cell in enumerate(cells):
        ending = f"_l{number}"
        cell.load_state_dict(
            {name: net.layers.state_dict()[name + ending] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        )
    tail = torch.zeros(len(ids), net.before, dtype=torch.long)
    read = normal(net.embed(torch.cat((tail, ids), dim=1)))
    states = [(torch.zeros(len(ids), WIDTH), torch.zeros(len(ids), WIDTH)) for _ in cells]
    logits = []
    for x in read.unbind(1):
        through = x
        for number, cell in enumerate(cells):
            states[number] = cell(through, states[number])
            through = states[number][0]
        logits.append(F.linear(normal(x + through), net.head.weight))
    return torch.stack(logits, dim=1), torch.stack([h for h, _ in states]), torch.stack([c for _, c in states])


def test_reading_is_what_unrolled_cells_say(net: LSTM) -> None:
    ids = torch.randint(VOCABULARY, (3, 15))
    with torch.no_grad():
        logits, (out, held, tail) = net(ids, net.initial(3))
        for found, want in zip((logits, out, held), _unrolled(net, ids), strict=True):
            torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-5)
    assert torch.equal(tail, ids[:, -net.before :])


@pytest.mark.parametrize("sizes", [[1] * 15, [4, 11], [1, 13, 1]])
def test_chunk_by_chunk_is_as_all_at_once(net: LSTM, sizes: list[int], in_chunks: Any) -> None:
    in_chunks(net, torch.randint(VOCABULARY, (3, 15)), sizes)


def test_losses_are_those_of_reading(net: LSTM) -> None:
    ids = torch.randint(VOCABULARY, (3, 8))
    windows = torch.cat((torch.zeros(3, net.before, dtype=torch.long), ids), dim=1)  # the initial state's own tail
    logits, _ = net(ids[:, :-1], net.initial(3))
    want = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    torch.testing.assert_close(net.losses(windows), want, atol=1e-5, rtol=1e-5)


@pytest.fixture
def layer() -> Bidirectional:
    return Bidirectional(5, 7)


LENGTHS = torch.tensor([6, 11, 1, 9])


def _packed(layer: Bidirectional) -> nn.LSTM:
    """PyTorch's own, with the same weights."""
    theirs = nn.LSTM(5, 7, batch_first=True, bidirectional=True)
    weights = dict(layer.forth.state_dict())
    weights |= {f"{name}_reverse": value for name, value in layer.back.state_dict().items()}
    theirs.load_state_dict(weights)
    return theirs


def test_both_ways_is_pytorchs_over_packed_rows(layer: Bidirectional) -> None:
    x = torch.randn(4, 11, 5)
    packed = nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    want, _ = nn.utils.rnn.pad_packed_sequence(_packed(layer)(packed)[0], batch_first=True)
    torch.testing.assert_close(layer(x, LENGTHS), want, atol=1e-5, rtol=1e-5)


def test_both_ways_has_the_gradients_of_pytorchs(layer: Bidirectional) -> None:
    x, theirs = torch.randn(4, 11, 5), _packed(layer)
    packed = nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)[0].square().sum().backward()
    layer(x, LENGTHS).square().sum().backward()
    for name, p in theirs.named_parameters():
        ours = layer.back if name.endswith("_reverse") else layer.forth
        found = ours.get_parameter(name.removesuffix("_reverse")).grad
        torch.testing.assert_close(found, p.grad, atol=1e-4, rtol=1e-4)


def test_a_row_alone_is_as_in_any_padded_batch(layer: Bidirectional) -> None:
    x = torch.randn(4, 11, 5)
    with torch.no_grad():
        together = layer(x, LENGTHS)
        longer = layer(F.pad(x, (0, 0, 0, 20), value=1e3), LENGTHS)
        for row, length in enumerate(LENGTHS.tolist()):
            alone = layer(x[row : row + 1, :length], LENGTHS[row : row + 1])[0]
            for batch in (together, longer):
                torch.testing.assert_close(batch[row, :length], alone, atol=1e-6, rtol=0)
                assert not batch[row, length:].any()
