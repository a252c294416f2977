"""What commands print: JSON, and warnings as lines."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def as_json(value: Any) -> str:
    """One document; letters that the stream cannot take are escaped, as a plainer letter would change the message."""
    import json

    whole = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(value, ensure_ascii=not whole, indent=1)


@contextmanager
def warned() -> Iterator[None]:
    """Warnings as lines, without the place in the code."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        print(f"leadline: {warning.message}", file=sys.stderr)


def model_path(given: str) -> Path:
    """The file of a model that is named by itself, or by its run folder."""
    path = Path(given)
    return path / "model.onnx" if path.is_dir() else path
