"""Sounds: the kind, its network bodies, its augmentation, and which of two are one recording."""
