"""A network of any architecture that the package `transformers` has (Wolf et al. 2020), from a folder of the user's.

Enters: a folder with config.json and weights as safetensors. Leaves: a PyTorch module in float32, to be written as a
graph: no user of a shipped file needs the package. It reads the folder alone: nothing is looked up in a hub whatever
the environment says, no code of the folder is run, and no pickle is opened.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.kinds.body_folder import (
    AGAIN,
    CONFIG,
    INDEX,
    WEIGHTS,
    FolderError,
    configuration,
    first_line,
    has_weights,
    header,
    read_by,
)
from leadline.kinds.kept import kept
from leadline.system.process_state import SharedChange, errors_only, warnings_ignored

if TYPE_CHECKING:
    from torch import Tensor, nn

PACKAGE = "transformers"
WRITERS = (PACKAGE, "torch")  # of a graph
INSTALL = f"pip install {PACKAGE}"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.msgpack", "*.h5")  # how else weights are handed out
TOKENIZER = "tokenizer.json"
PIECES = "*.model"
SOURCES = ("vocab.*", "merges.txt", PIECES)  # of which the package makes one; of nothing it makes an empty one
OFFLINE = "HF_HUB_OFFLINE"
TEXTS, PICTURES, SOUNDS = "input_ids", "pixel_values", "input_values"  # what a network reads
SEEN = "vision_config"  # of a model that reads pictures and something else
# What a configuration says of pictures, of sounds, and of texts: a model of the former may have a vocabulary too.
MARKS = {
    PICTURES: (SEEN, "image_size", "num_channels"), SOUNDS: ("conv_stride", "num_mel_bins", "audio_config"),
    TEXTS: ("vocab_size",),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Network:
    """An encoder as a module, ready to answer."""

    module: nn.Module
    reads: str  # the name of its input
    missing: tuple[str, ...]  # weights that the folder does not have: they are NaN

    def tried(self, answer: Callable[[], Tensor]) -> Tensor:
        """What `answer` gives. Raises FolderError where it depends on a weight that the folder does not have."""
        import torch

        with torch.no_grad(), quiet():
            states = answer()
        if self.missing and not bool(torch.isfinite(states).all()):
            raise FolderError(f"has no {self.missing[0]} in its weights, which the model needs; {AGAIN}.")
        return states


def reads(facts: Mapping[str, Any]) -> str | None:
    """What a model of this configuration reads, one of `MARKS`; None where nothing says it."""
    return next((read for read, marks in MARKS.items() if any(mark in facts for mark in marks)), None)


def is_model(facts: Mapping[str, Any]) -> bool:
    """Whether a configuration names its architecture, as the package writes it."""
    return isinstance(facts.get("model_type"), str)


def model_type(folder: Path) -> str | None:
    """The architecture that a folder's configuration names, as the package has it; None where it names none.

    Raises FolderError where the folder cannot be read: its weights are no safetensors, or the package is not there.
    """
    facts = configuration(folder / CONFIG)
    if not is_model(facts):
        return None
    named: str = facts["model_type"]
    if not has_weights(folder):
        pickles = sorted(each.name for pattern in PICKLES for each in folder.glob(pattern))
        but = f", only {pickles[0]}, which may run code when it is read; take one with safetensors" if pickles else ""
        raise FolderError(f"has no {WEIGHTS}{but}{'' if but else f', nor {INDEX}'}.")
    header(folder)
    if importlib.util.find_spec(PACKAGE) is None:
        raise FolderError(f"holds a model of type {named!r}, which the package {PACKAGE} reads; install it: {INSTALL}.")
    return named


def unknown(folder: Path) -> str | None:
    """What is wrong with a folder whose configuration names a model that the package does not have, as the end of a
    sentence; None where it has it, or is not there."""
    facts = configuration(folder / CONFIG)
    if not is_model(facts) or importlib.util.find_spec(PACKAGE) is None:
        return None
    with offline(), quiet():
        from transformers import CONFIG_MAPPING
    if facts["model_type"] in CONFIG_MAPPING:
        return None
    return (
        f"has a {CONFIG} of type {facts['model_type']!r}, which is no model that {PACKAGE} {version(PACKAGE)} knows; "
        "give the folder of a pretrained body."
    )


def network(folder: Path, **config: Any) -> Network:
    """The encoder in a folder: of a model that also decodes, the half that reads.

    Args:
        config: settings of the model in place of those of the folder.

    Raises FolderError where the package does not know the model, or its weights are not those that config.json says.
    """
    import torch

    facts = {"local_files_only": True, "trust_remote_code": False}
    with read_by(f"{PACKAGE} {version(PACKAGE)}"), offline(), quiet():
        import transformers

        read = transformers.AutoConfig.from_pretrained(folder, **facts)
        for name, value in config.items():
            setattr(read, name, value)
        module, loaded = transformers.AutoModel.from_pretrained(
            folder, config=read, use_safetensors=True, dtype=torch.float32, attn_implementation="eager",
            ignore_mismatched_sizes=True, output_loading_info=True, **facts,
        )  # fmt: skip
    _agrees(module, loaded)
    missing = tuple(sorted(loaded["missing_keys"]))
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if name in missing and value.is_floating_point():
            value.data.fill_(torch.nan)
        elif isinstance(value, torch.nn.Parameter) and not bool(torch.isfinite(value).all()):
            raise FolderError(f"has weights in {name} that are not finite; {AGAIN}, or take other weights.")
    encoder = module.get_encoder() if getattr(read, "is_encoder_decoder", False) else module
    return Network(module=encoder.float().eval(), reads=encoder.main_input_name, missing=missing)


def tokenizer(folder: Path) -> str:
    """JSON of the tokenizer that the package makes of the files in a folder. Raises FolderError where there is none."""
    if not any(each for pattern in SOURCES for each in folder.glob(pattern)):
        raise FolderError(f"has no {TOKENIZER}, nor other files of a tokenizer; {AGAIN}.")
    needed = [PACKAGE, *(["sentencepiece"] if any(folder.glob(PIECES)) else [])]
    if lacking := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise FolderError(
            f"has no {TOKENIZER}, which {' and '.join(needed)} make of its other files; install what is missing: pip "
            f"install {' '.join(lacking)}."
        )
    return kept(folder, TOKENIZER, lambda: _tokenizer(folder).encode(), (PACKAGE,)).decode()


def _tokenizer(folder: Path) -> str:
    import transformers

    with offline(), quiet():
        try:
            made = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            found: str = made.backend_tokenizer.to_str()
        except Exception as error:  # a library's own words, or those of a package that it lacks
            raise FolderError(f"has no {TOKENIZER}, and none can be made of its files: {first_line(error)}") from error
    return found


def _agrees(module: nn.Module, loaded: Mapping[str, Any]) -> None:
    """Raise FolderError where the weights have other shapes, or more layers, than the configuration says."""
    for name, found, expected in sorted(loaded["mismatched_keys"], key=lambda each: str(each[0])):
        raise FolderError(
            f"has {name} of shape {list(found)}, where the model needs {list(expected)} by its {CONFIG}; take the one "
            "that came with the weights."
        )
    known = tuple({_numberless(name) for name, _ in module.named_parameters()})
    if more := sorted(name for name in loaded["unexpected_keys"] if re.search(r"\d", name) and _is_of(name, known)):
        raise FolderError(
            f"has {more[0]} in its weights, a layer more than its {CONFIG} says; take the one that came with the "
            "weights."
        )


def _is_of(name: str, known: tuple[str, ...]) -> bool:
    return _numberless(name).endswith(known)


def _numberless(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _no_hub() -> Callable[[], object]:
    """Its variable, and what its library read from it when it was imported."""
    from huggingface_hub import constants

    before, held = os.environ.get(OFFLINE), constants.HF_HUB_OFFLINE
    os.environ[OFFLINE], constants.HF_HUB_OFFLINE = "1", True

    def undo() -> None:
        constants.HF_HUB_OFFLINE = held
        if before is None:
            del os.environ[OFFLINE]
        else:
            os.environ[OFFLINE] = before

    return undo


def _no_progress() -> Callable[[], object]:
    from transformers.utils import logging

    bars: Any = logging  # whose functions have no types
    if not bars.is_progress_bar_enabled():
        return lambda: None
    bars.disable_progress_bar()
    restore: Callable[[], object] = bars.enable_progress_bar
    return restore


_NO_HUB, _NO_PROGRESS = SharedChange(_no_hub), SharedChange(_no_progress)


def offline() -> SharedChange:
    """No client of the hub asks for anything inside, whatever the user's environment says."""
    return _NO_HUB


@contextmanager
def quiet() -> Iterator[None]:
    """The package shows no progress, warns of nothing and logs errors alone."""
    with ExitStack() as stack:
        for change in (_NO_PROGRESS, errors_only(PACKAGE), warnings_ignored()):
            stack.enter_context(change)
        yield
