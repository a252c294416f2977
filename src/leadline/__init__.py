"""Leadline measures before you go deep: raw data in, a verdict with evidence and one ONNX file out.

Names are loaded when they are first used: `import leadline` imports neither torch nor LightGBM.
"""

from __future__ import annotations

from leadline.system.version import __version__ as __version__

TYPE_CHECKING = False  # as `typing` has it, which would be the only module to import
if TYPE_CHECKING:
    from typing import Any

if TYPE_CHECKING:
    from leadline.api import fit
    from leadline.config import Settings
    from leadline.dry_run import Check, check
    from leadline.readers.samples import load
    from leadline.rerun import Replay, replay, resume
    from leadline.results.registry import runs, show
    from leadline.results.run import Run
    from leadline.system.cache import clean, kept
    from leadline.system.errors import BudgetError, LeadlineError, ModelError, OutputError, SourceError, TargetError
    from leadline.train.api import train
    from leadline.train.trace import trace
    from leadline.use.model import Model

_HOMES = {
    "BudgetError": "leadline.system.errors",
    "Check": "leadline.dry_run",
    "LeadlineError": "leadline.system.errors",
    "Model": "leadline.use.model",
    "ModelError": "leadline.system.errors",
    "OutputError": "leadline.system.errors",
    "Replay": "leadline.rerun",
    "Run": "leadline.results.run",
    "Settings": "leadline.config",
    "SourceError": "leadline.system.errors",
    "TargetError": "leadline.system.errors",
    "check": "leadline.dry_run",
    "clean": "leadline.system.cache",
    "fit": "leadline.api",
    "kept": "leadline.system.cache",
    "load": "leadline.readers.samples",
    "replay": "leadline.rerun",
    "resume": "leadline.rerun",
    "runs": "leadline.results.registry",
    "show": "leadline.results.registry",
    "trace": "leadline.train.trace",
    "train": "leadline.train",
}

__all__ = [
    "BudgetError",
    "Check",
    "LeadlineError",
    "Model",
    "ModelError",
    "OutputError",
    "Replay",
    "Run",
    "Settings",
    "SourceError",
    "TargetError",
    "check",
    "clean",
    "fit",
    "kept",
    "load",
    "replay",
    "resume",
    "runs",
    "show",
    "trace",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'leadline' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
