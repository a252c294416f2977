"""Where the seconds of a run go: its stages, each timed where it ends.

A stage ends where the next one begins, so together they are all that was spent. Each end is an event of the journal;
result.json keeps their sums as `seconds`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from leadline.race.journal import Journal

EARLIER = "earlier"  # of a resumed run: all that it had spent before it was killed
# In the order of a run, with the words of the report.
STAGES = {
    EARLIER: "before it was resumed",
    "read": "start, and find the source",
    "audit": "read and check the table",
    "weights": "open the pretrained body of --weights",
    "encode": "encode every row",
    "flaws": "look for flaws in the data",
    "race": "race",
    "repeats": "race on other folds or seeds",
    "judge": "score, compare, calibrate",
    "export": "export the winner",
    "parity": "check the file on every test row",
    "explain": "explain test rows",
    "report": "write the report",
}


@dataclass(kw_only=True)
class Stages:
    """The stages so far. `last` is the monotonic moment at which the last one ended."""

    journal: Journal
    last: float
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def begun(cls, journal: Journal, began: float, earlier: float) -> Stages:
        """Of a run that began at a monotonic moment; so many of the seconds since were spent by an `earlier` go."""
        stages = cls(journal=journal, last=began)
        if earlier:
            stages.put(EARLIER, earlier)
            stages.last += earlier
        stages.end("read")
        return stages

    def end(self, name: str, at: float | None = None) -> None:
        """The stage `name` ends now, or ended `at` a monotonic moment; entered again, it adds to its seconds."""
        moment = time.monotonic() if at is None else at
        self.put(name, moment - self.last)
        self.last = moment

    def put(self, name: str, seconds: float) -> None:
        """Seconds of a stage that were counted elsewhere."""
        assert name in STAGES, name
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.journal.write("stage", stage=name, seconds=round(seconds, 3))

    def rounded(self) -> dict[str, float]:
        """Seconds by stage, to the millisecond."""
        return {name: round(seconds, 3) for name, seconds in self.seconds.items()}
