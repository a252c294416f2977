"""The families that a verdict compares, by the names that files hold."""

DEEP, CLASSICAL = "deep", "classical"
BASELINE = "baseline"  # what guessing gives: it is scored, and never shipped
FAMILIES = (DEEP, CLASSICAL, BASELINE)
