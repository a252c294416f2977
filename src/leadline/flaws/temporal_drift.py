"""Temporal drift: the most recent rows are predicted worse than a random sample; a random split is too optimistic."""

from __future__ import annotations

import numpy as np

from leadline.flaws import impact
from leadline.flaws.detector import FEWEST, Detector, Finding, ScanData
from leadline.flaws.flaw import Flaw
from leadline.flaws.probe import some
from leadline.kinds import KINDS, Scale
from leadline.kinds.time import NEVER

LAST = 0.25  # share of the rows, by time, that is tested on
MOST_TIMES = 2  # columns of times
FITS = 2


class TemporalDrift(Detector[None]):
    """The column of times, if any, by which the most recent rows are predicted worse."""

    name, title, description = "temporal_drift", "Temporal drift", "temporal drift"

    def search(self, data: ScanData, seconds: float) -> Finding[None]:
        """The impact of a random split, against a test on the most recent train and valid rows."""
        rows = some(data.known_rows, max(FEWEST, data.probe.most_rows(seconds, FITS)))
        for name, latest in ({} if data.predefined_split else _latest(data, rows)).items():
            size = impact.random_split(data, rows, latest, "tested on the latest rows")
            if size is not None:
                worse = f"The most recent rows (by {name!r}) are predicted worse than a random sample"
                says = f"{worse}; use --time-column {name} for a temporal split."
                flaw = Flaw(name=self.name, impact=size, columns=(name,), says=says)
                return Finding(data=data, flaws=(flaw,))
        return Finding(data=data)


def _latest(data: ScanData, rows: np.ndarray) -> dict[str, np.ndarray]:
    """{column of times: of the latest quarter, bool [rows]}, the column with most distinct times first."""
    found: list[tuple[int, str, np.ndarray]] = []
    for column in data.table.columns:
        if KINDS[column.kind].scale is not Scale.TEMPORAL or column.role == "target":
            continue
        values = data.table.take(rows, [column.name])[column.name]
        times = np.asarray(KINDS[column.kind].decode(values, data.table.source.root, column.settings).values)
        known = times[times != NEVER]
        if len(known) < 0.9 * len(rows):
            continue
        latest = times >= np.quantile(known, 1 - LAST)
        if 0 < latest.sum() <= 2 * LAST * len(rows):
            found.append((len(np.unique(known)), column.name, latest))
    return {name: latest for _, name, latest in sorted(found, key=lambda one: (-one[0], one[1]))[:MOST_TIMES]}
