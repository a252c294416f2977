"""Options of earlier versions: they work, and one sentence each says the name of today.

>>> today(["fit", "x.csv", "--repeats", "3"])
['fit', 'x.csv', '--repeats', '3']
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from leadline.config import RENAMED, RENAMED_NEEDS, option_of

OPTIONS = {option_of(old): option_of(new) for old, new in RENAMED.items()} | {"--older": "--older-than"}
NEED, CLEAN = "--need", "--clean"
CONDITION = re.compile(r"\s*(?P<name>[a-z]+)\s*(<=?\s*(?P<bound>.+))?")


def today(arguments: Sequence[str]) -> list[str]:
    """The arguments with the names of today; writes a sentence on standard error for each that was renamed."""
    current, rest = list[str](), list(arguments)
    while rest:
        argument = rest.pop(0)
        option, equals, value = argument.partition("=")
        if option == NEED:
            found = _condition(value if equals else rest.pop(0) if rest else "")
        elif option == CLEAN:
            found = ["clear"]
        elif option in OPTIONS:
            found = [OPTIONS[option] + equals + value]
        else:
            current.append(argument)
            continue
        name = "leadline cache clear" if option == CLEAN else found[0].partition("=")[0]
        print(f"leadline: {option} is now called {name}.", file=sys.stderr)
        current += found
    return current


def _condition(text: str) -> list[str]:
    """'latency<5ms' as '--max-latency 5ms'; what is no such condition is left to the parser."""
    match = CONDITION.fullmatch(text)
    if match is None or match["name"] not in RENAMED_NEEDS:
        return [option_of(next(iter(RENAMED_NEEDS.values()))), text]
    return [option_of(RENAMED_NEEDS[match["name"]]), *([match["bound"]] if match["bound"] else [])]
