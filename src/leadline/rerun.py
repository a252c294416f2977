"""A run again: resumed where it was killed, or replayed from its journal to the same bytes.

Enters: a run folder. A run that was killed lies beside its name, and its lock is free (results/run_folder.py); all that
depends on time is in the readings of each contender's clock (`contenders/NAME/clock.f64`), so what follows them comes
out again.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from leadline.core.records import Verdict
from leadline.flaws.scan import READINGS
from leadline.pipeline import run_pipeline
from leadline.race import history as journals
from leadline.race.context import RunContext
from leadline.race.history import ContenderRecord
from leadline.race.journal import Event
from leadline.race.worker import CLOCK
from leadline.readers.find import cache_of
from leadline.results.run import Run, make_small
from leadline.results.run_data import find_again
from leadline.results.run_folder import finish, hold, left, made_by, making, name_of, read_config
from leadline.system.arguments import checked
from leadline.system.errors import OutputError, SourceError
from leadline.system.lock import Lock
from leadline.system.os_errors import spoken
from leadline.system.resources import machine, versions
from leadline.system.text import enumerated
from leadline.system.whole import named


@checked
def resume(
    run: str | Path | None = None, source: Any = None, *, test: Any = None,
    watch: Callable[[Event], None] | None = None,
) -> Run:  # fmt: skip
    """Continue a run that was killed.

    A run by epochs ends with the same bytes as if nothing had happened. A run under a budget continues with the
    remaining seconds. Contenders that had ended are kept; networks resume from their last checkpoint, the others start
    again.

    Args:
        run: the folder that the run was to make (default: the newest in ./runs that was killed).
        source, test: where the data are now, or the frame or arrays that were given (default: as the run says).

    Raises:
        LeadlineError: where no such run was cut short, or the source has changed.
    """
    partial = _killed(Path("runs") if run is None else named(Path(run)), run is None)
    final = partial.with_name(name_of(partial))
    with _locked(partial) as lock:
        past = journals.read(partial)
        settings, source, test = read_config(partial, source, test)
        with spoken(cache=cache_of(settings), out=final):
            data = find_again(partial, past, settings, source, test)
            context = RunContext(
                settings=settings, source=data, folder=partial, began=time.monotonic() - past.spent_s, past=past,
                watch=watch or (lambda event: None),
            )  # fmt: skip
            result = run_pipeline(context)
            finish(partial, final, lock)
        made = Run(folder=final, verdict=Verdict(**result["verdict"]), result=result)
        make_small(made, source, test, settings, stacklevel=3)
    return made


@dataclass(frozen=True, kw_only=True)
class Replay:
    """A run and its repetition, compared byte by byte."""

    run: Run
    contenders: dict[str, bool]  # whether what it learned is the same
    model: bool | None  # whether the shipped file is the same; None where the run ships none
    elsewhere: tuple[str, ...]  # what differs between the two machines, and what they run
    weights: tuple[str, ...] = ()  # bodies whose weights are not those of the run, and both digests

    @property
    def same(self) -> bool:
        return all(self.contenders.values()) and self.model is not False

    def __str__(self) -> str:
        words = {True: "the same bytes", False: "NOT the same bytes", None: "none was shipped"}
        rows = {**self.contenders, "model.onnx": self.model}
        lines = [f"{name:12} {words[same]}" for name, same in rows.items()]
        if self.weights and not self.same:
            lines.append(f"The weights have changed since the run, of {enumerated(self.weights)}; give those of then.")
        if self.elsewhere and not self.same:
            lines.append(f"The same bytes are promised on the same machine; here differ: {', '.join(self.elsewhere)}.")
        return "\n".join(lines)


@checked
def replay(
    run: str | Path, source: Any = None, *, test: Any = None, out: str | Path | None = None,
    watch: Callable[[Event], None] | None = None,
) -> Replay:  # fmt: skip
    """Repeat a finished run by following its journal, and compare every contender and the shipped file with it.

    Args:
        run: the folder of the run.
        source, test: where the data are now, or the frame or arrays that were given (default: as the run says).
        out: the folder of the repetition (default: RUN-replay).

    Raises:
        LeadlineError: where the folder holds no finished run, or the source has changed.
    """
    folder = Path(run)
    if not (folder / "result.json").is_file():
        raise SourceError(f"{folder} holds no finished run; leadline resume continues one that was killed.")
    past = journals.read(folder)
    settings, source, test = read_config(folder, source, test)
    final = Path(out) if out is not None else named(folder).with_name(f"{named(folder).name}-replay")
    went = replace(
        past,
        repeats={
            number: {name: _once_more(record) for name, record in records.items()}
            for number, records in past.repeats.items()
        },
        # The cheaper ships where it is a tie: by what was measured then, for it decides which file there is.
        costs={
            name: record.facts["predict_us"] for name, record in past.records.items() if "predict_us" in record.facts
        },
    )
    with spoken(cache=cache_of(settings), out=final), making(final) as partial:
        data = find_again(folder, past, settings, source, test)
        _copy(folder, partial)
        context = RunContext(
            settings=settings, source=data, folder=partial, began=time.monotonic(), past=went, until=math.inf,
            watch=watch or (lambda event: None),
        )  # fmt: skip
        result = run_pipeline(context)
    after = journals.read(final).records
    here = {**machine(), **versions()}
    there = {**past.begin["machine"], **past.begin["versions"]}
    models = [path / "model.onnx" for path in (folder, final)]
    return Replay(
        run=Run(folder=final, verdict=Verdict(**result["verdict"]), result=result),
        contenders={
            name: after[name].facts.get("digest") == record.facts["digest"]
            for name, record in past.records.items()
            if "digest" in record.facts
        },
        model=models[0].read_bytes() == models[1].read_bytes() if all(m.exists() for m in models) else None,
        elsewhere=tuple(
            f"{name} {there.get(name)}, not {here.get(name)}" for name in here if here[name] != there.get(name)
        ),
        weights=_other_weights(past.records, after),
    )


def _other_weights(before: Mapping[str, ContenderRecord], after: Mapping[str, ContenderRecord]) -> tuple[str, ...]:
    """Bodies that contenders read in both runs, where the digest of the weights differs."""
    found = dict[str, None]()
    for name, record in before.items():
        bodies = record.facts.get("transfer", {}).get("bodies", [])
        now = after[name].facts.get("transfer", {}).get("bodies", []) if name in after else []
        for old, new in zip(bodies, now, strict=False):
            if old["digest"] != new["digest"]:
                found[f"{new['name']} (digest {old['digest'][:8]} then, {new['digest'][:8]} now)"] = None
    return tuple(found)


def _killed(run: Path, newest: bool) -> Path:
    """The folder that a killed run left; `run` is the name it was to have, or the folder of all runs."""
    folders = left(run) if newest else [path for path in left(run.parent) if run.name in (path.name, name_of(path))]
    if not folders:
        known = "is finished" if (run / "result.json").exists() and not newest else "was not begun, or left nothing"
        raise SourceError(f"{run} {known}, so there is nothing to resume; start it with leadline fit.")
    return max(folders, key=lambda path: path.stat().st_mtime)


@contextmanager
def _locked(partial: Path) -> Iterator[Lock | None]:
    """Hold the lock of a run that no other process makes."""
    name, lock = name_of(partial), hold(partial)
    if lock is None and (other := made_by(partial)) is not None:
        raise SourceError(f"{name} is still running, as process {other}; wait for it, or end it.")
    try:
        if not partial.is_dir():
            raise SourceError(f"{name} was finished at this moment, so there is nothing to resume.")
        if (finished := partial.with_name(name)).exists():
            raise OutputError(f"{finished} was made by another run since; move it away, or remove {partial}.")
        yield lock
    finally:
        if lock is not None:
            lock.release()


def _copy(folder: Path, partial: Path) -> None:
    """What a repetition starts from: the journal, the settings, and every clock."""
    for name in ("journal.jsonl", "config.yaml"):
        shutil.copyfile(folder / name, partial / name)
    clocks = [folder / READINGS, *folder.glob(f"contenders/*/{CLOCK}"), *folder.glob(f"rounds/*/*/{CLOCK}")]
    for clock in filter(Path.exists, clocks):
        (partial / clock.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clock, partial / clock.relative_to(folder))


def _once_more(record: ContenderRecord) -> ContenderRecord:
    """As if it had just been started; one that failed or was skipped stays so."""
    return ContenderRecord(seconds=record.seconds, threads=record.threads) if "digest" in record.facts else record
