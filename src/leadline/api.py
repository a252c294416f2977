"""`leadline.fit`: one call from a source to a verdict, a file and a report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from leadline.config import Settings, from_mapping
from leadline.core.records import Verdict
from leadline.pipeline import run_pipeline
from leadline.race.context import RunContext, memory_cap
from leadline.race.journal import Event
from leadline.race.spare import spares_for
from leadline.readers.find import cache_of, find
from leadline.results.run import Run, make_small
from leadline.results.run_folder import remarks, run_folder, write_config
from leadline.system.arguments import checked
from leadline.system.errors import OutputError
from leadline.system.os_errors import spoken


@checked
def fit(
    source: Any, *, test: Any = None, watch: Callable[[Event], None] | None = None, began: float | None = None,
    **settings: Any,
) -> Run:  # fmt: skip
    """Train deep and classical contenders under one budget; say which to use, and ship it.

    Args:
        source: a folder, a file, a frame, arrays (X, y), or the name of a sample.
        test: test rows in the same forms; by default a predefined test part, else a fifth of the rows.
        watch: called with every event of the journal.
        began: the monotonic moment from which the budget counts (default: now).
        settings: fields of `leadline.config.Settings`, such as `target`, `budget` or `seed`.

    Raises:
        LeadlineError: with one sentence that says what was found and how to fix it.

    Example:
        >>> run = fit("digits", budget="30s", out="digits-run")  # doctest: +SKIP
        >>> run.verdict.answer  # doctest: +SKIP
        'tie'
    """
    began = time.monotonic() if began is None else began
    checked = from_mapping({**settings, "test": str(test) if isinstance(test, (str, Path)) else None})
    if checked.edge and checked.out is not None:
        _check_small(Path(checked.out))
    with spoken(cache=cache_of(checked), out=Path(checked.out or "runs")):
        run = _fit(source, test, watch, checked, began)
        make_small(run, source, test, checked, stacklevel=3)
        return run


def _check_small(folder: Path) -> None:
    """That --edge can make its folder, before anything is trained."""
    from leadline.shrink.shrink import beside

    if (small := beside(folder)).exists():
        raise OutputError(f"{small}, which --edge makes, already exists; choose another --out, or remove it.")


def _fit(
    source: Any, test: Any, watch: Callable[[Event], None] | None, settings: Settings, began: float
) -> Run:  # fmt: skip
    with ExitStack() as ends:
        spares = ends.enter_context(closing(spares_for(settings.only, settings.seconds, memory_cap(settings))))
        data = find(source, test, settings)
        folder, final = ends.enter_context(run_folder(settings, data.name))
        data = dataclasses.replace(data, notes=(*data.notes, *remarks(folder, final)))
        write_config(folder, source, test, settings)
        context = RunContext(
            settings=settings, source=data, folder=folder, began=began, spares=spares,
            watch=watch or (lambda event: None),
        )  # fmt: skip
        result = run_pipeline(context)
    return Run(folder=final, verdict=Verdict(**result["verdict"]), result=result)
