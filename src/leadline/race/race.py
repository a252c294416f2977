"""All contenders under one budget: who runs when, on how many cores, and for how long.

Contenders that use one core run side by side, a core each; after them those that use all cores, one at a time. A
contender's seconds are fixed when it starts, by what is left and who still waits. One that crashes, overruns or eats
too much memory is reported and costs nothing but itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.executor import Handle, Job, Message
from leadline.core.note import CUT
from leadline.dataset.store import Store
from leadline.metrics.metrics import METRICS
from leadline.race.affordable import Affordable
from leadline.race.entry import PARENT, ContenderRun
from leadline.race.history import AGAIN, ContenderRecord
from leadline.race.journal import Journal
from leadline.race.order import LEAST, SHORT, leads, make_inputs, need, ordered
from leadline.race.resumed import kept_s, spared_s
from leadline.race.setup import Setup
from leadline.race.spare import TIGHT
from leadline.system.errors import LeadlineError
from leadline.system.interrupts import noted
from leadline.system.resources import most_threads

GRACE, GRACE_LEAST = 0.1, 5.0  # share of its seconds, and seconds, that a contender may overrun before it is ended
LAST_HOPE = 30.0  # seconds more for a contender without which a run would ship nothing
TINY = 6.0  # seconds; a race shorter than this has the fastest contender only, where it can learn
SOONEST = 1.5  # seconds in which the fastest has its libraries and learns something, on a quiet machine
SIDE_BY_SIDE = 0.6  # GB that each needs, for two to run at once
PATIENCE = 60.0  # seconds after which one that does not leave is ended
SHORT_OF_TIME = "short"  # the status of one that has measured that it needs more seconds, until it has them
LEAVING = {"deep": 3.0, "classical": 2.0}  # seconds that it takes to hand over a graph


class Race:
    """Schedules the contenders on an executor, which keeps them for export until `close`."""

    def __init__(
        self, store: Store, names: Sequence[str], folder: Path, setup: Setup, *, seed: int, journal: Journal,
        past: Mapping[str, ContenderRecord] | None = None, number: int = 0,
    ) -> None:  # fmt: skip
        """
        Args:
            number: of the repeat; the first is the run's own, and only its steps are shown.
            past: contenders of an earlier process of this race. One that had not ended resumes from what its folder
                holds, with as many of its seconds as are left; those that had ended stay as they were.
        """
        self.store, self.seed, self.journal = store, seed, journal
        self._executor, self._epochs, self.slow = setup.executor, setup.epochs, setup.slow
        self._budget, self._budgets = setup.budget, setup.given
        self._prints, self._init = setup.prints, setup.init
        self._capacity = setup.executor.resources()
        self.cores, self._memory_gb = self._capacity.cpus, self._capacity.memory_gb
        self._most = min(self.cores, most_threads())  # of one contender
        self._tight = self._memory_gb < TIGHT
        self._past, self._number = past or {}, number
        self._usual = self._first_most = 1.0  # as `Affordable` has them
        self._submitted: dict[Handle, ContenderRun] = {}
        self.entries = [ContenderRun(name=n, family=PORTFOLIO[n].family, folder=folder / n) for n in names]
        self.stopped = self._asked = False  # by the user: acted on, and noted
        self.tiny = False  # too short for more than one contender
        self._vital: ContenderRun | None = None  # one that has to learn, however little time there is
        self.late = False  # a further repeat that was given up, as its time was over
        for entry in self.entries:
            record = self._past.get(entry.name)
            if record is not None and record.status != "running":
                entry.status, entry.why, entry.code, entry.facts = record.status, record.why, record.code, record.facts
                entry.curve, entry.notes = record.curve, record.notes
                entry.seconds = record.seconds if record.granted is None else record.granted

    def given(self) -> dict[str, float]:
        """{contender: the seconds it was given}, of those that finished."""
        return {entry.name: entry.seconds + entry.before_s for entry in self.entries if entry.done}

    def ran(self, name: str, since: float) -> tuple[float, float] | None:
        """Seconds after `since` at which a contender started and ended; None where it did not run in this go."""
        entry = next(entry for entry in self.entries if entry.name == name)
        return (round(entry.began - since, 2), round(entry.ended - since, 2)) if entry.began else None

    def run(
        self, until: float, given: Mapping[str, float] | None = None, *, usual: float | None = None,
        most: float | None = None,
    ) -> None:  # fmt: skip
        """Race until the monotonic moment `until`; Ctrl-C ends it early, with what every contender has so far.

        Args:
            given: seconds of each contender, of a further repeat: as many as it had in the first one, so that it plans
                the same; the others sit it out. A repeat that has not ended at `until` is given up: it is `late`.
            usual: seconds of it, were nothing claimed (default: all).
            most: seconds that it may take, should one measure that it needs more (default: no more).
        """
        self._given, self._until, self._short = given, until, False
        began = time.monotonic()
        self._usual = max(1.0, until - began if usual is None else usual)
        self._first_most = max(1.0, until - began if most is None else most)
        self._latest = began + self._first_most
        self._follows = given is not None or math.isinf(until)  # seconds are as they were then
        waiting = [entry for entry in self.entries if not entry.baseline and entry.status == "waiting"]
        waiting.sort(key=lambda entry: entry.name not in self._past)  # those that had begun go first
        for entry in waiting:
            if given is not None and entry.name not in given and entry.name not in self._past:
                self._end(entry, "skipped", "it did not finish the first repeat", "first_repeat")
            elif lack := entry.lacks(self.store, self._capacity, self._memory_gb):
                self._end(entry, "skipped", *lack)
        waiting = [entry for entry in waiting if entry.status == "waiting"]
        if given is None and (left := until - time.monotonic()) < TINY and not self._something:
            self.tiny = not self._past
            self._vital = next((entry for entry in waiting if entry.contender.fastest), waiting[0] if waiting else None)
            for entry in waiting:
                if entry is not self._vital:
                    enough = self.times.enough_for(entry, *ordered(waiting, self.store, False), left, TINY)
                    self._end(entry, "skipped", f"the budget is too small to train it{enough}", "no_time")
        waiting = [entry for entry in waiting if entry.status == "waiting"]
        self._short = given is None and until - time.monotonic() < SHORT * self.slow
        for entry in waiting if not self._short else []:
            make_inputs(entry, self.store)
        left = until - time.monotonic()
        first, second = ordered(waiting, self.store, self._short)
        if not self._follows and self._epochs is None:
            first, second = self._affordable(first, second, left)
        self._raced = first, second
        share = self.times.first_s(first, second, left)
        room = int((self._memory_gb - PARENT) / SIDE_BY_SIDE) if self._tight else self.cores
        lanes = max(1, min(self.cores, room))
        with noted(self._note):
            self._lanes(first, time.monotonic() + share, lanes=lanes, threads=self._most if lanes == 1 else 1)
            if not self.late:
                self._lanes(second, until, lanes=1, threads=self._most)

    def claimed(self, whole: float) -> float:
        """Seconds of a race in which those that take from others what they need have it; 0 where there are none.

        Args:
            whole: seconds of all races.
        """
        waiting = [entry for entry in self.entries if not entry.baseline and entry.status == "waiting"]
        return self.times.claimed(*ordered(waiting, self.store, False), whole)

    @property
    def times(self) -> Affordable:
        """What is known of the time."""
        spared = {each.name: spared_s(each, self._past[each.name]) for each in self.entries if each.name in self._past}
        return Affordable(
            store=self.store, slow=self.slow, budget=self._budget, given=self._budgets, spared=spared,
            resumed=bool(self._past),
            usual=self._usual, most=self._first_most,
        )  # fmt: skip

    def _affordable(
        self, first: list[ContenderRun], second: list[ContenderRun], left: float
    ) -> tuple[list[ContenderRun], list[ContenderRun]]:
        """Those for whom there is time; the others are left out before the race, and these have their seconds."""
        for entry, why in self.times.too_long(first, second, left):
            self._end(entry, "skipped", why, "no_time")
        first, second = ([entry for entry in lane if entry.status == "waiting"] for lane in (first, second))
        self.times.share(first, second, left)
        return first, second

    @property
    def _something(self) -> bool:
        """Whether there is something to ship."""
        return any(entry.done and not entry.baseline for entry in self.entries)

    def _must(self, entry: ContenderRun) -> bool:
        """Whether it learns in whatever time there is, so that there is something to ship."""
        return not self._something and (entry.contender.fastest or entry is self._vital)

    def _note(self) -> None:
        self._asked = True

    def _lanes(self, queue: list[ContenderRun], until: float, lanes: int, threads: int) -> None:
        """Run entries, at most `lanes` at once, until all have ended."""
        queue, whole = list(queue), until - time.monotonic()
        running: list[ContenderRun] = []
        while queue or running:
            try:  # a second Ctrl-C raises, and where somebody else handles signals the first one does
                while queue and len(running) < lanes and not self.stopped:
                    entry = queue.pop(0)
                    if self._begins(entry, queue, (until, whole), lanes, threads):
                        running.append(entry)
                self._receive(0.2)
                if self._asked and not self.stopped:
                    self._interrupt(running)
                if self.stopped:
                    for entry in queue:
                        self._end(entry, "skipped", "stopped before its turn", "stopped")
                    queue = []
                if self._given is not None and time.monotonic() > self._until:
                    self._give_up([*running, *queue])
                    return
                for entry in running:
                    self._supervise(entry)
                    if entry.status == SHORT_OF_TIME:
                        until = self._again(entry, queue, until)
                running = [entry for entry in running if entry.status == "running" or self._leaves(entry)]
                self._keep_cap(running)
            except KeyboardInterrupt:
                if self._asked:
                    raise
                self._asked = True
                self._interrupt(running)

    def _again(self, entry: ContenderRun, queue: list[ContenderRun], until: float) -> float:
        """One that measured that it needs more begins again, where the run has as much; when the race then ends."""
        now = time.monotonic()
        entry.status = "waiting"
        once = not entry.begun_again and not math.isinf(until)
        race = self.times.again(entry, queue, until - now, self._latest - now) if once else None
        if race is None:
            why = f"{entry.why}{self.times.advised(entry, *self._raced)}"
            self._end(entry, "failed", why, "no_time")
            return until
        self._say(
            "progress", contender=entry.name, step=0, score=None, facts={},
            note=f"needs {entry.needed_s:.0f} s, as measured, and begins again with more",
        )  # fmt: skip
        entry.why, entry.begun_again = None, True
        queue.insert(0, entry)
        return now + race

    def _begins(
        self, entry: ContenderRun, queue: list[ContenderRun], lane: tuple[float, float], lanes: int, threads: int
    ) -> bool:  # fmt: skip
        """Start it with its share of what is left; or leave it out, where that is too little.

        Args:
            queue: those after it.
            lane: the moment until which they have time, and how many seconds they had in all.
        """
        (until, whole), record = lane, self._past.get(entry.name)
        threads = threads if lanes == 1 or self.cores == 1 else 1
        threads = threads if record is None else record.threads
        if self._follows and (record is not None or self._given is not None):
            entry.lane_s = record.seconds if record is not None else (self._given or {})[entry.name]
            self._start(entry, entry.lane_s, threads, lanes)
            return True
        entry.lane_s = until - time.monotonic()
        needed = need(entry, self.entries, self.slow)
        if entry.lane_s < needed and not self._must(entry):
            enough = self.times.enough(entry, 1.0 + (needed - entry.lane_s) / max(whole, 1.0))
            self._end(entry, "skipped", f"the budget left no time for it{enough}", "no_time")
            return False
        others = sum(each.weight for each in queue)
        if self._short and leads(entry, self.entries):
            others = 0.0  # one that finishes is more than two that do not
        seconds = entry.lane_s * entry.weight / (entry.weight + others / lanes)
        seconds -= LEAVING[entry.family] if self._tight else 0.0
        least = min(LEAST, max(SOONEST, entry.lane_s)) if entry.contender.fastest else LEAST
        if record is None:
            self._start(entry, max(least, seconds), threads, lanes)
        else:
            entry.before_s = kept_s(entry, record)
            left = max(least, min(seconds, record.seconds - entry.before_s))
            self._start(entry, record.seconds, threads, lanes, left=left)
        return True

    def _interrupt(self, running: list[ContenderRun]) -> None:
        """The first Ctrl-C asks all to end with their best so far; the second ends the run."""
        self.stopped = True
        self._say("stopping", why="asked by the user: the verdict is on what has finished")
        for entry in running:
            if entry.handle is not None:
                self._executor.stop(entry.handle)
            entry.seconds = min(entry.seconds, time.monotonic() - entry.began + 20.0)

    def _give_up(self, entries: list[ContenderRun]) -> None:
        """The time of a further repeat is over: what has not ended is ended, and the repeat does not count."""
        self.late = True
        for entry in entries:
            if entry.alive:
                self._kill(entry, "the time of this repeat was over", "late")

    def _leaves(self, entry: ContenderRun) -> bool:
        """Whether it has ended but still holds memory, where that is short."""
        if not self._tight or not entry.alive:
            return False
        if time.monotonic() - entry.ended > PATIENCE:
            assert entry.handle is not None
            self._executor.kill(entry.handle)
        return True

    def _keep_cap(self, running: list[ContenderRun]) -> None:
        """End the contender that holds most, where all processes together hold more than they may.

        Also one that has learned and now makes its graph, for which PyTorch needs more than for learning.
        """
        held_gb = self._executor.held_gb()
        alive = [entry for entry in running if entry.alive]
        if held_gb <= self._memory_gb or not alive:
            return
        largest = max(alive, key=lambda entry: self._executor.held_gb(entry.handle))
        needed, may = (f"{1e3 * gb:,.0f} MB" for gb in (held_gb, self._memory_gb))
        self._kill(largest, f"the run needed more memory ({needed}) than it may use ({may}); raise --memory", "memory")

    def _start(
        self, entry: ContenderRun, seconds: float, threads: int, lanes: int, left: float | None = None,
        again: bool = False,
    ) -> None:  # fmt: skip
        """
        Args:
            seconds: of its clock.
            left: of them, where a resumed run has a time limit.
            again: it had ended, and comes back for its file.
        """
        entry.folder.mkdir(parents=True, exist_ok=True)
        make_inputs(entry, self.store)
        entry.status, entry.seconds, entry.began = "running", seconds if left is None else left, time.monotonic()
        job = Job(
            contender=entry.name, store=self.store.path.resolve(), folder=entry.folder.resolve(), seed=self.seed,
            seconds=seconds, epochs=self._epochs, threads=threads,
            memory_gb=max(0.1, (self._memory_gb - PARENT) / lanes), leaves=self._tight, prints=self._prints,
            init=self._init.get(entry.name), first=self._number == 0, left=left,
        )  # fmt: skip
        entry.handle = self._executor.submit(job)
        self._submitted[entry.handle] = entry
        budget = None if math.isinf(seconds) else seconds
        resumed: dict[str, Any] = {AGAIN: True} if again else {}
        resumed |= {} if left is None else {"left": left, "before": entry.before_s}
        self._say("start", contender=entry.name, seconds=budget, threads=threads, **resumed)

    def _receive(self, wait: float) -> None:
        """Take the messages that have come, waiting a little for the first; none of a job that began again."""
        for handle, message in self._executor.messages(wait):
            entry = self._submitted[handle]
            if entry.handle is handle:
                self._take(entry, message)

    def _take(self, entry: ContenderRun, message: Message | None) -> None:
        if message is None:
            if entry.status == "running":
                assert entry.handle is not None
                code = entry.handle.exit_code
                ended = f"ended with code {code}" if code >= 0 else f"was ended from outside, by signal {-code}"
                self._end(entry, "failed", f"its process {ended}; see contenders/{entry.name}/log.txt", "crashed")
            return
        event, facts = message.event, dict[str, Any](message.facts)
        if event == "progress":
            now = time.monotonic() - entry.began
            if facts.get("score") is not None:
                entry.curve.append((round(now, 2), facts["step"], facts["score"]))
            if note := facts.get("note"):
                entry.notes.append(note)
            entry.cut |= facts.get("code") == CUT
            self._say("progress", contender=entry.name, **facts)
        elif event == "fitted":
            cut = facts.get("stopped") or entry.cut
            entry.facts = facts
            self._end(entry, "cut" if cut else "finished", None)
        elif event == "failed":
            self._failed(entry, facts)
        elif event == "exported":
            entry.facts["exported"] = True

    def _failed(self, entry: ContenderRun, facts: Mapping[str, Any]) -> None:
        if self._given is not None or "needed_s" not in facts:
            self._end(entry, "failed", facts["why"], "error")
            return
        entry.needed_s, entry.wanted_s = facts["needed_s"], facts["wanted_s"]
        entry.status, entry.why = SHORT_OF_TIME, facts["why"]

    def _supervise(self, entry: ContenderRun) -> None:
        if entry.status != "running" or math.isinf(self._until):
            return  # repeated by the readings of its clock, or by passes: on a busier machine it takes longer
        spent = time.monotonic() - entry.began
        # On a busy machine importing alone may outlast a small share: the fastest contender gets the time of all.
        limit = max(entry.seconds, entry.lane_s) if entry.contender.fastest else entry.seconds
        if spent > limit + (LAST_HOPE if self._last_hope(entry) else max(GRACE_LEAST, GRACE * limit)):
            self._kill(entry, f"it ran over its {entry.seconds:.0f} s", "overran")

    def _last_hope(self, entry: ContenderRun) -> bool:
        """Whether nothing is there to ship, and nobody sooner to give it: the fastest, or the last that runs."""
        others = [other for other in self.entries if other is not entry and not other.baseline]
        if any(other.done for other in others):
            return False
        return entry.contender.fastest or not any(other.status in ("waiting", "running") for other in others)

    def _kill(self, entry: ContenderRun, why: str, code: str) -> None:
        assert entry.handle is not None
        self._executor.kill(entry.handle)
        self._end(entry, "failed", why, code)

    def _end(self, entry: ContenderRun, status: str, why: str | None, code: str | None = None) -> None:
        entry.status, entry.why, entry.code, entry.ended = status, why, code, time.monotonic()
        self._say("end", contender=entry.name, status=status, why=why, code=code, **entry.facts)

    def begin_exports(self) -> None:
        """Have the best of each family by valid make its graph while the test is scored: most likely one is shipped."""
        metric = METRICS[self.store.task.metric]
        for family in ("deep", "classical"):
            able = [e for e in self.entries if e.family == family and e.done and e.handle is not None]
            if able and not self._tight:
                self._begin_export(max(able, key=lambda entry: metric.sign * (entry.facts["score"] or 0.0)))

    def _begin_export(self, entry: ContenderRun) -> None:
        if not entry.exporting:
            assert entry.handle is not None
            entry.exporting = True
            self._executor.export(entry.handle)

    def export(self, entry: ContenderRun, patience: float) -> bytes:
        """The trained contender as an ONNX graph, made where it was trained."""
        if entry.handle is None:
            self._repeat(entry)
        if not self._tight:
            self._begin_export(entry)
        until = time.monotonic() + patience
        while not entry.facts.get("exported"):
            gone = not entry.alive
            self._receive(0.1)
            if entry.facts.get("exported"):
                break
            if gone or time.monotonic() > until:
                raise LeadlineError(f"{entry.name} could not be exported; see contenders/{entry.name}/log.txt.")
        return (entry.folder / "graph.onnx").read_bytes()

    def _repeat(self, entry: ContenderRun) -> None:
        """Bring back what an earlier go had trained: from its last checkpoint, or trained again by the same clock."""
        record = self._past[entry.name]
        self._start(entry, record.seconds, record.threads, 1, again=True)
        while entry.status == "running":
            self._receive(0.2)
        if entry.facts.get("digest") != record.facts["digest"]:
            raise LeadlineError(f"{entry.name} did not come out as in the run's first go; start the run again.")

    def close(self) -> None:
        """End every job."""
        self._executor.close()

    def _say(self, event: str, **facts: Any) -> None:
        if self._number:
            self.journal.write(event, round=self._number, **facts)
        else:
            self.journal.tell(event, **facts)
