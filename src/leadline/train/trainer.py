"""`ll.train`: any module, trained on data in memory by a loop that costs little beside the module's own sums.

Enters: a module and a pair (X, y) or a `Source`. Leaves: the same module, trained, with the history of its run.
Rows stay as compact as they came and are gathered as whole tensors (`batches.py`); parameters are one flat tensor that
one fused call moves (`flat.py`); stacks of Linear layers have their backward pass written out (`dense.py`), everything
else is run by autograd (`steps.py`). The loop is the contenders' own (`loop.py`), and calls `course.py`.

    >>> X, y = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1, 1, 0])
    >>> net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
    >>> trained = train(net, (X, y), lr=0.05, batch_size=4, epochs=200)
    >>> trained.predict(X).argmax(1).tolist()
    [0, 1, 1, 0]
    >>> print(trained.describe().splitlines()[0])
    path       forward and backward written out: a stack of Linear layers and activations
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leadline.config import seconds
from leadline.contenders.contender import Clock
from leadline.data.source import Source
from leadline.train import flat as optimizers
from leadline.train import loop, losses
from leadline.train import schedule as schedules
from leadline.train.batches import Normalise, Rows, rows_of, tensor
from leadline.train.course import Course, How
from leadline.train.flat import Flat, Optimizer
from leadline.train.history import Check, History, Scores
from leadline.train.losses import Loss
from leadline.train.schedule import Schedule
from leadline.train.scoring import fitted, outputs, probe, score

ENDLESS = 1e9  # seconds


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained module, in eval mode, with what it needs to read rows as it did in training."""

    module: nn.Module
    history: History
    loss: Loss
    normalise: Normalise | None

    def predict(self, X: object) -> Tensor:
        """X [N, ...] as it was given to `train` -> the module's outputs [N, ...]."""
        x = tensor(X, "X")
        return torch.cat([out for out, _ in outputs(self.module, Rows(x, torch.zeros(len(x))), self.normalise)])

    def evaluate(self, data: object) -> Scores:
        """Loss and accuracy on a pair (X, y), or on the test rows of a source."""
        rows = rows_of(data, "data", "test")
        return score(
            self.module, _ready(self.module, rows, self.loss, self.normalise, "data"), self.loss, self.normalise
        )

    def describe(self) -> str:
        """What was chosen and why, the checks, and where the seconds went."""
        return self.history.describe()


def train(
    module: nn.Module, data: object, *, loss: str | Loss | Callable[[Tensor, Tensor], Tensor] = "cross_entropy",
    optimizer: str | Optimizer = "adam", lr: float = 1e-3, batch_size: int = 64, epochs: int | None = None,
    steps: int | None = None, budget: str | float | None = None, valid: object = None,
    schedule: str | Schedule = "constant", precision: str = "auto", normalise: Normalise | None = None,
    clip: float | None = None, ema: float | None = None, seed: int = 0,
    callbacks: Sequence[Callable[[Check], None]] = (),
) -> Trained:  # fmt: skip
    """Train a module in place.

    Args:
        module: reads x [N, ...] and gives outputs [N, ...]; its parameters are float32 or float64, on the CPU. All of
            it is put into train mode, and given back in eval mode.
        data: (X, y), X [N, ...] and y [N, ...]; or a source as `ll.load` gives it, its images as
            [N, channels, height, width]. Bytes are read as shares of 255; other integers are given as they are.
        loss: 'cross_entropy' (y holds class numbers), 'bce', 'mse', 'l1', 'huber'; one of `leadline.train.losses` with
            settings, such as CrossEntropy(label_smoothing=0.1); or a function of (out, y) that gives one number.
        optimizer: 'sgd', 'adam', 'adamw' with PyTorch's defaults, or one of `leadline.train.flat` with settings, such
            as SGD(momentum=0.9, nesterov=True). All parameters share its settings; those that a batch does not reach
            have a gradient of zero.
        lr: the learning rate at the schedule's peak.
        batch_size: rows a step; the last step of a pass takes those that are left.
        epochs, steps, budget: exactly one of them: passes over the rows, updates, or seconds (30, '30s', '5m').
        valid: (X, y), or None; a source that states valid rows brings them itself.
        schedule: 'constant', 'linear', 'cosine', 'one_cycle', 'trapezoid', or a function of step / steps.
        precision: 'float32' or 'bfloat16' (autocast); 'auto' is that of the parameters.
        normalise: (mean, std), one number or one a channel (axis 1), of bytes after they became shares of 255.
        clip: the largest norm of the whole gradient.
        ema: decay of an average of the weights, which is then what is validated and kept.
        seed: of the order of the rows and of noise in the module (dropout). The module's first weights are the user's.
        callbacks: called with each `Check`: after every pass, or ten times in a budget.

    The same arguments, first weights, machine and number of threads give the same bytes. Under a budget they do not:
    the number of steps follows the clock.

    Raises LeadlineError: one sentence that says what was found, what was expected and how to mend it.
    """
    how = How(
        loss=losses.chosen(loss), optimizer=optimizers.chosen(optimizer), schedule=schedules.chosen(schedule), lr=lr,
        batch_size=batch_size, epochs=epochs, steps=steps, budget=None if budget is None else seconds(str(budget)),
        precision=precision, normalise=normalise, clip=clip, ema=ema, seed=seed,
    )  # fmt: skip
    clock = Clock(how.budget or ENDLESS)
    held = None if valid is None else rows_of(valid, "valid")
    if isinstance(data, Source) and data.valid is not None and valid is None:
        held = rows_of(data, "valid", "valid")
    flat = Flat(module)
    try:
        # Dropout takes its noise from the global generator, which is given back as it was.
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            rows = _ready(module, rows_of(data, "data"), how.loss, normalise, "data")
            held = None if held is None else _ready(module, held, how.loss, normalise, "valid")
            course = Course(module, flat, rows, held, how)
            plan = course.plan(clock.left())
            for progress in loop.train(course.step_once, course, plan, clock, course.evaluate, lambda a, b: a < b):
                if progress.note:
                    course.history.notes.append(progress.note)
                for callback in callbacks if progress.score is not None else ():
                    callback(course.history.checks[-1])
            course.finish()
    finally:
        flat.release()
        module.eval()
    return Trained(module=module, history=course.history, loss=how.loss, normalise=normalise)


def _ready(module: nn.Module, rows: Rows, loss: Loss, normalise: Normalise | None, what: str) -> Rows:
    """Rows whose targets fit what the module gives."""
    return Rows(rows.x, fitted(loss, probe(module, rows, normalise, what), rows.y, what))
