"""The command for small devices: shrink a run's model."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from leadline.system.interrupts import at_once

if TYPE_CHECKING:
    from leadline.results.run import Run


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """The options of the command."""
    shrink = commands.add_parser("shrink", parents=[shared], help="a smaller file of a run, proved not worse")
    shrink.add_argument("run", nargs="?", help="the run folder (default: the newest in runs)")
    shrink.add_argument("source", nargs="?", help="where the data is now (default: as the run says)")
    shrink.add_argument("--max-drop", help="the drop of the metric that is excluded, as in 0.5%% (the default)")
    shrink.add_argument("--max-size", help="ship only a smaller file, as in 500kB")
    shrink.add_argument("--max-latency", help="ship only a file that answers one row in less, as in 1ms")
    shrink.add_argument("--prefer", default="size", help="what is least of the file: size or speed (default: size)")
    shrink.add_argument("--distill", help="train smaller networks on the model's answers for so long, as in 5m")
    shrink.add_argument("--unlabelled", help="rows without labels that --distill learns from too: a source as for fit")
    shrink.add_argument("--out", help="the folder to make (default: RUN-small)")


def farewell(run: Run) -> None:
    """What --edge made, where it made something."""
    if (small := run.small) is not None:
        spent = small.result.get("spent_s")  # files of earlier versions do not have it
        took = "" if spent is None else f"; --edge took {spent:.0f} s"
        print(f"\n{small}\nThe smaller file and its report lie in {small.folder}{took}")


def shrink(options: argparse.Namespace) -> int:
    """Print the frontier and what ships; 1 where no smaller file was proved not worse."""
    with at_once():
        from leadline.results.registry import open_run

    names = ("max_drop", "max_size", "max_latency", "prefer", "out", "distill", "unlabelled")
    settings = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    found = open_run(options.run).shrink(options.source, **settings, watch=_progress)
    print(found)
    print(f"The report lies in {found.report()}")
    return 0 if found.result["chosen"] is not None else 1


def _progress(message: str) -> None:
    """A line while files are made, which takes minutes where the network is large."""
    print(f"  {message}", file=sys.stderr, flush=True)
