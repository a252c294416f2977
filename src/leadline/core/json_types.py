"""The types of values that files keep as JSON, and of the states that checkpoints keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

# Values at run time too, so that `State | None` is a type where annotations are evaluated.
Json: TypeAlias = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
JsonObject: TypeAlias = Mapping[str, Json]
StateValue: TypeAlias = "None | bool | int | float | str | Tensor | Sequence[StateValue] | Mapping[str, StateValue]"
State: TypeAlias = Mapping[str, "StateValue"]  # all that a contender needs to resume its training


def whole(facts: JsonObject, name: str, default: int | None = None) -> int:
    """The whole number of that name."""
    value = facts.get(name, default)
    assert isinstance(value, int), name
    return value


def items(facts: JsonObject, name: str) -> Sequence[Json]:
    """The list of that name."""
    value = facts[name]
    assert isinstance(value, Sequence), name
    return value


def wholes(facts: JsonObject, name: str) -> list[int]:
    """The list of whole numbers of that name."""
    found = [value for value in items(facts, name) if isinstance(value, int)]
    assert len(found) == len(items(facts, name)), name
    return found


def reals(facts: JsonObject, name: str) -> list[float]:
    """The list of numbers of that name."""
    return [float(value) for value in items(facts, name) if isinstance(value, int | float)]


def nested(facts: JsonObject, name: str) -> JsonObject:
    """The object of that name; empty where there is none."""
    value = facts.get(name) or {}
    assert isinstance(value, Mapping), name
    return value
