"""Registers the fakes, in every process that starts with this folder on its PYTHONPATH; a line each."""

from colour import Colour  # type: ignore[import-not-found]

from leadline.kinds import KINDS

KINDS |= {"colour": Colour(), **{name: KINDS.pop(name) for name in list(KINDS)}}  # tried before the others
