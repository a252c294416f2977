"""The layers of the house: a package imports only from those below it; no circle, no exception."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import leadline

SOURCE = Path(leadline.__file__).parent

# From the ground up. `leadline` itself is the public names, which the command line calls.
LAYERS = (
    "system", "graph", "charts", "metrics", "core", "tasks", "nets", "kinds", "config", "readers", "dataset",
    "inspect", "train", "contenders", "stats", "race", "flaws", "prepare", "textbook", "use", "ship", "shrink",
    "results", "report", "explanation", "curves", "pipeline", "api", "dry_run", "rerun", "cache", "leadline",
    "cli", "__main__",
)  # fmt: skip


def _layer(module: str) -> str:
    """The package right below `leadline` that a module lies in, or the module itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "leadline"


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ("leadline", *path.relative_to(SOURCE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _imports(path: Path) -> Iterator[str]:
    """Modules of Leadline that a file imports anywhere: at its top, in a function, or for types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "leadline":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "leadline")


MODULES = _modules()


def test_every_package_has_a_layer() -> None:
    assert {_layer(name) for name in MODULES} == set(LAYERS)


@pytest.mark.parametrize("module", MODULES)
def test_no_import_runs_up(module: str) -> None:
    if module == "leadline":
        return  # it names the public functions of all layers, and imports none of them before it is asked
    own = LAYERS.index(_layer(module))
    up = []
    for name in _imports(MODULES[module]):
        layer = _layer(name) if name in MODULES or name.rpartition(".")[0] != "leadline" else "leadline"
        if LAYERS.index(layer) > own:
            up.append(name)
    assert up == []


def test_an_import_that_runs_up_is_found(tmp_path: Path) -> None:
    below = tmp_path / "below.py"
    below.write_text("def f() -> None:\n    from leadline.report.page import render\n")
    assert [_layer(name) for name in _imports(below)] == ["report"]
    assert LAYERS.index("report") > LAYERS.index("system")
