"""A body of pictures of any architecture that the package `timm` has (Wightman 2019), where it is installed.

Enters: a folder with config.json and weights as safetensors, as timm writes them to a hub. Leaves: the body. Nothing is
looked up in a hub, and every weight is that of the folder.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.core.pretrained import PretrainedBody
from leadline.kinds.body_folder import (
    CONFIG,
    FolderError,
    agrees,
    configuration,
    digest,
    finite,
    floats,
    header,
    read_by,
    values,
)
from leadline.kinds.exported import Exported, loaded
from leadline.kinds.hub_cache import called
from leadline.kinds.image.module_body import PICTURES, Encoder
from leadline.kinds.image.pixels import Sides
from leadline.kinds.image.timm_config import COUNTED, HEADS, READ, licence_of, object_in, pixels_of
from leadline.system.process_state import warnings_ignored

if TYPE_CHECKING:
    from torch import nn

    from leadline.kinds.image.towers import Intermediates

PACKAGE = "timm"
INSTALL = f"pip install {PACKAGE}"


def module_in(path: Path, holds: str) -> PretrainedBody:
    """The body in a folder of timm's.

    Args:
        holds: what the folder holds, for a sentence.

    Raises FolderError where timm is not there, does not know the network, or the weights are of another one.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise FolderError(f"{holds}, which the package {PACKAGE} reads: {INSTALL}; without it these are read: {READ}.")
    facts = configuration(path / CONFIG)
    cfg = object_in(facts, "pretrained_cfg")
    pixels = pixels_of(cfg)
    exported = Exported(folder=path, package=PACKAGE, what=PICTURES)
    encoder = Encoder.of(exported, pixels, partial(_states, path, digest(path), pixels.sides, holds))
    return encoder.body(called(facts["architecture"], path), licence_of(cfg, path))


@loaded
def _states(path: Path, content: str, sides: Sides, holds: str) -> Intermediates:
    """Of a folder with this content, once a process."""
    from leadline.kinds.image.towers import Intermediates

    facts, timm = configuration(path / CONFIG), _package(holds)
    cfg, architecture = object_in(facts, "pretrained_cfg"), str(facts["architecture"])
    with read_by(f"{PACKAGE} {timm.__version__}"), warnings_ignored():
        net = _network(timm, architecture, object_in(facts, "model_args"))
        _loaded(net, path, architecture)
        fixed = cfg.get("fixed_input_size", _own(net).get("fixed_input_size", False)) is True
        return Intermediates(net, sides, fixed)


def _package(holds: str) -> Any:
    try:
        with warnings_ignored():
            import timm
    except Exception as error:  # what it needs in turn may be absent, or not go with the PyTorch that is here
        why = next(iter(str(error).splitlines()), "")
        raise FolderError(
            f"{holds}, which the package {PACKAGE} reads; it is installed, but cannot be imported "
            f"({type(error).__name__}: {why}); without it these are read: {READ}."
        ) from error
    return timm


def _network(timm: Any, architecture: str, args: Mapping[str, Any]) -> nn.Module:
    """The network without a classifier, with weights of chance."""
    name = architecture.partition(".")[0]
    if not timm.is_model(name):
        raise FolderError(f"holds {architecture}, which {PACKAGE} {timm.__version__} does not know.")
    settings = [each.name for each in inspect.signature(timm.create_model).parameters.values() if each.name != "kwargs"]
    if foreign := [each for each in args if each in settings]:
        raise FolderError(f"has a {CONFIG} with {foreign[0]} among its model_args, which is no size of a network.")
    net: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **args).eval()
    return net


def _loaded(net: nn.Module, path: Path, architecture: str) -> None:
    """Put the weights of a folder into a network. Raises FolderError where they are of another one."""
    import torch

    stored = floats(header(path))
    expected = {name: tuple(value.shape) for name, value in net.state_dict().items() if not name.endswith(COUNTED)}
    agrees(stored, expected, architecture)
    named = _own(net).get("classifier") or ()
    heads = (*HEADS, *(f"{each}." for each in ([named] if isinstance(named, str) else named)))
    if more := [name for name in stored if name not in expected and not name.startswith(heads)]:
        raise FolderError(f"holds {architecture} with {more[0]}, which no {architecture} of {PACKAGE} has.")
    found = values({name: stored[name] for name in expected})
    finite(found)
    net.load_state_dict({name: torch.from_numpy(value) for name, value in found.items()}, strict=False)


def _own(net: nn.Module) -> Mapping[str, Any]:
    """What timm itself says of the network."""
    cfg: Any = getattr(net, "pretrained_cfg", None)
    return dict(cfg) if cfg else {}
