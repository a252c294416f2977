"""The next token of a text: no column is predicted. A row is a passage, its label the bytes in it."""

from __future__ import annotations

from typing import Any

from leadline.core.task import Task


class Language(Task):
    """The next token of a text corpus."""

    name = "language"
    metrics = ("bits a byte",)
    generative = True

    @classmethod
    def asks(cls, target: str | None, metric: str | None, found: Any) -> str:
        return f"{cls.name}: the next token is predicted, measured by {metric}; a row is about a kilobyte"
