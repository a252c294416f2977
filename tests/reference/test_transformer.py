"""The Transformer against PyTorch's own layers, complex numbers, and loops that read from top to bottom."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.nets.embed import PRIME, Embed
from leadline.nets.transformer import Attention, Block, Transformer, turn

WIDTH, HEADS, WINDOW, VOCABULARY = 16, 2, 6, 11
ORDERS, ROWS = (2, 4), 32


@pytest.fixture(autouse=True)
def _same_draws() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def _stirred(module: nn.Module) -> nn.Module:
    """With weights that differ, since zeros would hide what follows them."""
    with torch.no_grad():
        for p in module.parameters():
            p.normal_(std=0.3)
    return module.eval()


@pytest.fixture(params=[(), ORDERS], ids=["tokens", "n-grams"])
def net(request: pytest.FixtureRequest) -> Transformer:
    made = Transformer(Embed(VOCABULARY, WIDTH, request.param, ROWS), 2, HEADS, WINDOW)
    _stirred(made)
    return made


def test_attention_is_multihead_attention() -> None:
    ours = _stirred(Attention(WIDTH, HEADS, rotary=False, normalised=False))
    theirs = nn.MultiheadAttention(WIDTH, HEADS, bias=False, batch_first=True)
    theirs.load_state_dict({"in_proj_weight": ours.qkv.weight, "out_proj.weight": ours.out.weight})
    x = torch.randn(3, 7, WIDTH)
    ahead = torch.ones(7, 7, dtype=torch.bool).triu(1)
    want, _ = theirs(x, x, x, attn_mask=ahead, need_weights=False)
    for mask in (None, ~ahead):
        found, _ = ours(x, torch.zeros(7, WIDTH // HEADS // 2), mask, None)
        torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-5)


def test_a_block_is_a_pre_norm_encoder_layer() -> None:
    ours = _stirred(Block(WIDTH, HEADS))
    ours.attention.rotary = ours.attention.normalised = False
    theirs = nn.TransformerEncoderLayer(
        WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation=lambda x: F.relu(x) ** 2, batch_first=True, norm_first=True,
        bias=False,
    )  # fmt: skip
    theirs.norm1, theirs.norm2 = (nn.RMSNorm(WIDTH, elementwise_affine=False) for _ in range(2))
    theirs.load_state_dict({
        "self_attn.in_proj_weight": ours.attention.qkv.weight, "self_attn.out_proj.weight": ours.attention.out.weight,
        "linear1.weight": ours.up.weight, "linear2.weight": ours.down.weight,
    })  # fmt: skip
    x = torch.randn(3, 7, WIDTH)
    want = theirs(x, src_mask=torch.ones(7, 7, dtype=torch.bool).triu(1))
    found, _ = ours(x, torch.zeros(7, WIDTH // HEADS // 2), None, None)
    torch.testing.assert_close(found, want, atol=1e-5, rtol=1e-5)


def test_a_turn_multiplies_complex_numbers(net: Transformer) -> None:
    size, length = WIDTH // HEADS, 9
    x = torch.randn(2, HEADS, length, size, dtype=torch.float64)
    found = turn(x, net._turns(length).double())
    frequencies = torch.tensor([10_000.0 ** (-2 * i / size) for i in range(size // 2)], dtype=torch.float64)
    angles = torch.arange(length).unsqueeze(1) * frequencies
    want = torch.complex(x[..., 0::2], x[..., 1::2]) * torch.polar(torch.ones_like(angles), angles)
    torch.testing.assert_close(torch.complex(found[..., 0::2], found[..., 1::2]), want, atol=1e-6, rtol=1e-6)


def test_turned_products_depend_on_the_distance_alone(net: Transformer) -> None:
    q, k = torch.randn(2, 1, WIDTH // HEADS).expand(2, 12, -1)
    angles = net._turns(12)
    products = turn(q, angles) @ turn(k, angles).T
    for distance in (0, 1, 5):
        along = products.diagonal(-distance)
        torch.testing.assert_close(along, along[:1].expand_as(along), atol=1e-5, rtol=1e-5)


def _slowly(net: Transformer, ids: Tensor) -> Tensor:
    """Logits [T, V] of one text [T] by loops over tokens, heads and what each sees, in float64."""
    weights = {name: p.double() for name, p in net.named_parameters()}
    size = WIDTH // HEADS
    frequencies = 10_000.0 ** (-torch.arange(size // 2, dtype=torch.float64) / (size // 2))

    def normal(x: Tensor) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + torch.finfo(torch.float32).eps).sqrt()

    def placed(x: Tensor, place: int) -> Tensor:
        number = torch.complex(x[0::2], x[1::2]) * torch.exp(1j * place * frequencies)
        return torch.view_as_real(number).flatten()

    before = torch.zeros(net.before, dtype=torch.long)
    x = normal(net.embed(torch.cat((before, ids)).unsqueeze(0))[0].double())
    for layer in range(len(net.blocks)):
        qkv, out, up, down = (
            weights[f"blocks.{layer}.{name}.weight"] for name in ("attention.qkv", "attention.out", "up", "down")
        )
        q, k, v = (normal(x) @ qkv.T).view(len(ids), 3, HEADS, size).unbind(1)
        q, k = normal(q), normal(k)
        mixed = []
        for i in range(len(ids)):
            heads = []
            for head in range(HEADS):
                seen = range(max(0, i - WINDOW + 1), i + 1)
                query = placed(q[i, head], i)
                shares = torch.stack([query @ placed(k[j, head], j) / size**0.5 for j in seen]).softmax(0)
                heads.append(sum(share * v[j, head] for share, j in zip(shares, seen, strict=True)))
            mixed.append(torch.cat(heads))
        x = x + torch.stack(mixed) @ out.T
        x = x + F.relu(normal(x) @ up.T) ** 2 @ down.T
    return normal(x) @ weights["head.weight"].T


def test_reading_is_what_loops_say(net: Transformer) -> None:
    ids = torch.randint(VOCABULARY, (2, 20))
    with torch.no_grad():
        logits, (cache, tail) = net(ids, net.initial(2))
        for text in range(2):
            torch.testing.assert_close(logits[text].double(), _slowly(net, ids[text]), atol=1e-4, rtol=1e-4)
    assert cache.shape == (2, 2, 2, HEADS, WINDOW - 1, WIDTH // HEADS)
    assert torch.equal(tail, ids[:, -net.before :])


@pytest.mark.parametrize("sizes", [[1] * 20, [7, 13], [2, 1, 9, 8], [19, 1]])
def test_chunk_by_chunk_is_as_all_at_once(net: Transformer, sizes: list[int], in_chunks: Any) -> None:
    in_chunks(net, torch.randint(VOCABULARY, (3, 20)), sizes)


def test_losses_are_those_of_reading(net: Transformer) -> None:
    ids = torch.randint(VOCABULARY, (3, WINDOW + 1))
    windows = torch.cat((torch.zeros(3, net.before, dtype=torch.long), ids), dim=1)  # the initial state's own tail
    logits, _ = net(ids[:, :-1], net.initial(3))
    want = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    torch.testing.assert_close(net.losses(windows), want, atol=1e-5, rtol=1e-5)


def test_gradients_of_losses_are_those_of_loops(net: Transformer) -> None:
    ids = torch.randint(VOCABULARY, (2, WINDOW + 1))
    windows = torch.cat((torch.zeros(2, net.before, dtype=torch.long), ids), dim=1)
    named = [(name, p) for name, p in net.named_parameters() if "grams" not in name]  # those of the tables are sparse
    found = torch.autograd.grad(net.losses(windows), [p for _, p in named])
    slow = torch.stack([F.cross_entropy(_slowly(net, text[:-1]), text[1:]) for text in ids]).mean()
    want = torch.autograd.grad(slow, [p for _, p in named])
    for (name, _), one, other in zip(named, found, want, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")


def test_a_block_passes_the_check_by_differences() -> None:
    block = _stirred(Block(8, 2)).double()
    names = [name for name, _ in block.named_parameters()]
    turns, past = torch.rand(5, 2, dtype=torch.float64), torch.randn(2, 1, 2, 2, 4, dtype=torch.float64)
    ahead = torch.arange(2, 5).unsqueeze(1) - torch.arange(5)
    band = (ahead >= 0) & (ahead < 3)

    def run(mask: Tensor | None, past: Tensor | None, x: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        where = turns if past is not None else turns[:3]
        return torch.func.functional_call(block, dict(zip(names, weights, strict=True)), (x, where, mask, past))

    x = torch.randn(1, 3, 8, dtype=torch.float64, requires_grad=True)
    weights = [p.detach().requires_grad_() for p in block.parameters()]
    for mask, before in ((None, None), (band, past)):
        assert torch.autograd.gradcheck(lambda *given, m=mask, b=before: run(m, b, *given), (x, *weights))


def test_n_grams_are_hashed_as_by_hand() -> None:
    embed = Embed(8_000, 4, (2, 5), 1_024)
    ids = torch.randint(8_000, (2, 12))  # four before, eight read

    def signed(number: int) -> int:
        return (number + 2**63) % 2**64 - 2**63

    for text in range(2):
        for place in range(4, 12):
            want = embed.tokens.weight[ids[text, place]].clone()
            for table, order in zip(embed.grams, embed.orders, strict=True):
                hashed = 0
                for token in ids[text, place - order + 1 : place + 1].flip(0).tolist():
                    hashed = signed(hashed * PRIME + token)
                want += table.weight[hashed % 1_024]
            torch.testing.assert_close(embed(ids)[text, place - 4], want)


def test_the_plain_peer_of_the_benchmark_is_the_same_net() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(Path(__file__).parents[2] / "benchmarks" / "peers"), *sys.path])
        from plain_transformer import GPT

    ours = _stirred(Transformer(Embed(VOCABULARY, 16), 2, 4, 8))
    theirs = GPT(VOCABULARY, 2, 16, 4, 8)
    with torch.no_grad():
        theirs.tokens.weight.copy_(ours.embed.tokens.weight)
        theirs.head.weight.copy_(ours.head.weight)
        for block, copied in zip(ours.blocks, theirs.blocks, strict=True):
            copied.qkv.weight.copy_(block.attention.qkv.weight)
            copied.out.weight.copy_(block.attention.out.weight)
            copied.up.weight.copy_(block.up.weight)
            copied.down.weight.copy_(block.down.weight)
    windows = torch.randint(0, VOCABULARY, (3, 10))
    loss = F.cross_entropy(theirs(windows[:, 1:-1]).flatten(0, 1), windows[:, 2:].flatten())
    torch.testing.assert_close(ours.losses(windows), loss, atol=1e-5, rtol=1e-5)
