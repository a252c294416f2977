"""Files in a folder of the user's with the weights of a body, as hubs hand them out. A damaged one is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from leadline.system.errors import LeadlineError

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def configuration(path: Path) -> dict[str, Any]:
    """What a file of JSON says, {} where there is none. Raises LeadlineError where it holds no object."""
    if not path.is_file():
        return {}
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise LeadlineError(f"{path} cannot be read as JSON ({error}); download the folder again.") from error
    if not isinstance(facts, dict):
        raise LeadlineError(f"{path} holds a {type(facts).__name__}, where an object was expected.")
    return facts


def tensors(path: Path) -> dict[str, np.ndarray]:
    """{name: array} of a file of safetensors. Raises LeadlineError where it is damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise LeadlineError(f"{path} is damaged ({error}); download the folder again.") from error
