"""The verdict as an instrument: how often it errs, what it can see, and whether what it states is so.

    python benchmarks/evidence.py [--data ../shared/data] [NAME ...]

Prints what must be and what was, and appends it to benchmarks/results/evidence.csv with versions and machine. All of it
takes about an hour on two cores.
"""

from __future__ import annotations

import sys
from pathlib import Path

from evidence_1d import mnist1d
from evidence_choice import choices
from evidence_conformal import sets_and_intervals
from evidence_few import few_false_wins, few_folds, few_power, few_seeds
from evidence_level import level
from evidence_prior import learned, tested
from evidence_real import small
from evidence_sets import intervals
from evidence_settle import settling
from evidence_stubs import false_wins, power, ties, until_sure
from record import run
from valid_rows import valid_rows

RESULTS = Path(__file__).parent / "results" / "evidence.csv"
FIELDS = ("when", "what", "must", "seen", "met", "n", "machine", "versions")

ROWS = {
    "false wins": false_wins,
    "power": power,
    "ties": ties,
    "until sure": until_sure,
    "choices": choices,
    "few folds": few_folds,
    "few false wins": few_false_wins,
    "few power": few_power,
    "few seeds": few_seeds,
    "settling": settling,
    "training noise": learned,
    "few real": tested,
    "real": small,
    "intervals": intervals,
    "conformal": sets_and_intervals,
    "mnist1d": mnist1d,
    "level race": level,
    "valid rows": valid_rows,
}

if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, ROWS))
