"""A file that a docstring or a comment names is there: beside the one that names it, or from the package's root."""

from __future__ import annotations

import re
from pathlib import Path

import leadline

SOURCE = Path(leadline.__file__).parent
NAMED = re.compile(r"(?<![\w/.\"])([a-z_]+(?:/[a-z_]+)*\.py)\b")
OTHERS = {"token.py", "net.py", "leadline/__init__.py"}  # files of a user, of every kind, and of a checkout


def _missing(path: Path) -> list[str]:
    places = (path.parent, SOURCE, SOURCE.parents[1])
    names = NAMED.findall(path.read_text(encoding="utf-8"))
    return [name for name in names if name not in OTHERS and not any((place / name).exists() for place in places)]


def test_files_that_are_named_are_there() -> None:
    found = {path.relative_to(SOURCE).as_posix(): _missing(path) for path in sorted(SOURCE.rglob("*.py"))}
    assert {name: missing for name, missing in found.items() if missing} == {}


def test_a_file_that_is_not_there_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text('"""As `gone.py` says, and `x.py`, and `system/errors.py`."""\n')
    assert _missing(path) == ["gone.py"]
