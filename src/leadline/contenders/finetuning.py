"""One fine-tuning: a pretrained body is trained further on the train rows, by the one loop of all networks.

First its upper half, on hidden states of the frozen trunk that are computed once; then, where the time is enough for a
pass over the rows, all layers, the lower ones more slowly (Howard & Ruder 2018). A head that fits already leaves the
body as it is where it can stay (Kumar et al. 2022, 'Fine-Tuning can Distort Pretrained Features'). Of a body whose
hidden states cannot be kept all layers learn from the first step on. Batches hold rows of similar lengths. A step is in
bfloat16 where a trial shows it faster; what ships is in float32, or in int8 where valid shows no loss.

Enters: the tensor that a body reads, and what a linear model reads. Leaves: a network whose weights go back into the
body's own graph, and a linear model that has a share in its answers where valid says so (`blend.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypedDict, cast

import numpy as np

from leadline.contenders.blend import VIEWS, Blend, BlendSearch
from leadline.contenders.features import layout
from leadline.contenders.fitted_finetuned import COMPARED, FittedFinetuned
from leadline.contenders.network_run import NetworkRun
from leadline.contenders.pretrained import OVERRUN
from leadline.contenders.states import Reader
from leadline.core.contender import Data, Fitted, Progress, State
from leadline.core.json_types import Json
from leadline.core.note import SAMPLED, Note
from leadline.system.errors import TooShortError
from leadline.system.threads import counted

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from leadline.contenders.recipes import Recipe
    from leadline.contenders.tuned_body import HiddenStates, Moments, TunedBody

CHUNK = 50  # batches whose rows are put in the order of their lengths together
TOP, WARM = 5, 1  # passes at most: of the upper half alone, and of it before all layers
SLACK, SLACK_S = 1.5, 2.0  # times the planned seconds of the first phase that it may take, and seconds more
LEAST_WHOLE = 1.0  # passes that there must be time for, for all layers to be trained
CACHING, AT_ONCE = 0.25, 256  # share of the time left for hidden states of train rows; rows between looks at the clock
CACHED, MOST_GB = 0.25, 8.0  # share of the memory for them, of so much at most
CHECKING, CHECKS = 0.1, 2  # share of the time for looks at the valid rows; looks a pass, at most
ANSWERED, MOST_KEPT, TIMED = 1.2, 0.4, 256  # times the measured seconds of answers that are kept, a share at most; rows
SHIPPING, BLENDING = 0.04, 0.08  # shares of the time for a look at what int8 costs, and for the linear model
TRIED = 2  # steps in either precision, by which one is chosen
KEPT, LOSS_ROWS = 0.1, 128  # share of the time for the last phase, and train rows that are answered before and after
LEARNED = 5_000  # rows to learn from, where there are so many
STARVED = 0.5  # passes, with fewer of which a loss is one of time


class _Own(TypedDict):
    """What a checkpoint holds besides `NetworkState`."""

    cut: int
    whole: bool
    batch: int
    before: int
    seconds: list[float]  # of a step of all layers, of an answer, of the linear model
    kept: Tensor  # rows with hidden states, in the order in which they were computed
    rows: Tensor
    order: Tensor
    epoch: int
    generators: list[Tensor]


class FinetuningRun(NetworkRun):
    """One training of a body and its head."""

    net: TunedBody

    def __init__(self, data: Data, seed: int, reader: Reader) -> None:
        from leadline.contenders.tuned_body import batch_size

        super().__init__(data, seed)
        assert reader.found.body.trainable is not None
        self.reader, self.make = reader, reader.found.body.trainable
        self.tensor, self.scale = data.store.tensor(reader.tensor), data.scale()
        body = self.make(reader.found.folder, reader.block)
        self.lengths = body.lengths(np.asarray(self.tensor))
        self.describe += [body.said] if body.said else []
        self.vary: Any = None  # augmentation of rows, in steps of all layers
        if reader.found.body.augmentation is not None:
            self.vary, said = reader.found.body.augmentation(data, reader.tensor, seed)
            self.describe.append(said)
        self.cut, self.whole = 0, False  # layers that stay as they are; whether all are trained afterwards
        self.epoch = self.before = 0  # passes over the rows; steps of the upper half alone, before those of all layers
        self.a_step = self.answer_s = self.blend_s = 0.0  # seconds: all layers, answer in float32, linear model
        self.hidden: HiddenStates | None = None
        self.moments: Moments | None = None  # of the frozen body's states, where the head reads them standardised
        self.kept = np.empty(0, np.int64)  # train rows whose hidden states there are
        self._take(data.store.split.train)
        self.batch = batch_size(self.lengths[self.rows], body.room)

    def fit(self, state: State | None) -> Iterator[Progress | Fitted]:
        for item in super().fit(state):  # steps are counted over both phases
            if isinstance(item, Progress) and item.steps is not None:
                item = replace(item, step=self.before + item.step, steps=self.before + item.steps)
            yield item

    def prepare(self) -> Progress:
        if self.data.epochs is None:
            self._plan()
        else:
            self._plan_passes(self.data.epochs)
        return Progress(step=0, steps=self.standing.steps, note="plan", facts=self._planned())

    def _planned(self) -> dict[str, Any]:
        """The plan of a phase, for the journal; and as a line of the report."""
        at, dtype = self.standing, "bfloat16" if self.bf16 else "float32"
        upper = self.net.body.depth - self.cut
        layers = "all layers" if not self.cut else "the last layer" if upper == 1 else f"the last {upper} layers"
        self.describe.append(
            f"{layers}: {at.steps:,} step{'s' * (at.steps != 1)} of {self.batch} planned, {dtype}, "
            f"{counted(self.threads.now)}"
        )
        return {
            "steps": at.steps, "batch": self.batch, "threads": self.threads.now, "dtype": dtype, "cut": self.cut,
        }  # fmt: skip

    def train(self) -> Iterator[Progress]:
        yield from super().train()
        if self.cut and self.whole:
            self._deepen()
            yield Progress(step=0, steps=self.standing.steps, note="plan", facts=self._planned())
            yield from super().train()

    def _plan(self) -> None:
        """The upper half first; all layers after that, where there is time for a pass over the rows.

        Where hidden states cannot be kept, all layers from the first step on.
        """
        clock, split = self.data.clock, self.store.split
        self.a_step = self._trial()
        few, began = self.valid[:TIMED], self._spent()
        self._answers(few)
        self.answer_s = max(1e-9, self._spent() - began) / len(few)
        answered, left = len(split.test) + len(split.calib) + len(self.valid) + 2 * LOSS_ROWS, clock.left()
        self.blend_s = BLENDING * left
        self.reserve = min(MOST_KEPT * left, ANSWERED * self.answer_s * answered + SHIPPING * left + self.blend_s)
        left -= self.reserve
        self.cut = self.net.body.cut
        a_pass, upper = self.a_step * len(split.train) / self.batch, self.net.body.share(self.cut)
        a_row = (upper + (1 - upper) / 3) * self.a_step / self.batch
        least = STARVED * min(len(split.train), LEARNED) * a_row
        if (needed := ANSWERED * self.answer_s * answered + least) > max(clock.left(), OVERRUN):
            raise TooShortError(
                f"it needs {needed:.0f} s to learn and to answer, and {clock.left():.0f} s are left",
                clock.spent() + needed,
            )
        caching, warm = a_pass / 3 * (1 - upper) * (1 + len(self.valid) / len(split.train)), WARM * upper * a_pass
        self.whole = self.cut > 0 and left >= caching + warm + LEAST_WHOLE * a_pass
        self._start()
        if not self.cut:
            self._plan_steps(self.a_step, self.net.body.rates.passes, 0.0)
            return
        self._cache(CACHING * left)
        warm_s = SLACK * warm + SLACK_S + CHECKS * WARM * self.answer_s * len(self.valid)
        later = max(0.0, clock.left() - self.reserve - warm_s) if self.whole else 0.0
        self._plan_steps(self.a_step * upper, WARM if self.whole else TOP, later)

    def _plan_steps(self, a_step: float, passes: int, later: float) -> None:
        """As many steps as the clock allows, so many passes at most.

        Args:
            a_step: seconds.
            later: seconds that a second phase gets.
        """
        left = max(0.0, self.data.clock.left() - self.reserve - later)
        most = max(1, passes * len(self.rows) // self.batch)
        a_check = self.answer_s * len(self.valid)
        checks = int(np.clip(CHECKING * left / a_check, 1, CHECKS * passes))
        last = 0.0 if later else KEPT * left
        steps = max(1, min(most, int((left - last - a_check * checks) / a_step)))
        self._begin(steps, most, checks, checks, self.reserve + later + last)

    def _plan_passes(self, epochs: int) -> None:
        """As many passes of all layers as were asked for, in the precision that the processor is made for."""
        from leadline.system.device import CPU, fast_bfloat16

        self.bf16 = fast_bfloat16(CPU)
        self._start()
        steps = max(1, epochs * len(self.rows) // self.batch)
        checks = min(epochs, steps)
        self._begin(steps, steps, checks, checks, 0.0)

    def _trial(self) -> float:
        """Choose threads and precision by a few steps of all layers; seconds of a usual one."""
        from leadline.system.device import CPU, fast_bfloat16

        self._start()
        self.threads.begin()
        self.threads.fixed = True  # steps differ in length: from them nothing can be told about threads
        seconds = {}
        for low in (False, True) if fast_bfloat16(CPU) else (False,):
            self.bf16 = low
            seconds[low] = min(self._seconds_on(self.threads.now) for _ in range(TRIED))
        self.bf16 = min(seconds, key=lambda low: seconds[low])
        return seconds[self.bf16]

    def _step_seconds(self) -> float:
        """Of a step of rows of the usual length."""
        began = self._spent()
        self._step_once()
        usual = float(self.lengths[self.rows].mean()) * self.batch
        return (self._spent() - began) * usual / self.positions

    def _cache(self, seconds: float) -> None:
        """Hidden states of the valid rows and of as many train rows as there is time and memory for."""
        from leadline.contenders.tuned_body import A_NUMBER

        train = self.store.split.train
        order = np.random.default_rng(self.seed).permutation(train)
        lengths, width = self.net.body.hidden(self.lengths[order], self.cut)
        positions = CACHED * 1e9 * min(self.data.memory_gb, MOST_GB) / (A_NUMBER * width)
        fitting = int(np.searchsorted(np.cumsum(lengths), positions))
        self._keep(order[: max(self.batch, fitting)], self.data.clock.left() - seconds)
        if len(self.kept) < len(train):
            said = f"the upper half learned from a random sample of {len(self.kept):,} of {len(train):,} rows"
            self.describe.append(said if self.whole else Note(SAMPLED, f"{said}, to end in time"))
        self._take(np.sort(self.kept))

    def _keep(self, order: np.ndarray, left: float) -> None:
        """Hidden states of the valid rows, and of train rows in this order until so many seconds are left."""
        import torch

        from leadline.contenders.tuned_body import SCORED, HiddenStates, alike, batch_of

        net, taken = self.net.eval(), 0
        every = np.sort(np.concatenate([order, self.valid]))
        self.hidden = HiddenStates(every, *net.body.hidden(self.lengths[every], self.cut))
        for part in (self.valid, *(order[start : start + AT_ONCE] for start in range(0, len(order), AT_ONCE))):
            for places in alike(self.lengths[part], SCORED, net.body.room):
                rows = part[places]
                with torch.no_grad(), self._precision():
                    x = batch_of(self.tensor, rows, int(self.lengths[rows].max()))
                    self.hidden.keep(rows, net.body.lower(x, self.cut))
            taken += len(part)
            if taken > len(self.valid) and left > -math.inf and self.data.clock.left() < left:
                break
        self.kept = order[: taken - len(self.valid)]

    def _deepen(self) -> None:
        """From the best weights of the upper half on, train all layers."""
        assert self.trainer.best is not None
        self.trainer.load_best()
        score, weights = self.trainer.best[0], self.net.state_dict()
        self.before = self.standing.step
        self.cut, self.hidden = 0, None
        self._take(self.store.split.train)
        self._start()
        self.net.load_state_dict(weights)
        self.trainer.keep_best(score)
        self._plan_steps(self.a_step, self.net.body.rates.passes, 0.0)
        self.standing.best = score

    def _take(self, rows: np.ndarray) -> None:
        """Train on these rows from here on."""
        import torch

        labels = self.data.encoded(rows, self.scale)
        self.rows = rows
        self.y = torch.from_numpy(labels.astype(np.float32) if labels.dtype.kind == "f" else labels)
        self.order = torch.empty(0, dtype=torch.long)

    def _build(self) -> TunedBody:
        from leadline.contenders.tuned_body import TunedBody, moments_of

        body = self.make(self.reader.found.folder, self.reader.block)
        if body.standardised and self.moments is None:
            self.moments = moments_of(body, self.tensor, self.reader.some(self.store))
        return TunedBody(body, self.data.task.output_width, self.moments)

    def _optimizer(self) -> Recipe:
        import torch

        from leadline.contenders import recipes

        self.order = torch.empty(0, dtype=torch.long)
        body = self.net.body
        for number in range(self.cut):
            for weight in body.layer(number):
                weight.requires_grad_(False)
        layers = [body.layer(number) for number in range(self.cut, body.depth)]
        rates = body.rates.upper if self.cut else body.rates.layers
        return recipes.layerwise(layers, self.net.head, *rates)

    def draw(self) -> list[Tensor]:
        """Rows [N, T], perhaps their hidden states [N, T, W], and what they are [N, ...]."""
        from leadline.contenders.tuned_body import batch_of

        if len(self.order) < self.batch:
            self.order, self.epoch = self._shuffled(), self.epoch + 1
        part, self.order = self.order[: self.batch], self.order[self.batch :]
        rows = self.rows[part.numpy()]
        x = batch_of(self.tensor, rows, int(self.lengths[rows].max()))
        if self.vary is not None and self.hidden is None:
            x = self.vary(x, part, self.epoch)
        self.positions = len(x) * x.shape[1]
        return [x, *([] if self.hidden is None else [self.hidden.of(rows)]), self.y[part]]

    def _shuffled(self) -> Tensor:
        """Places of the rows, batch after batch of similar lengths, in random order; those of no whole batch wait."""
        import torch

        whole = len(self.rows) // self.batch * self.batch
        order = torch.randperm(len(self.rows), generator=self.generator)[:whole]
        lengths = torch.from_numpy(self.lengths[self.rows])
        chunks = [part[lengths[part].argsort(stable=True)] for part in torch.split(order, CHUNK * self.batch)]
        batches = torch.cat(chunks).view(-1, self.batch)
        return batches[torch.randperm(len(batches), generator=self.generator)].flatten()

    def loss_of(self, batch: list[Tensor]) -> Tensor:
        rows, *hidden, y = batch
        self.net.train()
        with self._precision():
            raw = self.net(rows, hidden[0] if hidden else None, self.cut)
        return self.data.task.loss(raw, y, 0.0)

    def _answers(self, rows: np.ndarray) -> np.ndarray:
        from leadline.contenders.tuned_body import answers

        return answers(self.net, self.tensor, rows)

    def _look(self) -> float:
        with self._precision():
            return self._final_score()

    def _final_score(self) -> float:
        self.on_valid = self._answers(self.valid)
        return self.metric(self.data.labels(self.valid), self.data.task.activate(self.on_valid, self.scale))

    def _too_little(self) -> str | None:
        passes = (self.before + self.standing.step) * self.batch / len(self.store.split.train)
        return f"{passes:.1f} passes over the train rows" if passes < STARVED else None

    def _loss(self) -> float:
        import torch

        some = np.linspace(0, len(self.rows) - 1, min(LOSS_ROWS, len(self.rows))).astype(int)
        return float(self.data.task.loss(torch.from_numpy(self._answers(self.rows[some])), self.y[some], 0.0))

    def _add_valid(self) -> None:
        self._take(np.concatenate([self.rows, self.valid]))

    def _own_state(self) -> State:
        import torch

        own: _Own = {
            "cut": self.cut, "whole": self.whole, "batch": self.batch, "before": self.before,
            "seconds": [self.a_step, self.answer_s, self.blend_s],
            "kept": torch.from_numpy(self.kept.copy()),
            "rows": torch.from_numpy(np.setdiff1d(self.rows, self.valid)), "order": self.order,
            "epoch": self.epoch, "generators": [each.get_state() for each in self._generators()],
        }  # fmt: skip
        return cast("State", own)

    def _restore_sizes(self, state: State) -> None:
        own = cast("_Own", state)
        self.cut, self.whole, self.batch, self.before = own["cut"], own["whole"], own["batch"], own["before"]
        self.a_step, self.answer_s, self.blend_s = own["seconds"]
        self._take(own["rows"].numpy())

    def _restore_order(self, state: State) -> None:
        own = cast("_Own", state)
        if self.cut:
            self._keep(own["kept"].numpy(), -math.inf)
        self.order, self.epoch = own["order"], own["epoch"]
        for generator, noise in zip(self._generators(), own["generators"], strict=True):
            generator.set_state(noise)

    def _generators(self) -> list[torch.Generator]:
        return [self.generator, *([] if self.vary is None else [self.vary.generator])]

    def fitted(self) -> FittedFinetuned:
        tuned = self.net.body.depth - self.cut
        self.transfer: dict[str, Json] = {
            "tuned": tuned,
            "both": self.score,
            "body_alone": self.score,
            "features_alone": None,
        }
        blend = self._blend()
        return FittedFinetuned(self.net, self.data, self.reader, self.learned(self.scale), blend, self.transfer)

    def _blend(self) -> Blend | None:
        """A linear model with a share in the answers, where there is time for it and valid says so."""
        clock, split = self.data.clock, self.store.split
        answering = ANSWERED * self.answer_s * (len(split.test) + len(split.calib) + COMPARED)
        if clock.left() - answering < self.blend_s or not layout(self.store, VIEWS).tensors:
            return None
        second = BlendSearch(self.data, self.seed, answering)
        for _ in second.tried():
            pass
        assert self.on_valid is not None
        blend, self.on_valid, self.score = second.weighed(self.on_valid)
        self.transfer |= {"both": self.score, "features_alone": second.score}
        if blend is not None:
            self.describe.append(f"{blend.share:.0%} of the answer is a linear model's, as valid chose")
        return blend
