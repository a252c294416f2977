"""Which precision and which layout in memory are the fastest for a module: a short trial, remembered by the machine.

Enters: a module and a batch of its rows. Leaves: a `Choice`. A processor that multiplies bfloat16 by itself may be
twice as fast with it, or slower for small layers; convolutions may prefer channels last; attention may be faster with
its backward pass written out (`attention_backward.py`). Only a trial can tell, and a trial can come out otherwise on a
busy machine: so its answer is kept beside the other caches, and the same training takes the same way, and so gives the
same bytes, the next time.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from leadline.system.cache import cache_folder
from leadline.system.device import CPU, fast_bfloat16, home, named, noise_kept, wait
from leadline.system.resources import machine, most_threads
from leadline.system.whole import replace_text
from leadline.train.attention_backward import AttentionCalls, written_out
from leadline.train.losses import Loss
from leadline.train.memory import too_large

ROUNDS = 3  # of two steps in every way
SHORT, LONG = 2e-3, 1.0  # seconds; steps that are shorter gain nothing, and of longer ones a round is enough
GAIN = 1.1  # what another way than plain float32 must bring


@dataclass(frozen=True, kw_only=True)
class Choice:
    low: bool = False  # bfloat16 by autocast, the weights in float32
    channels_last: bool = False
    attention: bool = False  # written out
    compiled: bool = False
    why: str = ""

    def __str__(self) -> str:
        parts = ["bfloat16" if self.low else "float32"]
        parts += ["channels last"] * self.channels_last + ["attention written out"] * self.attention
        parts += ["compiled"] * self.compiled
        return ", ".join(parts)

    @property
    def layout(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    @contextmanager
    def forward(self, device: torch.device = CPU) -> Iterator[None]:
        """What holds while the module is called: its precision and its attention; gradients are recorded."""
        attention = written_out() if self.attention else nullcontext()
        with torch.enable_grad(), attention, torch.autocast(device.type, torch.bfloat16, enabled=self.low):
            yield


def choose(module: nn.Module, batch: tuple[tuple[Tensor, ...], Tensor], loss: Loss, precision: str) -> Choice:
    """Try what the module and the processor allow; the module is put into train mode, and else as it was."""
    module.train()
    convolved = any(isinstance(each, nn.Conv2d) for each in module.modules())
    single = next(module.parameters()).dtype == torch.float32
    device = home(module)
    either = (False, True) if fast_bfloat16(device) else (False,)
    lows = {"float32": (False,), "bfloat16": (True,)}.get(precision, either)
    lasts = (False, True) if convolved else (False,)
    options = [Choice(low=low, channels_last=last) for low in lows if single or not low for last in lasts]
    if len(options) == 1:
        return options[0]
    listed = list(options)
    if (found := remembered(module, batch, listed)) is not None:
        return found
    if device == CPU and _attends(module, batch[0]):
        options += [replace(option, attention=True) for option in options]
    times = _times(module, batch, loss, options)
    plain = options[0]
    best = min(times, key=lambda option: times[option])
    if math.isinf(times[plain]):
        return plain  # the batch does not fit into memory as it is: it will be cut, and then it is another one
    if times[best] * GAIN > times[plain]:
        best = plain
    others = "; ".join(f"{option} {1e3 * spent:.3g} ms" for option, spent in times.items())
    chosen = replace(best, why=f"a trial of a step: {others}")
    remember(module, batch, listed, chosen)
    return chosen


def lay_out(module: nn.Module, layout: torch.memory_format) -> None:
    """Put the filters of convolutions into a layout."""
    module.to(memory_format=layout)  # type: ignore[call-overload]


def _attends(module: nn.Module, x: tuple[Tensor, ...]) -> bool:
    """Whether PyTorch's attention is called for two rows."""
    before = {name: value.clone() for name, value in module.state_dict().items()}
    calls = AttentionCalls()
    with noise_kept(home(module)), torch.no_grad(), calls:
        module(*(t[:2] for t in x))
    module.load_state_dict(before)
    return calls.seen


def place(module: nn.Module, batch: tuple[tuple[Tensor, ...], Tensor], options: list[Any]) -> Path:
    """The file in which the machine remembers what it chose among these options."""
    facts = [
        repr(module), [list(p.shape) for p in module.parameters()], [[list(x.shape), str(x.dtype)] for x in batch[0]],
        options, most_threads(), torch.__version__, machine(), named(home(module)),
    ]  # fmt: skip
    name = blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()
    return cache_folder() / "choices" / f"{name}.json"


def _times(
    module: nn.Module, batch: tuple[tuple[Tensor, ...], Tensor], loss: Loss, options: list[Choice]
) -> dict[Choice, float]:
    """Seconds of forward and backward, each option in turn, so that all meet the same machine; the fastest counts."""
    times = {option: [seconds_of(module, batch, loss, option)] for option in options[:1]}
    if times[options[0]][0] < SHORT:
        return {options[0]: times[options[0]][0]}
    for _ in range(ROUNDS):
        for option in options:
            times.setdefault(option, []).append(seconds_of(module, batch, loss, option))
        if max(min(spent) for spent in times.values()) > LONG:
            break
    return {option: min(spent) for option, spent in times.items()}


def seconds_of(
    module: nn.Module, batch: tuple[tuple[Tensor, ...], Tensor], loss: Loss, option: Choice,
    called: Callable[..., Any] | None = None,
) -> float:  # fmt: skip
    """The fastest of a few steps, the first of which compiles kernels; inf where the module cannot run so.

    `called` is what computes the module's outputs, where that is not the module itself.
    """
    before = {name: value.clone() for name, value in module.state_dict().items()}
    x, y = tuple(t.to(memory_format=option.layout) if t.ndim == 4 else t for t in batch[0]), batch[1]
    lay_out(module, option.layout)
    spent, dtype, device = [], next(module.parameters()).dtype, home(module)
    try:
        with noise_kept(device), torch.enable_grad():
            for _ in range(2 if called is None else 4):
                wait(device)
                began = time.perf_counter()
                with option.forward(device):
                    out = (called or module)(*x)
                loss(out.to(dtype), y).backward()  # type: ignore[no-untyped-call]
                wait(device)
                spent.append(time.perf_counter() - began)
    except (RuntimeError, MemoryError) as error:
        if called is not None or (not option.low and not too_large(error)):
            raise
        return math.inf  # no memory, or an operation without a kernel for bfloat16
    finally:
        lay_out(module, torch.contiguous_format)
        module.load_state_dict(before)
        module.zero_grad()
    return min(spent)


def _place(module: nn.Module, batch: tuple[tuple[Tensor, ...], Tensor], options: list[Choice]) -> Path:
    return place(module, batch, [asdict(option) for option in options])


def remembered(module: nn.Module, batch: tuple[tuple[Tensor, ...], Tensor], options: list[Choice]) -> Choice | None:
    """What was chosen among these options before; None where nothing was."""
    path = _place(module, batch, options)
    return Choice(**json.loads(path.read_text())) if path.is_file() else None


def remember(
    module: nn.Module, batch: tuple[tuple[Tensor, ...], Tensor], options: list[Choice], choice: Choice
) -> None:  # fmt: skip
    keep(_place(module, batch, options), asdict(choice))


def keep(path: Path, choice: dict[str, Any]) -> None:
    """Write a choice into its file, whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(path, json.dumps(choice))
    except OSError:
        return  # a home that cannot be written: the next run tries again
