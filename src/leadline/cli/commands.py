"""The command line: thin, each command one call of the public Python."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.cli import curves, edge, model_commands
from leadline.cli.once import Parser
from leadline.cli.output import as_json
from leadline.cli.progress import plainly
from leadline.cli.renamed import today
from leadline.config import COLUMNS, option_of
from leadline.system.errors import LeadlineError
from leadline.system.interrupts import STOPPED, at_once, ended

if TYPE_CHECKING:
    from leadline.results.run import Run

DEMO = {"budget": "50s"}
CONTINUED = ("fit", "demo", "resume")  # what they leave where they are killed, leadline resume goes on with
RUNS = "runs"  # the folder in which runs lie where nobody says otherwise
CHECKED = (
    *COLUMNS,
    "test",
    "budget",
    "kind",
    "drop",
    "task",
    "token_unit",
    "interpretable",
    "weights",
    "init",
    "data",
    "cache",
)


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
        options, more = parser.parse_known_args(today(sys.argv[1:] if arguments is None else arguments))
    except LeadlineError as error:
        return _refused(error)
    options.began = began
    if more and options.command == "fit" and all(map(os.path.exists, more)):
        parser.error(f"{len(more) + 1} sources are given, where one was expected; quote a pattern, as in 'sales/*.csv'")
    if more:
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if options.command is None:
        parser.print_help()
        return 0
    try:
        with nullcontext() if options.command in CONTINUED else ended():
            return int(COMMANDS[options.command](options) or 0)
    except (LeadlineError, PermissionError) as error:
        if options.debug:
            raise
        return _refused(error)


def _refused(error: LeadlineError | PermissionError) -> int:
    """Print what the user can fix."""
    message: Any = error
    if isinstance(error, PermissionError):  # where a command only looks
        message = f"{error.filename or 'a file'} may not be opened by this user; give yourself permission to it"
    print(f"leadline: {message}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    from leadline import __version__

    parser = Parser(
        prog="leadline",
        description="Raw data in, a verdict with evidence and one ONNX file out.",
    )
    parser.add_argument("--version", action="version", version=f"leadline {__version__}")
    shared = Parser(add_help=False)
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for add in (_add_training, _add_rerun, _add_runs, model_commands.add, edge.add, curves.add):
        add(commands, shared)
    return parser


def _add_training(commands: Any, shared: argparse.ArgumentParser) -> None:
    """fit, demo and check, whose options are the settings."""
    from leadline.config import Settings

    fit = commands.add_parser("fit", parents=[shared], help="train contenders under one budget and judge them")
    fit.add_argument("source", help="a folder, a file, a pattern such as 'sales/*.csv', or the name of a sample")
    demo = commands.add_parser("demo", parents=[shared], help="a whole run on built-in data, offline")
    check = commands.add_parser(
        "check", parents=[shared], help="describe a source, and what the textbook expects; trains nothing"
    )
    check.add_argument("source", help="as for fit; nothing is trained")
    check.add_argument("--json", action="store_true", help="print JSON")
    for command in (fit, demo, check):
        if command is not check:
            shown = command.add_mutually_exclusive_group()
            shown.add_argument("--quiet", action="store_true", help="print only the verdict")
            shown.add_argument("--json", action="store_true", help="print only the result, as one JSON document")
        for field in dataclasses.fields(Settings):
            if command is check and field.name not in CHECKED:
                continue
            _add_setting(command, field)


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


def _add_rerun(commands: Any, shared: argparse.ArgumentParser) -> None:
    """resume and replay."""
    resume = commands.add_parser("resume", parents=[shared], help="continue a run that was killed")
    resume.add_argument(
        "run", nargs="?", help="the run folder it would have created (default: the newest killed run in runs)"
    )
    replay = commands.add_parser("replay", parents=[shared], help="repeat a run to the same bytes, and compare")
    replay.add_argument("run", help="the run folder")
    replay.add_argument("--out", help="folder of the replay (default: RUN-replay)")
    for command in (resume, replay):
        command.add_argument(
            "source", nargs="?", help="where the data is now (default: the source in the run's config.yaml)"
        )
        shown = command.add_mutually_exclusive_group()
        shown.add_argument("--quiet", action="store_true", help="print only the last lines")
        if command is resume:
            shown.add_argument("--json", action="store_true", help="print only the result, as one JSON document")


def _add_runs(commands: Any, shared: argparse.ArgumentParser) -> None:
    """runs, show and cache."""
    runs = commands.add_parser("runs", parents=[shared], help="list the runs in a folder, the newest last")
    runs.add_argument("folder", nargs="?", default=RUNS, help=f"the folder of runs (default: {RUNS})")
    show = commands.add_parser("show", parents=[shared], help="print the verdict of a run")
    show.add_argument("run", nargs="?", help="the run folder (default: the newest in runs)")
    for command in (runs, show):
        command.add_argument("--json", action="store_true", help="print JSON")
    cache = commands.add_parser("cache", parents=[shared], help="list or clear the cache of converted sources")
    cache.add_argument("action", nargs="?", choices=["clear"], help="remove the entries (default: list them)")
    cache.add_argument("--cache", help="the folder (default: $LEADLINE_CACHE, else the user's cache)")
    cache.add_argument("--older-than", help="with clear: only entries unused for longer than this: 12h, 30d, 2w")


def _fit(options: argparse.Namespace) -> int:
    with at_once():
        from leadline.api import fit
        from leadline.cli.progress import Terminal

        shown = Terminal(quiet=options.quiet or options.json)
    with shown as terminal:
        run = fit(options.source, watch=terminal.take, began=options.began, **_settings(options))
    return _end(run, options)


def _end(run: Run, options: argparse.Namespace) -> int:
    """Print what a run came to."""
    from leadline.cli.progress import farewell

    if options.json:
        print(as_json({"folder": str(run.folder), **run.result}))
    else:
        print(farewell(run))
        if getattr(options, "edge", None):
            edge.farewell(run)
    return 0 if run.result["shipped"] is not None else 1


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    from leadline.config import Settings

    names = {field.name for field in dataclasses.fields(Settings)}
    return {name: value for name, value in vars(options).items() if name in names and value is not None}


def _check(options: argparse.Namespace) -> int:
    with at_once():
        from leadline.dry_run import check

    result = check(options.source, **_settings(options))
    print(as_json(result.as_dict()) if options.json else result)
    return 2 if result.problems else 0


def _runs(options: argparse.Namespace) -> int:
    from leadline.cli.progress import line_of
    from leadline.results.registry import list_runs, unfinished

    if options.folder != RUNS and not Path(options.folder).is_dir():
        raise LeadlineError(f"there is no folder {options.folder}; name one that holds runs (default: {RUNS}).")
    runs = list_runs(options.folder)
    if options.json:
        print(as_json([{"folder": str(run.folder), **run.result} for run in runs]))
        return 0
    widest = max((len(str(run.folder)) for run in runs), default=0)
    for run in runs:
        print(line_of(run, widest))
    for path, process in unfinished(options.folder):
        known = (
            f"killed; leadline resume {path} continues it" if process is None else f"under way, as process {process}"
        )
        print(f"{path.name}: {known}")
    if not runs:
        print(f"{options.folder} holds no finished run; leadline fit makes one.")
    return 0


def _show(options: argparse.Namespace) -> int:
    from leadline.cli.progress import farewell
    from leadline.results.registry import open_run

    run = open_run(options.run)
    print(as_json(run.result) if options.json else farewell(run))
    return 0


def _cache(options: argparse.Namespace) -> int:
    from leadline.cli.progress import cache_line
    from leadline.system.cache import clear, entries

    clears = options.action == "clear"
    if options.older_than and not clears:
        raise LeadlineError("--older-than limits what leadline cache clear removes; write leadline cache clear.")
    items = clear(options.cache, older_than=options.older_than) if clears else entries(options.cache)
    for each in items:
        print(cache_line(each))
    total = sum(each.bytes for each in items) / 1e6
    print(f"{len(items):,} in all, {total:,.1f} MB{', removed' if clears else ''}")
    return 0


def _resume(options: argparse.Namespace) -> int:
    with at_once():
        from leadline.cli.progress import Terminal
        from leadline.rerun import resume

        shown = Terminal(quiet=options.quiet or options.json)
    with shown as terminal:
        run = resume(options.run, options.source, watch=terminal.take)
    options.edge = run.small is not None
    return _end(run, options)


def _replay(options: argparse.Namespace) -> int:
    with at_once():
        from leadline.cli.progress import Terminal
        from leadline.rerun import replay

        shown = Terminal(quiet=options.quiet)
    with shown as terminal:
        comparison = replay(options.run, options.source, out=options.out, watch=terminal.take)
    print(comparison)
    return 0 if comparison.same else 1


def _demo(options: argparse.Namespace) -> int:
    from leadline.readers.samples import demo

    options.source = demo()
    for name, value in DEMO.items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return _fit(options)


COMMANDS = {
    "fit": _fit,
    "demo": _demo,
    "check": _check,
    "runs": _runs,
    "cache": _cache,
    "show": _show,
    "resume": _resume,
    "replay": _replay,
    "predict": model_commands.predict,
    "explain": model_commands.explain,
    "verify": model_commands.verify,
    "shrink": edge.shrink,
    "curves": curves.curves,
    "generate": model_commands.generate,
}

if __name__ == "__main__":
    sys.exit(main())
