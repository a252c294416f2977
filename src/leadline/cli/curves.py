"""The command that measures learning curves of a run."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from leadline.cli.output import as_json
from leadline.system.interrupts import at_once


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """The options of the command."""
    curves = commands.add_parser("curves", parents=[shared], help="what more labelled rows are worth: learning curves")
    curves.add_argument("run", nargs="?", help="the run folder (default: the newest in runs)")
    curves.add_argument("source", nargs="?", help="where the data is now (default: as the run says)")
    curves.add_argument("--budget", help="time for everything, as in 2m (default: as much as the run had)")
    curves.add_argument("--json", action="store_true", help="print the numbers as JSON")
    curves.add_argument("--quiet", action="store_true", help="print only the last lines")


def curves(options: argparse.Namespace) -> int:
    """Train the best of each side on parts of the rows; print the curves and what they say."""
    with at_once():
        from leadline.curves.curves import learning_curves
        from leadline.results.registry import open_run

    quiet = options.quiet or options.json
    found = learning_curves(
        open_run(options.run), options.source, budget=options.budget,
        watch=(lambda message: None) if quiet else lambda message: print(f"  {message}", file=sys.stderr),
    )  # fmt: skip
    print(as_json(found.as_dict()) if options.json else found)
    if not options.json:
        print(f"page    {found.report()}")
    return 0
