"""What lets a person understand the shipped model, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leadline.core.printed import PrintedModel
from leadline.results.explain_shipped import Why


@dataclass(frozen=True, kw_only=True)
class Readable:
    """The model itself, if a person can read it, and why it answers some test rows so."""

    model: PrintedModel | None = None
    omitted: Sequence[str] = ()  # why it is not printed, though it must be interpretable
    why: Why | None = None
