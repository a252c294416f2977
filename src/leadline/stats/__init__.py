"""Intervals, calibration, conformal sets, sequential tests, and the verdict."""
