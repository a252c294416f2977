"""Modules at work: hooks, statistics of layers, FLOPs, gradient checks, diagrams."""
