"""Who may name whom: a kind, a task and a contender are named in their own slices, and nowhere else."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import leadline
from leadline.contenders.portfolio import PORTFOLIO
from leadline.kinds import KINDS
from leadline.tasks import TASKS

SOURCE = Path(leadline.__file__).parent
SLICES = {"kinds": (KINDS, "kinds/"), "tasks": (TASKS, "tasks/"), "contenders": (PORTFOLIO, "contenders/")}


def _literals(path: Path) -> Iterator[str]:
    """The text constants of a file that are no docstrings, and no attributes of an ONNX operator."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    onnx = {
        id(word.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "g.op"
        for word in node.keywords
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | onnx:
            yield node.value


def _named(slice_name: str) -> Counter[str]:
    names, own = SLICES[slice_name]
    found: Counter[str] = Counter()
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        if not place.startswith(own):
            found[place] += sum(literal in names for literal in _literals(path))
    return +found


@pytest.mark.parametrize("slice_name", SLICES)
def test_a_name_is_known_in_its_own_slice_alone(slice_name: str) -> None:
    assert _named(slice_name) == {}


def test_a_literal_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text('"""image"""\n\ndef f(kind):\n    """audio"""\n    return kind == "text"\n')
    assert list(_literals(path)) == ["text"]
