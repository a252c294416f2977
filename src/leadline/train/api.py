"""`ll.train`: any module, trained on data in memory by a loop that costs little beside the module's own sums.

Enters: a module and a pair (X, y) or a `Source`. Leaves: the same module, trained, with the history of its run. Rows
stay as compact as they came and are gathered as whole tensors (`batches.py`); parameters are one flat tensor that one
fused call moves (`flat.py`); stacks of Linear layers have their backward pass written out (`dense_backward.py`),
everything else is run by autograd (`backward.py`). The loop is the contenders' own (`loop.py`), and calls the engine
(`trainer.py`).

    >>> X, y = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 1, 1, 0])
    >>> net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
    >>> trained = train(net, (X, y), lr=0.05, batch_size=4, epochs=200)
    >>> trained.predict(X).argmax(1).tolist()
    [0, 1, 1, 0]
    >>> print(trained.describe().splitlines()[0])
    path       forward and backward written out: a stack of Linear layers and activations
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from leadline.config import seconds
from leadline.core.contender import Clock
from leadline.core.note import CONVERGED, CUT, code_of
from leadline.inspect.layer_stats import Layer, measured
from leadline.readers.source import Source
from leadline.system.device import CPU, chosen, exact, holds, home, noise_kept, on
from leadline.system.errors import LeadlineError
from leadline.train import loop, losses
from leadline.train import optim as optimizers
from leadline.train import schedule as schedules
from leadline.train.autotune import Choice, choose, lay_out
from leadline.train.backward import written_out
from leadline.train.batches import Batches, Normalise, Rows, inputs, rows_of
from leadline.train.checkpoint import Checkpoints
from leadline.train.compiling import compile_or_not
from leadline.train.config import Settings
from leadline.train.fingerprint import in_words, of_rows, of_structure
from leadline.train.flat import Flat
from leadline.train.foreign import foreign
from leadline.train.history import Check, History, Scores
from leadline.train.lone_rows import least_rows
from leadline.train.loop import LoopState, Plan
from leadline.train.losses import Loss
from leadline.train.module_run import ModuleRun
from leadline.train.optim import Optimizer
from leadline.train.schedule import Schedule
from leadline.train.scoring import fitted, outputs, probe, score, type_of
from leadline.train.threads import as_they_are, begin, threads_kept, untried

LOOKED = 64  # rows at most by which layers are measured


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained module, in eval mode, with what it needs to read rows as it did in training."""

    module: nn.Module
    history: History
    loss: Loss
    normalise: Normalise | None
    device: torch.device  # where it was trained; the module itself is back where it was before
    threads: int  # of the processor, at the end of its training

    def predict(self, X: object) -> Tensor:
        """X [N, ...] as it was given to `train` -> the module's outputs [N, ...], on the CPU."""
        x = inputs(X, "X")
        with threads_kept(self.threads), on(self.module, self.device), foreign("The module"):
            rows = Rows(x, torch.zeros(len(x[0])))
            return torch.cat([out.cpu() for out, _ in outputs(self.module, rows, self.normalise)])

    def evaluate(self, data: object) -> Scores:
        """Loss and accuracy on a pair (X, y), or on the test rows of a source."""
        rows = rows_of(data, "data", "test")
        with threads_kept(self.threads), on(self.module, self.device), foreign("The module or its loss"):
            ready = _ready(self.module, rows, self.loss, self.normalise, "data")
            return score(self.module, ready, self.loss, self.normalise)

    def describe(self) -> str:
        """What was chosen and why, the checks, and where the seconds went."""
        return self.history.describe()


def train(
    module: nn.Module, data: object, *, loss: str | Loss | Callable[[Tensor, Tensor], Tensor] = "cross_entropy",
    optimizer: str | Optimizer = "adam", lr: float = 1e-3, batch_size: int = 64, epochs: int | None = None,
    steps: int | None = None, budget: str | float | None = None, valid: object = None,
    schedule: str | Schedule = "constant", precision: str = "auto", normalise: Normalise | None = None,
    clip: float | None = None, ema: float | None = None, accumulate: int = 1, patience: int | None = None,
    seed: int = 0, folder: str | Path | None = None, callbacks: Sequence[Callable[[Check], None]] = (),
    device: str | torch.device = "auto", compile: bool | str = "auto",
) -> Trained:  # fmt: skip
    """Train a module in place.

    Args:
        module: reads x [N, ...], or several of them, and gives outputs [N, ...]; its parameters are float32 or
            float64, on one device. All of it is put into train mode, and given back in eval mode where it was.
        data: (X, y), X [N, ...] or a tuple of such arrays for as many inputs, and y [N, ...]; or a source as `ll.load`
            gives it, its images as [N, channels, height, width]. Bytes are read as shares of 255; other integers are
            given as they are.
        loss: 'cross_entropy' (y holds class numbers), 'bce', 'mse', 'l1', 'huber', 'quantile', 'ctc', 'next_token' (y
            are the tokens themselves); one of `leadline.train.losses` with settings, such as
            CrossEntropy(label_smoothing=0.1); or a function of (out, y) that gives one number.
        optimizer: 'sgd', 'adam', 'adamw' with PyTorch's defaults, 'muon' (matrices of hidden layers; AdamW for the
            rest), or one of `leadline.train.optim` with settings, such as SGD(momentum=0.9, nesterov=True). Parameters
            that a batch does not reach have a gradient of zero.
        lr: the learning rate at the schedule's peak.
        batch_size: rows a step; the last step of a pass takes those that are left. One row that is left joins the step
            before it where the module cannot take a row alone, as with batch norm.
        epochs, steps, budget: exactly one of them: passes over the rows, updates, or seconds (30, '30s', '5m').
        valid: (X, y), or None; a source that states valid rows brings them itself.
        schedule: 'constant', 'linear', 'cosine', 'one_cycle', 'trapezoid', or a function of step / steps.
        precision: 'float32' or 'bfloat16' (autocast); 'auto' takes the faster one, and channels last for convolutions
            where that is faster, by a trial of a few steps that the machine remembers.
        normalise: (mean, std), one number or one a channel (axis 1), of bytes after they became shares of 255.
        clip: the largest norm of the whole gradient.
        ema: decay of an average of the weights, which is then what is validated and kept.
        accumulate: parts that a batch is cut into, one at a time in memory, with the gradient of the whole, whatever
            the loss is; a function of your own takes one forward pass more. Batch norm sees the parts.
        patience: checks without a better loss on valid rows after which it stops, with the weights of the best.
        seed: of the order of the rows and of noise in the module (dropout). The module's first weights are the user's.
        folder: where checkpoints are kept, the newest two; one that holds them already is gone on from. It belongs
            to one training: other rows, labels, layers, settings, or another loss are refused.
        callbacks: called with each `Check`: after every pass, or ten times in a budget.
        device: 'cpu', 'cuda', 'cuda:1', 'mps', 'xla' and so on; 'auto' is the device of the module, or where that is
            the CPU the accelerator that PyTorch finds.
        compile: whether `torch.compile` makes the steps; 'auto' tries it where over five minutes are left, and takes
            it where it gains more than it costs.

    On the processor it takes as many threads as pay, never more than PyTorch was set to: one, unless a short trial
    shows several at least 1.3 times as fast, and other work beside it does not make their steps three times as slow.
    `history.facts["threads"]` and the notes say what was found; the number is put back afterwards.

    The same arguments, first weights, machine and threads give the same bytes, also where it was killed and went on
    from its folder; on an accelerator as far as the module's own operations do (docs/devices.md). With
    `torch.set_num_threads(1)` no trial is left that other work could change. Under a budget they do not: the number of
    steps follows the clock.

    A loss that is not finite sends it back to the last good weights, at half the rate, three times at most; a step that
    does not fit into memory is cut into parts. Both are said in the notes of the history.

    Raises LeadlineError: one sentence that says what was found, what was expected and how to fix it.
    """
    if not isinstance(module, nn.Module):
        raise LeadlineError(f"module is a {type(module).__name__}, where a torch.nn.Module was expected.")
    if not isinstance(folder, str | PathLike | None) or "\0" in str(folder):
        raise LeadlineError(f"folder={folder!r} was given, where a path was expected.")
    callbacks = _listed(callbacks)
    how = Settings(
        loss=losses.chosen(loss), optimizer=optimizers.chosen(optimizer), schedule=schedules.chosen(schedule), lr=lr,
        batch_size=batch_size, epochs=epochs, steps=steps, budget=None if budget is None else seconds(str(budget)),
        precision=precision, normalise=normalise, clip=clip, ema=ema, accumulate=accumulate, patience=patience,
        seed=seed, compile=compile, device=str(_place(device, module)),
    )  # fmt: skip
    Flat.check(module)
    began = time.monotonic()
    held = None if valid is None else rows_of(valid, "valid")
    if isinstance(data, Source) and data.valid is not None and valid is None:
        held = rows_of(data, "valid", "valid")
    if patience is not None and held is None:
        raise LeadlineError(f"patience={patience} was given without valid rows, where some were expected; give valid=.")
    dtype = type_of(module)
    if precision != "auto" and dtype != torch.float32:
        raise LeadlineError(
            f"precision={precision!r} was given for a module in {dtype}, where 'auto' or a module in float32 was "
            "expected; convert it with .float()."
        )
    kept = None if folder is None else Checkpoints(Path(folder))
    there = torch.device(how.device)
    # Dropout takes its noise from the global generators, which are given back as they were.
    with (
        torch.inference_mode(False), threads_kept() as most, on(module, there), noise_kept(there), exact(there),
        torch.no_grad(),
    ):  # fmt: skip
        rows = _ready(module, rows_of(data, "data"), how.loss, normalise, "data")
        held = None if held is None else _ready(module, held, how.loss, normalise, "valid")
        if there != CPU and holds(there, rows.size):
            rows = rows.to(there)
        key = {} if kept is None else _key(how, rows, held, module)
        past = None if kept is None else _past(kept, key)
        with foreign("The module or its loss, tried on a few rows,"):
            least = least_rows(module, rows, how)
            at_once = max(least, how.batch_size // how.accumulate)
            if there != CPU:
                threads = as_they_are(most)
            elif past is not None:
                threads = untried(most)
            else:
                low = precision == "bfloat16"
                until = math.inf if how.budget is None else how.budget
                threads = begin(module, lambda: _batch(module, rows, how, at_once), how.loss, low, most, until)
            choice = Choice(**past["choice"]) if past else _choice(module, rows, how)
        lay_out(module, choice.layout)
        flat = Flat(module)
        try:
            run = ModuleRun(module, flat, rows, held, how, choice, least)
            run.take(threads, lambda: _batch(module, rows, how, at_once))
            few = min(LOOKED, how.batch_size)
            run.layers = lambda: measured(
                module, *_batch(module, rows, how, max(least, few // run.trainer.parts)), how.loss
            )
            _run(run, how, choice, kept, past, key, began, callbacks)
        finally:
            flat.release()
            lay_out(module, torch.contiguous_format)
            module.eval()
    trained = Trained(
        module=module, history=run.history, loss=how.loss, normalise=normalise, device=there, threads=threads.now
    )
    run.history.measure = lambda: _measured_there(trained, run.layers)
    return trained


def _listed(callbacks: Any) -> list[Callable[[Check], None]]:
    found = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    if not all(map(callable, found)):
        raise LeadlineError(f"callbacks={callbacks!r} was given, where a list of functions of a Check was expected.")
    return found


def _place(device: str | torch.device, module: nn.Module) -> torch.device:
    """Where to train: 'auto' leaves a module on the accelerator that it is on."""
    before = home(module)
    if str(device) == "auto" and (before != CPU or type_of(module) == torch.float64):
        return before
    return chosen(device)


def _measured_there(trained: Trained, measure: Callable[[], list[Layer]]) -> list[Layer]:
    with threads_kept(trained.threads), on(trained.module, trained.device):
        return measure()


def _run(
    run: ModuleRun, how: Settings, choice: Choice, kept: Checkpoints | None, past: dict[str, Any] | None,
    key: dict[str, Any], began: float, callbacks: Sequence[Callable[[Check], None]],
) -> None:  # fmt: skip
    """The loop, from the first step or from a checkpoint."""
    history = run.history
    if past is not None:
        run.restore(past["course"])
        began = time.monotonic() - past["spent_s"]
    clock = Clock(math.inf if how.budget is None else how.budget, began=began)
    plan = run.plan(clock.left()) if past is None else Plan(**past["plan"])
    standing = LoopState.at_first(plan) if past is None else LoopState(**past["standing"])

    def state() -> dict[str, Any]:
        return {
            "key": key, "choice": asdict(choice), "plan": asdict(plan), "standing": asdict(standing),
            "spent_s": time.monotonic() - began, "course": run.state(),
        }  # fmt: skip

    lower, trainer = float.__lt__, run.trainer
    for progress in loop.train(trainer.step_once, trainer, plan, clock, run.evaluate, lower, standing, state):
        if progress.note:
            named = "" if code_of(progress.note) in (CUT, CONVERGED) else f"step {progress.step:,}: "
            history.notes.append(named + progress.note)
        if progress.score is not None:
            run.look()
            for callback in callbacks:
                callback(history.checks[-1])
        if kept is not None and progress.state is not None and kept.due():
            kept.save(progress.step, progress.state())
    if kept is not None:
        kept.save(standing.step, state())
    run.finish()


def _key(how: Settings, rows: Rows, held: Rows | None, module: nn.Module) -> dict[str, Any]:
    """What makes this training this one: two that differ in any of it share no checkpoint."""
    settings = {field.name: in_words(getattr(how, field.name), module) for field in fields(how)}
    shapes = {"X": [list(x.shape) for x in rows.x], "y": list(rows.y.shape), "module": _shapes(module)}
    digests = {"structure": of_structure(module), "train": of_rows(rows), "valid": of_rows(held)}
    return {"settings": settings, "shapes": shapes, "digests": digests}


DIFFERENT = {
    "structure": "module has other layers, settings or code",
    "train": "data has other values or labels",
    "valid": "valid rows have other values or labels",
}


def _past(kept: Checkpoints, key: dict[str, Any]) -> dict[str, Any] | None:
    """The newest checkpoint of this very training; None where the folder holds none."""
    state = kept.newest()
    if state is None:
        return None
    remedy = "choose another folder, or remove it."
    held = state.get("key")
    if held is None:
        raise LeadlineError(f"{kept.folder} holds a checkpoint of an older version of Leadline; {remedy}")
    for part in ("settings", "shapes"):
        for name, value in key[part].items():
            if (found := held[part].get(name)) != value:
                raise LeadlineError(
                    f"{kept.folder} holds the checkpoint of another training, with {name}={found} where {value} is "
                    f"asked for; {remedy}"
                )
    for name, value in key["digests"].items():
        if held["digests"].get(name) != value:
            raise LeadlineError(
                f"{kept.folder} holds the checkpoint of another training, whose {DIFFERENT[name]}; {remedy}"
            )
    return state


def _shapes(module: nn.Module) -> list[list[int]]:
    return [list(p.shape) for p in module.parameters()]


def _choice(module: nn.Module, rows: Rows, how: Settings) -> Choice:
    dense = not written_out(module, [x.ndim for x in rows.x])
    if how.precision != "bfloat16" and dense and how.compile is not True:
        return Choice()
    batch = _batch(module, rows, how, how.batch_size // how.accumulate)
    choice = choose(module, batch, how.loss, how.precision)
    steps = how.steps or (how.epochs or 0) * -(-len(rows) // how.batch_size)

    def left(a_step: float) -> float:
        return how.budget if how.budget is not None else steps * a_step

    return compile_or_not(module, batch, how.loss, choice, how.compile, left)


def _batch(module: nn.Module, rows: Rows, how: Settings, most: int) -> tuple[tuple[Tensor, ...], Tensor]:
    """The first rows, as the module reads them."""
    size = min(most, len(rows))
    return Batches(rows, size, type_of(module), how.normalise, device=home(module)).gather(torch.arange(size))


def _ready(module: nn.Module, rows: Rows, loss: Loss, normalise: Normalise | None, what: str) -> Rows:
    """Rows whose targets fit what the module gives."""
    return Rows(rows.x, fitted(loss, probe(module, rows, normalise, what), rows.y, what))
