"""`ll.trace`: one batch followed through a module, forward and backward, with the chain rule put to the test.

Enters: a module and a batch (x, y). Leaves: a `Trace`: what each layer made of the values and of the gradient, the
derivatives of some weights found twice, and warnings. `print` shows it as a table, `save` draws it
(`inspect/diagram.py`). The module is left exactly as it was.

    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> seen = trace(net, (torch.ones(5, 4), torch.tensor([0, 1, 2, 0, 1])))
    >>> [layer.product for layer in seen.layers if layer.product]
    ['y[5, 8] = x[5, 4] W[4, 8] + b[8]', 'y[5, 3] = x[5, 8] W[8, 3] + b[3]']
    >>> len(seen.chain), seen.worst < 1e-4
    (8, True)
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from leadline.inspect.diagram import drawn
from leadline.inspect.gradcheck import Derivative, differences
from leadline.inspect.health import warnings_of
from leadline.inspect.layer_stats import Layer, Pass, watched
from leadline.system.device import CPU, home, on
from leadline.system.errors import LeadlineError
from leadline.system.text import enumerated
from leadline.system.threads import PAYS
from leadline.system.whole import saved
from leadline.train import losses
from leadline.train.batches import Batches, rows_of
from leadline.train.config import check_seed
from leadline.train.flat import check_made
from leadline.train.foreign import foreign
from leadline.train.losses import Loss
from leadline.train.scoring import fitted, type_of
from leadline.train.threads import threads_kept

__all__ = ["Derivative", "Layer", "Trace", "trace"]

AGREES = 1e-3  # relative error of a derivative up to which backpropagation is right
WIDE = 110  # characters
GIVES_WAY = (
    (2, 42),
    (1, 18),
    (0, 16),
    (2, 30),
    (1, 12),
)  # where a line is too long: columns, and how narrow they may become


@dataclass(frozen=True, kw_only=True, repr=False)
class Trace:
    """One pass forward and backward."""

    module: str  # its type
    training: bool  # its mode
    rows: int
    parameters: int  # each counted once, however often it is used
    loss_name: str
    loss: float
    layers: list[Layer]  # in the order of the forward pass; a layer that is called twice stands here twice
    forward_s: float  # the whole pass, with what lies between the layers
    backward_s: float | None  # None: nothing is trained
    chain: list[Derivative]  # of weights drawn over all trained parameters, in float64
    warnings: list[str]

    @property
    def worst(self) -> float | None:
        """The largest relative error of the chain; None where nothing was checked."""
        return max((each.error for each in self.chain), default=None)

    @property
    def flops(self) -> int:
        """Of the forward pass, over the layers of which they are known."""
        return sum(layer.flops or 0 for layer in self.layers)

    def __str__(self) -> str:
        parts = [_head(self), _forward(self), _backward(self), _chain(self)]
        if self.warnings:
            said = [textwrap.fill(w, WIDE, initial_indent="! ", subsequent_indent="  ") for w in self.warnings]
            parts.append("\n".join(["WARNINGS", *said]))
        return "\n\n".join(parts)

    __repr__ = __str__  # so that a notebook shows the table

    def svg(self) -> str:
        """The layers as a drawing: values go down, gradients come back up. One SVG document that needs nothing else."""
        title, size = _head(self).split("\n")[0].split(", ", 1)
        note = f"{size}\n{_spent(self)}"
        return drawn(self.layers, title=title, note=note, loss=f"{self.loss_name} {self.loss:.4g}")

    def save(self, path: str | Path) -> Path:
        """Write the drawing to a file."""
        return saved(self.svg(), path)


def trace(
    module: nn.Module, batch: object, *, loss: str | Loss | Callable[[Tensor, Tensor], Tensor] = "cross_entropy",
    checks: int = 8, seed: int = 0,
) -> Trace:  # fmt: skip
    """Follow one batch through a module, forward and backward.

    Args:
        module: any module whose output is one tensor; it is seen in the mode, train or eval, that it is in, and on the
            CPU, from which it goes back to where it was.
        batch: (x, y), x one array [N, ...] or a tuple of them for a module with several inputs, and y [N, ...]. All
            rows are used. Bytes are read as shares of 255; other integers are given as they are.
        loss: as for `train`: a name, a loss with settings, or a function of (out, y) that gives one number.
        checks: weights whose derivative is also found by differences. Each takes four forward passes in float64.
        seed: of the noise in the module (dropout), and of the choice of these weights.

    Seconds are those of a pass after the first, so that what is set up once is not in them; on one thread, unless
    several are at least 1.3 times as fast.

    Raises LeadlineError: one sentence that says what was found, what was expected and how to fix it.
    """
    if not isinstance(module, nn.Module):
        raise LeadlineError(f"module is a {type(module).__name__}, where a torch.nn.Module was expected.")
    if not isinstance(batch, tuple | list):
        raise LeadlineError(f"batch is a {type(batch).__name__}, where a pair (x, y) was expected; give a few rows.")
    if isinstance(checks, bool) or not isinstance(checks, int) or checks < 0:
        raise LeadlineError(f"checks={checks!r} was given, where a whole number of weights, or 0, was expected.")
    if any(nn.parameter.is_lazy(p) for p in module.parameters()):
        raise LeadlineError(
            "The module has lazy layers whose shapes are not known yet, where weights were expected; call it once on "
            "a batch before it is traced."
        )
    check_seed(seed)
    check_made(module)
    if home(module) != CPU:
        with on(module, CPU):  # the chain is checked in float64, which not every device has
            return trace(module, batch, loss=loss, checks=checks, seed=seed)
    minimised, rows = losses.chosen(loss), rows_of(batch, "batch")
    with torch.inference_mode(False), torch.no_grad():
        x, y = Batches(rows, len(rows), type_of(module)).gather(torch.arange(len(rows)))
    for place, each in enumerate(x):
        if each.is_floating_point() and not bool(torch.isfinite(each).all()):
            which = f"Input {place} of batch" if len(x) > 1 else "x of batch"
            raise LeadlineError(f"{which} holds values that are not finite; leave those rows out, or fill them.")

    def criterion(out: Tensor) -> Tensor:
        return minimised(out, fitted(minimised, out, y, "batch"))

    with threads_kept() as most:
        with foreign("The module or its loss"):
            seen = _watched(module, x, criterion, seed, most)
        return _told(module, x, criterion, seen, loss=loss, checks=checks, seed=seed)


def _watched(
    module: nn.Module, x: tuple[Tensor, ...], criterion: Callable[[Tensor], Tensor], seed: int, most: int
) -> Pass:
    """The pass on as many threads as pay; the first one sets up what all need."""

    def once(threads: int) -> Pass:
        torch.set_num_threads(threads)
        torch.default_generator.manual_seed(seed)
        return watched(module, x, criterion)

    with torch.random.fork_rng(devices=[]):
        once(1)
        several = once(most) if most > 1 else None
        one = once(1)
        if several is None or _seconds(several) * PAYS > _seconds(one):
            return one
        torch.set_num_threads(most)
        return several


def _seconds(seen: Pass) -> float:
    return seen.forward_s + (0.0 if seen.backward_s is None else seen.backward_s)


def _told(
    module: nn.Module, x: tuple[Tensor, ...], criterion: Callable[[Tensor], Tensor], seen: Pass, *,
    loss: str | Loss | Callable[[Tensor, Tensor], Tensor], checks: int, seed: int,
) -> Trace:  # fmt: skip
    """What a pass showed, with the chain rule put to the test."""
    warnings = warnings_of(seen.layers)
    if seen.unused:
        warnings.append(
            f"No gradient reaches {', '.join(seen.unused[:3])}{' and more' * (len(seen.unused) > 3)}: these weights "
            "take no part in the loss; use them in forward, freeze them, or remove them."
        )
    chain: list[Derivative] = []
    if math.isfinite(seen.loss) and checks:
        try:
            chain = differences(module, x, criterion, checks=checks, seed=seed)
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).split("\n")[0].rstrip(".")
            warnings.append(f"The chain rule was not checked, for a copy of the module in float64 failed: {reason}.")
    wrong = [each for each in chain if not each.error <= AGREES]
    if wrong:
        warnings.append(
            f"The derivative by {max(wrong, key=lambda each: each.error)} differs from the one by differences; look at "
            "the backward pass of your own functions between there and the loss."
        )
    return Trace(
        module=type(module).__name__, training=module.training, rows=len(x[0]), layers=seen.layers,
        parameters=sum(p.numel() for p in module.parameters()), chain=chain, warnings=warnings, loss=seen.loss,
        loss_name=loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__),
        forward_s=seen.forward_s, backward_s=seen.backward_s,
    )  # fmt: skip


def _head(seen: Trace) -> str:
    mode = "train" if seen.training else "eval"
    first = f"{seen.module} in {mode} mode, {_count(seen.rows, 'row')}, {_count(seen.parameters, 'parameter')}"
    return f"{first}\n{seen.loss_name} {seen.loss:.4g}; {_spent(seen)}"


def _spent(seen: Trace) -> str:
    least = "at least " if any(layer.flops is None for layer in seen.layers) else ""
    back = "" if seen.backward_s is None else f"; backward {_time(seen.backward_s)}"
    return f"forward {_time(seen.forward_s)}, {least}{_size(seen.flops)}FLOP{back}"


def _forward(seen: Trace) -> str:
    rows = [
        [
            *_who(layer), _what(layer), _size(layer.flops),
            _spread(layer.mean, layer.std), _share(layer.zeros), _time(layer.forward_s),
        ]
        for layer in seen.layers
    ]  # fmt: skip
    names = ["layer", "", "what it computes", "FLOP", "mean ± std", "zeros", "duration"]
    return _table("FORWARD  values go from the data to the loss", names, rows, left=3)


def _backward(seen: Trace) -> str:
    if seen.backward_s is None:
        return "BACKWARD  there is nothing to train: no parameter has requires_grad=True"
    rows = [
        [
            *_who(layer), _number(layer.gradient), _number(layer.weight_gradient), _number(layer.ratio),
            f"{len(layer.dead)} of {layer.units}" if layer.units else "", f"{layer.parameters:,}",
            _time(layer.backward_s),
        ]
        for layer in reversed(seen.layers)
    ]  # fmt: skip
    names = ["layer", "", "|dL/dy|", "|dL/dW|", "|dL/dW| / |W|", "dead units", "weights", "duration"]
    title = "BACKWARD  gradients come back from the loss L: by what a layer gives (y), and by its weights (W)"
    return _table(title, names, rows, left=2)


def _chain(seen: Trace) -> str:
    title = "CHAIN RULE  the same derivative, found twice"
    if seen.worst is None:
        return f"{title}\n(not checked)"
    rows = [
        [str(each), f"{each.by_backpropagation:.6e}", f"{each.by_difference:.6e}", f"{each.error:.1e}"]
        for each in seen.chain
    ]
    table = _table(title, ["dL/d...", "by backpropagation", "by differences", "relative error"], rows, left=1)
    said = "the backward pass is right at each of them" if seen.worst <= AGREES else "the backward pass is WRONG"
    return f"{table}\nworst relative error {seen.worst:.1e}: {said}"


def _who(layer: Layer) -> list[str]:
    return [layer.name or "itself", layer.type]


def _what(layer: Layer) -> str:
    """The product and the nonlinearity; of layers that have neither, the shapes. Shapes are not broken in a line."""
    said = "; ".join(part for part in (layer.product, layer.nonlinearity.removeprefix(f"{layer.type}: ")) if part)
    if not said:
        said = f"{enumerated([str(list(shape)) for shape in layer.inputs])} -> {list(layer.output)}"
    if layer.holds:
        said += f"; weights of its own, used around the next {_count(layer.holds, 'layer')}"
    return said.replace(", ", ",\0")


def _table(title: str, names: list[str], rows: list[list[str]], left: int) -> str:
    """Aligned columns, the first `left` of them to the left; the widest of these give way where a line is too long."""
    columns = [[name, *cells] for name, *cells in zip(names, *rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    room = WIDE - 2 * (len(names) - 1) - sum(widths[left:])
    for place, least in GIVES_WAY:
        if place < left:
            widths[place] -= min(max(0, sum(widths[:left]) - room), max(0, widths[place] - least))
    lines = []
    for row in [names, *rows]:
        cells = [[_tail(row[0], widths[0])], *(_wrapped(c, w) for c, w in zip(row[1:], widths[1:], strict=True))]
        for line in range(max(map(len, cells))):
            here = [cell[line] if line < len(cell) else "" for cell in cells]
            said = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(here, widths, strict=True))]
            lines.append("  ".join(said).replace("\0", " ").rstrip())
    return "\n".join([title, *lines])


def _tail(words: str, width: int) -> str:
    """The end of a path says more than its beginning."""
    return words if len(words) <= width else "…" + words[1 - width :]


def _wrapped(words: str, width: int) -> list[str]:
    return textwrap.wrap(words, width, subsequent_indent="  ", break_on_hyphens=False) or [""]


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'s' * (number != 1)}"


def _size(number: int | None) -> str:
    """A large number to three digits, such as '25.7 M'."""
    if number is None:
        return "?"
    for unit, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= 0.9995 * unit:
            return f"{number / unit:.3g}{name}"
    return f"{number} " if number else "0 "


def _number(number: float | None) -> str:
    return "" if number is None else f"{number:.2e}" if number else "0"


def _spread(mean: float, std: float) -> str:
    form = ".2f" if 0.01 <= max(abs(mean), std) < 1000 else ".0e"
    return f"{mean:{form}} ± {std:{form}}".replace("-0.00", "0.00").replace("0e+00", "0")


def _share(share: float) -> str:
    return "" if math.isnan(share) else "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.2f} ms" if seconds >= 1e-5 else "<10 µs"
