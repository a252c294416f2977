"""The training engine on an accelerator: against a plain eager loop there, against the processor, and against itself.

    python benchmarks/devices.py [--data ../shared/data] [NAME ...]

Needs a device that PyTorch finds beside the processor; without one it says so and measures nothing. Printed and
appended to benchmarks/results/devices.csv, with the name of the device. Both of a pair run in turns in one process.
"""

from __future__ import annotations

import contextlib
import functools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from record import Found, run
from torch import Tensor, nn
from train_nets import Characters, Recurrent, conv, plain

import leadline as ll
from leadline.system import device as devices
from leadline.train import checkpoint
from train import interval

RESULTS = Path(__file__).parent / "results" / "devices.csv"
FIELDS = ("when", "what", "must", "seen", "met", "n", "ours_s", "theirs_s", "device", "machine", "versions")
PAIRS, LETTERS = 10, 65
THERE = devices.chosen("auto")
Pair = tuple[Tensor, Tensor]


def mlp() -> nn.Module:
    hidden = (nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU())
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(128, 10))


def images(rows: int) -> Pair:
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(10, (rows,), generator=generator)
    x = torch.randint(256, (rows, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return x // 2 + (y * 12).to(torch.uint8)[:, None, None, None], y


def letters(rows: int, window: int) -> Pair:
    """Each letter follows from the one before, but for one in four."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(LETTERS, (rows, window + 1), generator=generator)
    for place in range(1, window + 1):
        known = torch.rand(rows, generator=generator) > 0.25
        ids[:, place] = torch.where(known, (7 * ids[:, place - 1] + 3) % LETTERS, ids[:, place])
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def sounds(rows: int) -> Pair:
    x = torch.randn(rows, 100, 40, generator=torch.Generator().manual_seed(0))
    return x, (x[:, :, :5].mean((1, 2)) > 0).long() + 2 * (x[:, -20:, 5].mean(1) > 0).long()


def flat_images(rows: int) -> Pair:
    x, y = images(rows)
    return x[:, 0, :28, :28].contiguous(), y


NETS: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Pair], int, int]] = {
    "the README network": (mlp, flat_images, 64, 300),
    "convolutional net": (conv, images, 128, 60),
    "6-layer transformer": (lambda: Characters(6, 256, LETTERS, 128), lambda n: letters(n, 128), 32, 60),
    "LSTM classifier": (lambda: Recurrent(40, 128, 4), sounds, 64, 60),
}  # fmt: skip


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return NETS[name][0]()


def speed(data: Path, scratch: Path) -> Found:
    found = []
    for name, (_, rows, batch, steps) in NETS.items():
        pair = rows(2_000)
        one, other = made(name).to(THERE), made(name).to(THERE)
        ours, theirs = [], []

        def trained(one: nn.Module = one, pair: Pair = pair, batch: int = batch, steps: int = steps) -> None:
            ll.train(one, pair, batch_size=batch, steps=steps, device=THERE)

        def by_hand(other: nn.Module = other, pair: Pair = pair, batch: int = batch, steps: int = steps) -> None:
            plain(other, pair, batch, steps, device=THERE)

        for turn in range(PAIRS + 1):
            turns: list[tuple[list[float], Callable[[], None]]] = [(ours, trained), (theirs, by_hand)]
            for spent, once in turns if turn % 2 else turns[::-1]:
                devices.wait(THERE)
                began = time.perf_counter()
                once()
                devices.wait(THERE)
                spent.append((time.perf_counter() - began) / steps)
        ratios = [b / a for a, b in zip(ours[1:], theirs[1:], strict=True)]
        low, high, _ = interval(ratios)
        found.append(row(
            f"{name}: steps a second against an eager float32 loop", "at least 1 times",
            f"{statistics.median(ratios):.2f} times [{low:.2f}, {high:.2f}]", statistics.median(ratios) >= 1, PAIRS,
            ours_s=statistics.median(ours[1:]), theirs_s=statistics.median(theirs[1:]),
        ))  # fmt: skip
    return found


def compiled(data: Path, scratch: Path) -> Found:
    """Seconds a step of the transformer, compiled and not; compiling itself is told apart."""
    name = "6-layer transformer"
    pair, spent = letters(2_000, 128), {}
    for how in (False, True):
        net = made(name)
        began = time.perf_counter()
        ll.train(net, pair, batch_size=32, steps=3, device=THERE, compile=how)
        first = time.perf_counter() - began
        times = []
        for _ in range(5):
            began = time.perf_counter()
            ll.train(net, pair, batch_size=32, steps=60, device=THERE, compile=how)
            times.append((time.perf_counter() - began) / 60)
        spent[how] = (statistics.median(times), first)
    ratio = spent[False][0] / spent[True][0]
    said = f"{ratio:.2f} times the steps a second; the first three steps took {spent[True][1]:.1f} s"
    return [row(f"{name}: compiled", "told", said, True, 5, ours_s=spent[True][0], theirs_s=spent[False][0])]


def agreement(data: Path, scratch: Path) -> Found:
    """Losses of the first ten steps there and on the processor, in float32, of the same first weights and rows."""
    found = []
    for name, (_, rows, batch, _) in NETS.items():
        pair = rows(800)
        losses = [
            ll.train(made(name), pair, batch_size=batch, steps=10, device=where, precision="float32").history.losses
            for where in ("cpu", THERE)
        ]
        worst = max(abs(a - b) / a for a, b in zip(*losses, strict=True))
        what = f"{name}: losses as on the processor"
        found.append(row(what, "within 0.01", f"{worst:.1e} at most", worst < 1e-2, 10))
    return found


def bytes_of(net: nn.Module) -> bytes:
    return b"".join(p.detach().cpu().numpy().tobytes() for p in net.state_dict().values())


def again(data: Path, scratch: Path) -> Found:
    """The same bytes from the same seed, and from a training that was stopped and went on."""
    found = []
    for name, (_, rows, batch, _) in NETS.items():
        train = functools.partial(ll.train, data=rows(800), batch_size=batch, steps=40, device=THERE, ema=0.9)
        first, second = made(name), made(name)
        train(first)
        train(second)
        same = bytes_of(first) == bytes_of(second)
        found.append(row(f"{name}: trained twice", "the same bytes", "the same" if same else "others", same, 2))
        folder, stopped = scratch / name.replace(" ", "-"), made(name)
        gone_on = made(name)
        checkpoint.SOONEST, checkpoint.SHARE = 0.0, 1.0

        def stop(check: Any) -> None:
            if check.step >= 20:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            train(stopped, folder=folder, callbacks=[stop])
        kept = len(list(folder.iterdir()))
        train(gone_on, folder=folder)
        same = bytes_of(first) == bytes_of(gone_on)
        said = f"{'the same' if same else 'others'}, from {kept} checkpoints"
        found.append(row(f"{name}: stopped, gone on", "the same bytes", said, same and kept > 0, 1))
    return found


def following(data: Path, scratch: Path) -> Found:
    """Rows that do not fit follow batch by batch, to the same bytes as rows that lie there; and what that costs."""
    nets, spent = [], []
    for room in (devices.ROOM, 0.0):
        devices.ROOM, before = room, devices.ROOM
        net = made("convolutional net")
        began = time.perf_counter()
        told = ll.train(net, images(4_000), batch_size=128, epochs=4, device=THERE, precision="float32").describe()
        spent.append(time.perf_counter() - began)
        devices.ROOM = before
        nets.append(bytes_of(net))
    same = nets[0] == nets[1] and "follow batch by batch" in told
    seen = f"{'the same' if same else 'others'}; {spent[1]:.2f} s against {spent[0]:.2f} s"
    return [row("rows that follow batch by batch", "the same bytes", seen, same, 1)]


def too_large(data: Path, scratch: Path) -> Found:
    """A batch that does not fit is cut into parts, and the training ends well."""
    wide = nn.Sequential(nn.Flatten(), nn.Linear(3072, 65_536), nn.ReLU(), nn.Linear(65_536, 10), nn.Identity())
    x, y = images(100)
    copies = 4_000
    free = torch.cuda.mem_get_info(THERE)[0]
    held = torch.empty(free - 24 * 2**30, dtype=torch.uint8, device=THERE)
    rows = (x.repeat(copies, 1, 1, 1), y.repeat(copies))
    seen = ll.train(wide, rows, batch_size=65_536, steps=4, device=THERE, precision="float32").history
    del held
    notes = " ".join(seen.notes)
    return [row("a batch too large for the memory", "is cut, and says so", notes, "did not fit" in notes, 1)]


def mnist(data: Path, scratch: Path) -> Found:
    """The README network, three passes: test accuracy and seconds of training, there and on the processor."""
    source, found = ll.load("mnist", data=data), []
    for where in ("cpu", THERE):
        right, spent = [], []
        for seed in range(5):
            torch.manual_seed(seed)
            net = NETS["the README network"][0]()
            trained = ll.train(net, source, batch_size=64, epochs=3, normalise=(0.5, 0.5), seed=seed, device=where)
            right.append(trained.evaluate(source).accuracy or 0.0)
            spent.append(sum(trained.history.seconds.values()))
        said = f"{statistics.mean(right):.2%} ({min(right):.2%} to {max(right):.2%}), {statistics.median(spent):.2f} s"
        found.append(row(f"the README network on {where}", "over 95.5%", said, statistics.mean(right) > 0.955, 5))
    print(trained.describe())
    return found


def row(what: str, must: str, seen: str, met: bool, n: int, **more: Any) -> dict[str, Any]:
    return {"what": what, "must": must, "seen": seen, "met": met, "n": n, "device": devices.named(THERE), **more}


ROWS = {
    "mnist": mnist, "agreement": agreement, "again": again, "following": following, "too_large": too_large,
    "speed": speed, "compiled": compiled,
}  # fmt: skip

if __name__ == "__main__":
    if THERE == devices.CPU:
        print("PyTorch finds no device beside the processor here, so there is nothing to measure.")
        raise SystemExit(0)
    with tempfile.TemporaryDirectory() as cache:
        os.environ.setdefault("LEADLINE_CACHE", cache)
        raise SystemExit(run(__doc__, RESULTS, FIELDS, ROWS))
