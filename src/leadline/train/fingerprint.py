"""What tells one training from another: its rows, its module's code and shape, its loss, as short digests.

Enters: rows, a module, or a function of the user's own. Leaves: hexadecimal digests that are the same each time the
same script runs, and other ones where labels, an activation, a class weight or a line of a loss changed. A function is
identified by its byte code, its defaults, and the values that it takes from around it; an object by its type and what
it holds. An address in memory is never part of it, and neither are the module's weights: they are what changes.

    >>> same = [fingerprint(lambda out, y: (out - y).square().mean()) for _ in range(2)]
    >>> same[0] == same[1] != fingerprint(lambda out, y: (out - y).abs().mean())
    True
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import types
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from leadline.train.batches import Rows
from leadline.train.losses import Own

WHOLE = 2**28  # bytes of a tensor that are read; of a larger one as many, in stretches spread over it
STRETCH = 2**16
SETTINGS = (types.SimpleNamespace, argparse.Namespace)
OF_MODULES = frozenset(vars(nn.Module()))
PLAIN = (int, float, complex, str, bytes, bool, type(None), type(...))


def fingerprint(value: Any, *, trained: nn.Module | None = None) -> str:
    """A digest of a value, a function or an object.

    Args:
        trained: the module in training, whose weights may differ from start to start.
    """
    seen: dict[int, Any] = {}
    digest = blake2b(digest_size=16)
    for piece in _pieces(value, trained, seen):
        digest.update(piece.encode() if isinstance(piece, str) else piece)
        digest.update(b"\0")
    return digest.hexdigest()


def of_rows(rows: Rows | None) -> str:
    """A digest of x and y as they are stored."""
    return "" if rows is None else fingerprint([*rows.x, rows.y])


def of_structure(module: nn.Module) -> str:
    """A digest of a module's parts, their settings and their code, without its weights."""
    return fingerprint(module, trained=module)


def in_words(value: Any, trained: nn.Module) -> str:
    """A setting of `ll.train` for a person, with a digest where it is code of the user's own."""
    if isinstance(value, Own):
        return f"{_name(value.function)} ({fingerprint(value.function, trained=trained)})"
    if isinstance(value, types.FunctionType) and _of_library(value):
        return value.__name__
    if callable(value) and not dataclasses.is_dataclass(value):
        return f"{_name(value)} ({fingerprint(value, trained=trained)})"
    return repr(value)


def _name(value: Any) -> str:
    return getattr(value, "__name__", type(value).__name__)


def _pieces(value: Any, trained: nn.Module | None, seen: dict[int, Any]) -> Iterator[str | bytes]:
    go = functools.partial(_pieces, trained=trained, seen=seen)
    if isinstance(value, (*PLAIN, torch.dtype, torch.device, torch.Size)):
        yield f"{type(value).__name__} {value!r}"
        return
    if id(value) in seen:
        yield "again"
        return
    seen[id(value)] = value  # held, so that no other object gets its number
    if isinstance(value, Tensor):
        yield from _tensor(value)
    elif isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
        yield f"{value.dtype} {value.shape}"
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, nn.Module):
        yield from _module(value, trained, seen)
    elif isinstance(value, types.CodeType):
        yield from _code(value)
    elif isinstance(value, types.FunctionType):
        yield from _function(value, trained, seen)
    elif isinstance(value, types.MethodType):
        yield from (*go(value.__func__), *go(value.__self__))
    elif isinstance(value, functools.partial):
        yield from (*go(value.func), *go(list(value.args)), *go(value.keywords))
    elif isinstance(value, dict):
        yield from _all(((str(key), held) for key, held in value.items()), go)
    elif isinstance(value, list | tuple):
        yield f"{type(value).__name__} of {len(value)}"
        yield from _all(((str(place), held) for place, held in enumerate(value)), go)
    elif isinstance(value, set | frozenset):
        yield f"set {sorted(map(str, value))}"
    elif isinstance(value, type):
        yield from _class(value, trained, seen)
    elif isinstance(value, types.ModuleType | types.BuiltinFunctionType):
        yield getattr(value, "__qualname__", value.__name__)
    else:
        yield from go(type(value))
        if callable(value) or dataclasses.is_dataclass(value) or isinstance(value, SETTINGS):
            yield from go(getattr(value, "__dict__", {}))  # of others what they hold may differ from start to start


def _all(items: Iterable[tuple[str, Any]], go: Any) -> Iterator[str | bytes]:
    for name, held in items:
        yield name
        yield from go(held)


def _tensor(value: Tensor) -> Iterator[str | bytes]:
    yield f"{value.dtype} {list(value.shape)}"
    if value.layout != torch.strided or value.is_meta:
        return
    raw = value.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    if raw.size <= WHOLE:
        yield raw.tobytes()
        return
    for start in np.linspace(0, raw.size - STRETCH, WHOLE // STRETCH).astype(np.int64):
        yield raw[start : start + STRETCH].tobytes()


def _module(value: nn.Module, trained: nn.Module | None, seen: dict[int, Any]) -> Iterator[str | bytes]:
    """Its parts with their types, settings and code; its tensors too, unless they belong to the module in training."""
    own = {id(t) for t in [*trained.parameters(), *trained.buffers()]} if trained is not None else set()
    for name, each in value.named_modules():
        yield f"{name} {type(each).__module__}.{type(each).__qualname__} {each.extra_repr()}"
        yield from _class(type(each), trained, seen)
        for key, held in sorted(vars(each).items()):
            if key not in OF_MODULES and _is_setting(held):
                yield key
                yield from _pieces(held, trained, seen)
        for kind, tensors in (("parameter", each._parameters), ("buffer", each._buffers)):
            for key, tensor in tensors.items():
                yield f"{kind} {key}"
                if tensor is not None:
                    yield f"{tensor.dtype} {list(tensor.shape)} {tensor.requires_grad}"
                    if id(tensor) not in own:
                        yield from _tensor(tensor)


def _is_setting(value: Any) -> bool:
    """Whether an attribute says what a module does, rather than what it has seen."""
    if isinstance(value, list | tuple):
        return all(isinstance(held, PLAIN) for held in value)
    return isinstance(value, PLAIN) or (callable(value) and not isinstance(value, nn.Module))


def _class(value: type, trained: nn.Module | None, seen: dict[int, Any]) -> Iterator[str | bytes]:
    """Its name; of a class that is no library's also the code of its methods, and of those that it inherits."""
    yield f"{value.__module__}.{value.__qualname__}"
    for each in value.__mro__:
        if each.__module__.split(".")[0] in ("torch", "builtins", "numpy", "leadline") or id(each) in seen:
            continue
        seen[id(each)] = each
        for name, held in sorted(vars(each).items()):
            if isinstance(held, staticmethod | classmethod):
                held = held.__func__
            if isinstance(held, types.FunctionType):
                yield name
                yield from _pieces(held, trained, seen)
            elif isinstance(held, PLAIN) and not name.startswith("__"):
                yield f"{name} {held!r}"


def _function(value: types.FunctionType, trained: nn.Module | None, seen: dict[int, Any]) -> Iterator[str | bytes]:
    """Its code, its defaults, and what it takes from around it."""
    if _of_library(value):
        yield f"{value.__module__}.{value.__qualname__}"
        return
    yield from _code(value.__code__)
    around = dict(zip(value.__code__.co_freevars, value.__closure__ or (), strict=False))
    cells = {name: _content(cell) for name, cell in around.items()}
    taken = {name: value.__globals__[name] for name in sorted(_names(value.__code__)) if name in value.__globals__}
    for held in (value.__defaults__, value.__kwdefaults__, cells, taken):
        yield from _pieces(held, trained, seen)


def _of_library(value: types.FunctionType) -> bool:
    return value.__module__ is not None and value.__module__.split(".")[0] in ("torch", "numpy", "leadline")


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet assigned
        return None


def _code(value: types.CodeType) -> Iterator[str | bytes]:
    yield value.co_code
    yield " ".join((*value.co_names, *value.co_varnames))
    for held in value.co_consts:
        if isinstance(held, types.CodeType):
            yield from _code(held)
        elif isinstance(held, frozenset):
            yield str(sorted(map(str, held)))
        else:
            yield repr(held)


def _names(code: types.CodeType) -> set[str]:
    """Names that the code, and the functions inside it, look up outside of themselves."""
    inner = (_names(held) for held in code.co_consts if isinstance(held, types.CodeType))
    return set(code.co_names).union(*inner)
