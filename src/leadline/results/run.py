"""A finished run, as `fit` returns it and `show` opens it again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from leadline.stats.verdict import Verdict
from leadline.system.errors import ModelError
from leadline.use.model import Model


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A finished run: its folder, its verdict, its result, and the model it ships."""

    folder: Path
    verdict: Verdict
    result: dict[str, Any]

    @property
    def model(self) -> Model:
        """The shipped model. Raises `ModelError` where nothing could be shipped."""
        if self.result["shipped"] is None:
            raise ModelError(f"{self.folder} ships no model: {self.verdict.why}")
        return Model(self.folder / "model.onnx")

    def report(self) -> Path:
        """The path of the report page."""
        return self.folder / "report.html"
