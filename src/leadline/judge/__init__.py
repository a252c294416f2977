"""Scores, their comparison, and the verdict."""
