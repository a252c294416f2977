"""The command line: thin, each command one call of the public Python."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.cli.progress import plainly
from leadline.config import COLUMNS, RENAMED, RENAMED_NEEDS, option_of
from leadline.system.errors import LeadlineError
from leadline.system.interrupts import STOPPED, at_once

if TYPE_CHECKING:
    from leadline.results.run import Run

DEMO = {"budget": "50s"}
RUNS = "runs"  # the folder in which runs lie where nobody says otherwise
CHECKED = (*COLUMNS, "test", "budget", "kind", "drop", "task", "token_unit", "interpretable", "data", "cache")


def main(arguments: list[str] | None = None, *, began: float | None = None) -> int:
    """Run a command and return its exit code; `began` is when the user started it (monotonic).

    0: it worked. 1: nothing could be shipped. 2: something is wrong that the user can fix. 130: stopped by Ctrl-C.
    """
    try:
        return _run(arguments, began)
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as `head` does; Python would complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(arguments: list[str] | None, began: float | None) -> int:
    parser = _parser()
    plainly()
    # What is wrong with a picture is said of its row; Pillow's own words tell of no file.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        given, more = parser.parse_known_args(arguments)
    except LeadlineError as error:  # an option of an earlier version
        print(f"leadline: {error}", file=sys.stderr)
        return 2
    given.began = began
    if more and given.command == "fit" and all(map(os.path.exists, more)):
        parser.error(f"{len(more) + 1} sources are given, where one was expected; quote a pattern, as in 'sales/*.csv'")
    if more:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if given.command is None:
        parser.print_help()
        return 0
    try:
        return int(COMMANDS[given.command](given) or 0)
    except (LeadlineError, PermissionError) as error:
        if given.debug:
            raise
        said: Any = error
        if isinstance(error, PermissionError):  # where a command only looks
            said = f"{error.filename or 'a file'} may not be opened by this user; give yourself permission to it"
        print(f"leadline: {said}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    from leadline import __version__

    parser = argparse.ArgumentParser(
        prog="leadline",
        description="Raw data in, a verdict with evidence and one ONNX file out.",
    )
    parser.add_argument("--version", action="version", version=f"leadline {__version__}")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for add in (_add_training, _add_again, _add_kept, _add_use):
        add(commands, shared)
    return parser


def _add_training(commands: Any, shared: argparse.ArgumentParser) -> None:
    """fit, demo and check, whose options are the settings."""
    from leadline.config import Settings

    fit = commands.add_parser("fit", parents=[shared], help="train contenders under one budget and judge them")
    fit.add_argument("source", help="a folder, a file, a pattern such as 'sales/*.csv', or the name of a sample")
    demo = commands.add_parser("demo", parents=[shared], help="the whole journey on built-in data, offline")
    check = commands.add_parser("check", parents=[shared], help="what a source is, and what the textbook expects of it")
    check.add_argument("source", help="as for fit; nothing is trained")
    check.add_argument("--json", action="store_true", help="print the same as JSON")
    for command in (fit, demo, check):
        if command is not check:
            shown = command.add_mutually_exclusive_group()
            shown.add_argument("--quiet", action="store_true", help="print the verdict alone")
            shown.add_argument("--json", action="store_true", help="print the result alone, as one JSON document")
        for field in dataclasses.fields(Settings):
            if command is check and field.name not in CHECKED:
                continue
            _add_setting(command, field)
        _add_renamed(command, {option_of(old): option_of(new) for old, new in RENAMED.items()})
        _add_renamed(command, {"--need": ", ".join(map(option_of, RENAMED_NEEDS.values()))})


def _add_setting(command: argparse.ArgumentParser, field: dataclasses.Field[Any]) -> None:
    text = field.metadata["help"].replace("%", "%%")
    option = option_of(field.name)
    if field.type == "bool":
        command.add_argument(option, action="store_true", default=None, help=text)
    elif field.type in ("int", "int | None"):
        command.add_argument(option, type=int, help=text)
    elif field.type == "float":
        command.add_argument(option, type=float, help=text)
    elif field.default == ():
        command.add_argument(option, action="append", help=text)
    else:
        command.add_argument(option, help=text)


class _Renamed(argparse.Action):
    """An option of an earlier version: says what it is called now."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Ends the command."""
        raise LeadlineError(f"{self.option_strings[0]} is now called {self.const}.")


def _add_renamed(command: argparse.ArgumentParser, names: dict[str, str]) -> None:
    for old, new in names.items():
        command.add_argument(old, nargs="?", action=_Renamed, const=new, help=argparse.SUPPRESS)


def _add_again(commands: Any, shared: argparse.ArgumentParser) -> None:
    """resume and replay."""
    resume = commands.add_parser("resume", parents=[shared], help="go on with a run that was killed")
    resume.add_argument("run", nargs="?", help="the folder it was to make (default: the newest in runs)")
    replay = commands.add_parser("replay", parents=[shared], help="repeat a run to the same bytes, and compare")
    replay.add_argument("run", help="the run folder")
    replay.add_argument("--out", help="folder of the repetition (default: RUN-replay)")
    for command in (resume, replay):
        command.add_argument("source", nargs="?", help="where the data is now (default: as the run says)")
        shown = command.add_mutually_exclusive_group()
        shown.add_argument("--quiet", action="store_true", help="print the end alone")
        if command is resume:
            shown.add_argument("--json", action="store_true", help="print the result alone, as one JSON document")


def _add_kept(commands: Any, shared: argparse.ArgumentParser) -> None:
    """What is kept: runs, show and cache."""
    runs = commands.add_parser("runs", parents=[shared], help="the runs that lie in a folder, the newest last")
    runs.add_argument("folder", nargs="?", default=RUNS, help=f"where they lie (default: {RUNS})")
    show = commands.add_parser("show", parents=[shared], help="the verdict of a run again")
    show.add_argument("run", nargs="?", help="the run folder (default: the newest in runs)")
    for command in (runs, show):
        command.add_argument("--json", action="store_true", help="print it for programs")
    cache = commands.add_parser("cache", parents=[shared], help="list or clear what is kept of sources")
    cache.add_argument("action", nargs="?", choices=["clear"], help="clear: remove it (default: list it)")
    cache.add_argument("--cache", help="the folder (default: $LEADLINE_CACHE, else the user's cache)")
    cache.add_argument("--older-than", help="clear only what was last used before so long, as in 12h, 30d, 2w")
    _add_renamed(cache, {"--clean": "cache clear", "--older": "--older-than"})


def _add_use(commands: Any, shared: argparse.ArgumentParser) -> None:
    """What a shipped file can do: predict and generate."""
    predict = commands.add_parser("predict", parents=[shared], help="answers for new rows, from a shipped file")
    predict.add_argument("model", help="a model.onnx, or the run folder that holds it")
    predict.add_argument("source", help="rows as for fit; the target may be absent")
    predict.add_argument("--out", help="file to write: .csv, .tsv, .parquet or .jsonl (default: CSV to the terminal)")
    generate = commands.add_parser("generate", parents=[shared], help="text from a shipped language model")
    generate.add_argument("model", help="a model.onnx, or the run folder that holds it")
    generate.add_argument("--prompt", default="\n", help="text to continue (default: a new line)")
    generate.add_argument("--length", type=int, default=500, help="tokens to write (default: 500)")
    generate.add_argument(
        "--temperature", type=float, default=0.8, help="0 takes the likeliest token, above 1 is wilder (default: 0.8)"
    )
    generate.add_argument("--top-k", type=int, help="choose among so many of the likeliest tokens")
    generate.add_argument("--top-p", type=float, help="choose among the likeliest that have this probability together")
    generate.add_argument("--seed", type=int, default=0, help="the same seed gives the same text")


def _fit(given: argparse.Namespace) -> int:
    with at_once():
        from leadline.api import fit
        from leadline.cli.progress import Terminal

        shown = Terminal(quiet=given.quiet or given.json)
    with shown as terminal:
        run = fit(given.source, watch=terminal.take, began=given.began, **_settings(given))
    return _end(run, given)


def _end(run: Run, given: argparse.Namespace) -> int:
    """Print what a run came to."""
    from leadline.cli.progress import farewell

    if given.json:
        print(_json({"folder": str(run.folder), **run.result}))
    else:
        print(farewell(run))
    return 0 if run.result["shipped"] is not None else 1


def _json(value: Any) -> str:
    """One document; letters that the stream cannot take are escaped, as a plainer letter would change the message."""
    import json

    whole = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(value, ensure_ascii=not whole, indent=1)


def _settings(given: argparse.Namespace) -> dict[str, Any]:
    from leadline.config import Settings

    names = {field.name for field in dataclasses.fields(Settings)}
    return {name: value for name, value in vars(given).items() if name in names and value is not None}


def _check(given: argparse.Namespace) -> int:
    with at_once():
        from leadline.dry_run import check

    found = check(given.source, **_settings(given))
    print(_json(found.as_dict()) if given.json else found)
    return 2 if found.problems else 0


def _runs(given: argparse.Namespace) -> int:
    from leadline.cli.progress import line_of
    from leadline.results.registry import list_runs, unfinished

    if given.folder != RUNS and not Path(given.folder).is_dir():
        raise LeadlineError(f"there is no folder {given.folder}; name one that holds runs (default: {RUNS}).")
    found = list_runs(given.folder)
    if given.json:
        print(_json([{"folder": str(run.folder), **run.result} for run in found]))
        return 0
    widest = max((len(str(run.folder)) for run in found), default=0)
    for run in found:
        print(line_of(run, widest))
    for path, process in unfinished(given.folder):
        known = (
            f"killed; leadline resume {path} goes on with it" if process is None else f"under way, as process {process}"
        )
        print(f"{path.name}: {known}")
    if not found:
        print(f"{given.folder} holds no finished run; leadline fit makes one.")
    return 0


def _show(given: argparse.Namespace) -> int:
    from leadline.cli.progress import farewell
    from leadline.results.registry import open_run

    run = open_run(given.run)
    print(_json(run.result) if given.json else farewell(run))
    return 0


def _cache(given: argparse.Namespace) -> int:
    from leadline.cli.progress import kept_line
    from leadline.system.cache import clear, entries

    clears = given.action == "clear"
    if given.older_than and not clears:
        raise LeadlineError("--older-than limits what leadline cache clear removes; write leadline cache clear.")
    found = clear(given.cache, older_than=given.older_than) if clears else entries(given.cache)
    for each in found:
        print(kept_line(each))
    total = sum(each.bytes for each in found) / 1e6
    print(f"{len(found):,} in all, {total:,.1f} MB{', removed' if clears else ''}")
    return 0


def _resume(given: argparse.Namespace) -> int:
    with at_once():
        from leadline.cli.progress import Terminal
        from leadline.rerun import resume

        shown = Terminal(quiet=given.quiet or given.json)
    with shown as terminal:
        run = resume(given.run, given.source, watch=terminal.take)
    return _end(run, given)


def _replay(given: argparse.Namespace) -> int:
    with at_once():
        from leadline.cli.progress import Terminal
        from leadline.rerun import replay

        shown = Terminal(quiet=given.quiet)
    with shown as terminal:
        found = replay(given.run, given.source, out=given.out, watch=terminal.take)
    print(found)
    return 0 if found.same else 1


def _demo(given: argparse.Namespace) -> int:
    from leadline.readers.samples import demo

    given.source = demo()
    for name, value in DEMO.items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return _fit(given)


def _predict(given: argparse.Namespace) -> int:
    with at_once():
        from leadline.readers.part import counted
        from leadline.use.model import Model
        from leadline.use.predict import check_out, flat, write

    with _warned():
        model = Model(_model(given))
    out: Any = Path(given.out) if given.out else None
    if out is not None:
        check_out(out)
    with _warned():
        answers = model.predict(given.source)
    if out is None:
        sys.stdout.write(flat(answers).write_csv())
    else:
        write(answers, out)
        print(f"{counted(len(answers), 'answer')} in {out}")
    return 0


def _generate(given: argparse.Namespace) -> int:
    with at_once():
        from leadline.use.generate import generate
        from leadline.use.model import Model

    with _warned():
        model = Model(_model(given))
    pieces = generate(
        model, given.prompt, length=given.length, temperature=given.temperature, top_k=given.top_k,
        top_p=given.top_p, seed=given.seed,
    )  # fmt: skip
    sys.stdout.write(given.prompt.lstrip("\n"))
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
    return 0


@contextmanager
def _warned() -> Iterator[None]:
    """Warnings as lines, without the place in the code."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        print(f"leadline: {warning.message}", file=sys.stderr)


def _model(given: argparse.Namespace) -> Path:
    path = Path(given.model)
    return path / "model.onnx" if path.is_dir() else path


COMMANDS = {
    "fit": _fit,
    "demo": _demo,
    "check": _check,
    "runs": _runs,
    "cache": _cache,
    "show": _show,
    "resume": _resume,
    "replay": _replay,
    "predict": _predict,
    "generate": _generate,
}

if __name__ == "__main__":
    sys.exit(main())
