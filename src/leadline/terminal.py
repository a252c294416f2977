"""What `leadline fit` shows while it runs: a live table on a terminal, plain lines elsewhere, and the verdict last."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from leadline.data.kept import Kept
    from leadline.run import Run

SAID_EVERY = 10.0  # seconds between two plain lines of one contender
BARS = "▁▂▃▄▅▆▇█"
WORDS = {"deep": "deep learning", "classical": "classical", "tie": "tie", "unsure": "unsure"}


@dataclass
class _Line:
    """A contender as shown."""

    name: str
    status: str = "waiting"
    score: float | None = None
    curve: tuple[float, ...] = ()
    step: int = 0
    steps: int | None = None
    began: float = 0.0
    seconds: float | None = None
    why: str | None = None
    spent: float | None = None
    said: float = 0.0


class Terminal:
    """Takes the events of a run and shows where it stands; a context manager."""

    def __init__(self, quiet: bool = False) -> None:
        from rich.console import Console

        self._quiet = quiet
        self._console = Console(highlight=False)
        self._lines: dict[str, _Line] = {}
        self._rounds = ""  # the last one after the first, as a line
        self._began = time.monotonic()
        self._budget: float | None = None
        self._live: Any = None

    def __enter__(self) -> Terminal:
        if not self._quiet and self._console.is_terminal:
            from rich.live import Live

            self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def take(self, event: dict[str, Any]) -> None:
        """Show one event."""
        getattr(self, "_" + event["event"].replace(" ", "_"), lambda event: None)(event)

    def _say(self, text: str) -> None:
        if self._quiet:
            return
        if self._live is not None:
            self._live.console.print(text, markup=False)
        else:
            self._print(text)

    def _plain(self, text: str) -> None:
        """A line for where there is no live table."""
        if self._live is None and not self._quiet:
            self._print(text)

    def _print(self, text: str) -> None:
        try:
            print(text, flush=True)
        except BrokenPipeError:  # the reader has gone, as `head` does: the run goes on without a word
            self._quiet = True

    def _begin(self, event: dict[str, Any]) -> None:
        self._budget = event["budget_s"]
        self._began = time.monotonic() - event["t"]
        length = f"{event['epochs']} passes of every network" if self._budget is None else _time(self._budget)
        self._say(f"{event['source']}: {length} for everything, on {event['machine']['cores']} cores")

    def _encoded(self, event: dict[str, Any]) -> None:
        rows = ", ".join(f"{count:,} {part}" for part, count in event["rows"].items() if count)
        self._say(f"{event['task']}; rows: {rows}")
        for block in event["blocks"]:
            self._say(f"  {block}")
        for said in event["said"]:
            self._say(f"  note: {said}")

    def _flaws(self, event: dict[str, Any]) -> None:
        for said in event["said"]:
            self._say(f"  flaw: {said}")

    def _start(self, event: dict[str, Any]) -> None:
        self._lines[event["contender"]] = _Line(
            name=event["contender"], status="running", began=time.monotonic(), seconds=event["seconds"]
        )
        most = "" if event["seconds"] is None else f", up to {_time(event['seconds'])}"
        self._plain(f"{event['t']:6.1f} s  {event['contender']:10} starts{most}")

    def _progress(self, event: dict[str, Any]) -> None:
        line = self._lines[event["contender"]]
        line.step, line.steps = event["step"] or line.step, event.get("steps") or line.steps
        if event["score"] is not None:
            line.score = event["score"]
            line.curve = (*line.curve, event["score"])
            if event["t"] - line.said >= SAID_EVERY:
                line.said = event["t"]
                of = f" of {line.steps:,}" if line.steps else ""
                self._plain(
                    f"{event['t']:6.1f} s  {line.name:10} step {line.step:,}{of}: {_number(line.score)} on valid"
                )

    def _end(self, event: dict[str, Any]) -> None:
        line = self._lines.setdefault(event["contender"], _Line(name=event["contender"]))
        line.status, line.why = event["status"], event["why"]
        line.score = event.get("score", line.score)
        line.spent = event.get("fit_s", time.monotonic() - line.began if line.began else None)
        shown = f"{_number(line.score)} on valid" if line.status in ("finished", "cut") else line.why
        self._plain(f"{event['t']:6.1f} s  {line.name:10} {line.status}: {shown}")

    def _round(self, event: dict[str, Any]) -> None:
        what = "seed" if event["fold"] is None else f"fold {event['fold'] + 1} of {event['folds']}"
        scores = ", ".join(f"{name} {_number(score)}" for name, score in event["scores"].items())
        self._rounds = f"round {event['number'] + 1} ({what}): {scores} on test"
        self._plain(f"{event['t']:6.1f} s  {self._rounds}")

    def _stopping(self, event: dict[str, Any]) -> None:
        self._say("Stopping: each contender ends with its best so far (Ctrl-C again to leave at once).")

    def _table(self) -> RenderableType:
        from rich.table import Table

        spent = time.monotonic() - self._began
        caption = _time(spent) if self._budget is None else f"{_time(max(0.0, self._budget - spent))} left"
        caption = f"{caption}; {self._rounds}" if self._rounds else caption
        table = Table(box=None, padding=(0, 2, 0, 0), caption=caption, caption_justify="left")
        for name in ("contender", "valid", "curve", "step", "state"):
            table.add_column(name, justify="right" if name in ("valid", "step") else "left")
        for line in self._lines.values():
            of = f"/{line.steps:,}" if line.steps else ""
            state = line.status if line.why is None else f"{line.status}: {line.why}"
            if line.status == "running":
                state = _time(time.monotonic() - line.began)
                state += "" if line.seconds is None else f" of {_time(line.seconds)}"
            elif line.spent is not None and line.why is None:
                state = f"{line.status} in {_time(line.spent)}"
            table.add_row(line.name, _number(line.score), _spark(line.curve), f"{line.step:,}{of}", state)
        return table


def farewell(run: Run) -> str:
    """The verdict in four lines."""
    result, shipped = run.result, run.result["shipped"]
    lines = [f"{WORDS[run.verdict.answer]}: {run.verdict.why}"]
    if shipped is None:
        lines.append(
            "Nothing is shipped: " + (result["warnings"][-1] if result["warnings"] else "no contender finished.")
        )
    else:
        facts = next(c for c in result["contenders"] if c["name"] == shipped["contender"])
        low, high = _number(facts["low"]), _number(facts["high"])
        lines.append(
            f"{shipped['contender']} is shipped: {result['metric']} {_number(facts['score'])} ({low} to {high}) on "
            f"{result['rows']['test']:,} test rows, {facts['predict_us']:,.0f} µs a row, {_bytes(shipped['bytes'])}, "
            f"the file agrees with it on every row."
        )
        lines.append(f"model   {run.folder / 'model.onnx'}")
    lines.append(f"report  {run.folder / 'report.html'}   ({result['spent_s']:.0f} s)")
    return "\n".join(lines)


def line_of(run: Run) -> str:
    """A run in one line: where it lies, when it was made, the answer, and what it ships."""
    result, shipped = run.result, run.result["shipped"]
    ships = "nothing"
    if shipped is not None:
        ships = f"{shipped['contender']}, {result['metric']} {_number(shipped['score'])}"
    return f"{run.folder}  {result['created'][:16].replace('T', ' ')}  {WORDS[run.verdict.answer]}: ships {ships}"


def kept_line(each: Kept) -> str:
    """Something in the cache in one line."""
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.used))
    return f"{_bytes(each.bytes):>8}  {each.what:8}  {used}  {each.source or '-':20}  {each.path}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.6g}"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {seconds % 60:.0f} s" if seconds % 60 >= 1 else f"{seconds / 60:.0f} min"


def _spark(curve: tuple[float, ...]) -> str:
    few = curve[-16:]
    if len(few) < 2:
        return ""
    low, high = min(few), max(few)
    return "".join(BARS[round((value - low) / ((high - low) or 1) * 7)] for value in few)
