"""Texts: the kind, and its network body."""
