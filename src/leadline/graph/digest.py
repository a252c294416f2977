"""The digest that ends a shipped file: what is read is what was written, byte for byte, or it is refused.

The last field of the file is a metadata entry of ONNX, `leadline.digest`: 64 hex digits, the BLAKE2b-256 of every byte
before them. So the graph, the contract, the header and the digest's own entry are all covered, bytes that are appended
are found, and nothing has to be parsed first. Fields of a protobuf message may be written one after another in any
order, and repeated ones add up, so any reader of ONNX sees one more metadata entry. To check a file without Leadline:

    data = open("model.onnx", "rb").read()
    assert hashlib.blake2b(data[:-64], digest_size=32).hexdigest() == data[-64:].decode()

    >>> made = with_digest(b"graph and contract")
    >>> damage(made), damage(made[:-1]) is None, damage(made.replace(b"graph", b"grape"))
    (None, False, 'its bytes are not those that its digest was taken of')
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING

from leadline.graph.wire import GRAPH, fields

if TYPE_CHECKING:
    import onnx

__all__ = [
    "CERTIFICATE", "CONTRACT", "DIGEST", "VERSION", "content_digest", "damage", "graph_digest", "with_certificate",
    "with_digest",
]  # fmt: skip

CONTRACT, CERTIFICATE, DIGEST = "leadline.contract", "leadline.certificate", "leadline.digest"  # keys in the metadata
VERSION = (
    2  # of the contract; 1: no digest, and values read without the contract of the whole column; it still predicts
)
WITHOUT = 1  # the version of contracts whose files have no digest
HEX = 64
_ENTRY = b"\x0a" + bytes([len(DIGEST)]) + DIGEST.encode() + b"\x12" + bytes([HEX])  # StringStringEntryProto: key, value
_FIELD = b"\x72" + bytes([len(_ENTRY) + HEX]) + _ENTRY  # ModelProto.metadata_props, up to the digits
_HEADER = re.compile(rb"\x08.\x12\x08leadline", re.DOTALL)  # ModelProto.ir_version and producer_name
_VERSION = re.compile(CONTRACT.encode() + rb'\x12[\x80-\xff]*[\x00-\x7f]\{"version": (\d+),')


def with_digest(data: bytes) -> bytes:
    """A serialised ONNX model, with its digest as the last entry of its metadata."""
    found = blake2b(data, digest_size=HEX // 2)  # of parts: data may be half a gigabyte
    found.update(_FIELD)
    return b"".join((data, _FIELD, found.hexdigest().encode()))


def with_certificate(data: bytes, certificate: str) -> bytes:
    """A file that ends with its digest, with a certificate as one more entry of its metadata before a new digest.

    The graph stays as it is, byte for byte.
    """
    key, value = CERTIFICATE.encode(), certificate.encode()
    entry = b"\x0a" + _length(key) + key + b"\x12" + _length(value) + value
    return with_digest(data[: -len(_FIELD) - HEX] + b"\x72" + _length(entry) + entry)


def graph_digest(data: bytes) -> str:
    """The BLAKE2b-256 of the graph of a serialised ONNX model, whatever its metadata: 64 hex digits."""
    graph = memoryview(b"")
    for field in fields(data):
        if field.number == GRAPH:
            graph = memoryview(data)[field.start : field.end]
    return _digest(graph).decode()


def content_digest(model: onnx.ModelProto) -> str:
    """Of what a model computes: its operators and constants in their order, whatever its values are called."""
    found = blake2b(digest_size=16)
    numbers: dict[str, int] = {}

    def add(graph: onnx.GraphProto) -> None:
        for constant in graph.initializer:
            number = numbers.setdefault(constant.name, len(numbers))
            found.update(f"{number} {constant.data_type} {list(constant.dims)}".encode())
            found.update(constant.raw_data or b"\0".join(constant.string_data))
        for node in graph.node:
            values = [numbers.setdefault(name, len(numbers)) for name in (*node.input, *node.output)]
            found.update(f"{node.domain} {node.op_type} {values}".encode())
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    add(attribute.g)
                else:
                    found.update(attribute.SerializeToString(deterministic=True))

    add(model.graph)
    return found.hexdigest()


def _length(data: bytes) -> bytes:
    """The length of a field, as protobuf writes it: seven bits a byte, the lowest first."""
    size, out = len(data), bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size])


def _digest(data: bytes | memoryview) -> bytes:
    return blake2b(data, digest_size=HEX // 2).hexdigest().encode()


def damage(data: bytes) -> str | None:
    """What shows that these bytes are not those that Leadline wrote; None where nothing does.

    Nothing does where the digest is right, in a file of the first version, which has none, and in one that was never
    Leadline's.
    """
    if data[:-HEX].endswith(_FIELD):
        same = _digest(memoryview(data)[:-HEX]) == data[-HEX:]
        return None if same else "its bytes are not those that its digest was taken of"
    if DIGEST.encode() in data:
        return "its digest is not where the file ends"
    if (version := _VERSION.search(data)) is not None:
        return "its digest is missing" if int(version[1]) > WITHOUT else None
    ours = CONTRACT.encode() in data or _HEADER.match(data) is not None
    return "its contract is missing or cannot be read" if ours else None
