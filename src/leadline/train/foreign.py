"""Code of the user's own, called: whatever it raises is one sentence, with the exception itself as its cause.

Enters: a block that calls the user's module, loss or schedule. Leaves: nothing, or a `LeadlineError`. What is ours, and
what says that memory is short, passes unchanged.

    >>> with foreign("The module"):
    ...     {}["a"]
    Traceback (most recent call last):
    leadline.system.errors.LeadlineError: The module ended with KeyError: 'a'; the traceback above names the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from leadline.system.errors import LeadlineError
from leadline.train.memory import too_large

__all__ = ["SHAPES", "foreign", "reason_of"]

SHAPES = (RuntimeError, IndexError, ValueError, TypeError)  # what PyTorch raises where shapes do not fit


@contextmanager
def foreign(what: str) -> Iterator[None]:
    """Run a block; `what` names in errors whose code it is."""
    try:
        yield
    except LeadlineError:
        raise
    except Exception as error:
        if too_large(error):
            raise
        raise LeadlineError(
            f"{what} ended with {type(error).__name__}{reason_of(error)}; the traceback above names the line."
        ) from error


def reason_of(error: BaseException) -> str:
    """': ' and the first line of what an exception says; '' where it says nothing."""
    said = str(error).strip().split("\n")[0].rstrip(".")
    return f": {said}" if said else ""
