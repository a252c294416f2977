"""Write the JSON Schemas (draft 2020-12) of what programs read (core/records.py), from their types, into docs/schemas.

python benchmarks/schemas.py        (or: make schemas)
"""

from __future__ import annotations

import json
import types
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin

from leadline.core.printed import PrintedModel
from leadline.core.record_keys import fields_of, is_optional, is_record
from leadline.core.records import Certificate, Contract, ResultV2

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"}, int: {"type": "integer"}, float: {"type": "number"}, bool: {"type": "boolean"},
    type(None): {"type": "null"}, object: {},
}  # fmt: skip
FOLDER = Path(__file__).parent.parent / "docs" / "schemas"
RECORDS = {
    "result.v2.json": ResultV2, "contract.v2.json": Contract, "certificate.v2.json": Certificate,
    "printed_model.v1.json": PrintedModel,
}  # fmt: skip


def texts() -> dict[str, str]:
    """File name -> what it holds."""
    return {name: json.dumps(schema(record), indent=1) + "\n" for name, record in RECORDS.items()}


def schema(record: type) -> dict[str, Any]:
    """The schema of a record; the records that it holds are its `$defs`. Keys it does not name are refused."""
    defs: dict[str, Any] = {}
    body = _object(record, defs)
    return {"$schema": DIALECT, "title": record.__name__, **body, **({"$defs": defs} if defs else {})}


def _object(record: type, defs: dict[str, Any]) -> dict[str, Any]:
    hints = fields_of(record)
    required = [name for name, hint in hints.items() if not is_optional(hint)]
    properties = {name: _of(hint, defs) for name, hint in hints.items()}
    return {
        "description": (record.__doc__ or "").strip(), "type": "object", "properties": properties,
        "required": required, "additionalProperties": False,
    }  # fmt: skip


def _of(hint: Any, defs: dict[str, Any]) -> dict[str, Any]:
    """The schema of one type; a record is put into `defs`."""
    if hint in PLAIN:
        return dict(PLAIN[hint])
    if is_record(hint):
        if hint.__name__ not in defs:
            defs[hint.__name__] = {}  # its place, also for a record that holds itself
            defs[hint.__name__] = _object(hint, defs)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"enum": [str(each) for each in hint]}
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return {**_of(inner[0], defs), "description": inner[1]}
    if origin is NotRequired:
        return _of(inner[0], defs)
    return _made(hint, origin, inner, defs)


def _made(hint: Any, origin: Any, inner: tuple[Any, ...], defs: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type that is made of others."""
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (types.UnionType, Union):
        return {"anyOf": [_of(each, defs) for each in inner]}
    if origin is list:
        return {"type": "array", "items": _of(inner[0], defs)}
    if origin is tuple:
        places = [_of(each, defs) for each in inner]
        return {"type": "array", "prefixItems": places, "minItems": len(places), "maxItems": len(places)}
    if origin is dict and inner[0] is str:
        return {"type": "object", "additionalProperties": _of(inner[1], defs)}
    raise TypeError(f"{hint!r} has no JSON Schema here; add it to benchmarks/schemas.py.")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in texts().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
