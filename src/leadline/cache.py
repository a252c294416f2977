"""`ll.cache`: what is kept of sources that were read, listed and cleared.

>>> list("no-such-cache")
[]
"""

from leadline.system.cache import clear as clear
from leadline.system.cache import entries as list  # noqa: F401
