"""The fakes are imported by the tests that register them, and collected by none."""

collect_ignore = ["fakes"]
