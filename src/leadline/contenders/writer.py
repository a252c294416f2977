"""Deep contenders for running text: a Transformer (`gpt`) and an LSTM (`lstm`), trained to foretell the next token.

Their networks are steps (`use/language.py`), trained on random windows of the train part by the one loop, in bfloat16
where a short trial shows it faster, and always scored in float32, the way they ship. When the score on valid stands, a
last stretch learns from the valid rows too, as the n-grams count them: no text is nearer to what comes after.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders.contender import Data, Fitted, Progress
from leadline.data.store import Store
from leadline.judge.metrics import METRICS
from leadline.use.language import State, bits, nats, spread, stream

if TYPE_CHECKING:
    import onnx
    import torch

WINDOW, BATCH = 128, 32  # tokens in a window, windows in a step
SIZES = ((1, 64), (2, 96), (2, 128), (2, 192), (3, 256), (4, 384))  # layers and width, by what a step costs
HEAD = 32  # width of an attention head
A_SIZE = 140  # steps that a network should get at least, a step of its own width's time
GRAMS = (2, 3, 4)  # orders of the hashed n-grams
DROPPED = 0.2  # share of them that is left out in training
ROWS = (1 << 10, 1 << 16)  # of a table of n-grams, fewest and most
A_ROW = 256  # tokens that a row of a table should have
PASSES = 8  # over the train tokens, at most
FEW_PASSES = 0.05  # with less, or fewer than `FEW_STEPS`, losing says nothing of a family
FEW_STEPS = 60
LAST = 0.25  # share of the time for a last stretch over train and valid rows
MOST_TOKENS = 30_000_000  # learned from, the last ones
LOOKED = 24  # valid rows read at each look; all of them at the end
CHECKS, SHARE = (3, 20), 0.08  # looks at the valid rows, and their share of the time


class Writer:
    """A network that foretells the next token."""

    family = "deep"
    cores = "all"

    def __init__(self, name: str) -> None:
        self.name = name

    def inputs(self, store: Store) -> list[str]:
        return [block.name for block in store.blocks if block.kind == "tokens"]

    def fit(self, data: Data, seed: int, state: Any = None) -> Iterator[Progress | Fitted]:
        import torch

        torch.set_num_threads(data.threads)
        run = _Run(self.name, data, seed)
        yield run.prepare()
        yield from run.train()
        yield from run.finish()


class _Run:
    """One training of one network."""

    def __init__(self, name: str, data: Data, seed: int) -> None:
        import torch

        self.name, self.data, self.seed, self.store = name, data, seed, data.store
        self.metric = METRICS[data.store.task.metric]
        self.vocabulary = len(data.store.blocks[0].settings["vocabulary"])
        tokens, self.describe = _tokens(data.store)
        self.tokens = torch.from_numpy(tokens.astype(np.int32))
        self.window = max(8, min(WINDOW, len(tokens) // 64))
        self.valid = data.store.split.valid
        self.taken, self.low_precision = 0, False

    def prepare(self) -> Progress:
        """Choose precision, size and the number of steps by a few timed steps."""
        clock = self.data.clock
        self.a_step = a_step = self._choose()
        self._start(self.size)
        a_row = self._seconds_a_row()
        left = clock.left()
        self.reserve = min(0.4 * left, a_row * (len(self.store.split.test) + len(self.valid)) * 1.2 + 0.5)
        self.looked = spread(self.valid, LOOKED)
        a_look = a_row * len(self.looked)
        self.checks = int(np.clip(SHARE * left / a_look, *CHECKS))
        self.most = max(20, int(PASSES * len(self.tokens) / (self.window * BATCH)))
        self.last = LAST * (left - self.reserve)
        mine = left - self.reserve - self.last - a_look * self.checks
        self.steps = max(1, min(self.most, int(0.97 * mine / a_step)))
        layers, width = self.size
        dtype = "bfloat16" if self.low_precision else "float32"
        self.describe += [
            f"{layers} layers of {width}, windows of {self.window} tokens",
            f"{self.steps:,} steps of {BATCH} planned, {dtype}, {self.data.threads} threads",
        ]
        facts = {
            "steps": self.steps, "batch": BATCH, "window": self.window, "layers": layers, "width": width,
            "threads": self.data.threads, "dtype": dtype,
        }  # fmt: skip
        return Progress(step=0, steps=self.steps, note="plan", facts=facts)

    def _choose(self) -> float:
        """The largest network that still gets enough steps, in the faster precision; returns its seconds a step."""
        self.size, chosen = SIZES[0], 0.0
        for size in SIZES:
            if size != SIZES[0] and len(self.tokens) < 20 * size[0] * size[1] ** 2:
                break  # more weights than there is text to set them
            self._start(size)
            times = []
            both = size == SIZES[-1] or size == SIZES[1]  # large enough to tell the two precisions apart
            for low in (True, False) if both else (self.low_precision,):
                self.low_precision = low
                times.append(self._seconds_a_step())
            self.low_precision = times[0] < times[1] if both else self.low_precision
            a_step = min(times)
            if size != SIZES[0] and 0.85 * self.data.clock.left() / a_step < A_SIZE * (size[1] / 64) ** 1.5:
                break
            self.size, chosen = size, a_step
        return chosen

    def _start(self, size: tuple[int, int]) -> None:
        """A fresh network, its optimizer and its generators."""
        import torch

        from leadline.nets.embed import Embed
        from leadline.nets.rnn import LSTM
        from leadline.nets.transformer import Transformer
        from leadline.train.optim import MuonAdam

        layers, width = size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            rows = 1 << int(np.clip(len(self.tokens) // A_ROW, *ROWS)).bit_length() - 1
            embed = Embed(self.vocabulary, width, GRAMS, rows, DROPPED)
            if self.name == "gpt":
                self.net: Any = Transformer(embed, layers, width // HEAD, self.window)
                hidden = list(self.net.blocks.parameters())
            else:
                self.net, hidden = LSTM(embed, layers), []
            tables = list(embed.grams.parameters())
            taken = {id(p) for p in [*hidden, *tables]}
            self.optimizer = MuonAdam(hidden, tables, [p for p in self.net.parameters() if id(p) not in taken])
            self.noise = torch.get_rng_state()
        self.generator = torch.Generator().manual_seed(self.seed)
        self.reach = torch.arange(self.window + self.net.before + 1)
        self.best: tuple[float, dict[str, torch.Tensor]] | None = None
        torch.set_rng_state(self.noise)

    def _step_once(self) -> None:
        """Forward and backward of the next batch of windows."""
        import torch

        last = len(self.tokens) - len(self.reach)
        starts = torch.randint(0, last + 1, (BATCH,), generator=self.generator)
        windows = self.tokens[starts[:, None] + self.reach].long()
        self.net.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low_precision):
            loss = self.net.losses(windows)
        loss.backward()

    def _seconds_a_step(self) -> float:
        times = []
        for _ in range(7):
            began = time.perf_counter()
            self._step_once()
            self.optimizer.step(0.5)
            times.append(time.perf_counter() - began)
            if self.data.clock.left() < 1:
                break
        return float(np.median(times[1:] or times))

    def _seconds_a_row(self) -> float:
        few = self.valid[:16]
        began = time.perf_counter()
        _bits(self.net, self.store, few)
        return (time.perf_counter() - began) / len(few)

    def _evaluate(self) -> float:
        """Score on some valid rows; the best weights are kept."""
        began = time.perf_counter()
        score = self._score(self.looked)
        self.looking += time.perf_counter() - began
        if self.best is None or self.metric.better(score, self.best[0]):
            self.best = (score, {name: value.clone() for name, value in self.net.state_dict().items()})
        return score

    def _score(self, rows: np.ndarray) -> float:
        return self.metric(self.store.labels[rows], _bits(self.net, self.store, rows))

    def train(self) -> Iterator[Progress]:
        from leadline.train.loop import Plan, train

        plan = Plan(
            steps=self.steps, most=self.most, checks=self.checks, patience=self.checks,
            reserve=self.reserve + self.last,
        )  # fmt: skip
        better, began = self.metric.better, time.perf_counter()
        self.looking = 0.0
        for progress in train(self._step_once, self.optimizer, plan, self.data.clock, self._evaluate, better):
            self.taken = progress.step
            yield progress
        self.a_step = (time.perf_counter() - began - self.looking) / max(1, self.taken)

    def finish(self) -> Iterator[Progress | Fitted]:
        """Score the best weights on all valid rows; then learn from these too, at a low rate that falls to zero."""
        import torch

        assert self.best is not None
        self.net.load_state_dict(self.best[1])
        score = self._score(self.valid)
        passes = self.taken * self.window * BATCH / len(self.tokens)
        starved = self.taken < FEW_STEPS or passes < FEW_PASSES
        if starved:
            self.describe.append(f"{self.taken:,} steps, {passes:.2f} passes over the text: too little time to learn")
        left = self.data.clock.left() - self.reserve
        more = min(int(0.95 * left / self.a_step), int(LAST / (1 - LAST) * self.taken))
        if more > 0:
            yield Progress(step=self.taken, note="a last stretch over train and valid rows", facts={"steps": more})
            self.describe.append(f"then {more:,} steps over train and valid rows")
            valid = stream(self.store, self.valid)[0]
            self.tokens = torch.cat((self.tokens, torch.from_numpy(valid.astype(np.int32))))
            for step in range(more):
                self._step_once()
                self.optimizer.step(1 - LAST * (1 - step / more))
                if self.data.clock.left() < self.reserve:
                    yield Progress(step=self.taken + step, note=f"cut by the clock in the last stretch, at step {step}")
                    break
        yield FittedWriter(self.net, score, self.describe, starved)


def _tokens(store: Store) -> tuple[np.ndarray, list[str]]:
    """The train tokens, the last ones where there are more than are worth holding; and a line that says so."""
    rows = store.split.train
    tokens = stream(store, rows[-MOST_TOKENS // 256 :])[0][-MOST_TOKENS:]
    return tokens, [f"learned from the last {len(tokens):,} tokens"] if len(tokens) == MOST_TOKENS else []


def _bits(net: Any, store: Store, rows: np.ndarray) -> np.ndarray:
    """Bits of every row by the network as it stands, in float32."""
    import torch

    def step(ids: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        with torch.no_grad():
            logits, after = net(torch.from_numpy(ids), tuple(torch.from_numpy(part) for part in state))
            return torch.log_softmax(logits, dim=-1).numpy(), tuple(part.numpy() for part in after)

    def initial(texts: int) -> State:
        return tuple(part.numpy() for part in net.initial(texts))

    net.eval()
    return bits(store, rows, lambda tokens: nats(tokens, step, initial))


class FittedWriter:
    """A trained network."""

    def __init__(self, net: Any, score: float, describe: list[str], starved: bool) -> None:
        self._net, self.score, self.describe, self.starved = net.eval(), score, describe, starved
        self.params = sum(p.numel() for p in net.parameters())
        self.bytes = sum(t.numel() * t.element_size() for t in net.state_dict().values())

    def predict(self, store: Store, rows: np.ndarray) -> np.ndarray:
        return _bits(self._net, store, rows)

    def graph(self) -> onnx.ModelProto:
        from leadline.ship.network import export_step

        return export_step(self._net)
