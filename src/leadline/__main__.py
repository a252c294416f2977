"""The command `leadline`, and `python -m leadline`: Ctrl-C is one sentence from the first moment to the last."""

import signal
import sys
import time

from leadline.stop import at_once


def main() -> int:
    """Load and run the command line; the budget of a run counts from here."""
    began = time.monotonic()
    with at_once():
        from leadline.cli import main as command
    code = command(began=began)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is said: an impatient last one changes nothing
    return code


if __name__ == "__main__":
    sys.exit(main())
