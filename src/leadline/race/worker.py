"""One contender in a process of its own: `python -m leadline.race.worker [JOB.json]`.

Without a job it imports what a network needs, and waits for the path of one on standard input (`spare.py`).

Reads commands on standard input, a line each: `stop` (end with the best so far), `export` (write the ONNX graph), or
the path of the next job, which takes the place of this one; the end of the input ends the process, so none outlives the
race. Writes messages on standard output, a JSON line each: progress, fitted, exported, failed. Whatever libraries print
goes to the log of the job.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TextIO

from leadline.core.executor import PRINTED, Job
from leadline.core.note import code_of
from leadline.system.errors import LeadlineError, TooShortError

if TYPE_CHECKING:
    from leadline.core.contender import Contender, Data, Fitted, Progress
    from leadline.dataset.store import Store

Say = Callable[..., None]
EXPORT = "export"
CLOCK, CHECKPOINTS = "clock.f64", "checkpoints"  # in the folder of a contender
ALONE, ALONE_S = 30, 0.5  # calls of one row that are timed, and the seconds for them, at most
OLDEST_S = 60.0  # that a process may be when it reads its first job; else the system counts in another way
SAID_EVERY = 0.5  # seconds between two messages that only say which step it is


def main(job_path: str | None = None) -> None:
    """Run one job to its end."""
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries that print to standard output must not break the protocol
    began = time.monotonic() - _age()
    if job_path is None:
        job_path, began = _warmed(), time.monotonic()
        if not job_path:
            return
    stop: threading.Event = threading.Event()
    commands: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(stop, commands), daemon=True).start()

    def say(event: str, **facts: Any) -> None:
        messages.write(json.dumps({"event": event, **facts}) + "\n")
        messages.flush()

    following: str | None = job_path
    while following is not None:
        try:
            following = _job(Job.read(Path(following).read_text()), began, stop, commands, say)
        except Exception as error:
            traceback.print_exc()
            more = {}
            if isinstance(error, TooShortError):
                more = {"needed_s": error.needed_s, "wanted_s": error.wanted_s}
            say("failed", why=reason(error)[:500], **more)
            sys.exit(1)
        if following is not None:
            began = time.monotonic()
            _log_to(Path(following).parent)


def _job(job: Job, began: float, stop: threading.Event, commands: SimpleQueue[str], say: Say) -> str | None:
    """Run a job, and do what is asked of it; the path of the next one, or None where the process is to end."""
    fitted = work(job, began, stop, say)
    if job.leaves:  # memory is short: the next job needs what this one uses
        try:
            export(job, fitted, say)
        except Exception:  # what it has learned still counts; a request for the graph is answered with an error
            traceback.print_exc()
        return None
    while (command := commands.get()) == EXPORT:
        export(job, fitted, say)
    return command


def reason(error: Exception) -> str:
    """Why a contender failed: our own errors are sentences, others need their type.

    >>> reason(LeadlineError("give a larger --budget.")), reason(ValueError("negative"))
    ('give a larger --budget', 'ValueError: negative')
    """
    return str(error).rstrip(".") if isinstance(error, LeadlineError) else f"{type(error).__name__}: {error}"


def _age() -> float:
    """Seconds since this process was started, which on a busy machine is long before its first line; 0 if unknown.

    A job's seconds count from there, as the race counts them.
    """
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):  # other systems
        return 0.0
    return age if 0.0 <= age < OLDEST_S else 0.0


def _warmed() -> str:
    """Import what a network needs; the path of its job, and from then on its log, or nothing where none comes."""
    import leadline.contenders.deep
    import leadline.contenders.portfolio
    import leadline.dataset.store
    import leadline.train.loop  # noqa: F401

    path = sys.stdin.readline().strip()
    if path:
        _log_to(Path(path).parent)
    return path


def _log_to(folder: Path) -> None:
    """From here on what is printed goes to the log in the folder of a job."""
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _listen(stop: threading.Event, commands: SimpleQueue[str]) -> None:
    stream: TextIO = sys.stdin
    for line in stream:
        if line.strip() == "stop":
            stop.set()
        else:
            commands.put(line.strip())
    os._exit(0)  # the race is gone


def work(job: Job, began: float, stop: threading.Event, say: Say) -> Fitted:
    """Train a contender, and write what it answers on the valid, test and calib rows into its folder.

    Of a further repeat these answers alone are of use: what the report shows of a contender is of the first race.

    Args:
        began: the monotonic moment from which the seconds of the job count.
        say: takes an event and its facts.
    """
    from leadline.contenders.portfolio import PORTFOLIO
    from leadline.core.contender import Data
    from leadline.dataset.store import Store
    from leadline.system.resources import peak_mb

    record, store = Record(job, began, stop), Store(job.store)
    data = Data(
        store=store, clock=record.clock, threads=job.threads, epochs=job.epochs, memory_gb=job.memory_gb,
        init=job.init, further=not job.first,
    )  # fmt: skip
    if record.state is not None:
        say("progress", step=record.state["step"], score=None, note="resumes from its last checkpoint", facts={})
    fitted = _learned(PORTFOLIO[job.contender], data, job.seed, record, say)
    record.write_clock()
    fit_s, fit_cpu_s = record.spent_s(), time.process_time()
    say("progress", step=0, score=None, note="answering the test rows", facts={})
    import numpy as np

    began, uncounted = time.perf_counter(), _uncounted(fitted)
    scores = fitted.predict(store, store.split.test)
    predict_us = (time.perf_counter() - began + _uncounted(fitted) - uncounted) / len(scores) * 1e6
    one_us = _one_row(fitted, store) if job.first else None
    np.save(job.folder / "test.npy", scores)
    if fitted.valid is not None and not math.isnan(fitted.score):
        np.save(job.folder / "valid.npy", fitted.valid)
    if len(store.split.calib):
        np.save(job.folder / "calib.npy", fitted.predict(store, store.split.calib))
    begun = _begun(fitted, job)
    say(
        "fitted", score=None if math.isnan(fitted.score) else fitted.score, params=fitted.params, bytes=fitted.bytes,
        describe=fitted.describe, fit_s=fit_s,
        fit_cpu_s=fit_cpu_s, predict_us=predict_us, one_us=one_us, peak_mb=peak_mb(), stopped=stop.is_set(),
        undertrained=fitted.undertrained, trained_on_valid=fitted.trained_on_valid, digest=fitted.digest(),
        coded=coded(fitted.describe), **begun, **_transfer(fitted),
    )  # fmt: skip
    return fitted


def export(job: Job, fitted: Fitted, say: Say) -> None:
    """Write the graph of a trained contender, and its numbers where they are wanted and can be read."""
    from leadline.system.resources import give_back

    (job.folder / "graph.onnx").write_bytes(fitted.graph().SerializeToString())
    give_back()
    if job.prints:
        from leadline.core.printed import Printable
        from leadline.dataset.store import Store

        if isinstance(fitted, Printable) and (found := fitted.printed(Store(job.store))) is not None:
            (job.folder / PRINTED).write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    say("exported")


def _learned(contender: Contender, data: Data, seed: int, record: Record, say: Say) -> Fitted:
    """Fit, and tell how it goes."""
    from leadline.core.contender import Progress

    fitted, said = None, 0.0
    if contender.family == "deep" and not contender.pretrained:  # a frozen body runs without PyTorch
        import torch

        torch.set_flush_denormal(True)  # before its threads begin, which then do the same; system/device.py says why
    for item in contender.fit(data, seed, record.state):
        if not isinstance(item, Progress):
            fitted = item
            continue
        record.keep(item)
        if item.score is not None or item.note is not None or time.monotonic() - said > SAID_EVERY:
            said = time.monotonic()
            code = {} if (found := code_of(item.note)) is None else {"code": found}
            facts = {"facts": dict(item.facts), **code}
            say("progress", step=item.step, steps=item.steps, score=item.score, note=item.note, **facts)
    assert fitted is not None
    return fitted


def coded(lines: Sequence[str]) -> dict[str, str]:
    """{code: line} of those that have one, for a message: JSON keeps the text alone."""
    return {code: line for line in lines if (code := code_of(line)) is not None}


def _begun(fitted: Fitted, job: Job) -> dict[str, Any]:
    """What it took of an earlier run; and, for a later one, what that can begin from."""
    from leadline.contenders.earlier_network import NETWORK
    from leadline.core.contender import Continued

    if not isinstance(fitted, Continued):
        return {}
    if job.first:
        fitted.save(job.folder / NETWORK)
    return {} if fitted.init is None else {"init": fitted.init}


def _transfer(fitted: Fitted) -> dict[str, Any]:
    from leadline.core.contender import Transferred

    return {"transfer": fitted.transfer} if isinstance(fitted, Transferred) else {}


def _uncounted(fitted: Fitted) -> float:
    """Seconds that its answers so far would have taken more without what was kept from earlier ones."""
    from leadline.core.contender import Transferred

    return fitted.uncounted_s if isinstance(fitted, Transferred) else 0.0


def _one_row(fitted: Fitted, store: Store) -> float:
    """Microseconds that a row takes alone: the median of some calls, the first of which warms up."""
    spent: list[float] = []
    began = time.perf_counter()
    for place in range(min(ALONE + 1, len(store.split.test))):
        last, uncounted = time.perf_counter(), _uncounted(fitted)
        fitted.predict(store, store.split.test[place : place + 1])
        spent.append(time.perf_counter() - last + _uncounted(fitted) - uncounted)
        if time.perf_counter() - began > ALONE_S:
            break
    return sorted(spent[1:] or spent)[len(spent[1:] or spent) // 2] * 1e6


class Record:
    """What a contender leaves behind so that it can go on, or be run again: its clock's readings, its checkpoints.

    Where a folder holds them already they are followed: all readings without a checkpoint repeat a whole training.
    """

    def __init__(self, job: Job, began: float, stop: threading.Event) -> None:
        from leadline.core.contender import Clock, readings

        folder = job.folder
        self._folder, self._began = folder, began
        self.state: dict[str, Any] | None = None
        if (folder / CHECKPOINTS).exists():
            from leadline.train.checkpoint import Checkpoints

            self.state = Checkpoints(folder / CHECKPOINTS).newest()
        self._before = 0.0 if self.state is None else self.state["spent_s"]
        place = 0 if self.state is None else self.state["clock"]
        self.clock = Clock(
            job.seconds, stop, began=began, readings=readings(folder / CLOCK), place=place, left=job.left
        )  # fmt: skip
        self._kept: Any = None

    def spent_s(self) -> float:
        """Seconds of work, those before a checkpoint included, a pause after it not."""
        return self._before + time.monotonic() - self._began

    def keep(self, progress: Progress) -> None:
        """Take a checkpoint where there is a chance and it is time."""
        if progress.state is None:
            return
        if self._kept is None:
            from leadline.train.checkpoint import Checkpoints

            self._kept = Checkpoints(self._folder / CHECKPOINTS)
        if self._kept.due():
            self.write_clock()
            facts = {"step": progress.step, "clock": self.clock.place, "spent_s": self.spent_s()}
            self._kept.save(progress.step, {**progress.state(), **facts})

    def write_clock(self) -> None:
        """Before a checkpoint, and at the end: a checkpoint never knows more than the readings on disk."""
        self.clock.write(self._folder / CLOCK)


if __name__ == "__main__":
    main(*sys.argv[1:2])
