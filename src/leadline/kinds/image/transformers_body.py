"""A body of pictures of any architecture that the package `transformers` has: the network, or its part that sees.

Enters: a folder with config.json, weights as safetensors, and mostly preprocessor_config.json. Leaves: the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.core.pretrained import PretrainedBody
from leadline.kinds.body_folder import CONFIG, FolderError, configuration, digest, licence, read_by
from leadline.kinds.exported import Exported, loaded
from leadline.kinds.hub_cache import called
from leadline.kinds.image.module_body import PICTURES as NAME
from leadline.kinds.image.module_body import Encoder
from leadline.kinds.image.pixels import Sides
from leadline.kinds.image.preparation import prepared
from leadline.kinds.transformers_folder import PACKAGE, PICTURES, SEEN, is_model, model_type, network, quiet, reads

if TYPE_CHECKING:
    from torch import nn

    from leadline.kinds.image.towers import HiddenStates


def reads_pictures(facts: Mapping[str, Any]) -> bool:
    """Whether a configuration is of a model of pictures."""
    return is_model(facts) and reads(facts) == PICTURES


def transformers_in(path: Path) -> PretrainedBody | None:
    """The body in a folder; None where its configuration is of no model of pictures.

    Raises FolderError where it is, and cannot be read.
    """
    facts = configuration(path / CONFIG)
    if not reads_pictures(facts) or (kind := model_type(path)) is None:
        return None
    own = facts.get(SEEN)
    pixels = prepared(path, own if isinstance(own, dict) else facts)
    exported = Exported(folder=path, package=PACKAGE, what=NAME)
    encoder = Encoder.of(exported, pixels, partial(_states, path, digest(path), pixels.sides))
    return encoder.body(called(kind, path), licence(path))


@loaded
def _states(path: Path, content: str, sides: Sides) -> HiddenStates:
    """Of a folder with this content, once a process."""
    import torch

    from leadline.kinds.image.towers import HiddenStates

    found = network(path)
    with read_by(f"{PACKAGE} {version(PACKAGE)}"), quiet():
        states = HiddenStates(_tower(found.module), sides)
        found.tried(lambda: torch.cat(list(states.made.values()), dim=1))
    return states


def _tower(module: nn.Module) -> nn.Module:
    """The network that reads pictures and nothing else. Raises FolderError where there is none."""
    config: Any = module.config
    parts = list(module.children()) if getattr(config, SEEN, None) is not None else [module]
    tower = next((part for part in parts if getattr(part, "main_input_name", None) == PICTURES), None)
    if tower is None:
        raise FolderError(f"holds a model of type {config.model_type!r}, no part of which reads pictures alone.")
    return tower
