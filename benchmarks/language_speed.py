"""One small GPT of fixed size, trained by our engine and by a plain eager PyTorch loop, side by side.

4 layers of 128, 4 heads, windows of 64, batches of 12, 2,000 steps; the first nine tenths of the text are trained on,
the last tenth is scored, every window of 64 from its own beginning (as in nanoGPT). Steps alternate in short stretches,
so that both meet the same machine.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from plain_transformer import GPT, Loop

from leadline.nets.embed import Embed
from leadline.nets.transformer import Transformer
from leadline.train.optim import Adam

LAYERS, WIDTH, HEADS, WINDOW, BATCH, STEPS = 4, 128, 4, 64, 12, 2_000
STRETCH = 50  # steps between two turns


class Ours:
    """The engine's way of the same: one gather a batch, backward passes written out, one fused update.

    The precision is the faster one of a short trial, as the contender chooses it.
    """

    def __init__(self, net: Transformer, tokens: Tensor) -> None:
        self.net, self.tokens, self.taken = net, tokens, 0
        self.optimizer = Adam(net, rate=3e-3, decay=0.1)
        self.reach = torch.arange(WINDOW + net.before + 1)
        times = {}
        for self.low in (False, True):
            spent = []
            for _ in range(12):
                began = time.perf_counter()
                self._backward()
                spent.append(time.perf_counter() - began)
            times[self.low] = sorted(spent)[4]
        self.low = times[True] < times[False]
        for p in net.parameters():
            p.grad = None

    def _backward(self) -> None:
        starts = torch.randint(0, len(self.tokens) - len(self.reach) + 1, (BATCH,))
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low):
            loss = self.net.losses(self.tokens[starts[:, None] + self.reach])
        loss.backward()

    def step(self) -> None:
        self._backward()
        self.optimizer.step(self.taken / STEPS)
        self.taken += 1


@torch.no_grad()
def valid(logits: Any, tokens: Tensor) -> float:
    """Mean nats of the last tenth, in windows of 64."""
    count = (len(tokens) - 1) // WINDOW
    x, y = (tokens[i : i + count * WINDOW].view(count, WINDOW) for i in (0, 1))
    spent = [
        F.cross_entropy(logits(x[i : i + 128]).flatten(0, 1), y[i : i + 128].flatten(), reduction="sum")
        for i in range(0, count, 128)
    ]
    return float(torch.stack(spent).sum() / y.numel())


def measure(text: str) -> tuple[dict[str, float], dict[str, float], list[float]]:
    """Figures of ours and of the plain loop, and the ratios of their speeds, one a turn."""
    letters = sorted(set(text))
    number = {letter: i for i, letter in enumerate(letters)}
    tokens = torch.tensor([number[letter] for letter in text])
    train, last = tokens[: int(0.9 * len(tokens))], tokens[int(0.9 * len(tokens)) :]
    torch.manual_seed(0)
    net = Transformer(Embed(len(letters), WIDTH), LAYERS, HEADS, WINDOW)
    plain = GPT(len(letters), LAYERS, WIDTH, HEADS, WINDOW)
    ours, theirs = Ours(net, train), Loop(plain, train, WINDOW, BATCH, STEPS)
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for turn in range(STEPS // STRETCH):
        pair = [("ours", ours.step), ("plain", theirs.step)]
        for name, step in pair if turn % 2 else pair[::-1]:
            began = time.perf_counter()
            for _ in range(STRETCH):
                step()
            seconds[name].append(time.perf_counter() - began)
    faster = [b / a for a, b in zip(seconds["ours"][1:], seconds["plain"][1:], strict=True)]
    made = [
        {"valid": score, "seconds": sum(spent), "tokens_s": STEPS * BATCH * WINDOW / sum(spent)}
        for score, spent in (
            (valid(lambda x: net(x, net.initial(len(x)))[0], last), seconds["ours"]),
            (valid(plain, last), seconds["plain"]),
        )
    ]
    return made[0], made[1], faster
