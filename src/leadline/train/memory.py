"""Whether an error says that there was not enough memory; PyTorch has no class of its own for it on processors."""

from __future__ import annotations

SAID = ("not enough memory", "out of memory", "can't allocate memory")


def too_large(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice, on any device."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in SAID)
