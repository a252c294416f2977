"""Which precision and which layout in memory are the fastest for a module: a short trial, remembered by the machine.

Enters: a module and a batch of its rows. Leaves: a `Choice`. A processor that multiplies bfloat16 by itself may be
twice as fast with it, or slower for small layers; convolutions may prefer channels last. Only a trial can tell, and a
trial can come out otherwise on a busy machine: so its answer is kept beside the other caches, and the same training
takes the same way, and so gives the same bytes, the next time.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor, nn

from leadline.data.source import cache_folder
from leadline.race.measure import machine
from leadline.train.losses import Loss
from leadline.train.precision import fast_bfloat16

WARMED, TIMED = 2, 4  # steps of a trial that are not timed, and that are; the fastest counts
LONG = 1.0  # seconds; of steps that take so long one is timed
GAIN = 1.1  # what another way than plain float32 must bring


@dataclass(frozen=True, kw_only=True)
class Choice:
    low: bool = False  # bfloat16 by autocast, the weights in float32
    channels_last: bool = False
    why: str = ""

    @property
    def layout(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format


def choose(module: nn.Module, batch: tuple[tuple[Tensor, ...], Tensor], loss: Loss, precision: str) -> Choice:
    """Try what the module and the processor allow; the module, its gradients and its noise are as they were."""
    convolved = any(isinstance(each, nn.Conv2d) for each in module.modules())
    single = next(module.parameters()).dtype == torch.float32
    lows = {"float32": (False,), "bfloat16": (True,)}.get(precision, (False, True) if fast_bfloat16() else (False,))
    options = [Choice(low=low, channels_last=last) for low in lows if single or not low for last in {False, convolved}]
    if len(options) == 1:
        return options[0]
    path = cache_folder() / "choices" / f"{_key(module, batch, options)}.json"
    if path.is_file():
        return Choice(**json.loads(path.read_text()))
    times = {option: _seconds(module, batch, loss, option) for option in options}
    plain = options[0]
    best = min(options, key=lambda option: times[option])
    if times[best] * GAIN > times[plain]:
        best = plain
    others = ", ".join(f"{_name(option)} {1e3 * spent:.3g} ms" for option, spent in times.items())
    chosen = Choice(low=best.low, channels_last=best.channels_last, why=f"a trial of a step: {others}")
    _remember(path, chosen)
    return chosen


def lay_out(module: nn.Module, layout: torch.memory_format) -> None:
    """Put the filters of convolutions into a layout."""
    module.to(memory_format=layout)  # type: ignore[call-overload]


def _name(option: Choice) -> str:
    return ("bfloat16" if option.low else "float32") + (", channels last" if option.channels_last else "")


def _key(module: nn.Module, batch: tuple[tuple[Tensor, ...], Tensor], options: list[Choice]) -> str:
    facts = [
        repr(module), [list(p.shape) for p in module.parameters()], [[list(x.shape), str(x.dtype)] for x in batch[0]],
        [asdict(option) for option in options], torch.get_num_threads(), torch.__version__, machine(),
    ]  # fmt: skip
    return blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _seconds(module: nn.Module, batch: tuple[tuple[Tensor, ...], Tensor], loss: Loss, option: Choice) -> float:
    """Of forward and backward; inf where the module cannot run so."""
    before = {name: value.clone() for name, value in module.state_dict().items()}
    x, y = tuple(t.to(memory_format=option.layout) if t.ndim == 4 else t for t in batch[0]), batch[1]
    lay_out(module, option.layout)
    times = []
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            for _ in range(WARMED + TIMED):
                began = time.perf_counter()
                with torch.autocast("cpu", torch.bfloat16, enabled=option.low):
                    out = module(*x)
                loss(out.float(), y).backward()  # type: ignore[no-untyped-call]
                times.append(time.perf_counter() - began)
                if times[-1] > LONG and len(times) > 1:
                    break
    except (RuntimeError, NotImplementedError):
        if not option.low:
            raise
        return float("inf")  # an operation without a kernel for bfloat16
    finally:
        lay_out(module, torch.contiguous_format)
        module.load_state_dict(before)
        module.zero_grad()
    return min(times[WARMED:] or times[-1:])


def _remember(path: Path, choice: Choice) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}-{os.getpid()}")
        partial.write_text(json.dumps(asdict(choice)))
        partial.replace(path)
    except OSError:
        return  # a home that cannot be written: the next run tries again
