"""Write anew what README shows of runs: its console blocks with output, and the answers of its ONNX Runtime example.

    python benchmarks/shown.py        (or: make docs)

Each command is run as it stands, in an empty folder, on a machine that does nothing else: times and scores are its own.
What the prose says of the verdict is not rewritten: read it again (`tests/test_docs.py` finds most of what is wrong).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"(```console\n\$ leadline (.*)\n)([^$]+?)(```)")
CODE = re.compile(r"(```python\n[^`]*?import onnxruntime.*?print\([^\n]*?\)  # )([^\n]*)(\n```)", re.DOTALL)


def main() -> None:
    """Run, and rewrite README."""
    text = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        text = BLOCK.sub(lambda found: found[1] + _run(f"-m leadline {found[2]}".split(), folder) + found[4], text)
        text = CODE.sub(lambda found: found[1] + _code(found[1], folder) + found[3], text)
    (seconds,) = re.findall(r"\nreport .*\((\d+) s(?: of [^)]*)?\)\n", text)
    text = re.sub(r"That was two cores and \d+ seconds\.", f"That was two cores and {seconds} seconds.", text)
    README.write_text(text, encoding="utf-8")


def _run(words: list[str], folder: str) -> str:
    without = {**os.environ, "LEADLINE_WEIGHTS": "none"}  # as on a machine without the extra
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=True, env=without)
    return done.stdout


def _code(shown: str, folder: str) -> str:
    code = shown.removeprefix("```python\n").removesuffix("  # ")
    return _run(["-c", code], folder).rstrip("\n")


if __name__ == "__main__":
    main()
