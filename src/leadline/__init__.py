"""Leadline measures before you go deep: raw data in, a verdict with evidence and one ONNX file out.

Names are loaded when they are first used: `import leadline` imports neither torch nor LightGBM.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing` has it, which would be the only module to import
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from leadline.again import Replay, replay, resume
    from leadline.before import Check, check
    from leadline.config import Settings
    from leadline.data.kept import clean, kept
    from leadline.data.samples import load
    from leadline.errors import BudgetError, LeadlineError, ModelError, OutputError, SourceError, TargetError
    from leadline.listing import runs, show
    from leadline.run import Run, fit
    from leadline.ship.model import Model
    from leadline.train.trace import trace
    from leadline.train.trainer import train

_HOMES = {
    "BudgetError": "leadline.errors",
    "Check": "leadline.before",
    "LeadlineError": "leadline.errors",
    "Model": "leadline.ship.model",
    "ModelError": "leadline.errors",
    "OutputError": "leadline.errors",
    "Replay": "leadline.again",
    "Run": "leadline.run",
    "Settings": "leadline.config",
    "SourceError": "leadline.errors",
    "TargetError": "leadline.errors",
    "check": "leadline.before",
    "clean": "leadline.data.kept",
    "fit": "leadline.run",
    "kept": "leadline.data.kept",
    "load": "leadline.data.samples",
    "replay": "leadline.again",
    "resume": "leadline.again",
    "runs": "leadline.listing",
    "show": "leadline.listing",
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
