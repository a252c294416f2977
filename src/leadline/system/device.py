"""Where a module is trained: the processor, or an accelerator that PyTorch finds beside it.

Enters: 'auto', a name such as 'cuda:1', or a `torch.device`. Leaves: a `torch.device`, and all that differs from one to
another: how to wait for it, the noise it makes, the memory it has, what it multiplies by itself. An accelerator works
behind the calls that ask it to, so whoever measures a time or reads a value waits for it.

Measured on processors alone: docs/devices.md says what of the others was tried, and how.

    >>> chosen("cpu")
    device(type='cpu')
    >>> net = nn.Linear(2, 1)
    >>> with on(net, torch.device("cpu")):
    ...     home(net)
    device(type='cpu')
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from leadline.system.errors import LeadlineError
from leadline.system.process_state import SharedChange

CPU = torch.device("cpu")
ROOM = 0.4  # of an accelerator's free memory that rows may take to stay there; the module and its sums need the rest
LOOKED = 32  # of so many steps on an accelerator one is waited for, to tell where its time goes


def chosen(device: str | torch.device = "auto") -> torch.device:
    """The device of that name; 'auto' is the accelerator, or without one the processor."""
    if str(device) == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return _xla() or CPU if accelerator is None else _numbered(accelerator)
    try:
        named = torch.device(device)
        if named.type == "xla" and importlib.util.find_spec("torch_xla") is None:
            raise RuntimeError("torch_xla is not installed")
        if named.type == "meta":
            raise RuntimeError("it holds shapes without numbers")
        torch.empty(1, device=named)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError, ValueError) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise LeadlineError(
            f"device={str(device)!r} cannot be used: {reason}; use 'cpu', or 'auto' for the fastest that is there."
        ) from error
    return _numbered(named)


def _numbered(device: torch.device) -> torch.device:
    """'cuda' as the one of them that is in use; there is one processor, one MPS and one XLA."""
    index: int | None = device.index
    if device.type in ("cpu", "mps", "xla") or index is not None:
        return device
    return torch.device(device.type, torch.accelerator.current_device_index())


def _xla() -> torch.device | None:
    if importlib.util.find_spec("torch_xla") is None:
        return None
    device: torch.device = _torch_xla().device()
    return device


def _torch_xla() -> Any:
    return importlib.import_module("torch_xla")


def home(module: nn.Module) -> torch.device:
    """Where the parameters of a module lie."""
    return next((p.device for p in module.parameters()), CPU)


@contextmanager
def on(module: nn.Module, device: torch.device) -> Iterator[None]:
    """The module lies on the device meanwhile, and afterwards where it lay before."""
    before = home(module)
    try:
        module.to(device)
        yield
    finally:
        module.to(before)


def wait(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "xla":
        _torch_xla().sync(wait=True)
    elif device.type != "cpu":
        torch.accelerator.synchronize(device)


def hand_over(device: torch.device) -> None:
    """Start the requested operations: XLA only records them until then."""
    if device.type == "xla":
        _torch_xla().sync()


def seed(device: torch.device, value: int) -> None:
    """Seed the generators that a module there may draw from."""
    torch.default_generator.manual_seed(value)
    if device.type == "xla":
        _torch_xla().manual_seed(value)
    elif device.type != "cpu":
        torch.get_device_module(device).manual_seed(value)


def noise(device: torch.device) -> list[Tensor]:
    """The states of these generators."""
    states = [torch.get_rng_state()]
    if device.type == "xla":
        state = importlib.import_module("torch_xla.core.xla_model").get_rng_state()
        states.append(torch.tensor(list(int(state).to_bytes(8, "little")), dtype=torch.uint8))
    elif device.type != "cpu":
        states.append(torch.get_device_module(device).get_rng_state())
    return states


def set_noise(device: torch.device, states: list[Tensor]) -> None:
    """Put these generators where they were."""
    torch.set_rng_state(states[0])
    if device.type == "xla":
        state = int.from_bytes(bytes(states[1].tolist()), "little")
        importlib.import_module("torch_xla.core.xla_model").set_rng_state(state)
    elif device.type != "cpu":
        torch.get_device_module(device).set_rng_state(states[1])


@contextmanager
def noise_kept(device: torch.device) -> Iterator[None]:
    """What draws from them meanwhile leaves no trace."""
    states = noise(device)
    try:
        yield
    finally:
        set_noise(device, states)


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Meanwhile convolutions take ways that give the same bytes each time, and tiny numbers of a processor are zero.

    A number under 1e-38 costs some processors a hundred times the time of another. Threads that were there before keep
    to their own ways, so `Trainer` sets what an optimizer remembers to zero by itself before it becomes so small.
    """
    flushed = _flushes()
    try:
        with _DETERMINISTIC:
            torch.set_flush_denormal(True)
            yield
    finally:
        torch.set_flush_denormal(flushed)


def _deterministic() -> Callable[[], object]:
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic
    cudnn.deterministic = True
    return lambda: setattr(cudnn, "deterministic", before)


_DETERMINISTIC = SharedChange(_deterministic)


def _flushes() -> bool:
    """Whether this thread takes numbers under 1e-38 as zero."""
    return float(torch.tensor(1e-39) * 2) == 0.0


def holds(device: torch.device, size: int) -> bool:
    """Whether rows of so many bytes may stay on an accelerator."""
    if device.type == "cuda":
        return size < ROOM * torch.cuda.mem_get_info(device)[0]
    return device.type != "cpu"


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices by itself; without, they are no faster than float32."""
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return True


def named(device: torch.device) -> str:
    """The device in words."""
    return f"{device}, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device)


def peak_gb(device: torch.device) -> float | None:
    """The most memory that tensors held there since the process began, in GB; None where it is unknown."""
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None
