"""Deep contenders: networks over any blocks, trained by one loop, exported by PyTorch.

`mlp`, `cnn`, `crnn`, `vit`, `bag`, `transformer` and `rnn` differ in the architecture of the bodies that read their
blocks: each kind says which it offers (`bodies.py`), and `nets/fuse.py` joins them. A network is trained in bfloat16
where a short trial shows it faster, and always scored in float32, the way it ships.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np

from leadline.contenders import annealing
from leadline.contenders.bodies import SCORED, augmentations, bodies_of, build, gathered, leading, predict
from leadline.contenders.earlier_network import EarlierNetwork, Part, Taken, parts_of, take
from leadline.contenders.families import DEEP
from leadline.contenders.fitted_network import FittedNet, Kept
from leadline.contenders.network_run import NetworkRun, trained
from leadline.core.contender import Contender, Data, Fitted, Progress, Resources, State
from leadline.core.tensors import Tensors
from leadline.kinds import KINDS
from leadline.system.threads import counted

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from leadline.contenders.recipes import Recipe

SMOOTHING = 0.2  # of the labels, for convolutional networks
CHECKING = 0.1  # share of the time for looks at the valid rows
LOOKING = 0.3  # share that even the fewest looks may take: each more leaves fewer steps
CHECKS = {True: (3, 12), False: (3, 30)}  # fewest and most looks, with convolution and without
GROWTH = 1.5  # a step's time grows about as this power of a convolution's width
FEW_PASSES = 8  # over 50,000 rows, more over fewer: the widest network that still gets these is trained
TRIAL = 0.08  # of the time left, that one way to take a step is tried for
FEW_STEPS, LEAST_BATCH = 60, 8  # with time for fewer steps of a convolution, batches are smaller, down to this
STARVED = 1 / 8  # of those passes; with less, losing says nothing of a family
SHORT_OF = ((0.8, 32), (1.5, 64))  # with less than so many GB, as many pictures or sounds at once


class Deep(Contender):
    """A network over the blocks of a table."""

    family = DEEP

    def __init__(
        self, name: str, architectures: tuple[str, ...], *, trunk: bool = False, cheap: bool = False,
        resources: Resources = Contender.resources, export_seconds: float = Contender.export_seconds,
        weight: float = Contender.weight, least_budget: float = 0.0,
    ) -> None:  # fmt: skip
        """
        Args:
            architectures: of its bodies, the preferred one first: some block has that one, every block one of them.
            trunk: a single body has hidden layers over it too.
            cheap: it reads no kind that is costly.
            weight, least_budget: as of any contender.
        """
        self.name, self.architectures, self.resources = name, architectures, resources
        self.export_seconds = export_seconds
        self.trunk, self._cheap = trunk, cheap
        self.weight, self.least_budget = weight, least_budget

    def inputs(self, store: Tensors) -> list[str]:
        kinds = [KINDS[block.kind] for block in store.blocks]
        if not any(self.architectures[0] in kind.bodies for kind in kinds):
            return []
        if self._cheap and any(kind.costly for kind in kinds):
            return []
        return list(bodies_of(store, self.architectures))

    def parts(self, store: Tensors) -> tuple[Part, ...]:
        """Its bodies, for a network of an earlier run to be compared with."""
        return parts_of(store, bodies_of(store, self.architectures))

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        yield from trained(lambda: _Run(self, data, seed), state)


class _Own(TypedDict):
    """What a checkpoint holds besides `NetworkState`."""

    width: int
    batch: int
    order: Tensor
    epoch: int
    generators: list[Tensor]


class _Run(NetworkRun):
    """One training of a network over the blocks of a table."""

    def __init__(self, contender: Deep, data: Data, seed: int) -> None:
        super().__init__(data, seed)
        self.name, self.names = contender.name, contender.inputs(data.store)
        self.rows = data.store.split.train
        self.bodies = bodies_of(data.store, contender.architectures)
        convolutions = [body for body in self.bodies.values() if body.widths]
        self.conv = max(convolutions, key=lambda body: body.widths, default=None)
        self.mix = self.conv.mix if self.conv and data.task.one_class and len(self.names) == 1 else None
        preferred = leading(data.store, self.bodies, contender.architectures[0])
        self.longest = max(body.passes for body in preferred)
        self.least = max(body.steps for body in preferred)
        self.earlier = None if data.init is None else EarlierNetwork.read(data.init)
        self.taken: Taken | None = None
        hidden: tuple[int, ...] = (256, 256) if len(self.rows) >= 2_000 else (64, 64)
        if self.earlier is not None and self.earlier.trunk:
            hidden = self.earlier.trunk
        self.trunk: tuple[int, ...] = hidden if contender.trunk or len(self.names) > 1 else ()
        self.scale = data.scale()
        self.ways, self.describe = augmentations(data, self.bodies, seed)
        self.y = self._labels(self.rows)
        self.batch = self._batch()

    def prepare(self) -> Progress:
        if self.data.epochs is None:
            self._plan()
        else:
            self._plan_passes(self.data.epochs)
        if self.earlier is not None and self.taken is not None:
            self.describe.append(self.taken.describe(self.earlier))
        at, dtype = self.standing, "bfloat16" if self.bf16 else "float32"
        self.describe.append(
            f"{at.steps:,} step{'s' * (at.steps != 1)} of {self.batch} planned, {dtype}, {counted(self.threads.now)}"
        )
        facts: dict[str, Any] = {
            "steps": at.steps, "batch": self.batch, "threads": self.threads.now, "dtype": dtype,
        }  # fmt: skip
        if self.conv:
            facts["width"] = self.width
        return Progress(step=0, steps=at.steps, note="plan", facts=facts)

    def _plan(self) -> None:
        """As many steps as the clock allows."""
        a_step = self._trial()
        scoring = self._scoring_seconds()
        left = self.data.clock.left()
        scored = len(self.store.split.test) + len(self.valid) + 2 * min(annealing.SAMPLED, len(self.rows))
        self.reserve = min(0.3 * left, scoring * scored * 1.2 + 0.5)
        a_check = scoring * len(self.valid)
        checks = int(np.clip(CHECKING * left / a_check, *CHECKS[bool(self.conv)]))
        checks = max(1, min(checks, int(LOOKING * left / a_check)))
        most = max(1, self.least, int(self.longest * len(self.rows) / self.batch))
        last = annealing.KEPT * max(0.0, left - self.reserve - a_check * checks)
        steps = max(1, min(most, int(0.97 * (left - self.reserve - last - a_check * checks) / a_step)))
        self._begin(steps, most, checks, self._patience(checks), self.reserve + last)

    def _plan_passes(self, epochs: int) -> None:
        """As many passes over the rows as were asked for, in the precision that the processor is made for."""
        from leadline.system.device import CPU, fast_bfloat16

        self.width = self._usual(self._widths())
        self.bf16 = bool(self.conv) and fast_bfloat16(CPU)
        self._start()
        steps = max(1, round(epochs * len(self.rows) / self.batch))
        checks = min(epochs, steps)
        self._begin(steps, steps, checks, self._patience(checks), 0.0)

    def _patience(self, checks: int) -> int:
        return checks if self.conv else 10

    def _own_state(self) -> State:
        return {
            "width": self.width, "batch": self.batch, "order": self.order, "epoch": self.epoch,
            "generators": [generator.get_state() for generator in self._generators()],
        }  # fmt: skip

    def _restore_sizes(self, state: State) -> None:
        sizes = cast("_Own", state)
        self.width, self.batch = sizes["width"], sizes["batch"]

    def _restore_order(self, state: State) -> None:
        own = cast("_Own", state)
        self.order, self.epoch = own["order"], own["epoch"]
        for generator, noise in zip(self._generators(), own["generators"], strict=True):
            generator.set_state(noise)

    def _labels(self, rows: np.ndarray) -> Tensor:
        """The truth as the loss takes it."""
        import torch

        labels = self.data.encoded(rows, self.scale)
        return torch.from_numpy(labels.astype(np.float32) if labels.dtype.kind == "f" else labels)

    def _generators(self) -> list[torch.Generator]:
        return [self.generator, *(vary.generator for vary in self.ways.values())]

    def _batch(self) -> int:
        few = self.conv.batch if self.conv else min(body.batch for body in self.bodies.values())
        most = 256 if len(self.rows) > 20_000 else few
        if self.conv:  # what a convolution keeps for its backward pass grows with the batch
            most = next((few for gb, few in SHORT_OF if self.data.memory_gb < gb), most)
        return max(8, min(most, len(self.rows) // 16))

    def _trial(self) -> float:
        """Choose precision and width by a few timed steps; leaves a fresh network, returns the seconds a step."""
        widths = self._widths()
        self.width = widths[0]
        self._start()
        self.threads.begin()
        a_step = self._seconds_a_step(4 if self.conv else 12)
        while self.conv and a_step * FEW_STEPS > self.data.clock.left() and self.batch > LEAST_BATCH:
            self.batch = max(LEAST_BATCH, self.batch // 4)
            a_step = self._seconds_a_step(3)
        if self.conv:
            self.bf16 = True
            low = self._seconds_a_step(6)
            self.bf16 = low <= a_step
            a_step = min(low, a_step)
            passes = 0.85 * self.data.clock.left() / a_step * self.batch / len(self.rows)
            fitting = [w for w in widths if passes * (widths[0] / w) ** GROWTH >= self._passes()]
            few = len(self.rows) < 10_000  # they gain nothing from more width
            widest = self._usual(widths) if few else widths[-1]
            self.width = min(max(fitting, default=widths[0]), widest)
        self._start()
        if self.conv and self.width > widths[0]:
            self.threads.higher()
            self._start()
        return float(a_step * (self.width / widths[0]) ** GROWTH) if self.conv else a_step

    def _widths(self) -> tuple[int, ...]:
        """Channels that its convolutions may have: those of an earlier network that it begins from."""
        if self.conv is None:
            return (0,)
        return (self.earlier.width,) if self.earlier is not None and self.earlier.width else self.conv.widths

    @staticmethod
    def _usual(widths: tuple[int, ...]) -> int:
        return widths[min(2, len(widths) - 1)]

    def _passes(self) -> float:
        """Passes over the train rows that a network should get: few rows need more of them."""
        return float(min(self.longest, FEW_PASSES * max(1.0, 50_000 / len(self.rows)) ** 0.5))

    def least_passes(self) -> float:
        """Passes, with fewer of which a network has learned too little."""
        return STARVED * self._passes()

    def _build(self) -> Any:
        return build(self.store, self.bodies, self.data.classes or 1, self.width, self.trunk)

    def _optimizer(self) -> Recipe:
        import torch

        from leadline.contenders import recipes

        self.order, self.epoch = torch.empty(0, dtype=torch.long), -1
        few = self.rows[np.random.default_rng(self.seed).permutation(len(self.rows))[:20_000]]
        for module, (name, body) in zip(self.net.bodies, self.bodies.items(), strict=True):
            module.prepare(gathered(self.store, [name], few[: body.prepared])[0])
        if self.earlier is not None:
            self.taken = take(self.net, self.store, self.bodies, self.earlier)
        if self.conv:
            self.net = self.net.to(memory_format=torch.channels_last)
            return recipes.convolutional(self.net, self.net.head, scale=0.01 if self.data.task.numeric else 1.0)
        peak = max(body.peak for body in self.bodies.values())
        decay = min(body.decay for body in self.bodies.values())
        return recipes.adam(self.net, peak=peak, decay=decay)

    def draw(self) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
        """Inputs [N, ...] each, and what they are: answers [N, ...] with what each counts [N]."""
        import torch

        if len(self.order) < self.batch:
            self.order = torch.randperm(len(self.rows), generator=self.generator)
            self.epoch += 1
        part, self.order = self.order[: self.batch], self.order[self.batch :]
        rows = self.rows[part.numpy()]
        inputs = gathered(self.store, self.names, rows)
        for place, vary in self.ways.items():
            inputs[place] = vary(inputs[place], part, self.epoch)
        if self.mix is None:
            return inputs, [(self.y[part], torch.ones(len(part)))]
        inputs[0], share, order = self.mix(inputs[0], self.generator)
        return inputs, [(self.y[part], share), (self.y[part[order]], 1 - share)]

    def loss_of(self, batch: tuple[list[Tensor], list[tuple[Tensor, Tensor]]]) -> Tensor:
        import torch

        inputs, aims = batch
        self.net.train()
        with self._precision():
            out = self.net(*inputs).float()
        smoothing = self._smoothing()
        losses = [share * self.data.task.loss(out, y, smoothing, each=True) for y, share in aims]
        return torch.stack(losses).sum(0).mean()

    def _seconds_a_step(self, count: int) -> float:
        times, clock = [], self.data.clock
        most = TRIAL * clock.left()
        for _ in range(count):
            began = clock.spent()
            self._step_once()
            times.append(clock.spent() - began)
            if clock.left() < 1 or sum(times) > (most if len(times) > 1 else 2 * most):
                break
        return sorted(times[len(times) // 4 :])[len(times) // 3]  # the first ones compile kernels

    def _scoring_seconds(self) -> float:
        """Seconds to score one row in float32."""
        began = self.data.clock.spent()
        few = self.valid[:SCORED]
        predict(self.net, self.store, self.names, few)
        return max(1e-9, self.data.clock.spent() - began) / len(few)

    def _look(self) -> float:
        with self._precision():
            return self._score()

    def _final_score(self) -> float:
        self.on_valid = predict(self.net, self.store, self.names, self.valid)
        return self.metric(self.data.labels(self.valid), self.data.task.activate(self.on_valid, self.scale))

    def _too_little(self) -> str | None:
        passes = self.standing.step * self.batch / len(self.rows)
        return f"{passes:.1f} passes over the train rows" if passes < self.least_passes() else None

    def _score(self) -> float:
        raw = predict(self.net, self.store, self.names, self.valid)
        return self.metric(self.data.labels(self.valid), self.data.task.activate(raw, self.scale))

    def _add_valid(self) -> None:
        import torch

        self.rows = np.concatenate([self.rows, self.valid])
        self.y = torch.cat([self.y, self._labels(self.valid)])
        self.order = torch.empty(0, dtype=torch.long)

    def _loss(self) -> float:
        import torch

        train = self.store.split.train
        some = np.linspace(0, len(train) - 1, min(annealing.SAMPLED, len(train))).astype(int)
        out, y = torch.from_numpy(predict(self.net, self.store, self.names, train[some])), self.y[some]
        return float(self.data.task.loss(out, y, self._smoothing()))  # as it is trained: else it may rise

    def _smoothing(self) -> float:
        return SMOOTHING if self.conv else max(body.smoothing for body in self.bodies.values())

    def fitted(self) -> FittedNet:
        import torch

        self.net = self.net.to(memory_format=torch.contiguous_format)
        return FittedNet(self.net, self.data, self.names, self.learned(self.scale), self._kept())

    def _kept(self) -> Kept:
        """What a later run can begin from, and what this training began from."""
        return Kept(bodies=self.bodies, width=self.width, earlier=self.earlier, taken=self.taken)
