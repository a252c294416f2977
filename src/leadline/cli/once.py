"""A parser whose options are given once: of two values that differ, the first would be lost without a word.

>>> parser = Parser()
>>> action = parser.add_argument("--budget")
>>> parser.parse_args(["--budget", "5s", "--budget", "5s"]).budget
'5s'
>>> parser.parse_args(["--budget", "5s", "--budget", "9s"])
Traceback (most recent call last):
leadline.system.errors.LeadlineError: --budget is given twice, as 5s and as 9s; give it once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from leadline.config import LISTS, option_of
from leadline.system.errors import LeadlineError


class Parser(argparse.ArgumentParser):
    """Its commands are such parsers too."""

    def __init__(self, *positional: Any, **named: Any) -> None:
        super().__init__(*positional, **named)
        for name in (None, "store"):  # options that may be repeated have another action
            self.register("action", name, _Once)


class _Once(argparse.Action):
    """Keeps a value, and raises LeadlineError for another one."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:  # fmt: skip
        given: set[str] = namespace.__dict__.setdefault("given", set())
        if self.option_strings and self.dest in given and (earlier := getattr(namespace, self.dest)) != values:
            option = option_of(self.dest)
            once = f"write {option} {earlier},{values}" if self.dest in LISTS else "give it once"
            raise LeadlineError(f"{option} is given twice, as {earlier} and as {values}; {once}.")
        given.add(self.dest)
        setattr(namespace, self.dest, values)
