"""Rare classes: too few rows to learn from, in the test as well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leadline.flaws import impact
from leadline.flaws.detector import Detector, Finding, ScanData, TestAnswers
from leadline.flaws.flaw import Flaw, Impact

RARE = 10  # rows of a class


class RareClasses(Detector[None]):
    """Test rows of classes that have fewer than ten train rows."""

    name, title, description, share = "rare_classes", "Rare classes", "rare classes", 0.0

    def search(self, data: ScanData, seconds: float) -> Finding[None] | None:
        """Which test rows there are is known after the verdict."""
        return Finding(data=data) if data.table.task.one_class else None

    def revisit(self, finding: Finding[None], data: ScanData) -> Sequence[Flaw]:
        """The test rows of rare classes."""
        labels, split, classes = data.table.labels, data.store.split, data.table.task.classes
        rare = np.flatnonzero(np.bincount(labels[split.train], minlength=len(classes)) < RARE)
        rows = split.test[np.isin(labels[split.test], rare)]
        if not len(rows):
            return ()
        names = ", ".join(repr(classes[k]) for k in rare[:5])
        which = f"The class {names} has" if len(rare) == 1 else f"{len(rare):,} classes have"
        such = "" if len(rare) == 1 else f", such as {names}"
        return (Flaw(name=self.name, rows=rows, says=f"{which} fewer than {RARE} rows to learn from{such}."),)

    def impact(self, flaw: Flaw, test: TestAnswers) -> Impact | None:
        """The score on the other test rows."""
        return impact.without_rows(test, flaw.rows)
