"""Deep contenders for text corpus: a Transformer (`gpt`) and an LSTM (`lstm`), trained to predict the next token.

Their networks are steps (`dataset/token_scoring.py`), trained on random windows of the train part by the one loop, in
bfloat16 where a short trial shows it faster, and always scored in float32, the way they ship. When the score on valid
stands, the last phase (`annealing.py`) learns from the valid rows too: no text is nearer to what comes after.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from leadline.contenders import annealing
from leadline.contenders.families import DEEP
from leadline.contenders.fitted_network import FittedModule
from leadline.contenders.network_run import NetworkRun, trained
from leadline.core.contender import Contender, Data, Fitted, Progress, Resources, State
from leadline.core.json_types import items
from leadline.core.tensors import Tensors
from leadline.dataset import token_scoring
from leadline.dataset.token_scoring import bits, nats, spread, stream
from leadline.kinds import KINDS
from leadline.system.process_state import torch_threads
from leadline.system.threads import counted

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from leadline.contenders.recipes import Recipe

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
MOST_TOKENS = 30_000_000  # learned from, the last ones
LOOKED = 24  # valid rows read at each look; all of them at the end
CHECKS, SHARE = (3, 20), 0.08  # looks at the valid rows, and their share of the time


class LanguageModel(Contender):
    """A network that predicts the next token."""

    family = DEEP
    resources = Resources(cpus=None)

    def __init__(
        self, name: str, *, weight: float = Contender.weight, export_seconds: float = Contender.export_seconds
    ) -> None:
        self.name, self.weight, self.export_seconds = name, weight, export_seconds

    def inputs(self, store: Tensors) -> list[str]:
        return [block.name for block in store.blocks if KINDS[block.kind].corpus]

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        yield from trained(lambda: _Run(self.name, data, seed), state)


class _Run(NetworkRun):
    """One training of a network over a text corpus."""

    def __init__(self, name: str, data: Data, seed: int) -> None:
        import torch

        super().__init__(data, seed)
        self.name = name
        self.vocabulary = len(items(data.store.blocks[0].settings, "vocabulary"))
        tokens, self.describe = _tokens(data.store)
        self.tokens, self.trained = torch.from_numpy(tokens.astype(np.int32)), len(tokens)
        self.window = max(8, min(WINDOW, len(tokens) // 64))
        self.looked = spread(self.valid, LOOKED)

    def prepare(self) -> Progress:
        a_pass = len(self.tokens) / (self.window * BATCH)
        if self.data.epochs is None:
            self._plan(a_pass)
        else:
            self._plan_passes(self.data.epochs * a_pass)
        at, (layers, width) = self.standing, self.size
        dtype = "bfloat16" if self.bf16 else "float32"
        self.describe += [
            f"{layers} layers of {width}, windows of {self.window} tokens",
            f"{at.steps:,} step{'s' * (at.steps != 1)} of {BATCH} planned, {dtype}, {counted(self.threads.now)}",
        ]
        facts = {
            "steps": at.steps, "batch": BATCH, "window": self.window, "layers": layers, "width": width,
            "threads": self.threads.now, "dtype": dtype,
        }  # fmt: skip
        return Progress(step=0, steps=at.steps, note="plan", facts=facts)

    def _plan(self, a_pass: float) -> None:
        """The largest network that gets enough steps, and as many as the clock allows."""
        a_step = self._choose()
        self._start()
        a_row = self._seconds_a_row()
        left = self.data.clock.left()
        read = len(self.store.split.test) + len(self.valid)
        self.reserve = min(0.4 * left, a_row * read * 1.2 + 4 * a_step + 0.5)
        a_look = a_row * len(self.looked)
        checks = int(np.clip(SHARE * left / a_look, *CHECKS))
        most = max(20, int(PASSES * a_pass))
        last = annealing.KEPT * (left - self.reserve)
        steps = max(1, min(most, int(0.97 * (left - self.reserve - last - a_look * checks) / a_step)))
        self._begin(steps, most, checks, checks, self.reserve + last)

    def _plan_passes(self, steps: float) -> None:
        """As many steps as were asked for, of the largest network that the text can set the weights of, up to three."""
        from leadline.system.device import CPU, fast_bfloat16

        self.size = [size for size in SIZES[:3] if size == SIZES[0] or self._settles(size)][-1]
        self.bf16, self.reserve = fast_bfloat16(CPU), 0.0
        self._start()
        taken = max(1, round(steps))
        checks = min(CHECKS[1], taken)
        self._begin(taken, taken, checks, checks, 0.0)

    def _own_state(self) -> State:
        return {"size": self.size, "generator": self.generator.get_state()}

    def _restore_sizes(self, state: State) -> None:
        layers, width = cast("list[int]", state["size"])
        self.size = layers, width

    def _restore_order(self, state: State) -> None:
        self.generator.set_state(cast("Tensor", state["generator"]))

    def _settles(self, size: tuple[int, int]) -> bool:
        """Whether there is text enough to set so many weights."""
        return len(self.tokens) >= 20 * size[0] * size[1] ** 2

    def _choose(self) -> float:
        """The largest network that still gets enough steps, in the faster precision; returns its seconds a step."""
        self.size, chosen = SIZES[0], 0.0
        for size in SIZES:
            if size != SIZES[0] and not self._settles(size):
                break
            kept, self.size = self.size, size
            self._start()
            self.threads.begin() if size == SIZES[0] else self.threads.higher()
            times = []
            both = size == SIZES[-1] or size == SIZES[1]  # large enough to tell the two precisions apart
            for low in (True, False) if both else (self.bf16,):
                self.bf16 = low
                times.append(self._seconds_a_step())
            self.bf16 = times[0] < times[1] if both else self.bf16
            a_step = min(times)
            if size != SIZES[0] and 0.85 * self.data.clock.left() / a_step < A_SIZE * (size[1] / 64) ** 1.5:
                self.size = kept
                break
            chosen = a_step
        return chosen

    def _build(self) -> Any:
        from leadline.nets.embed import Embed
        from leadline.nets.rnn import LSTM
        from leadline.nets.transformer import Transformer

        layers, width = self.size
        rows = 1 << int(np.clip(len(self.tokens) // A_ROW, *ROWS)).bit_length() - 1
        embed = Embed(self.vocabulary, width, GRAMS, rows, DROPPED)
        return Transformer(embed, layers, width // HEAD, self.window) if self.name == "gpt" else LSTM(embed, layers)

    def _optimizer(self) -> Recipe:
        import torch

        from leadline.contenders import recipes

        self.reach = torch.arange(self.window + self.net.before + 1)
        hidden = list(self.net.blocks.parameters()) if self.name == "gpt" else []
        tables = list(self.net.embed.grams.parameters())
        taken = {id(p) for p in [*hidden, *tables]}
        return recipes.transformer(hidden, tables, [p for p in self.net.parameters() if id(p) not in taken])

    def draw(self) -> Tensor:
        """Windows of tokens [BATCH, tokens], from anywhere in the text."""
        import torch

        last = len(self.tokens) - len(self.reach)
        return self._windows(torch.randint(0, last + 1, (BATCH,), generator=self.generator))

    def loss_of(self, batch: Tensor) -> Tensor:
        self.net.train()
        with self._precision():
            loss: Tensor = self.net.losses(batch)
        return loss

    def _windows(self, starts: Tensor) -> Tensor:
        return self.tokens[starts[:, None] + self.reach].long()

    def _loss(self) -> float:
        import torch

        self.net.eval()
        with torch.no_grad():
            spaced = torch.linspace(0, self.trained - len(self.reach), BATCH).long()
            return float(self.net.losses(self._windows(spaced)))

    def _seconds_a_step(self) -> float:
        times, clock = [], self.data.clock
        for _ in range(7):
            began = clock.spent()
            self._step_once()
            times.append(clock.spent() - began)
            if clock.left() < 1:
                break
        return float(np.median(times[1:] or times))

    def _seconds_a_row(self) -> float:
        few = self.valid[:16]
        began = self.data.clock.spent()
        _bits(self.net, self.store, few)
        return max(1e-9, self.data.clock.spent() - began) / len(few)

    def _look(self) -> float:
        return self._score(self.looked)

    def _final_score(self) -> float:
        return self._score(self.valid)

    def _too_little(self) -> str | None:
        step = self.standing.step
        passes = step * self.window * BATCH / len(self.tokens)
        few = step < FEW_STEPS or passes < FEW_PASSES
        return f"{step:,} step{'s' * (step != 1)}, {passes:.2f} passes over the text" if few else None

    def _score(self, rows: np.ndarray) -> float:
        return self.metric(self.store.labels[rows], _bits(self.net, self.store, rows))

    def _add_valid(self) -> None:
        import torch

        self.tokens = torch.cat((self.tokens, torch.from_numpy(stream(self.store, self.valid)[0].astype(np.int32))))

    def fitted(self) -> FittedLanguageModel:
        return FittedLanguageModel(self.net, self.learned())


def _tokens(store: Tensors) -> tuple[np.ndarray, list[str]]:
    """The train tokens, the last ones where there are more than are worth holding; and a line that says so."""
    rows = store.split.train
    tokens = stream(store, rows[-MOST_TOKENS // 256 :])[0][-MOST_TOKENS:]
    return tokens, [f"learned from the last {len(tokens):,} tokens"] if len(tokens) == MOST_TOKENS else []


def _bits(net: Any, store: Tensors, rows: np.ndarray) -> np.ndarray:
    """Bits of every row by the network as it stands, in float32."""
    import torch

    def step(ids: np.ndarray, state: token_scoring.State) -> tuple[np.ndarray, token_scoring.State]:
        with torch.no_grad():
            logits, after = net(torch.from_numpy(ids), tuple(torch.from_numpy(part) for part in state))
            return torch.log_softmax(logits, dim=-1).numpy(), tuple(part.numpy() for part in after)

    def initial(texts: int) -> token_scoring.State:
        return tuple(part.numpy() for part in net.initial(texts))

    net.eval()
    return bits(store, rows, lambda tokens: nats(tokens, step, initial))


class FittedLanguageModel(FittedModule):
    """A trained network."""

    def predict(self, store: Tensors, rows: np.ndarray) -> np.ndarray:
        with torch_threads(self._threads):
            return _bits(self._net, store, rows)

    def graph(self) -> onnx.ModelProto:
        from leadline.graph.torch_export import export_step

        return export_step(self._net)
