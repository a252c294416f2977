"""Use of a shipped file: prediction without torch."""
