"""What is shipped, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import leadline as ll


def test_a_limit_of_size_is_one_of_the_whole_file(mixed: Any, tmp_path: Path) -> None:
    frame = mixed(200)

    def shipped(name: str, **limits: str) -> ll.Run:
        return ll.fit(frame, target="y", only="linear", epochs=1, repeats=1, out=tmp_path / name, **limits)

    free = shipped("free")
    learned = next(each["bytes"] for each in free.result["contenders"] if each["name"] == "linear")
    whole = free.result["shipped"]["bytes"]
    assert learned < whole == (free.folder / "model.onnx").stat().st_size
    run = shipped("bound", max_size=f"{(learned + whole) // 2}B")
    assert run.result["shipped"] is None and not (run.folder / "model.onnx").exists()
    assert any("linear is not shipped: as a file it has" in message for message in run.result["warnings"])
