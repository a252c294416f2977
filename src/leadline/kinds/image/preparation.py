"""How pictures are prepared for a network of the package `transformers`, by the files beside its weights.

Enters: preprocessor_config.json (or what processor_config.json says of pictures), and the network's own configuration.
Leaves: `Pixels`. A picture is resized as a whole to what the network reads: no border of it is cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leadline.kinds.body_folder import MOST, FolderError, configuration, is_number
from leadline.kinds.image.pixels import LEVELS, Pixels, Sides

PREPARED, COMBINED, OF_PICTURES = "preprocessor_config.json", "processor_config.json", "image_processor"
BICUBIC = (3, "bicubic")  # as Pillow numbers it
SIDE = 224  # where nothing says it
CHANNELS = 3


def prepared(folder: Path, network: Mapping[str, Any]) -> Pixels:
    """
    Args:
        network: the configuration of the network that reads the pictures.

    Raises FolderError where a file says something that is no size, or no number.
    """
    said, file = _said(folder)
    channels = network.get("num_channels", CHANNELS)
    if channels != CHANNELS:
        raise FolderError(f"holds a network for pictures of {channels!r} channels, where {CHANNELS} were expected.")
    factor = said.get("rescale_factor", 1 / LEVELS) if said.get("do_rescale", True) else 1.0
    if not is_number(factor) or factor <= 0:
        raise FolderError(f"has a {file} with rescale_factor {factor!r}, where a number above 0 was expected.")
    unscaled = said.get("do_normalize") is False
    mean = (0.0,) * CHANNELS if unscaled else _three(said, "image_mean", Pixels.mean, file)
    deviation = (1.0,) * CHANNELS if unscaled else _three(said, "image_std", Pixels.deviation, file)
    if min(deviation) <= 0:
        raise FolderError(f"has a {file} with image_std {list(deviation)}, where numbers above 0 were expected.")
    levels = factor * LEVELS
    return Pixels(
        sides=_sides(said, network, file), mean=tuple(each / levels for each in mean),
        deviation=tuple(each / levels for each in deviation), cubic=said.get("resample") in BICUBIC,
        blue_first=said.get("do_flip_channel_order") is True,
    )  # fmt: skip


def _said(folder: Path) -> tuple[dict[str, Any], str]:
    """What a file says of pictures, and its name."""
    if (folder / PREPARED).is_file():
        return configuration(folder / PREPARED), PREPARED
    found = configuration(folder / COMBINED).get(OF_PICTURES)
    return found if isinstance(found, dict) else {}, COMBINED


def _sides(said: Mapping[str, Any], network: Mapping[str, Any], file: str) -> Sides:
    """Height and width that the network reads: of what is cut out, else of what is resized, else of its positions."""
    names = ("crop_size", "size") if said.get("do_center_crop", True) else ("size",)
    value = next((said[name] for name in names if said.get(name)), network.get("image_size") or SIDE)
    found: Any = value if isinstance(value, list) else [value, value]
    if isinstance(value, dict):
        edge = value.get("shortest_edge")
        found = [value.get("height", edge), value.get("width", edge)]
    if len(found) != 2 or not all(type(side) is int and 0 < side <= MOST for side in found):
        raise FolderError(f"has a {file} with a size of {value!r}, where a height and a width in pixels were expected.")
    return found[0], found[1]


def _three(said: Mapping[str, Any], name: str, default: tuple[float, ...], file: str) -> tuple[float, ...]:
    found = said.get(name)
    if found is None:
        return default
    if not isinstance(found, list) or len(found) != CHANNELS or not all(map(is_number, found)):
        raise FolderError(f"has a {file} with {name} {found!r}, where three numbers were expected.")
    return tuple(found)
