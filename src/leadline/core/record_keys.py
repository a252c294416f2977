"""The keys that a record has, and whether a value that is written has them (`records.py`)."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator
from functools import cache
from typing import Annotated, NotRequired, TypeGuard, Union, get_args, get_origin, get_type_hints, is_typeddict

__all__ = ["fields_of", "is_optional", "is_record", "wrong_keys"]


def fields_of(record: type) -> dict[str, object]:
    """{key: its type with its description} of a record; NotRequired is kept."""
    return get_type_hints(record, include_extras=True)


def is_record(hint: object) -> TypeGuard[type]:
    """Whether a type is one of the records, which files hold as objects."""
    return is_typeddict(hint) or dataclasses.is_dataclass(hint)


def is_optional(hint: object) -> bool:
    """Whether a key may be absent. `__required_keys__` is blind to NotRequired where annotations are strings."""
    return get_origin(hint) is NotRequired or (get_origin(hint) is Annotated and is_optional(get_args(hint)[0]))


def wrong_keys(value: object, hint: object, place: str = "") -> Iterator[str]:
    """Keys of a value that its record does not name, and keys of the record that the value lacks.

    Example:
        >>> from leadline.core.records import Rows
        >>> list(wrong_keys({"train": 1, "valid": 1, "calib": 0, "tets": 1}, Rows, "rows"))
        ["rows has no 'test'", "rows has an unknown 'tets'"]
    """
    origin, inner = get_origin(hint), get_args(hint)
    if is_record(hint) and isinstance(value, dict):
        fields = _fields(hint)
        yield from (f"{place} has no {k!r}" for k, each in fields.items() if k not in value and not is_optional(each))
        yield from (f"{place} has an unknown {k!r}" for k in value if k not in fields)
        for key in fields.keys() & value.keys():
            yield from wrong_keys(value[key], fields[key], f"{place}.{key}")
    elif origin in (Annotated, NotRequired):
        yield from wrong_keys(value, inner[0], place)
    elif origin in (Union, types.UnionType) and value is not None:
        for each in inner:
            yield from wrong_keys(value, each, place)
    elif origin is list and isinstance(value, list) and is_record(inner[0]):
        for number, each in enumerate(value):
            yield from wrong_keys(each, inner[0], f"{place}[{number}]")
    elif origin is dict and isinstance(value, dict) and is_record(inner[1]):
        for key, each in value.items():
            yield from wrong_keys(each, inner[1], f"{place}.{key}")


_fields = cache(fields_of)
