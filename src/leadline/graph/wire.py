"""The fields of a serialised ONNX model, read in place: what is not looked at is not copied.

A message of protobuf is a sequence of fields in any order; of a message in a field that occurs twice the parts are
merged, and repeated fields add up. So values are declared as outputs by bytes that are appended (`add_outputs`).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import onnx

__all__ = ["GRAPH", "Field", "add_outputs", "fields", "mentions", "outline"]

GRAPH = 7  # ModelProto.graph
INITIALIZER = 5  # GraphProto.initializer
FACTS = {1, 2, 8}  # TensorProto.dims, data_type and name: all but its values
FIXED = {1: 8, 5: 4}  # bytes of a wire type of fixed size


class Field(NamedTuple):
    """A field: where it begins, where its value does, and where both end."""

    number: int
    begin: int
    start: int
    end: int


def fields(data: bytes | mmap.mmap, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of the message that lies between two places.

    >>> data = bytes([8, 150, 1, 18, 2, 65, 66])
    >>> [(field.number, data[field.start : field.end]) for field in fields(data)]
    [(1, b'\\x96\\x01'), (2, b'AB')]
    """
    place, end = start, len(data) if end is None else end
    while place < end:
        begin = place
        tag, place = _varint(data, place)
        kind, value = tag & 7, place
        if kind == 0:
            _, place = _varint(data, place)
        elif kind == 2:
            size, value = _varint(data, place)
            place = value + size
        else:
            place += FIXED[kind]
        yield Field(tag >> 3, begin, value, place)


def outline(path: Path) -> onnx.ModelProto:
    """The graph of a file without the values of its initializers, of which it has name, type and shape."""
    import onnx

    found = onnx.ModelProto()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for graph in (each for each in fields(data) if each.number == GRAPH):
            parts = []
            for each in fields(data, graph.start, graph.end):
                if each.number == INITIALIZER:
                    facts = (fact for fact in fields(data, each.start, each.end) if fact.number in FACTS)
                    found.graph.initializer.add().ParseFromString(b"".join(data[f.begin : f.end] for f in facts))
                else:
                    parts.append(data[each.begin : each.end])
            found.graph.MergeFromString(b"".join(parts))
    return found


def add_outputs(path: Path, names: Iterable[str]) -> None:
    """Let the graph of a file give these inner values too: bytes at its end, whatever its size."""
    import onnx

    more = onnx.ModelProto()
    more.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    with path.open("ab") as file:
        file.write(more.SerializeToString())


def mentions(path: Path, word: bytes) -> bool:
    """Whether a file, which is not empty, has a word."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(word) >= 0


def _varint(data: bytes | mmap.mmap, place: int) -> tuple[int, int]:
    """(number, place after it)."""
    value = shift = 0
    while True:
        byte = data[place]
        value, place, shift = value | (byte & 0x7F) << shift, place + 1, shift + 7
        if byte < 0x80:
            return value, place
