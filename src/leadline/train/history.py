"""What happened in a training run: the loss of every step, the checks, and where the seconds went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from leadline.inspect.layer_stats import Layer
from leadline.system.whole import saved

PARTS = ("data", "forward", "backward", "optimizer")  # of a step; what is left of the run is `valid` and `other`


@dataclass(frozen=True, kw_only=True)
class Scores:
    """A module on rows that it was not trained on."""

    loss: float  # mean over the items that the loss counts: rows, places or tokens
    accuracy: float | None  # share of them decided rightly; None where the loss is not of classes


@dataclass(frozen=True, kw_only=True)
class Check:
    """The state of a run after some of its steps."""

    step: int  # taken

    epoch: float  # passes over the train rows
    loss: float  # mean of the train losses since the last check
    valid: Scores | None
    seconds: float  # since the run began

    def __str__(self) -> str:
        valid = ""
        if self.valid is not None:
            right = "" if self.valid.accuracy is None else f", accuracy {self.valid.accuracy:.2%}"
            valid = f"; valid loss {self.valid.loss:.4g}{right}"
        return f"epoch {self.epoch:.4g}, step {self.step:,}: loss {self.loss:.4g}{valid} ({self.seconds:.1f} s)"


@dataclass(kw_only=True)
class History:
    """A run as it was; it grows during the run.

    `seconds` holds data, forward, backward, optimizer, valid and other, which add up to the whole run.
    """

    losses: list[float] = field(default_factory=list)  # of each step, before its update
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # plans and cuts of a run under a budget
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys((*PARTS, "valid", "other"), 0.0))
    facts: dict[str, str] = field(default_factory=dict)  # what was chosen, and why

    measure: Callable[[], list[Layer]] = field(default=list, repr=False)  # the layers, on a batch of train rows

    def layers(self) -> list[Layer]:
        """Each layer on a batch of train rows, after the training: shapes, FLOPs, seconds, activations, gradients."""
        return self.measure()

    def plot(self, path: str | Path | None = None) -> str:
        """The curves of the run as an SVG drawing, also written to `path` where one is given."""
        from leadline.train.loss_plot import curves  # which reads this file

        drawing = curves(self)
        if path is not None:
            saved(drawing, path)
        return drawing

    def describe(self) -> str:
        """The choices, the checks and the seconds, a line each."""
        whole = sum(self.seconds.values())
        split = ", ".join(f"{part} {spent:.2f}" for part, spent in self.seconds.items())
        lines = [*self.facts.items(), *(("note", note) for note in self.notes)]
        lines += [("check", str(check)) for check in self.checks] + [("seconds", f"{whole:.2f}: {split}")]
        return "\n".join(f"{name:10} {text}" for name, text in lines)
