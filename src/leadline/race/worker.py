"""One contender in a process of its own: `python -m leadline.race.worker JOB.json`.

Reads commands on standard input, a word a line: `stop` (end with the best so far), `export` (write the ONNX graph);
the end of the input ends the process, so none outlives the race. Writes messages on standard output, a JSON line each:
progress, fitted, exported, failed. Whatever libraries print goes to the log.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO


def main(job_path: str) -> None:
    """Run one job to its end."""
    messages = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries that print to standard output must not break the protocol
    job = json.loads(Path(job_path).read_text())
    stop: threading.Event = threading.Event()
    commands: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_listen, args=(stop, commands), daemon=True).start()

    def say(event: str, **facts: Any) -> None:
        messages.write(json.dumps({"event": event, **facts}) + "\n")
        messages.flush()

    try:
        _work(job, stop, commands, say)
    except Exception as error:
        traceback.print_exc()
        say("failed", why=f"{type(error).__name__}: {error}"[:500])
        sys.exit(1)


def _listen(stop: threading.Event, commands: SimpleQueue[str]) -> None:
    stream: TextIO = sys.stdin
    for line in stream:
        if line.strip() == "stop":
            stop.set()
        else:
            commands.put(line.strip())
    os._exit(0)  # the race is gone


def _work(job: dict[str, Any], stop: threading.Event, commands: SimpleQueue[str], say: Any) -> None:
    os.environ["OMP_NUM_THREADS"] = str(job["threads"])  # before any library starts its pool
    from leadline.contenders.contender import Clock, Data, Progress
    from leadline.contenders.portfolio import PORTFOLIO
    from leadline.data.store import Store
    from leadline.race.measure import peak_mb

    # The clock began when the race started this process: importing torch is part of the contender's time.
    clock = Clock(job["seconds"] - (time.monotonic() - job["began"]), stop)
    store = Store(job["store"])
    data = Data(store=store, clock=clock, threads=job["threads"])
    fitted = None
    for item in PORTFOLIO[job["contender"]].fit(data, job["seed"]):
        if isinstance(item, Progress):
            say("progress", step=item.step, steps=item.steps, score=item.score, note=item.note, facts=dict(item.facts))
        else:
            fitted = item
    assert fitted is not None
    fit_s = time.monotonic() - job["began"]
    say("progress", step=0, score=None, note="scoring the test rows", facts={})
    import numpy as np

    folder = Path(job["folder"])
    began = time.perf_counter()
    scores = fitted.predict(store, store.split.test)
    predict_us = (time.perf_counter() - began) / len(scores) * 1e6
    np.save(folder / "test.npy", scores)
    say(
        "fitted", score=fitted.score, params=fitted.params, bytes=fitted.bytes, describe=fitted.describe, fit_s=fit_s,
        predict_us=predict_us, peak_mb=peak_mb(), stopped=stop.is_set(), starved=fitted.starved,
    )  # fmt: skip
    while commands.get() == "export":
        (folder / "graph.onnx").write_bytes(fitted.graph().SerializeToString())
        say("exported")


if __name__ == "__main__":
    main(sys.argv[1])
