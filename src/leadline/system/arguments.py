"""Arguments of public functions, checked by their annotations: a wrong type is one sentence in place of a traceback.

>>> @checked
... def opened(place: str | Path, rows: Sequence[int] | None = None) -> None: ...
>>> opened("here", rows=[1, 2])
>>> opened(5)
Traceback (most recent call last):
leadline.system.errors.LeadlineError: place 5 was given, where a path was expected.
"""

from __future__ import annotations

import builtins
import os
import typing
from collections.abc import Callable, Iterable, Sequence
from functools import cache, wraps
from inspect import Parameter, signature
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ParamSpec, TypeVar

from leadline.system.errors import LeadlineError

__all__ = ["checked", "shown"]

P = ParamSpec("P")
R = TypeVar("R")
MOST_SHOWN = 60  # characters of a value in an error
# What an annotation accepts, and its name in a sentence; any other class accepts its instances.
ACCEPTED: dict[Any, tuple[Any, str]] = {
    Path: (os.PathLike, "a path"), str: (str, "a text"), bool: (bool, "True or False"),
    int: (Integral, "a whole number"), float: (Real, "a number"), Sequence: (Iterable, "a list"),
    Callable: (Callable, "a function"),
}  # fmt: skip


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """A public function that refuses arguments of other types than its annotations name, before it does anything.

    Raises:
        LeadlineError: the function, when it is called.
    """
    parameters = signature(function)

    @cache
    def annotated() -> dict[str, tuple[Any, ...] | None]:
        hints = typing.get_type_hints(function, None, _Names(function.__globals__))
        plain = [each for each in parameters.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
        return {each.name: _parts(hints.get(each.name, Any)) for each in plain}

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for name, value in parameters.bind(*args, **kwargs).arguments.items():
            parts = annotated().get(name)
            if parts is not None and not any(_is_one(value, part) for part in parts):
                raise LeadlineError(f"{name} {shown(value)} was given, where {_expected(parts)} was expected.")
        return function(*args, **kwargs)

    return call


def shown(value: Any) -> str:
    """A value as it was written, or its type where that would be more than a few words."""
    text = repr(value)
    short = len(text) <= MOST_SHOWN and "\n" not in text and not text.startswith("<")
    return text if short else f"of type {type(value).__name__}"


class _Names(dict[str, Any]):
    """Names of a module; one that it imports for type checkers alone may be anything."""

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, Any)


def _parts(hint: Any) -> tuple[Any, ...] | None:
    """The types of a union, or the one type; None where anything will do."""
    parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, UnionType) else (hint,)
    return None if Any in parts or object in parts else tuple(typing.get_origin(part) or part for part in parts)


def _is_one(value: Any, part: Any) -> bool:
    if part is not bool and isinstance(value, bool) or part is Sequence and isinstance(value, str | bytes):
        return False
    return isinstance(value, ACCEPTED.get(part, (part, ""))[0])


def _expected(parts: tuple[Any, ...]) -> str:
    names = [ACCEPTED[part][1] if part in ACCEPTED else f"a {part.__name__}" for part in parts if part is not NoneType]
    return " or ".join(name for name in names if name != "a text" or "a path" not in names)
