"""`ll.cache`: what is kept of sources that were read, listed and cleared."""

from leadline.system.cache import clear
from leadline.system.cache import entries as list

__all__ = ["clear", "list"]
