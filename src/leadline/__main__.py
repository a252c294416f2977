"""The command `leadline`, and `python -m leadline`: Ctrl-C is one sentence from the first moment to the last."""

import os
import sys

if __name__ == "__main__" and sys.path[0] in ("", os.getcwd()) and not os.path.isfile("leadline/__init__.py"):
    # `python -m` looks for modules here first: a file of the user's called token.py would take the library's place.
    del sys.path[0]

import gc
import signal
import time

from leadline.system.interrupts import at_once


def main() -> int:
    """Load and run the command line; the budget of a run counts from here."""
    began = time.monotonic()
    _open_streams()
    with at_once():
        from leadline.cli.commands import main as command
    code = command(began=began)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said: an impatient last one changes nothing
    gc.freeze()  # Python would look for circles in all that is there: half a second after a run
    return code


def _open_streams() -> None:
    """Standard streams that the caller closed lead nowhere: else the next file would get their number and text."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


if __name__ == "__main__":
    sys.exit(main())
