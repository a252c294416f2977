"""The verdict as an instrument: how often it errs, what it can see, and whether what it states is so.

    python benchmarks/evidence.py [--data ../shared/data] [NAME ...]

Prints what must be and what was, and appends it to benchmarks/results/evidence.csv with versions and machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

from evidence_sets import intervals
from record import run

RESULTS = Path(__file__).parent / "results" / "evidence.csv"
FIELDS = ("when", "what", "must", "seen", "met", "n", "machine", "versions")

ROWS = {
    "intervals": intervals,
}

if __name__ == "__main__":
    sys.exit(run(__doc__, RESULTS, FIELDS, ROWS))
