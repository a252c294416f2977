"""The output of `leadline fit`: a live table on a terminal, plain lines elsewhere, and the verdict last."""

from __future__ import annotations

import codecs
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

    from leadline.results.run import Run
    from leadline.system.cache import CacheEntry

PRINT_EVERY = 10.0  # seconds between two plain lines of one contender
BARS = "▁▂▃▄▅▆▇█"
# What a terminal gets that cannot show a letter: a bar becomes one letter, so that tables stay in line.
PLAIN = dict(zip(BARS, "_.-:=+*#", strict=True)) | {
    "µ": "u", "±": "+/-", "−": "-", "–": "-", "—": "-", "…": "...", "×": "x", "→": "->", "·": "*", "“": '"', "”": '"',
    "‘": "'", "’": "'", "≤": "<=", "≥": ">=", "²": "2", "\xa0": " ",
}  # fmt: skip
JUSTIFIED: dict[str, Any] = {"valid": "right", "step": "right"}
NARROW, NARROWEST = 72, 50  # columns, below which steps, then curves, are left out
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
    printed: float = 0.0


def plainly() -> None:
    """Let both streams replace letters that their encoding lacks: no name may end a run with an error."""
    codecs.register_error("leadline.plain", _plainer)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="leadline.plain")


def _plainer(error: UnicodeError) -> tuple[str, int]:
    """The error handler of Python for letters that cannot be encoded."""
    assert isinstance(error, UnicodeEncodeError)
    unencodable = error.object[error.start : error.end]
    return "".join(PLAIN.get(letter, "?") for letter in unencodable), error.end


class Terminal:
    """Shows the events of a run; a context manager."""

    def __init__(self, quiet: bool = False) -> None:
        from rich.console import Console

        self._quiet = quiet
        live = sys.stdout.isatty()  # whatever FORCE_COLOR says: a file is no screen
        self._console = Console(highlight=False, force_terminal=live, no_color=None if live else True)
        self._lines: dict[str, _Line] = {}
        self._races = 1  # with the repeats that ended
        self._last_repeat = ""  # as a line
        self._began = time.monotonic()
        self._ended: float | None = None  # seconds that it took
        self._budget: float | None = None
        self._live: Any = None

    def __enter__(self) -> Terminal:
        if not self._quiet and self._console.is_terminal and not self._console.is_dumb_terminal:
            from rich.live import Live

            self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.transient = self._ended is None  # the table stays where there is a verdict on it
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
        except BrokenPipeError:  # the reader has exited, as `head` does: the run continues silently
            self._quiet = True

    def _begin(self, event: dict[str, Any]) -> None:
        edge_s = event.get("edge_s") or 0.0
        self._budget = None if event["budget_s"] is None else event["budget_s"] - edge_s  # of what is shown here
        self._began = time.monotonic() - event["t"]
        passes = f"{event['epochs']} pass{'' if event['epochs'] == 1 else 'es'} of every network"
        length = passes if self._budget is None else _time(event["budget_s"])
        if self._budget is not None and (earlier_s := event.get("earlier_s")):
            length = f"{_time(max(0.0, event['budget_s'] - earlier_s))} left of {length}"
        whole = f"everything, {_time(edge_s)} of it for --edge" if edge_s else "everything"
        cores = event["machine"]["cores"]
        self._say(f"{event['source']}: {length} for {whole}, on {cores} core{'s' if cores > 1 else ''}")

    def _encoded(self, event: dict[str, Any]) -> None:
        rows = ", ".join(f"{count:,} {part}" for part, count in event["rows"].items() if count)
        self._say(f"{event['task']}; rows: {rows}")
        for block in event["blocks"]:
            self._say(f"  {block}")
        for message in event["said"]:
            self._say(f"  note: {message}")

    def _unprinted(self, event: dict[str, Any]) -> None:
        for message in event["said"]:
            self._say(f"  note: {message}")

    _unopened = _overspent = _unprinted

    def _flaws(self, event: dict[str, Any]) -> None:
        for message in event["said"]:
            self._say(f"  flaw: {message}")

    def _start(self, event: dict[str, Any]) -> None:
        seconds, what = event["seconds"], "starts"
        if event.get("again"):
            seconds, what = None, "is trained again, for its file"
        elif event.get("left") is not None:
            seconds, what = event["left"], "resumes" if event["before"] else "starts again"
        self._lines[event["contender"]] = _Line(
            name=event["contender"], status="running", began=time.monotonic(), seconds=seconds
        )
        most = "" if seconds is None else f", up to {_time(seconds)}"
        self._plain(f"{event['t']:6.1f} s  {event['contender']:10} {what}{most}")

    def _progress(self, event: dict[str, Any]) -> None:
        line = self._lines[event["contender"]]
        step = event["step"] or line.step
        kept = line.steps if step >= line.step else None  # of states that were counted, when the model begins
        line.step, line.steps = step, event.get("steps") or kept
        if event["score"] is not None:
            line.score = event["score"]
            line.curve = (*line.curve, event["score"])
            if event["t"] - line.printed >= PRINT_EVERY:
                line.printed = event["t"]
                of = f" of {line.steps:,}" if line.steps else ""
                self._plain(
                    f"{event['t']:6.1f} s  {line.name:10} step {line.step:,}{of}: {_number(line.score)} on valid"
                )

    def _end(self, event: dict[str, Any]) -> None:
        line = self._lines.setdefault(event["contender"], _Line(name=event["contender"]))
        line.status, line.why = event["status"], event["why"]
        line.score = event.get("score", line.score)
        line.spent = event.get("fit_s", time.monotonic() - line.began if line.began else None)
        shown = line.why
        if line.status in ("finished", "cut"):
            shown = "no valid rows" if line.score is None else f"{_number(line.score)} on valid"
        self._plain(f"{event['t']:6.1f} s  {line.name:10} {line.status}: {shown}")

    def _round(self, event: dict[str, Any]) -> None:
        what = "seed" if event["fold"] is None else f"fold {event['fold'] + 1} of {event['folds']}"
        scores = ", ".join(f"{name} {_number(score)}" for name, score in event["scores"].items())
        self._races += 1
        self._last_repeat = f"repeat {self._races} ({what}): {scores} on test"
        self._plain(f"{event['t']:6.1f} s  {self._last_repeat}")

    def _race_ended(self, event: dict[str, Any]) -> None:
        self._say(f"{event['t']:6.1f} s  the race ends: {event['why']}")

    def _stopping(self, event: dict[str, Any]) -> None:
        self._say("Stopping: each contender keeps its best state so far (press Ctrl-C again to leave at once).")

    def _verdict(self, event: dict[str, Any]) -> None:
        self._ended = event["spent_s"]

    def _left(self) -> str:
        """The remaining time, or the time that the run took."""
        spent = time.monotonic() - self._began
        if self._ended is not None:
            return _time(self._ended)
        return _time(spent) if self._budget is None else f"{_time(max(0.0, self._budget - spent))} left"

    def _table(self) -> RenderableType:
        """The contenders; on a narrow terminal with fewer columns, and never wider than it."""
        from rich.markup import escape
        from rich.table import Table

        wide = self._console.width
        caption = f"{self._left()}; {self._last_repeat}" if self._last_repeat else self._left()
        names = ["contender", "valid", *(["curve"] if wide >= NARROWEST else [])]
        names += [*(["step"] if wide >= NARROW else []), "state"]
        rows = [dict(zip(names, names, strict=True)), *map(self._texts, self._lines.values())]
        room = wide - sum(max(len(row[name]) for row in rows) + 2 for name in names[:-1])
        table = Table(box=None, padding=(0, 2, 0, 0), caption=caption, caption_justify="left", pad_edge=False)
        for name in names:
            table.add_column(name[:room] if name == "state" else name, justify=JUSTIFIED.get(name, "left"))
        for row in rows[1:]:
            table.add_row(*(escape(row[name][:room] if name == "state" else row[name]) for name in names))
        return table

    def _texts(self, line: _Line) -> dict[str, str]:
        """The state of a contender, as text by column."""
        of = f"/{line.steps:,}" if line.steps else ""
        state = line.status if line.why is None else f"{line.status}: {line.why}"
        if line.status == "running":
            state = _time(time.monotonic() - line.began)
            state += "" if line.seconds is None else f" of {_time(line.seconds)}"
        elif line.spent is not None and line.why is None:
            state = f"{line.status} in {_time(line.spent)}"
        return {
            "contender": line.name, "valid": _number(line.score), "curve": _spark(line.curve),
            "step": f"{line.step:,}{of}" if line.step or line.status == "running" else "", "state": state,
        }  # fmt: skip


def farewell(run: Run) -> str:
    """The verdict in four lines, and one more where what ships is no better than guessing."""
    from leadline.results.evidence import guessed

    result, shipped = run.result, run.result["shipped"]
    lines = [f"{WORDS[run.verdict.answer]}: {run.verdict.why}"]
    if result.get("sides"):
        lines.append(result["sides"]["why"])
    if shipped is None:
        message = "no contender finished."
        finished = {each["name"] for each in result["contenders"] if each["status"] == "finished"}
        excluded = finished & set((result["needs"] or {"excluded": {}})["excluded"])
        if run.verdict.winner is not None and result["warnings"]:
            message = result["warnings"][-1]
        elif excluded:
            message = f"no contender that finished satisfies {', '.join(result['needs']['conditions'])}."
        elif failed := next((each for each in result["contenders"] if each["status"] == "failed"), None):
            message = f"no contender finished. {failed['name']}: {failed['why']}."
        lines.append(f"Nothing is shipped: {message}")
    else:
        facts = next(c for c in result["contenders"] if c["name"] == shipped["contender"])
        low, high = _number(facts["low"]), _number(facts["high"])
        lines.append(
            f"{shipped['contender']} is shipped: {result['metric']} {_number(facts['score'])} ({low} to {high}) on "
            f"{result['rows']['test']:,} test rows, scored {_times(result['test_evaluations'])}; "
            f"{facts['predict_us']:,.0f} µs a row, {_bytes(shipped['bytes'])}; {_checked(result)}."
        )
        if (said := guessed(result)) is not None:
            lines.append(said)
        lines.append(f"model   {run.folder / 'model.onnx'}")
    lines.append(f"report  {run.folder / 'report.html'}   ({_spent(result)})")
    return "\n".join(lines)


def _spent(result: dict[str, Any]) -> str:
    """Seconds spent, and the budget."""
    budget = "" if result["budget_s"] is None else f" of {_time(result['budget_s'])}"
    return f"{_time(result['spent_s'])}{budget}"


def _checked(result: dict[str, Any]) -> str:
    """How far the file is from the trained contender, as it was measured."""
    parity = result["shipped"]["parity"]
    rows, differ = parity["rows"], parity["decisions_differ"]
    if not result["classes"]:
        from leadline.tasks import TASKS

        of = " of the bits of a row" if TASKS[result["task"]].generative else ""
        return f"the file differs from it by at most {parity['max_difference']:.2g}{of} on {rows:,} rows"
    if differ:  # any other difference would have kept it from being shipped
        return f"the file predicts {differ:,} of {rows:,} rows differently, all within rounding"
    return f"the file predicts the same on all {rows:,} rows"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def line_of(run: Run, width: int) -> str:
    """A run in one line: its folder (padded to `width`), its date, the answer, and the shipped contender."""
    result, shipped = run.result, run.result["shipped"]
    ships = "nothing"
    if shipped is not None:
        ships = f"{shipped['contender']}, {result['metric']} {_number(shipped['score'])}"
    when = result["created"][:16].replace("T", " ")
    return f"{str(run.folder).ljust(width)}  {when}  {WORDS[run.verdict.answer]}: ships {ships}"


def cache_line(each: CacheEntry) -> str:
    """A cache entry in one line."""
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.used))
    return f"{_bytes(each.bytes):>8}  {each.what:8}  {used}  {each.source or '-':20}  {each.path}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if 0 < abs(value) < 1e-3:
        return f"{value:.4g}"
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
