"""A module on rows that are not trained on: its outputs, targets that fit them, loss and accuracy.

Enters: a module, `Rows` as they are stored, and how they are normalised. Leaves: outputs a batch at a time, without
autograd and in eval mode, or `Scores`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from leadline.errors import LeadlineError
from leadline.train.batches import Batches, Normalise, Rows
from leadline.train.history import Scores
from leadline.train.losses import BCE, CrossEntropy, Loss, Own

SCORED = 512  # rows at once


def type_of(module: nn.Module) -> torch.dtype:
    """The float type that a module computes in: that of its parameters."""
    return next((p.dtype for p in module.parameters()), torch.float32)


def outputs(module: nn.Module, rows: Rows, normalise: Normalise | None) -> Iterator[tuple[Tensor, Tensor]]:
    """(out [n, ...], y [n, ...]) of each batch, in the order of the rows; the module's mode is given back."""
    batches = Batches(rows, SCORED, type_of(module), normalise)
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            for places in torch.split(torch.arange(len(rows)), SCORED):
                x, y = batches.gather(places)
                yield module(*x), y
    finally:
        module.train(training)


def probe(module: nn.Module, rows: Rows, normalise: Normalise | None, what: str) -> Tensor:
    """Outputs of the first two rows; what a module cannot read is said in the user's words."""
    few = Rows(tuple(x[:2] for x in rows.x), rows.y[:2])
    try:
        out = next(outputs(module, few, normalise))[0]
    except (RuntimeError, IndexError, ValueError, TypeError) as error:
        reason = str(error).strip().split("\n")[0]
        shapes = " and ".join(f"shape {['N', *x.shape[1:]]} of {x.dtype}" for x in rows.x)
        raise LeadlineError(
            f"The module could not read X of {what} with {shapes}: {reason}; reshape X, or put a layer first that "
            "reads it, such as nn.Flatten()."
        ) from error
    if not isinstance(out, Tensor) or len(out) != len(few):
        found = f"shape {list(out.shape)}" if isinstance(out, Tensor) else f"a {type(out).__name__}"
        raise LeadlineError(
            f"The module gave {found} for {len(few)} rows, where one tensor of as many rows was expected; wrap it."
        )
    return out


def fitted(loss: Loss, out: Tensor, y: Tensor, what: str) -> Tensor:
    """The targets y [N, ...] in the type and shape that the loss compares with outputs like `out` [n, ...]."""
    if isinstance(loss, Own):
        return y.to(out.dtype) if y.is_floating_point() else y
    if isinstance(loss, CrossEntropy):
        return _classes(out, y, what)
    y = y.to(out.dtype)
    if y.ndim == 1 and out.shape[1:] == (1,):
        y = y[:, None]
    if y.shape[1:] != out.shape[1:]:
        raise LeadlineError(
            f"y of {what} has shape {['N', *y.shape[1:]]} and the module gives {['N', *out.shape[1:]]}, where the same "
            "were expected; reshape y, or give the last layer as many outputs."
        )
    if not bool(torch.isfinite(y).all()):
        raise LeadlineError(f"y of {what} holds values that are not finite; leave those rows out.")
    if isinstance(loss, BCE) and (float(y.min()) < 0 or float(y.max()) > 1):
        raise LeadlineError(
            f"y of {what} goes from {float(y.min()):g} to {float(y.max()):g}, where 0 to 1 was expected for bce; "
            "use 'mse' for numbers and 'cross_entropy' for more than two classes."
        )
    return y


def _classes(out: Tensor, y: Tensor, what: str) -> Tensor:
    if y.is_floating_point():
        raise LeadlineError(
            f"y of {what} holds {y.dtype}, where class numbers were expected for cross_entropy; convert it with "
            ".long(), or use 'mse' for numbers."
        )
    y = y.long()
    if out.ndim < 2 or y.shape[1:] != out.shape[2:]:
        raise LeadlineError(
            f"The module gives {['N', *out.shape[1:]]} and y of {what} has shape {['N', *y.shape[1:]]}, where outputs "
            "[N, classes, ...] and y [N, ...] were expected for cross_entropy; reshape one of them."
        )
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= out.shape[1]:
        raise LeadlineError(
            f"y of {what} holds classes from {low} to {high}, where 0 to {out.shape[1] - 1} were expected for a module "
            f"with {out.shape[1]} outputs; number the classes from 0, or give the last layer more outputs."
        )
    return y


def score(module: nn.Module, rows: Rows, loss: Loss, normalise: Normalise | None) -> Scores:
    """Mean loss over rows whose y is as `fitted` gives it, and where it is of classes the share decided rightly."""
    total, right, decided = 0.0, 0, 0
    for out, y in outputs(module, rows, normalise):
        total += float(loss(out, y)) * len(y)
        if isinstance(loss, CrossEntropy | BCE):
            found, truth = (out.argmax(1), y) if isinstance(loss, CrossEntropy) else (out > 0, y > 0.5)
            right, decided = right + int((found == truth).sum()), decided + y.numel()
    return Scores(loss=total / len(rows), accuracy=right / decided if decided else None)
