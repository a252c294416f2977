"""Readers: from what the user points at (files, folders, archives, frames, arrays) to parts of a source."""
