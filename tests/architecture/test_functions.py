"""Functions that can be read: none over 60 lines, none with more than 8 parameters; and none that reads sentences."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import leadline

SOURCE = Path(leadline.__file__).parent
LINES, PARAMETERS = 60, 8
PUBLIC = {"train/api.py train", "api.py fit", "pipeline.py fit"}  # settings by name, as users call them
PHRASE = re.compile(r"[a-z]{2,} [a-z]{2,}")
SENTENCES = {
    "note", "notes", "why", "line", "says", "said", "reason", "message", "messages", "sentence", "warning", "warnings",
}  # fmt: skip  # names of text


def _functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(SOURCE).as_posix()} {node.name}", node


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([each for each in given if each.arg not in ("self", "cls")])


def test_no_function_is_long() -> None:
    found = {name for name, node in _functions() if (node.end_lineno or 0) - node.lineno + 1 > LINES}
    assert found <= PUBLIC


def test_no_function_has_many_parameters() -> None:
    found = {name for name, node in _functions() if _parameters(node) > PARAMETERS}
    assert found <= PUBLIC


def _reads_a_sentence(node: ast.AST) -> bool:
    """Whether an expression looks into a sentence: a phrase in anything, or a word in what is named as a text."""
    if isinstance(node, ast.Compare) and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
        wanted, texts = node.left, node.comparators
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        if node.func.attr not in ("startswith", "endswith"):
            return False
        wanted, texts = node.args[0], [node.func.value]
    else:
        return False
    if not (isinstance(wanted, ast.Constant) and isinstance(wanted.value, str)):
        return False
    named = {ast.unparse(text).split(".")[-1] for text in texts}
    return PHRASE.search(wanted.value) is not None or bool(named & SENTENCES)


def test_no_logic_reads_a_sentence() -> None:
    found = {
        f"{path.relative_to(SOURCE).as_posix()} {ast.unparse(node)}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if _reads_a_sentence(node)
    }
    assert found == set()


def test_a_sentence_that_is_read_is_found() -> None:
    for code in ('note.startswith("cut")', '"has no header" in found', 'x.why.endswith("it")', '"a" not in self.notes'):
        assert _reads_a_sentence(ast.parse(code, mode="eval").body), code
    for code in ('"image" in kinds', 'name.startswith("x")', "note in notes"):
        assert not _reads_a_sentence(ast.parse(code, mode="eval").body), code
