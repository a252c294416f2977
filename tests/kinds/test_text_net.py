"""Bodies that read tokens in their order: a text gives the same in any batch, in any file, and however long it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from leadline.graph.runtime import Session
from leadline.graph.torch_export import export
from leadline.kinds.text.net import PLACES, UNKNOWN, RecurrentBody, Tokens, TransformerBody

SHORT, LONG, VOCABULARY = 12, 2 * PLACES + 3, 30
BODIES: dict[str, Callable[[int], Any]] = {
    "transformer": lambda longest: TransformerBody(VOCABULARY, longest, size=16),
    "rnn": lambda longest: RecurrentBody(VOCABULARY, longest, size=16),
}


def _seeded(make: Callable[[], Any]) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = make()
        for p in net.parameters():  # what begins at zero would hide what it reads
            if p.ndim == 2 and not p.any():
                nn.init.normal_(p, std=0.3)
    return net.eval()


def _texts(longest: int) -> torch.Tensor:
    """Of 0, 1, ..., all tokens."""
    rng = np.random.default_rng(0)
    ids = rng.integers(2, VOCABULARY, (9, longest))
    lengths = np.linspace(0, longest, 9).astype(int)
    return torch.from_numpy(np.where(np.arange(longest) < lengths[:, None], ids, 0).astype(np.int32))


@pytest.mark.parametrize("longest", [SHORT, LONG])
@pytest.mark.parametrize("name", BODIES)
def test_a_text_alone_gives_what_it_gives_in_a_batch_and_in_the_file(name: str, longest: int) -> None:
    body, ids = _seeded(lambda: BODIES[name](longest)), _texts(longest)
    with torch.no_grad():
        together = body(ids)
        alone = torch.cat([body(ids[i : i + 1]) for i in range(len(ids))])
    assert together.shape == (9, body.width) and together.isfinite().all()
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    session = Session(export(body, {"ids": ids[:2].numpy()}))
    np.testing.assert_allclose(session.only({"ids": ids.numpy()}), together, rtol=1e-4, atol=1e-5)
    answers = np.concatenate([session.only({"ids": ids[i : i + 1].numpy()}) for i in range(9)])
    np.testing.assert_allclose(answers, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("longest", [SHORT, LONG])
def test_a_file_reads_no_further_than_the_longest_text_of_its_batch(longest: int) -> None:
    graph = export(_seeded(lambda: BODIES["transformer"](longest)), {"ids": _texts(longest)[:2].numpy()})
    scores = next(node.output[0] for node in graph.graph.node if node.op_type == "Softmax")
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(scores))
    session, stride = Session(graph), -(-longest // PLACES)
    for tokens in (1, 5, longest):
        ids = np.zeros((2, longest), np.int32)
        ids[0, :tokens] = 3
        assert session({"ids": ids})[scores].shape[-1] == -(-tokens // stride)


@pytest.mark.parametrize("name", BODIES)
def test_the_order_of_tokens_tells(name: str) -> None:
    body = _seeded(lambda: BODIES[name](SHORT))
    one = torch.tensor([[3, 4, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0]], dtype=torch.int32)
    other = torch.tensor([[5, 4, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]], dtype=torch.int32)
    with torch.no_grad():
        assert (body(one) - body(other)).abs().max() > 1e-3


def test_places_of_a_long_text_are_several_tokens_scaled_by_their_root() -> None:
    tokens = _seeded(lambda: Tokens(VOCABULARY, LONG, 8, std=1.0, dropped=0.5))
    assert tokens.stride == 3
    ids = torch.zeros(1, LONG, dtype=torch.int32)
    ids[0, :4] = torch.tensor([5, 6, 7, 8])
    with torch.no_grad():
        vectors, own = tokens(ids)
        table = tokens.table.weight
    assert vectors.shape == (1, 2, 8) and own.tolist() == [2]
    torch.testing.assert_close(vectors[0, 0], (table[5] + table[6] + table[7]) / 3**0.5)
    torch.testing.assert_close(vectors[0, 1], table[8])


def test_tokens_are_left_out_in_training_alone() -> None:
    tokens = _seeded(lambda: Tokens(VOCABULARY, 2_000, 4, std=1.0, dropped=0.5))
    ids = torch.full((1, 100), 7, dtype=torch.int32)
    tokens.stride = 1
    with torch.no_grad():
        plain, _ = tokens(ids)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            mixed, _ = tokens.train()(ids)
    assert (plain == tokens.table.weight[7]).all()
    unknown = (mixed == tokens.table.weight[UNKNOWN]).all(dim=2).sum()
    assert 30 < unknown < 70
