"""Leadline measures before you go deep: raw data in, a verdict with evidence and one ONNX file out.

Names are loaded when they are first used: `import leadline` imports neither torch nor LightGBM.
"""

from __future__ import annotations

from leadline.system.version import __version__ as __version__

TYPE_CHECKING = False  # as `typing` has it, which would be the only module to import
if TYPE_CHECKING:
    from typing import Any

if TYPE_CHECKING:
    from leadline import cache
    from leadline.api import fit
    from leadline.config import Settings
    from leadline.curves.curves import Curves, learning_curves
    from leadline.dry_run import Check, check
    from leadline.explanation import explain
    from leadline.readers.samples import load
    from leadline.rerun import Replay, replay, resume
    from leadline.results.registry import list_runs, open_run
    from leadline.results.run import Run
    from leadline.system.errors import BudgetError, LeadlineError, ModelError, OutputError, SourceError, TargetError
    from leadline.train.api import train
    from leadline.train.trace import trace
    from leadline.use.model import Model

_HOMES = {
    "BudgetError": "leadline.system.errors",
    "Check": "leadline.dry_run",
    "Curves": "leadline.curves.curves",
    "LeadlineError": "leadline.system.errors",
    "Model": "leadline.use.model",
    "ModelError": "leadline.system.errors",
    "OutputError": "leadline.system.errors",
    "Replay": "leadline.rerun",
    "Run": "leadline.results.run",
    "Settings": "leadline.config",
    "SourceError": "leadline.system.errors",
    "TargetError": "leadline.system.errors",
    "cache": "leadline.cache",
    "check": "leadline.dry_run",
    "explain": "leadline.explanation",
    "fit": "leadline.api",
    "learning_curves": "leadline.curves.curves",
    "list_runs": "leadline.results.registry",
    "load": "leadline.readers.samples",
    "open_run": "leadline.results.registry",
    "replay": "leadline.rerun",
    "resume": "leadline.rerun",
    "trace": "leadline.train.trace",
    "train": "leadline.train",
}

__all__ = [
    "BudgetError",
    "Check",
    "Curves",
    "LeadlineError",
    "Model",
    "ModelError",
    "OutputError",
    "Replay",
    "Run",
    "Settings",
    "SourceError",
    "TargetError",
    "cache",
    "check",
    "explain",
    "fit",
    "learning_curves",
    "list_runs",
    "load",
    "open_run",
    "replay",
    "resume",
    "trace",
    "train",
]


_RENAMED = {"clean": "cache.clear", "kept": "cache.list", "runs": "list_runs", "show": "open_run"}


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        from operator import attrgetter
        from warnings import warn

        warn(f"ll.{name} is now called ll.{_RENAMED[name]}.", FutureWarning, stacklevel=2)
        return attrgetter(_RENAMED[name])(__import__("leadline"))
    if name not in _HOMES:
        raise AttributeError(f"module 'leadline' has no attribute {name!r}")
    from importlib import import_module

    home = import_module(_HOMES[name])
    return home if name == "cache" else getattr(home, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
