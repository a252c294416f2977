"""A module on rows that are not trained on: its outputs, targets that fit them, loss and accuracy.

Enters: a module, `Rows` as they are stored, and how they are normalised. Leaves: outputs a batch at a time, where
the module lies, without autograd and in eval mode, or `Scores`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from leadline.system.device import home
from leadline.system.errors import LeadlineError
from leadline.system.text import enumerated
from leadline.train.batches import Batches, Normalise, Rows
from leadline.train.foreign import SHAPES, reason_of
from leadline.train.history import Scores
from leadline.train.losses import BCE, CTC, CrossEntropy, Loss, NextToken, Own, Quantile
from leadline.train.own_loss import check_own

FIRST, SCORED = 16, 512  # rows at once, in the first batch and in those after it
MOST_VALUES = 2**26  # outputs at once: a language model gives thousands for each token


def type_of(module: nn.Module) -> torch.dtype:
    """The float type that a module computes in: that of its parameters."""
    return next((p.dtype for p in module.parameters()), torch.float32)


def outputs(module: nn.Module, rows: Rows, normalise: Normalise | None) -> Iterator[tuple[Tensor, Tensor]]:
    """(out [n, ...], y [n, ...]) of each batch, in the order of the rows; the module's mode is given back."""
    batches = Batches(rows, SCORED, type_of(module), normalise, device=home(module))
    training, first, size = module.training, 0, min(FIRST, SCORED)
    module.eval()
    try:
        with torch.no_grad():
            while first < len(rows):
                x, y = batches.gather(torch.arange(first, min(first + size, len(rows))))
                out = module(*x)
                yield out, y
                first += size
                size = max(1, min(SCORED, MOST_VALUES * len(y) // max(1, out.numel())))
    finally:
        module.train(training)


def probe(module: nn.Module, rows: Rows, normalise: Normalise | None, what: str) -> Tensor:
    """Outputs of the first two rows; an error names what the module cannot read."""
    few = Rows(tuple(x[:2] for x in rows.x), rows.y[:2])
    try:
        out = next(outputs(module, few, normalise))[0]
    except Exception as error:  # whatever the user's module raises
        reason = type(error).__name__ * (type(error) not in SHAPES) + reason_of(error)
        shapes = enumerated([f"shape {['N', *x.shape[1:]]} of {x.dtype}" for x in rows.x])
        raise LeadlineError(
            f"The module could not read X of {what} with {shapes}: {reason.removeprefix(': ')}; reshape or "
            "convert X, or put a layer first that reads it, such as nn.Flatten()."
        ) from error
    if not isinstance(out, Tensor) or out.ndim == 0 or len(out) != len(few):
        found = f"shape {list(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
        raise LeadlineError(
            f"The module gave {found} for {len(few)} rows, where one tensor of as many rows was expected; wrap it."
        )
    return out


def fitted(loss: Loss, out: Tensor, y: Tensor, what: str) -> Tensor:
    """The targets y [N, ...] in the type and shape that the loss compares with outputs like `out` [n, ...]."""
    if isinstance(loss, Own):
        y = y.to(out.dtype) if y.is_floating_point() else y
        check_own(loss, out, y, what)
        return y
    if isinstance(loss, CrossEntropy):
        return _classes(out, y, what)
    if isinstance(loss, CTC):
        return _sequences(loss, out, y, what)
    if isinstance(loss, NextToken):
        return _tokens(out, y, what)
    y = y.to(out.dtype)
    if y.ndim == 1 and out.ndim == 2 and (out.shape[1] == 1 or isinstance(loss, Quantile)):
        y = y[:, None]
    if isinstance(loss, Quantile):
        _check_levels(loss, out, y, what)
    elif y.shape[1:] != out.shape[1:]:
        raise LeadlineError(
            f"y of {what} has shape {_rows(y)} and the module gives {_rows(out)}, where the same were expected; "
            "reshape y, or give the last layer as many outputs."
        )
    if not bool(torch.isfinite(y).all()):
        raise LeadlineError(f"y of {what} holds values that are not finite; leave those rows out.")
    if isinstance(loss, BCE) and (float(y.min()) < 0 or float(y.max()) > 1):
        raise LeadlineError(
            f"y of {what} goes from {float(y.min()):g} to {float(y.max()):g}, where 0 to 1 was expected for bce; "
            "use 'mse' for numbers and 'cross_entropy' for more than two classes."
        )
    return y


def _check_levels(loss: Quantile, out: Tensor, y: Tensor, what: str) -> None:
    if y.ndim != 2 or y.shape[1] != 1 or out.ndim != 2 or out.shape[1] != len(loss.levels):
        raise LeadlineError(
            f"The module gives {_rows(out)} and y of {what} has shape {_rows(y)}, where "
            f"{['N', len(loss.levels)]} for levels={loss.levels} and ['N'] were expected for quantile; give the last "
            "layer an output for each level, or reshape y."
        )


def _classes(out: Tensor, y: Tensor, what: str) -> Tensor:
    _check_whole(y, what, "class numbers were expected for cross_entropy", "or use 'mse' for numbers")
    y = y.long()
    if out.ndim < 2 or y.shape[1:] != out.shape[2:]:
        raise LeadlineError(
            f"The module gives {_rows(out)} and y of {what} has shape {_rows(y)}, where outputs [N, classes, ...] and "
            "y [N, ...] were expected for cross_entropy; reshape one of them."
        )
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= out.shape[1]:
        raise LeadlineError(
            f"y of {what} holds classes from {low} to {high}, where 0 to {out.shape[1] - 1} were expected for a module "
            f"with {out.shape[1]} outputs; number the classes from 0, or give the last layer more outputs."
        )
    return y


def _sequences(loss: CTC, out: Tensor, y: Tensor, what: str) -> Tensor:
    """Targets [N, S] of classes, each of which fits into the steps that the module gives."""
    _check_whole(y, what, "class numbers were expected for ctc", "filled up with -1")
    if out.ndim != 3 or y.ndim != 2:
        raise LeadlineError(
            f"The module gives {_rows(out)} and y of {what} has shape {_rows(y)}, where outputs [N, steps, classes] "
            "and y [N, longest target] were expected for ctc; reshape one of them."
        )
    y, steps, classes = y.long(), out.shape[1], out.shape[2]
    if not 0 <= loss.blank < classes:
        raise LeadlineError(
            f"blank={loss.blank} was given, where a class from 0 to {classes - 1} was expected for a module with "
            f"{classes} outputs a step."
        )
    if not bool((y >= 0).any()):
        raise LeadlineError(f"y of {what} holds no class at all, where some were expected for ctc; put them before -1.")
    low, high = int(y.min()), int(y.max())
    if low < -1 or high >= classes:
        raise LeadlineError(
            f"y of {what} holds classes from {low} to {high}, where 0 to {classes - 1}, and -1 behind the last of a "
            "row, were expected for ctc; number the classes so, or give the last layer more outputs."
        )
    if bool((y == loss.blank).any()):
        raise LeadlineError(
            f"y of {what} holds the class {loss.blank}, which is the blank of ctc; number the classes around it, or "
            f"choose another, as CTC(blank={classes - 1})."
        )
    late = ((y[:, :-1] < 0) & (y[:, 1:] >= 0)).any(1)
    if bool(late.any()):
        raise LeadlineError(
            f"y of {what} holds -1 before a class in row {int(late.nonzero()[0])}, where -1 only behind the last was "
            "expected for ctc; move the classes to the front."
        )
    needed = loss.steps(y)
    if int(needed.max()) > steps:
        row, many = int(needed.argmax()), int((needed > steps).sum())
        raise LeadlineError(
            f"y of {what} holds {many:,} of {len(y):,} targets that do not fit into the {steps} steps that the module "
            f"gives, the longest in row {row}, which needs {int(needed.max())} (a step for each class, and one between "
            "two that are the same); leave them out, or let the module give more steps."
        )
    return y


def _tokens(out: Tensor, y: Tensor, what: str) -> Tensor:
    """Tokens [N, T], kept as compact as they are stored."""
    _check_whole(y, what, "tokens were expected for next_token", "and give them as y, too")
    if out.ndim != 3 or y.shape[1:] != out.shape[1:2]:
        raise LeadlineError(
            f"The module gives {_rows(out)} and y of {what} has shape {_rows(y)}, where outputs [N, steps, tokens] and "
            "y [N, steps] were expected for next_token; give the tokens that the module reads as y, too: (X, X)."
        )
    low, high = int(y.min()), int(y.max())
    if low < -1 or high >= out.shape[2]:
        raise LeadlineError(
            f"y of {what} holds tokens from {low} to {high}, where 0 to {out.shape[2] - 1}, and -1 for none, were "
            f"expected for a module with {out.shape[2]} outputs a step; give the last layer more outputs."
        )
    if not bool((y[:, 1:] >= 0).any()):
        raise LeadlineError(
            f"y of {what} holds no token that follows another, where some were expected for next_token; give rows of "
            "two tokens at least."
        )
    return y


def _check_whole(y: Tensor, what: str, expected: str, remedy: str) -> None:
    if y.is_floating_point():
        raise LeadlineError(f"y of {what} holds {y.dtype}, where {expected}; convert it with .long(), {remedy}.")


def _rows(t: Tensor) -> list[str | int]:
    """A shape in a message: of any number of rows."""
    return ["N", *t.shape[1:]]


def score(module: nn.Module, rows: Rows, loss: Loss, normalise: Normalise | None) -> Scores:
    """Mean loss over rows whose y is as `fitted` gives it, and where it is of classes the share decided rightly."""
    total, right, items = 0.0, 0, 0
    for out, y in outputs(module, rows, normalise):
        count = loss.count(y)
        total, items = total + float(loss(out, y)) * count, items + count
        right += _right(loss, out, y)
    decided = isinstance(loss, CrossEntropy | BCE | NextToken)
    return Scores(loss=total / items, accuracy=right / items if decided else None)


def _right(loss: Loss, out: Tensor, y: Tensor) -> int:
    """Of the items that the loss counts, those decided rightly; 0 where it is not of classes."""
    if isinstance(loss, CrossEntropy):
        return int((out.argmax(1) == y).sum())
    if isinstance(loss, BCE):
        return int(((out > 0) == (y > 0.5)).sum())
    if isinstance(loss, NextToken):
        return int((out.argmax(2) == loss.following(y)).sum())
    return 0
