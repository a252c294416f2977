"""A finished run, as `fit` returns it and `show` opens it again."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.core.records import Verdict
from leadline.system.arguments import checked
from leadline.system.errors import LeadlineError, ModelError
from leadline.use.model import Model

if TYPE_CHECKING:
    from leadline.config import Settings
    from leadline.results.run_data import RunData
    from leadline.shrink.shrink import Shrunk
    from leadline.use.explain.records import Explanation


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

    @checked
    def data(self, source: Any = None, test: Any = None) -> RunData:
        """The data of the run again: table, encoded rows with the same split, labels, predictions.

        Args:
            source, test: where the data are now, or the frame or arrays that were given (default: as the run says).

        Raises:
            LeadlineError: where the data have changed, or were in memory and are not given again.
        """
        from leadline.results.run_data import RunData

        return RunData.open(self, source, test)

    @checked
    def explain(
        self, source: Any = None, *, rows: Sequence[int] | None = None, layers: bool = False,
        gradients: bool | None = None,
    ) -> Explanation:  # fmt: skip
        """Why the shipped model answers rows as it does, and how far that can be trusted.

        Args:
            source: rows as for `Model.predict` (default: the test rows of the run).
            rows: numbers of the rows to explain, from 0: of the source, or among the test rows (default: a dozen).
            layers: also what each layer of a network has learned.
            gradients: of a network also integrated gradients (default: where a dozen rows or fewer are explained).

        Raises:
            LeadlineError: where there is no such row, the model has no layers, or the data of the run have changed.
        """
        if source is not None:
            return self.model.explain(source, rows=rows, layers=layers, gradients=bool(gradients))
        from leadline.results.explain_run import explain_run

        return explain_run(self, rows, layers, gradients)

    @checked
    def shrink(self, source: Any = None, test: Any = None, **settings: Any) -> Shrunk:
        """The smallest, or fastest, file that is proved not worse than the model, in a folder of its own.

        Args:
            source, test: where the data are now, or the frame or arrays that were given (default: as the run says).
            settings: fields of `leadline.shrink.limits.ShrinkSettings`: max_drop, max_size, max_latency, prefer, out,
                distill, unlabelled.

        Raises:
            LeadlineError: where the run has no model, a limit cannot be certified, or the data have changed.
        """
        from leadline.shrink.limits import ShrinkSettings
        from leadline.shrink.shrink import check, shrink

        wanted = ShrinkSettings.of(settings)
        check(self.folder, wanted, self.result["task"])
        if self.result["shipped"] is None:
            raise ModelError(f"{self.folder} ships no model, so there is nothing to shrink: {self.verdict.why}")
        return shrink(self.data(source, test), self.folder, wanted)

    @property
    def small(self) -> Shrunk | None:
        """What --edge, or `shrink` without `out`, made of the model; None where it lies no longer beside the run."""
        from leadline.shrink.shrink import beside, opened

        return opened(beside(self.folder))

    def report(self) -> Path:
        """The path of the report page."""
        return self.folder / "report.html"


def make_small(run: Run, source: Any, test: Any, settings: Settings, stacklevel: int) -> None:
    """The smaller file of --edge; where there is none, the run is as good as before, and a warning says why."""
    if not settings.edge or run.result["shipped"] is None:
        return
    try:
        run.shrink(source, test, seconds=settings.edge_seconds)
    except LeadlineError as error:
        warnings.warn(f"--edge made no smaller file: {error}", stacklevel=stacklevel + 1)
