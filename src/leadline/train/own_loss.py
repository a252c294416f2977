"""A loss function of the user's own, tried on a few rows before the first step.

Enters: the function, outputs of the first rows and their targets. Leaves: nothing, or one sentence where the function
cannot compare the two, or compares every row with every target: outputs [N, 1] and targets [N] (or the other way
round) become [N, N] by PyTorch's broadcasting, and what is learned is the mean of all targets for each row. Such a loss
gives the same number whatever the order of the targets, which no loss that compares rows with their own targets does.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from leadline.inspect.hooks import undisturbed
from leadline.system.errors import LeadlineError
from leadline.system.process_state import warnings_ignored
from leadline.train.foreign import SHAPES, reason_of
from leadline.train.losses import Own
from leadline.train.memory import too_large

SAME = 1e-5  # relative difference under which two losses are the same


def check_own(loss: Own, out: Tensor, y: Tensor, what: str) -> None:
    """Try the function on outputs `out` [n, ...] of the first rows; y [N, ...] are all targets."""
    function = loss.function
    # That the shapes differ is reported below, in a sentence.
    with warnings_ignored(), undisturbed(function) if isinstance(function, nn.Module) else nullcontext():
        try:
            loss(out, y[: len(out)].to(out.device))
        except LeadlineError:
            raise
        except Exception as error:  # whatever the user's function raises
            if too_large(error):
                return  # a step is cut into parts
            reason = type(error).__name__ * (type(error) not in SHAPES) + reason_of(error)
            raise LeadlineError(
                f"The loss function could not compare outputs {_rows(out)} with y of {what} {_rows(y)} of {y.dtype}: "
                f"{reason.removeprefix(': ')}; reshape or convert y, or give the last layer another number of outputs."
            ) from error
        if {out.shape[1:], y.shape[1:]} == {(), (1,)} and _all_with_all(loss, out, y):
            raise LeadlineError(
                f"The loss function compares every row with every target, for the module gives {_rows(out)} and y of "
                f"{what} has shape {_rows(y)}; reshape y to {_rows(out)}."
            )


def _all_with_all(loss: Own, out: Tensor, y: Tensor) -> bool:
    """Whether another order of the targets changes nothing, on rows that all differ."""
    flat = y.reshape(len(y), -1)
    places = (flat != flat[0]).any(1).nonzero().flatten()
    if len(out) < 2 or not len(places):
        return False
    pair = y[torch.tensor([0, int(places[0])])].to(out.device)
    shake = torch.rand(2, *out.shape[1:], generator=torch.Generator().manual_seed(0)).to(out)
    outs = out[:2] * (1 - 0.2 * shake) + 1e-2 * shake  # within 0 and 1 where they are
    try:
        one, flipped, first = (float(loss(outs, pair[order])) for order in ([0, 1], [1, 0], [0, 0]))
    except Exception:  # it asks for more rows than two
        return False
    return _same(one, flipped) and not _same(one, first)  # a loss that does not read y at all is no mistake


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= SAME * max(abs(one), abs(other))


def _rows(t: Tensor) -> list[str | int]:
    return ["N", *t.shape[1:]]
