"""The smaller file as a section of the run's own report, which has a place for it.

Enters: what shrink.json holds, and both folders. Leaves: the page of the run with the section of the newest shrink.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leadline.charts.format import esc
from leadline.charts.slots import filled
from leadline.shrink.page import body
from leadline.system.whole import replace_text

__all__ = ["SMALLER", "SMALLER_LINK", "add_section", "way"]

SMALLER, SMALLER_LINK = "smaller", "smaller-link"  # places of the run's page
PAGE = "report.html"


def way(origin: Path, target: Path) -> str | None:
    """The path from a page in one folder to the report in another; None where there is none, as between two drives."""
    try:
        found = os.path.relpath(target / PAGE, origin)
    except ValueError:
        return None
    return found.replace(os.sep, "/")


def add_section(run: Path, result: Mapping[str, Any], small: Path) -> None:
    """Write what became of the smaller file in `small` into the report of the run, in place of an earlier section."""
    title = "A smaller file" if result["chosen"] is not None else "No smaller file"
    link = way(run, small)
    more = f'<p><a href="{esc(link)}">A page of its own</a> lies in {esc(small.name)}.</p>' if link else ""
    section = (
        f'<section id="smaller" aria-labelledby="smaller-title"><h2 id="smaller-title">{title}</h2>'
        f"{body(result, 'h3', (link or PAGE).removesuffix(PAGE) + 'model.onnx')}{more}</section>\n"
    )
    try:
        why = _written(run / PAGE, {SMALLER_LINK: f'<a href="#smaller">{title}</a>', SMALLER: section})
    except OSError as error:
        why = error.strerror
    except UnicodeDecodeError:
        why = "it is not text in UTF-8"
    if why is not None:
        warnings.warn(f"The report of the run has no section on the smaller file: {why}.", stacklevel=2)


def _written(path: Path, parts: Mapping[str, str]) -> str | None:
    """Fill the places of a page; why not, where it has not all of them."""
    page = path.read_text(encoding="utf-8")
    for name, part in parts.items():
        found = filled(page, name, part)
        if found is None:
            return "it has no place for one, as reports of an earlier Leadline"
        page = found
    replace_text(path, page)
    return None
