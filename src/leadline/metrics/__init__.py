"""Metrics: one number from answers, and how much each row moves it."""
