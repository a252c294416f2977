"""A message that logic must know as well: a text with a code, so that nobody reads the sentence.

>>> note = Note(CUT, "stopped at the time limit at step 30 of 90")
>>> f"{note}", code_of(note), code_of("plan")
('stopped at the time limit at step 30 of 90', 'cut', None)
"""

from __future__ import annotations

CUT = "cut"  # a training, by the clock
CONVERGED = "converged"  # a training ended before its plan, as valid stays below its best
FROM_SCRATCH = "from_scratch"  # nothing of an earlier network fitted
NO_HEADER = "no_header"  # a table, whose columns are called by their numbers
SAMPLED = "sampled"  # fewer rows were learned from, to fit into memory
TEST_BESIDE = "test_beside"  # a test file stands beside the source, and is not used


class Note(str):
    """A sentence with its code; a string to all who show or keep it."""

    code: str

    def __new__(cls, code: str, text: str) -> Note:
        note = super().__new__(cls, text)
        note.code = code
        return note

    def __reduce__(self) -> tuple[type[Note], tuple[str, str]]:
        return Note, (self.code, str(self))


def code_of(note: str | None) -> str | None:
    """The code of a note; None of a sentence that has none."""
    return note.code if isinstance(note, Note) else None


def noted(code: str | None, text: str) -> str:
    """A sentence with the code that it had before it was written down, or before something was put in front of it."""
    return text if code is None else Note(code, text)
