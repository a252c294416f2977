"""What can go wrong, in the user's words.

Each message is one sentence: what was found, what was expected, how to fix it. A subclass exists only where a caller
would catch it apart from the others.

    try:
        run = leadline.fit("photos/")
    except leadline.LeadlineError as error:
        print(error)
"""

import re

__all__ = ["BudgetError", "LeadlineError", "ModelError", "OutputError", "SourceError", "TargetError"]


LONGEST_WORD = 300  # letters; a value or a name in a message may be of any length


class LeadlineError(Exception):
    """Anything that the user can fix: the message says how."""

    def __str__(self) -> str:
        return re.sub(rf"\S{{{LONGEST_WORD},}}", lambda word: f"{word[0][: LONGEST_WORD // 3]}...", super().__str__())


class SourceError(LeadlineError):
    """The data cannot be found or read."""


class TargetError(LeadlineError):
    """The column to predict is missing, unclear or cannot be learned."""


class BudgetError(LeadlineError):
    """The seconds or the memory given are too few, or not a budget at all."""


class ModelError(LeadlineError):
    """A model file cannot be read, or does not fit the data given to it."""


class OutputError(LeadlineError):
    """A result cannot be written to the requested place."""
