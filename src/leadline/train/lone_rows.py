"""Whether a training step can take a row alone: batch norm cannot, it needs two values a channel.

Enters: a module, its rows, and how they are cut into batches. Leaves: how many rows a step needs at least, 1 or 2; a
last batch with fewer joins its neighbour (`batches.py`). Asked of the module itself, on a few rows in train mode, only
where such a step would come up, and without a trace.
"""

from __future__ import annotations

import torch
from torch import nn

from leadline.inspect.hooks import undisturbed
from leadline.system.device import home
from leadline.system.errors import LeadlineError
from leadline.train.batches import Batches, Rows
from leadline.train.config import Settings
from leadline.train.scoring import type_of


def least_rows(module: nn.Module, rows: Rows, how: Settings) -> int:
    """1, or 2 where the module cannot take a row alone; a LeadlineError where it would always be given one."""
    size = min(how.batch_size, len(rows))
    smallest = min(size, len(rows) % size or size) // how.accumulate
    if smallest > 1:
        return 1
    reason = _refusal(module, rows, how, 1)
    if reason is None or (len(rows) > 1 and _refusal(module, rows, how, 2) is not None):
        return 1  # what it cannot read in any number is said elsewhere
    if size // how.accumulate < 2:
        raise LeadlineError(
            f"The module needs two rows at once in training ({reason}), where {len(rows):,} rows with "
            f"batch_size={how.batch_size} and accumulate={how.accumulate} give it one; raise batch_size, or lower "
            "accumulate."
        )
    return 2


def _refusal(module: nn.Module, rows: Rows, how: Settings, count: int) -> str | None:
    """Why the module cannot take so many rows in train mode; None where it can."""
    batches = Batches(rows, count, type_of(module), how.normalise, device=home(module))
    x, _ = batches.gather(torch.arange(count))
    training = module.training
    with undisturbed(module), torch.no_grad():
        module.train()
        try:
            module(*x)
        except (ValueError, RuntimeError) as error:
            return str(error).strip().split("\n")[0].rstrip(".")
        finally:
            module.train(training)
    return None
