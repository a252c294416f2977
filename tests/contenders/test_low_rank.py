"""A body over 50 million weights is trained by matrices of a low rank: what learns, what is kept, and the file."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from leadline.contenders.finetuned import Finetuned
from leadline.contenders.fitted_finetuned import FittedFinetuned
from leadline.core.contender import Clock, Data, Progress
from leadline.core.pretrained import Precision
from leadline.core.tensors import Block
from leadline.graph.runtime import Session
from leadline.kinds.text import trainable
from leadline.kinds.text.bert import encoder
from leadline.kinds.text.trainable import LowRank, TrainableBert


@pytest.fixture(scope="module")
def wide_bert(bert_folder: Any) -> Path:
    """As wide as BERT-base, with two of its layers."""
    return bert_folder("wide", width=768, layers=2, unused=15_000)  # type: ignore[no-any-return]


@pytest.fixture
def texts(prepare: Any, messages: Any, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A store for the small body, which counts as a large one."""
    monkeypatch.setattr(trainable, "MOST_TRAINED", 1_000)
    monkeypatch.setattr(FittedFinetuned, "_rounded", lambda self, data, rows: -1.0)
    return prepare(messages(200), target="label", weights=str(tiny_bert)).store


def _block(store: Any) -> Block:
    return store.block("text_0")  # type: ignore[no-any-return]


def _fit(store: Any, clock: Clock, state: Any = None, **settings: Any) -> list[Any]:
    return list(Finetuned().fit(Data(store=store, clock=clock, threads=1, **settings), 0, state))


def test_a_large_body_learns_few_weights_and_is_one_graph(
    wide_bert: Path, prepare: Any, messages: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trainable.MOST_TRAINED == 50_000_000
    monkeypatch.setattr(trainable, "MOST_TRAINED", 20_000_000)
    store = prepare(messages(20), target="label", weights=str(wide_bert)).store
    body = TrainableBert(wide_bert)
    assert sum(value.size for value in body._weights.values()) > trainable.MOST_TRAINED
    learned = [weight for number in range(body.depth) for weight in body.layer(number)]
    assert 0 < sum(weight.numel() for weight in learned) < 0.01 * trainable.MOST_TRAINED
    assert sum(weight.numel() for weight in body.state_dict().values()) < 0.02 * trainable.MOST_TRAINED
    assert "(LoRA)" in body.said
    rows = np.asarray(store.tensor("text_0.pieces")[:2])
    optimizer = torch.optim.SGD(learned, 0.1)
    for _ in range(2):  # the first step moves the second matrix alone, which is zero
        x = torch.from_numpy(rows.astype(np.int64))
        optimizer.zero_grad()
        body.upper(body.lower(x, 0), x, 0).square().mean().backward()
        optimizer.step()
    assert all(float(weight.grad.abs().max()) > 0 for weight in learned if weight.grad is not None)
    body.eval()
    with torch.no_grad():
        expected = body.upper(body.lower(x, 0), x, 0).numpy()
    found = Session(body.graph(_block(store), Precision.FLOAT32, rows)).only({"text_0.pieces": rows})
    np.testing.assert_allclose(found, expected, atol=2e-3)
    length = _block(store).forms["pieces"][0][0]
    frozen = Session(encoder("x", length, wide_bert, Precision.FLOAT32)).only({"x": rows})[:, -body.width :]
    assert np.abs(found - frozen).max() > 1e-3


def test_it_begins_as_the_body_is(texts: Any, tiny_bert: Path) -> None:
    body = TrainableBert(tiny_bert).eval()
    rows = np.asarray(texts.tensor("text_0.pieces")[:5])
    length = _block(texts).forms["pieces"][0][0]
    frozen = Session(encoder("x", length, tiny_bert, Precision.FLOAT32)).only({"x": rows})[:, -body.width :]
    x = torch.from_numpy(rows.astype(np.int64))
    with torch.no_grad():
        np.testing.assert_allclose(body.upper(body.lower(x, 1), x, 1).numpy(), frozen, atol=2e-5)


def test_it_ships_resumes_and_replays_to_the_same_bytes(texts: Any) -> None:
    clock, states = Clock(60.0), []
    for item in Finetuned().fit(Data(store=texts, clock=clock, threads=1), 0):
        if isinstance(item, Progress) and item.state is not None:
            states.append((clock.place, copy.deepcopy(item.state())))
    fitted: Any = item
    assert any("(LoRA)" in line for line in fitted.describe)
    rows = texts.split.test
    session = Session(fitted.graph())
    found = session.only({name: np.asarray(texts.tensor(name)[rows]) for name in session.inputs})
    np.testing.assert_allclose(found, fitted.predict(texts, rows), atol=1e-4)
    place, state = states[-1]
    again = _fit(texts, Clock(60.0, readings=clock.readings, place=place), state)[-1]
    assert again.digest() == fitted.digest()
    assert _fit(texts, Clock(60.0, readings=clock.readings))[-1].digest() == fitted.digest()


def test_both_matrices_are_one_in_the_graph() -> None:
    dense = LowRank(torch.randn(6, 4), torch.ones(6))
    nn.init.normal_(dense.up)
    x = torch.randn(3, 4)
    torch.testing.assert_close(dense(x), torch.nn.functional.linear(x, dense.weight, dense.bias))
