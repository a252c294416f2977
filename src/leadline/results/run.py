"""A finished run, as `fit` returns it and `show` opens it again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.stats.verdict import Verdict
from leadline.system.errors import ModelError
from leadline.use.model import Model

if TYPE_CHECKING:
    from leadline.results.run_data import RunData


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

    def data(self, source: Any = None, test: Any = None) -> RunData:
        """The data of the run again: table, encoded rows with the same split, labels, predictions.

        Args:
            source, test: where the data are now, or the frame or arrays that were given (default: as the run says).

        Raises:
            LeadlineError: where the data have changed, or were in memory and are not given again.
        """
        from leadline.results.run_data import RunData

        return RunData.open(self, source, test)

    def report(self) -> Path:
        """The path of the report page."""
        return self.folder / "report.html"
