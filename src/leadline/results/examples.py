"""Rows that a reader is shown: mistakes, rows of a flaw, and one row's way through the file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """One test row that the model got wrong, with whatever there is to show of it.

    Args:
        row: its number in the source, from 0. test_row: its number among the test rows, from 0.
        truth, prediction: as text, several labels joined by '|'; None where a row has no one answer, as a passage of
            text corpus.
        confidence: the probability that the model gave its own answer; None for regression and for several labels.
        error: prediction minus truth; None for classification.
        image: a PNG or JPEG. sound: an MP3 or WAV. text: the row's text. values: those of its columns.

        >>> Example(row=7, truth="cat", prediction="dog", confidence=0.9).row
        7
    """

    row: int
    truth: str | None
    prediction: str | None
    confidence: float | None = None
    error: float | None = None
    image: bytes | None = None
    sound: bytes | None = None
    text: str | None = None
    values: dict[str, str] | None = None
    test_row: int | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """One row of a flaw, with whatever there is to show of it.

    Args:
        row: its number in the source, from 0. label: of the source. images: PNG or JPEG, its own
            first; sounds: MP3 or WAV, and texts likewise.
    """

    row: int
    duplicate_of: int | None = None  # the row that it repeats
    label: str | None = None
    suggested_label: str | None = None
    images: tuple[bytes, ...] = ()
    sounds: tuple[bytes, ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one step makes of the row: the type and shape without the axis of rows, and the first values."""

    stage: str  # value, decoded, encoded, view, model or answer
    name: str
    shape: str
    values: str
    parameters: int = 0


@dataclass(frozen=True, kw_only=True)
class Journey:
    """A row's way. row: its number in the source, from 0. truth: its label. image, sound: of it, if it is one."""

    row: int
    steps: tuple[Step, ...]
    truth: str | None = None
    image: bytes | None = None
    sound: bytes | None = None
