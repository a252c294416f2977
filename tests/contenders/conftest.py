"""What tests of several contenders need."""

from __future__ import annotations

import os
import socket
import textwrap
from pathlib import Path
from typing import Any

import pytest

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
