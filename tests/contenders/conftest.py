"""What tests of several contenders need."""

from __future__ import annotations

import importlib
import os
import runpy
import socket
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leadline.graph.runtime import Session
from leadline.kinds.image import pretrained, trainable
from leadline.kinds.image.pretrained import LITE0

CLOSED = '''
"""No process can open a socket to another machine, or import a client of a hub."""

import socket
import sys


def refuse(*args, **kwargs):
    raise AssertionError("the network was used")


class Closed(socket.socket):
    def connect(self, *args):
        refuse()

    connect_ex = connect


socket.socket, socket.create_connection, socket.getaddrinfo = Closed, refuse, refuse
for name in ("huggingface_hub", "transformers", "sentence_transformers"):
    sys.modules[name] = None
'''


def _refuse(*args: Any, **words: Any) -> None:
    raise AssertionError("the network was used")


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this process nor those of a race can use a network; their cache is empty."""
    start = tmp_path / "start"
    start.mkdir()
    (start / "sitecustomize.py").write_text(textwrap.dedent(CLOSED))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(start), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("LEADLINE_CACHE", str(tmp_path / "cache"))
    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, _refuse)
    monkeypatch.setattr(socket.socket, "connect", _refuse)


@pytest.fixture(scope="session")
def lite0_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with a body of pictures that nobody has trained."""
    import torch
    from torch import nn

    peer = Path(__file__).parents[2] / "benchmarks" / "peers" / "torch_efficientnet.py"
    torch.manual_seed(0)
    net: nn.Module = runpy.run_path(str(peer))["Reference"]()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0  # the statistics of some noise: activations neither vanish nor saturate
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0.0, 0.3)
    with torch.no_grad():
        net(torch.randint(0, 256, (16, 64, 64, 3), dtype=torch.uint8))
    folder = tmp_path_factory.mktemp("packages")
    path = folder / LITE0
    path.parent.mkdir(parents=True)
    torch.save(net.state_dict(), path)
    return folder


@pytest.fixture
def picture_body(lite0_package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process and those of a race find that body installed."""
    monkeypatch.syspath_prepend(lite0_package)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(lite0_package), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delenv("LEADLINE_WEIGHTS", raising=False)
    monkeypatch.setattr(pretrained, "SIDE", 32)  # in this process a ninth of the work, and no int8
    for module in (pretrained, trainable):
        monkeypatch.setattr(module, "in_int8", lambda model, name, rows: model)
    importlib.invalidate_caches()


@pytest.fixture
def check_graph() -> Callable[[Any, Any, np.ndarray], None]:
    """The graph of a contender answers rows of a store as it does."""

    def checked(fitted: Any, store: Any, rows: np.ndarray) -> None:
        session = Session(fitted.graph())
        found = session({name: store.tensor(name)[rows] for name in session.inputs})["scores"]
        np.testing.assert_allclose(found, fitted.predict(store, rows), rtol=1e-5, atol=2e-5)

    return checked
