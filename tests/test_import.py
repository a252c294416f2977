"""`import leadline` and `leadline predict` stay light, and every public name is real."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.ship.assemble import assemble

HEAVY = ("torch", "lightgbm", "matplotlib", "sklearn")


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    tell = f"\nimport sys; loaded = [m for m in {HEAVY} if m in sys.modules]"
    tell += "\nsys.exit(f'loaded {loaded}' if loaded else 0)"
    return subprocess.run([sys.executable, "-c", code + tell, *arguments], capture_output=True, text=True)


def test_import_loads_nothing_heavy() -> None:
    done = _run("import leadline; leadline.__version__")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    done = _run(
        "import sys, leadline.cli.commands\ntry: leadline.cli.commands.main(sys.argv[1:])\nexcept SystemExit: pass",
        *words,
    )
    assert done.returncode == 0 and "leadline" in done.stdout, done.stderr


@pytest.mark.parametrize("kind", ["table", "text", "image"])
def test_predict_loads_nothing_heavy(kind: str, prepare: Any, mixed: Any, messages: Any, tmp_path: Path) -> None:
    if kind == "image":
        from PIL import Image

        rng = np.random.default_rng(0)
        source: Any = tmp_path / "pictures"
        for i in range(24):
            folder = source / ("dark", "light")[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 100, (9, 9)).astype(np.uint8) + np.uint8(i % 2 * 150)).save(
                folder / f"{i}.png"
            )
        made, new = prepare(source), source
    else:
        frame: pl.DataFrame = mixed(200) if kind == "table" else messages(60)
        made, new = prepare(frame, target=frame.columns[-1]), tmp_path / "new.csv"
        frame.write_csv(new)
    fitted: Any = list(PORTFOLIO["linear"].fit(Data(store=made.store, clock=Clock(20.0), threads=1), 0))[-1]
    model = assemble(made.store, fitted.graph().SerializeToString(), {})
    (tmp_path / "model.onnx").write_bytes(model)
    code = "import sys\nfrom leadline.cli.commands import main\nassert main(sys.argv[1:]) == 0"
    done = _run(code, "predict", str(tmp_path), str(new), "--out", str(tmp_path / "out.csv"))
    assert done.returncode == 0, done.stderr
    assert pl.read_csv(tmp_path / "out.csv").height == made.table.rows


def test_check_loads_nothing_heavy() -> None:
    code = "import sys\nfrom leadline.cli.commands import main\nassert main(sys.argv[1:]) == 0"
    done = _run(code, "check", "digits")
    assert done.returncode == 0 and "The textbook often expects" in done.stdout, done.stderr


def test_generate_loads_nothing_heavy(prepare: Any, story: Any, tmp_path: Path) -> None:
    made = prepare(story())
    fitted: Any = list(PORTFOLIO["ngram"].fit(Data(store=made.store, clock=Clock(20.0), threads=1), 0))[-1]
    model = assemble(made.store, fitted.graph().SerializeToString(), {})
    (tmp_path / "model.onnx").write_bytes(model)
    code = "import sys\nfrom leadline.cli.commands import main\nassert main(sys.argv[1:]) == 0"
    done = _run(code, "generate", str(tmp_path / "model.onnx"), "--length", "20")
    assert done.returncode == 0 and len(done.stdout) >= 20, done.stderr


def test_public_names_are_sorted_and_real() -> None:
    assert leadline.__all__ == sorted(leadline.__all__) and len(set(leadline.__all__)) == len(leadline.__all__)
    for name in leadline.__all__:
        # `leadline.train` is a package that can be called, so its name has its parent's before it.
        assert getattr(leadline, name).__name__.rpartition(".")[2] == name
    assert set(leadline.__all__) <= set(dir(leadline))
    with pytest.raises(AttributeError, match="module 'leadline' has no attribute 'nothing'"):
        leadline.nothing  # noqa: B018
