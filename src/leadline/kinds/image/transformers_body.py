"""A body of pictures of any architecture that the package `transformers` has: the network, or its part that sees.

Enters: a folder with config.json, weights as safetensors, and mostly preprocessor_config.json. Leaves: the body.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.core.pretrained import PretrainedBody
from leadline.kinds.body_folder import CONFIG, FolderError, configuration, licence, read_by, stamp
from leadline.kinds.hub_cache import title
from leadline.kinds.image.module_body import Encoder
from leadline.kinds.image.preparation import prepared
from leadline.kinds.transformers_folder import PACKAGE, PICTURES, SEEN, model_type, network, quiet, reads

if TYPE_CHECKING:
    from torch import nn


def transformers_in(path: Path) -> PretrainedBody | None:
    """The body in a folder; None where its configuration is of no model of pictures.

    Raises FolderError where it is, and cannot be read.
    """
    if reads(configuration(path / CONFIG)) != PICTURES or (kind := model_type(path)) is None:
        return None
    return _encoder(path, stamp(path)).body(path, f"{kind} {title(path)}", licence(path))


@cache
def _encoder(path: Path, files: object) -> Encoder:
    """Of a folder with these files, once a process."""
    import torch

    from leadline.kinds.image.towers import HiddenStates

    facts = configuration(path / CONFIG)
    own = facts.get(SEEN)
    pixels, found = prepared(path, own if isinstance(own, dict) else facts), network(path)
    with read_by(PACKAGE), quiet():
        states = HiddenStates(_tower(found.module), pixels.sides)
        found.tried(lambda: torch.cat(list(states.made.values()), dim=1))
        return Encoder.of(states, pixels)


def _tower(module: nn.Module) -> nn.Module:
    """The network that reads pictures and nothing else. Raises FolderError where there is none."""
    config: Any = module.config
    parts = list(module.children()) if getattr(config, SEEN, None) is not None else [module]
    tower = next((part for part in parts if getattr(part, "main_input_name", None) == PICTURES), None)
    if tower is None:
        raise FolderError(f"holds a model of type {config.model_type!r}, no part of which reads pictures alone.")
    return tower
