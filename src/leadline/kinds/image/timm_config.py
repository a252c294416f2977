"""What a folder of timm's says of its network, and whether its weights are of that network.

Enters: config.json and the header of model.safetensors. Leaves: a `TimmFolder`. Which tensors a network has, and of
which shapes, is a table here, so that a folder that does not agree with itself is refused before it is used.
Widths of a ResNet and the blocks of a transformer may differ from the published ones; the heads of attention are in no
weight, so a transformer is one of `SIZES`, or its configuration says them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from leadline.kinds.body_folder import (
    CONFIG,
    WEIGHTS,
    FolderError,
    Stored,
    agrees,
    configuration,
    has_weights,
    header,
    is_number,
    licence,
    positive,
    values,
)
from leadline.kinds.image.pixels import Pixels

BASIC, BOTTLENECK = 1, 4  # what a block of a ResNet gives, as a multiple of its width
RESNETS = {
    "resnet18": (BASIC, (2, 2, 2, 2)), "resnet26": (BOTTLENECK, (2, 2, 2, 2)), "resnet34": (BASIC, (3, 4, 6, 3)),
    "resnet50": (BOTTLENECK, (3, 4, 6, 3)), "resnet101": (BOTTLENECK, (3, 4, 23, 3)),
    "resnet152": (BOTTLENECK, (3, 8, 36, 3)),
}  # fmt: skip
# Of a vision transformer of that size: its width, and the heads of attention.
SIZES = {
    "tiny": (192, 3), "small": (384, 6), "base": (768, 12), "large": (1_024, 16), "huge": (1_280, 16),
    "giant": (1_408, 16), "gigantic": (1_664, 16),
}  # fmt: skip
TRANSFORMER = re.compile(r"(?:vit|deit)_(?P<size>[a-z]+)_patch(?P<patch>[1-9]\d*)(?:[_.]|$)")
READ = f"timm's {', '.join(RESNETS)}, vit_* and deit_* ({', '.join(SIZES)}) with square patches"
HEADS = ("head.", "fc_norm.", "fc.")  # what follows the states
COUNTED = "num_batches_tracked"  # of a batch normalisation, whose sums are over
SHAPE = (3, 224, 224)  # where the folder says nothing

Shapes = dict[str, tuple[int, ...]]


def is_timm(facts: Mapping[str, Any]) -> bool:
    """Whether a configuration is of a model of timm."""
    return isinstance(facts.get("architecture"), str)


class OtherNetworkError(FolderError):
    """What a folder of timm's holds, where none of the graphs here is of it: the beginning of a sentence's end."""


@dataclass(frozen=True, kw_only=True)
class TimmFolder:
    """A network in a folder."""

    path: Path
    architecture: str
    pixels: Pixels
    licence: str
    heads: int  # of attention; 0: it is a ResNet
    expected: Mapping[str, tuple[int, ...]]  # shapes of the weights that its graph needs
    stored: Mapping[str, Stored]

    @classmethod
    def read(cls, path: Path) -> TimmFolder | None:
        """None where the configuration is no timm model's.

        Raises FolderError where it cannot be read, OtherNetworkError where its network has no graph here.
        """
        facts = configuration(path / CONFIG)
        if not is_timm(facts):
            return None
        architecture: str = facts["architecture"]
        cfg, args = object_in(facts, "pretrained_cfg"), object_in(facts, "model_args")
        if not has_weights(path):
            raise FolderError(f"has no {WEIGHTS}; a picture body is a folder with {CONFIG} and {WEIGHTS}.")
        pixels = pixels_of(cfg)
        stored = {name: each for name, each in header(path).items() if not name.endswith(COUNTED)}
        network, heads = architecture.partition(".")[0], 0
        if network in RESNETS:
            expected = _resnet(stored, *RESNETS[network])
        elif (match := TRANSFORMER.match(network)) is not None:
            if "cls_token" not in stored:
                raise OtherNetworkError(f"holds {architecture} without a class token")
            side = positive(args, "img_size") if "img_size" in args else _square(pixels.sides)
            pixels = replace(pixels, sides=(side, side))
            heads = _heads(match["size"], _size(stored, "cls_token", -1), args, architecture)
            expected = _transformer(stored, int(match["patch"]), side)
        else:
            raise OtherNetworkError(f"holds {architecture}")
        if more := [name for name in stored if name not in expected and not name.startswith(HEADS)]:
            raise OtherNetworkError(f"holds {architecture} with {more[0]}")
        agrees(stored, expected, architecture)
        return cls(
            path=path, architecture=architecture, pixels=pixels, licence=licence_of(cfg, path), heads=heads,
            expected=expected, stored=stored,
        )  # fmt: skip

    @property
    def transformer(self) -> bool:
        return self.heads > 0

    def weights(self) -> dict[str, np.ndarray]:
        """float32, those that the graph needs."""
        return values({name: self.stored[name] for name in self.expected})


def blocks_of(shapes: Mapping[str, Any]) -> int:
    """How many blocks a transformer has."""
    numbers = [name.split(".")[1] for name in shapes if name.startswith("blocks.")]
    return min(len(shapes), 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1))


def pixels_of(cfg: Mapping[str, Any]) -> Pixels:
    """How a network wants pictures, by its pretrained_cfg."""
    deviation = _three(cfg, "std", Pixels.deviation)
    if min(deviation) <= 0:
        raise FolderError(f"has a {CONFIG} with std {list(deviation)}, where numbers above 0 were expected.")
    return Pixels(
        sides=_sides(cfg), mean=_three(cfg, "mean", Pixels.mean), deviation=deviation,
        cubic=cfg.get("interpolation") == "bicubic",
    )  # fmt: skip


def licence_of(cfg: Mapping[str, Any], path: Path) -> str:
    """As the configuration says it, else the card of the model."""
    said = cfg.get("license")
    return said if isinstance(said, str) and said else licence(path)


def object_in(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object of the configuration, {} where there is none."""
    found = facts.get(name)
    if found is not None and not isinstance(found, dict):
        raise FolderError(
            f"has a {CONFIG} with a {type(found).__name__} as {name}, where an object was expected; take the one that "
            "came with the weights."
        )
    return found or {}


def _three(facts: Mapping[str, Any], name: str, default: tuple[float, ...]) -> tuple[float, ...]:
    """Three numbers of the configuration."""
    found = facts.get(name)
    if found is None:
        return default
    if not isinstance(found, list) or len(found) != len(default) or not all(map(is_number, found)):
        raise FolderError(f"has a {CONFIG} with {name} {found!r}, where three numbers were expected.")
    return tuple(found)


def _sides(cfg: Mapping[str, Any]) -> tuple[int, int]:
    """Height and width of the pictures that it was trained on."""
    channels, height, width = _three(cfg, "input_size", SHAPE)
    if channels != 3 or not all(float(side).is_integer() and side > 0 for side in (height, width)):
        raise FolderError(
            f"has a {CONFIG} with input_size {cfg['input_size']!r}, where three channels and whole sides were expected."
        )
    return int(height), int(width)


def _square(sides: tuple[int, int]) -> int:
    height, width = sides
    if height != width:
        raise FolderError(f"has a {CONFIG} for pictures of {height} x {width} pixels, where squares were expected.")
    return height


def _heads(size: str, width: int, args: Mapping[str, Any], architecture: str) -> int:
    """Heads of attention, as the configuration says them, else by the published size."""
    if "num_heads" in args:
        heads = positive(args, "num_heads")
        if width % heads:
            raise FolderError(f"has a {CONFIG} with num_heads {heads}, which do not divide its width {width}.")
        return heads
    if size not in SIZES:
        raise OtherNetworkError(f"holds {architecture}")
    published, heads = SIZES[size]
    if width != published:
        raise FolderError(
            f"holds {architecture} of width {width}, where {published} was expected: how many heads of attention such "
            f"a width has is not known; say num_heads among the model_args of its {CONFIG}."
        )
    return heads


def _size(stored: Mapping[str, Stored], name: str, axis: int) -> int:
    """A size of a tensor, by which those of others are known; 0 where there is none, which is then said of it."""
    shape = stored[name].shape if name in stored else ()
    return shape[axis] if shape else 0


def _transformer(stored: Mapping[str, Stored], patch: int, side: int) -> Shapes:
    """One class token, absolute positions and plain blocks: no second token, gate, scale or norm besides."""
    width = _size(stored, "cls_token", -1)
    if side % patch:
        raise FolderError(f"has a {CONFIG} for pictures of {side} pixels, of which patches of {patch} leave a rest.")
    shapes: Shapes = {
        "cls_token": (1, 1, width), "pos_embed": (1, (side // patch) ** 2 + 1, width),
        "patch_embed.proj.weight": (width, 3, patch, patch), "patch_embed.proj.bias": (width,),
        "norm.weight": (width,), "norm.bias": (width,),
    }  # fmt: skip
    for block in (f"blocks.{number}" for number in range(max(1, blocks_of(stored)))):
        inner = _size(stored, f"{block}.mlp.fc1.weight", 0)
        dense = {"attn.qkv": (3 * width, width), "attn.proj": (width, width), "mlp.fc1": (inner, width),
                 "mlp.fc2": (width, inner)}  # fmt: skip
        for name, shape in dense.items():
            shapes |= {f"{block}.{name}.weight": shape, f"{block}.{name}.bias": shape[:1]}
        for norm in ("norm1", "norm2"):
            shapes |= {f"{block}.{norm}.{kind}": (width,) for kind in ("weight", "bias")}
    return shapes


def _resnet(stored: Mapping[str, Stored], times: int, counts: tuple[int, ...]) -> Shapes:
    """A stem of 7 x 7 pixels, then stages of blocks of two or three convolutions."""
    entering = _size(stored, "conv1.weight", 0)
    shapes: Shapes = {"conv1.weight": (entering, 3, 7, 7), **_norm("bn1", entering)}
    for stage, count in enumerate(counts, start=1):
        width = _size(stored, f"layer{stage}.0.conv1.weight", 0)
        for number in range(count):
            name, leaving = f"layer{stage}.{number}", times * width
            sizes = ((width, entering, 1), (width, width, 3), (leaving, width, 1))
            for place, (outputs, inputs, size) in enumerate(
                sizes if times == BOTTLENECK else ((width, entering, 3), (width, width, 3)), start=1
            ):
                shapes |= {f"{name}.conv{place}.weight": (outputs, inputs, size, size)}
                shapes |= _norm(f"{name}.bn{place}", outputs)
            if not number and (stage > 1 or entering != leaving):
                shapes |= {f"{name}.downsample.0.weight": (leaving, entering, 1, 1)}
                shapes |= _norm(f"{name}.downsample.1", leaving)
            entering = leaving
    return shapes


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.{kind}": (width,) for kind in ("weight", "bias", "running_mean", "running_var")}
