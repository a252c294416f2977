"""Fine-tuning: its plan by time, the graph against PyTorch, checkpoints, and a whole run without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadline.contenders.finetuned import Finetuned
from leadline.core.contender import Clock, Data
from leadline.graph.runtime import Session


@pytest.fixture(scope="module")
def store(prepare: Any, messages: Any, tiny_bert: Path) -> Any:
    return prepare(messages(300), target="label", weights=str(tiny_bert)).store


def _items(store: Any, **settings: Any) -> list[Any]:
    data = Data(store=store, **{"clock": Clock(30.0), "threads": 2, **settings})
    return list(Finetuned().fit(data, 0))


def test_its_graph_answers_as_the_trained_network(store: Any) -> None:
    fitted = _items(store)[-1]
    print(fitted.describe, fitted.score, fitted.transfer)
    rows = store.split.test
    (name,) = Finetuned().inputs(store)
    found = Session(fitted.graph()).only({name: np.asarray(store.tensor(name)[rows])})
    np.testing.assert_allclose(found, fitted.predict(store, rows), atol=1e-5)
