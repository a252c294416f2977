"""Deep contenders: networks over any blocks, trained by one loop, exported by PyTorch.

`mlp`, `cnn`, `crnn` and `bag` differ in the architecture of the bodies that read their blocks: each kind says which it
offers (`bodies.py`), and `nets/fuse.py` joins them. A network is trained in bfloat16 where a short trial
shows it faster, and always scored in float32, the way it ships.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.contenders import annealing
from leadline.contenders.annealing import Annealing
from leadline.contenders.bodies import SCORED, augmentations, bodies_of, build, gathered, predict
from leadline.contenders.fitted_network import FittedNet, finish
from leadline.core.contender import Data, Fitted, Progress, State
from leadline.core.tensors import Tensors
from leadline.kinds import KINDS
from leadline.metrics.metrics import METRICS
from leadline.system.threads import Threads, counted, timed

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SMOOTHING = 0.2  # of the labels, for convolutional networks
CHECKING = 0.1  # share of the time for looks at the valid rows
CHECKS = {True: (3, 12), False: (3, 30)}  # fewest and most looks, with convolution and without
GROWTH = 1.5  # a step's time grows about as this power of a convolution's width
FEW_PASSES = 8  # over 50,000 rows, more over fewer: the widest network that still gets these is trained
TRIAL = 0.08  # of the time left, that one way to take a step is tried for
FEW_STEPS, LEAST_BATCH = 60, 8  # with time for fewer steps of a convolution, batches are smaller, down to this
STARVED = 1 / 8  # of those passes; with less, losing says nothing of a family
SHORT_OF = ((0.8, 32), (1.5, 64))  # with less than so many GB, as many pictures or sounds at once


class Deep:
    """A network over the blocks of a table."""

    family = "deep"

    def __init__(self, name: str, architectures: tuple[str, ...], cores: str, *, trunk: bool, cheap: bool) -> None:
        """
        Args:
            architectures: of its bodies, the preferred one first: some block has that one, every block one of them.
            trunk: a single body has hidden layers over it too.
            cheap: it reads no kind that is costly.
        """
        self.name, self.architectures, self.cores = name, architectures, cores
        self.trunk, self._cheap = trunk, cheap

    def inputs(self, store: Tensors) -> list[str]:
        kinds = [KINDS[block.kind] for block in store.blocks]
        if not any(self.architectures[0] in kind.bodies for kind in kinds):
            return []
        if self._cheap and any(kind.costly for kind in kinds):
            return []
        return list(bodies_of(store, self.architectures))

    def fit(self, data: Data, seed: int, state: State | None = None) -> Iterator[Progress | Fitted]:
        run = _Run(self, data, seed)
        if state is None:
            yield run.prepare()
        else:
            run.restore(state)
        if run.last.standing is None:
            yield from run.train()
            run.judged()
        yield from run.annealed()
        yield run.fitted()


class _Run:
    """One training of one network."""

    def __init__(self, contender: Deep, data: Data, seed: int) -> None:
        import torch

        self.data, self.seed, self.name = data, seed, contender.name
        self.store, self.names = data.store, contender.inputs(data.store)
        self.rows = data.store.split.train
        self.last = Annealing()
        self.bodies = bodies_of(data.store, contender.architectures)
        convolutions = [body for body in self.bodies.values() if body.widths]
        self.conv = max(convolutions, key=lambda body: body.widths, default=None)
        mixable = data.classes > 0 and not data.several and len(self.names) == 1
        self.mix = self.conv.mix if self.conv and mixable else None
        self.longest = max(body.passes for body in self.bodies.values())
        hidden = (256, 256) if len(self.rows) >= 2_000 else (64, 64)
        self.trunk = hidden if contender.trunk or len(self.names) > 1 else ()
        self.metric = METRICS[data.store.task.metric]
        self.changed: str | None = None  # a change of threads that is not told yet
        self.scale = data.scale() if data.classes == 0 else (0.0, 1.0)
        self.low_precision = False
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self.ways, self.describe = augmentations(data, self.bodies, seed)
        self.y = self._labels(self.rows)
        self.valid = self.store.split.valid
        self.batch = self._batch()
        self.threads = Threads(data.threads, self._seconds_on, torch.set_num_threads, data.threads)
        self.threads.fixed = self.threads.fixed or data.clock.endless  # without a clock nothing is tried
        self.training = False  # whether its steps are those of the plan
        self.reserve, self.score, self.undertrained = 0.0, math.nan, False

    def prepare(self) -> Progress:
        """Choose width, precision and the number of steps; by a trial, or without a budget by rule."""
        if self.data.epochs is None:
            self._plan()
        else:
            self._plan_passes(self.data.epochs)
        at, dtype = self.standing, "bfloat16" if self.low_precision else "float32"
        self.describe.append(f"{at.steps:,} steps of {self.batch} planned, {dtype}, {counted(self.threads.now)}")
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
        scored = len(self.store.split.test) + 2 * min(annealing.SAMPLED, len(self.rows))
        self.reserve = min(0.3 * left, scoring * scored * 1.2 + 0.5)
        a_check = scoring * len(self.valid)
        checks = int(np.clip(CHECKING * left / a_check, *CHECKS[bool(self.conv)]))
        most = max(1, int(self.longest * len(self.rows) / self.batch))
        last = annealing.KEPT * max(0.0, left - self.reserve - a_check * checks)
        steps = max(1, min(most, int(0.97 * (left - self.reserve - last - a_check * checks) / a_step)))
        self._begin(steps, most, checks, self.reserve + last)

    def _plan_passes(self, epochs: int) -> None:
        """As many passes over the rows as were asked for, in the precision that the processor is made for."""
        from leadline.system.device import CPU, fast_bfloat16

        self.width = self.conv.widths[2] if self.conv else 0
        self.low_precision = bool(self.conv) and fast_bfloat16(CPU)
        self._start()
        steps = max(1, round(epochs * len(self.rows) / self.batch))
        self._begin(steps, steps, min(epochs, steps), 0.0)

    def _begin(self, steps: int, most: int, checks: int, reserve: float) -> None:
        from leadline.train.loop import Plan, Standing

        patience = checks if self.conv else 10
        self.plan = Plan(steps=steps, most=most, checks=checks, patience=patience, reserve=reserve)
        self.standing = Standing.at_first(self.plan)

    def state(self) -> State:
        """All that it takes to go on from between two steps."""
        import torch

        return {
            "plan": asdict(self.plan), "standing": asdict(self.standing), "width": self.width, "batch": self.batch,
            "low_precision": self.low_precision, "describe": self.describe, "net": self.net.state_dict(),
            "optimizer": self.optimizer.tensors, "order": self.order, "epoch": self.epoch,
            "generators": [generator.get_state() for generator in self._generators()], "noise": torch.get_rng_state(),
            "best": self.best, "threads": self.threads.state(), "reserve": self.reserve, "score": self.score,
            "undertrained": self.undertrained, "last": self.last.state(),
        }  # fmt: skip

    def restore(self, state: State) -> None:
        """Stand where a checkpoint stood."""
        import torch

        from leadline.train.checkpoint import restore
        from leadline.train.loop import Plan, Standing

        self.plan, self.standing = Plan(**state["plan"]), Standing(**state["standing"])
        self.width, self.batch, self.low_precision = state["width"], state["batch"], state["low_precision"]
        self.describe = list(state["describe"])
        self._start()
        self.net.load_state_dict(state["net"])
        restore(self.optimizer.tensors, state["optimizer"])
        self.reserve, self.score, self.undertrained = state["reserve"], state["score"], state["undertrained"]
        self.last.restore(state["last"])
        if self.last.standing is not None:
            self._add_valid()
        self.order, self.epoch = state["order"], state["epoch"]
        for generator, held in zip(self._generators(), state["generators"], strict=True):
            generator.set_state(held)
        self.best = None if state["best"] is None else (state["best"][0], state["best"][1])
        self.threads.restore(state["threads"])
        torch.set_rng_state(state["noise"])

    def _labels(self, rows: np.ndarray) -> Tensor:
        """The truth as the loss takes it."""
        import torch

        if self.data.several:
            return torch.from_numpy(self.data.borne(rows))
        labels = self.data.labels(rows)
        if not self.data.classes:
            labels = ((labels - self.scale[0]) / self.scale[1]).astype(np.float32)
        return torch.from_numpy(labels)

    def _generators(self) -> list[torch.Generator]:
        return [self.generator, *(vary.generator for vary in self.ways.values())]

    def _batch(self) -> int:
        most = 256 if len(self.rows) > 20_000 else self.conv.batch if self.conv else 128
        if self.conv:  # what a convolution keeps for its backward pass grows with the batch
            most = next((few for gb, few in SHORT_OF if self.data.memory_gb < gb), most)
        return max(8, min(most, len(self.rows) // 16))

    def _trial(self) -> float:
        """Choose precision and width by a few timed steps; leaves a fresh network, returns the seconds a step."""
        widths = self.conv.widths if self.conv else (0,)
        self.width = widths[0]
        self._start()
        self.threads.begin()
        a_step = self._seconds_a_step(4 if self.conv else 12)
        while self.conv and a_step * FEW_STEPS > self.data.clock.left() and self.batch > LEAST_BATCH:
            self.batch = max(LEAST_BATCH, self.batch // 4)
            a_step = self._seconds_a_step(3)
        if self.conv:
            self.low_precision = True
            low = self._seconds_a_step(6)
            self.low_precision = low <= a_step
            a_step = min(low, a_step)
            passes = 0.85 * self.data.clock.left() / a_step * self.batch / len(self.rows)
            fitting = [w for w in widths if passes * (widths[0] / w) ** GROWTH >= self._passes()]
            widest = widths[2] if len(self.rows) < 10_000 else widths[-1]  # few rows gain nothing from more width
            self.width = min(max(fitting, default=widths[0]), widest)
        self._start()
        if self.conv and self.width > widths[0]:
            self.threads.higher()
            self._start()
        return float(a_step * (self.width / widths[0]) ** GROWTH) if self.conv else a_step

    def _passes(self) -> float:
        """Passes over the train rows that a network should get: few rows need more of them."""
        return float(min(self.longest, FEW_PASSES * max(1.0, 50_000 / len(self.rows)) ** 0.5))

    def _start(self) -> None:
        """A fresh network, its optimizer and its generators."""
        import torch

        from leadline.contenders import recipes

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.net = build(self.store, self.bodies, self.data.classes or 1, self.width, self.trunk)
            self.noise = torch.get_rng_state()
        few = self.rows[np.random.default_rng(self.seed).permutation(len(self.rows))[:20_000]]
        for module, (name, body) in zip(self.net.bodies, self.bodies.items(), strict=True):
            module.prepare(gathered(self.store, [name], few[: body.prepared])[0])
        if self.conv:
            self.net = self.net.to(memory_format=torch.channels_last)
            self.optimizer = recipes.convolutional(self.net, self.net.head, scale=1.0 if self.data.classes else 0.01)
        else:
            peak = max(body.peak for body in self.bodies.values())
            decay = min(body.decay for body in self.bodies.values())
            self.optimizer = recipes.adam(self.net, peak=peak, decay=decay)
        self.generator = torch.Generator().manual_seed(self.seed)
        self.order, self.epoch = torch.empty(0, dtype=torch.long), -1
        self.best = None
        torch.set_rng_state(self.noise)

    def _step_once(self) -> None:
        """Forward and backward of the next batch."""
        import torch
        import torch.nn.functional as F

        if len(self.order) < self.batch:
            self.order = torch.randperm(len(self.rows), generator=self.generator)
            self.epoch += 1
        part, self.order = self.order[: self.batch], self.order[self.batch :]
        rows = self.rows[part.numpy()]
        inputs = gathered(self.store, self.names, rows)
        for place, vary in self.ways.items():
            inputs[place] = vary(inputs[place], part, self.epoch)
        aims = [(self.y[part], torch.ones(len(part)))]  # answers, and what each counts
        if self.mix is not None:
            inputs[0], share, order = self.mix(inputs[0], self.generator)
            aims = [(self.y[part], share), (self.y[part[order]], 1 - share)]
        self.net.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low_precision):
            out = self.net(*inputs).float()
        if self.data.several:
            losses = [F.binary_cross_entropy_with_logits(out, y, reduction="none").mean(1) for y, _ in aims]
        elif self.data.classes:
            smooth = self._smoothing()
            losses = [share * F.cross_entropy(out, y, label_smoothing=smooth, reduction="none") for y, share in aims]
        else:
            losses = [F.mse_loss(out[:, 0], y) for y, _ in aims]
        torch.stack(losses).sum(0).mean().backward()  # type: ignore[no-untyped-call]

    def _seconds_on(self, threads: int) -> float:
        """Seconds of a step on so many threads, told by steps that are learned from like all others."""
        import torch

        torch.set_num_threads(threads)
        done = self.standing.step / self.standing.steps if self.training else 0.5

        def once() -> None:
            self._step_once()
            self.optimizer.step(done)

        return timed(once, self.data.clock.spent)

    def _seconds_a_step(self, count: int) -> float:
        times, clock = [], self.data.clock
        most = TRIAL * clock.left()
        for _ in range(count):
            began = clock.spent()
            self._step_once()
            self.optimizer.step(0.5)
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

    def _evaluate(self) -> float:
        """Score on valid rows, in the precision of training; the best weights are kept."""
        import torch

        with torch.autocast("cpu", torch.bfloat16, enabled=self.low_precision):
            score = self._score()
        if self.best is None or self.metric.better(score, self.best[0]):
            self.best = (score, {name: value.clone() for name, value in self.net.state_dict().items()})
        return score

    def _score(self) -> float:
        raw = predict(self.net, self.store, self.names, self.valid)
        return self.metric(self.data.labels(self.valid), finish(raw, self.data.classes, self.scale, self.data.several))

    def train(self) -> Iterator[Progress]:
        from leadline.train.loop import train

        self.training = True
        for progress in train(
            self._step, self.optimizer, self.plan, self.data.clock, self._evaluate, self.metric.better,
            self.standing, self.state,
        ):  # fmt: skip
            yield progress
            if self.changed is not None:
                yield Progress(step=progress.step, steps=progress.steps, note=self.changed)
                self.changed = None

    def _step(self) -> None:
        """A step of the training, on as many threads as pay now."""
        if self.threads.fixed:
            return self._step_once()
        self.changed = self.threads.check() or self.changed
        began = self.data.clock.spent()
        self._step_once()
        self.threads.note(self.data.clock.spent() - began)

    def judged(self) -> None:
        """Score the best weights in the precision that ships, and see what a last phase may take."""
        assert self.best is not None
        self.net.load_state_dict(self.best[1])
        self.score = self._score() if self.low_precision else self.best[0]
        passes = self.standing.step * self.batch / len(self.rows)
        self.undertrained = passes < STARVED * self._passes()
        if self.undertrained:
            self.describe.append(f"{passes:.1f} passes over the train rows: too little time to learn")
        self.last.begin(self.standing, self._training(), self.reserve)
        if self.last.standing is not None:
            self._add_valid()

    def annealed(self) -> Iterator[Progress]:
        """The end of the schedule on train and valid rows (`annealing.py`)."""
        assert self.best is not None
        yield from self.last.steps(self._training(), self.standing.step)
        if self.last.outcome != "used":
            self.net.load_state_dict(self.best[1])
        self.describe.append(self.last.describe)

    def _training(self) -> annealing.Training:
        return annealing.Training(
            step_once=self._step_once, optimizer=self.optimizer, clock=self.data.clock, loss=self._loss,
            state=self.state,
        )  # fmt: skip

    def _add_valid(self) -> None:
        import torch

        self.rows = np.concatenate([self.rows, self.valid])
        self.y = torch.cat([self.y, self._labels(self.valid)])
        self.order = torch.empty(0, dtype=torch.long)

    def _loss(self) -> float:
        """Mean loss of some train rows, the same ones at every call, without noise of any sort."""
        import torch
        import torch.nn.functional as F

        train = self.store.split.train
        some = np.linspace(0, len(train) - 1, min(annealing.SAMPLED, len(train))).astype(int)
        out, y = torch.from_numpy(predict(self.net, self.store, self.names, train[some])), self.y[some]
        if self.data.several:
            return float(F.binary_cross_entropy_with_logits(out, y))
        if not self.data.classes:
            return float(F.mse_loss(out[:, 0], y))
        return float(F.cross_entropy(out, y, label_smoothing=self._smoothing()))  # as it is trained: else it may rise

    def _smoothing(self) -> float:
        return SMOOTHING if self.conv else 0.0

    def fitted(self) -> FittedNet:
        import torch

        self.net = self.net.to(memory_format=torch.contiguous_format)
        return FittedNet(
            self.net, self.store, self.names, self.data, self.scale, self.score, self.describe, self.undertrained,
            self.last.outcome == "used",
        )  # fmt: skip
