"""The commands for small devices: verify, a shipped file against its certificate."""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

from leadline.system.interrupts import at_once


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """The options of these commands."""
    verify = commands.add_parser("verify", parents=[shared], help="check a shipped file against its certificate")
    verify.add_argument("model", help="a model.onnx, or the run folder that holds it")
    verify.add_argument("source", nargs="?", help="the data of the run: rows of it are answered again and compared")


def verify(given: argparse.Namespace) -> int:
    """Print what the certificate states; an error where the file does not hold to it."""
    with at_once():
        from leadline.use.model import Model

    path = Path(given.model)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = Model(path / "model.onnx" if path.is_dir() else path).verify(given.source)
    for warning in caught:
        print(f"leadline: {warning.message}", file=sys.stderr)
    print(found)
    return 0
