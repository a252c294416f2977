"""Models that are on this machine already, as Hugging Face's tools keep them: plain paths, and no client is called.

Enters: the name of a model, 'org/name' or 'name'. Leaves: the folder with its files:
<cache>/models--org--name/snapshots/<revision>, of the revision that refs/main names, else of the newest one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
PREFIX, BETWEEN, SNAPSHOTS = "models--", "--", "snapshots"


def hub_folder() -> Path:
    """Where the tools of the hub keep models, by the variables that they read."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if folder := os.environ.get(variable):
            return Path(folder).expanduser()
    home = os.environ.get("HF_HOME")
    base = Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return base.expanduser() / "hub"


def is_name(weights: str) -> bool:
    """Whether this may be a model's name; a path that begins with a dot is none."""
    return NAME.fullmatch(weights) is not None and not weights.startswith(".")


def snapshot(name: str) -> Path | None:
    """The folder of a model in the cache; None where it is not there."""
    folder = hub_folder() / (PREFIX + name.replace("/", BETWEEN))
    main = folder / "refs" / "main"
    revision = main.read_text(encoding="utf-8", errors="replace").strip() if main.is_file() else ""
    if Path(revision).name == revision != "" and (found := folder / SNAPSHOTS / revision).is_dir():
        return found
    others = [each for each in (folder / SNAPSHOTS).glob("*") if each.is_dir()]
    return max(others, key=lambda each: (each.stat().st_mtime_ns, each.name), default=None)


def called(model: str, folder: Path) -> str:
    """The name of a body: its architecture, and what the body in the folder is called, if that does not say it."""
    own = title(folder)
    return own if model.casefold() in own.casefold() else f"{model} {own}"


def title(folder: Path) -> str:
    """What a body in a folder is called: the folder's name, or that of the model whose snapshot it is."""
    model = folder.parent.parent.name
    if folder.parent.name == SNAPSHOTS and model.startswith(PREFIX):
        return model.removeprefix(PREFIX).replace(BETWEEN, "/")
    return folder.name
