"""`leadline.fit`: one call from a source to a verdict, a file and a report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from leadline.config import Settings, from_mapping
from leadline.pipeline import run_pipeline
from leadline.race.context import RunContext, memory_cap
from leadline.race.journal import Event
from leadline.race.spare import spares_for
from leadline.readers.find import cache_of, find
from leadline.results.run import Run
from leadline.results.run_folder import remarks, run_folder, write_config
from leadline.stats.verdict import Verdict
from leadline.system.os_errors import spoken


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
    asked = from_mapping({**settings, "test": str(test) if isinstance(test, (str, Path)) else None})
    with spoken(cache=cache_of(asked), out=Path(asked.out or "runs")):
        return _fit(source, test, watch, asked, began)


def _fit(
    source: Any, test: Any, watch: Callable[[Event], None] | None, settings: Settings, began: float
) -> Run:  # fmt: skip
    with ExitStack() as ends:
        spares = ends.enter_context(closing(spares_for(settings.only, settings.seconds, memory_cap(settings))))
        found = find(source, test, settings)
        folder, final = ends.enter_context(run_folder(settings, found.name))
        found = dataclasses.replace(found, notes=(*found.notes, *remarks(folder, final)))
        write_config(folder, source, test, settings)
        context = RunContext(
            settings=settings, source=found, folder=folder, began=began, spares=spares,
            watch=watch or (lambda event: None),
        )  # fmt: skip
        result = run_pipeline(context)
    return Run(folder=final, verdict=Verdict(**result["verdict"]), result=result)
