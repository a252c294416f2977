"""explain(): why a model answers as it does, as an `Explanation` and, where wanted, as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from leadline.report.explanation import render
from leadline.results.registry import open_run
from leadline.results.run import Run
from leadline.system.arguments import checked
from leadline.system.errors import OutputError, SourceError
from leadline.system.whole import saved
from leadline.use.explain.records import Explanation
from leadline.use.model import Model

__all__ = ["explain"]

SUFFIXES = (".html", ".htm")
RESULT = "result.json"  # what makes a folder a run


@checked
def explain(
    model: Model | Run | str | Path, source: Any = None, *, rows: Sequence[int] | None = None,
    layers: bool = False, gradients: bool | None = None, out: str | Path | None = None,
) -> Explanation:  # fmt: skip
    """Explain answers of a model, and how far the explanation can be trusted.

    Args:
        model: a run or its folder, or a model or its file.
        source: rows as for `Model.predict` (default: the test rows of the run).
        rows: numbers of the rows to explain, from 0 (default: a dozen, evenly over the source).
        layers: also what each layer of a network has learned.
        gradients: of a network also integrated gradients (default: where a dozen test rows of a run or fewer are
            explained; they need PyTorch).
        out: an HTML page to write.

    Raises:
        LeadlineError: where there is no such row, a column is missing, the model is a language model, or the page
            cannot be written.
    """
    page = None if out is None else _checked(Path(out))
    of = _opened(model)
    if source is None and isinstance(of, Model):
        raise SourceError(f"{of.path} is a model without its run, so rows to explain must be given: name a source.")
    if isinstance(of, Model):
        found = of.explain(source, rows=rows, layers=layers, gradients=bool(gradients))
    else:
        found = of.explain(source, rows=rows, layers=layers, gradients=gradients)
    if page is not None:
        saved(render(found), page)
    return found


def _opened(model: Model | Run | str | Path) -> Model | Run:
    if isinstance(model, Model | Run):
        return model
    path = Path(model)
    if path.is_dir() and (path / RESULT).is_file():
        return open_run(path)
    return Model(path / "model.onnx" if path.is_dir() else path)


def _checked(out: Path) -> Path:
    if out.suffix.lower() not in SUFFIXES:
        raise OutputError(f"--out {out} is no HTML page; name a file that ends with .html.")
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent} to write {out.name} to; make it, or choose another --out.")
    return out
