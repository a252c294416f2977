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


class TooShortError(BudgetError):
    """A contender has measured that it needs more seconds than it was given."""

    def __init__(self, why: str, needed_s: float, wanted_s: float | None = None) -> None:
        """
        Args:
            needed_s: seconds from its start with which it learns and answers.
            wanted_s: with which it learns from all rows (default: as many).
        """
        super().__init__(why)
        self.needed_s, self.wanted_s = needed_s, max(needed_s, wanted_s or 0.0)


class ModelError(LeadlineError):
    """A model file cannot be read, or does not fit the data given to it."""


class OutputError(LeadlineError):
    """A result cannot be written to the requested place."""
