"""How much a network computes, by the sizes of its matrices and kernels. Imports PyTorch.

What has no weights, such as the products of attention, is not counted: of the inputs of bodies it is a small part.
PyTorch's own counter imports its compiler, which takes four seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

Called = Callable[[nn.Module, Any, Any], None]

TRANSPOSED = "Conv1D"  # what transformers calls a dense layer whose matrix is [inputs, outputs]


def is_dense(module: nn.Module) -> bool:
    """Whether it is a product with a matrix."""
    return isinstance(module, nn.Linear) or is_transposed(module)


def is_transposed(module: nn.Module) -> bool:
    """Whether it is one whose matrix is [inputs, outputs]."""
    return type(module).__name__ == TRANSPOSED


def operations(net: nn.Module, *given: Tensor) -> Counter[nn.Module]:
    """Of each module of a network that has a matrix or a kernel, for what it is called with: two for each weight and
    place where it is used."""
    found: Counter[nn.Module] = Counter()

    def called(module: nn.Module, args: Any, made: Tensor) -> None:
        weight: Any = module.weight
        outputs = weight.shape[1 if is_transposed(module) else 0]
        found[module] += 2 * weight.numel() * made.numel() // outputs

    counted = [module for module in net.modules() if is_dense(module) or isinstance(module, _ConvNd)]
    run_hooked(net, given, counted, called)
    return found


def run_hooked(net: nn.Module, given: Iterable[Tensor], modules: Iterable[nn.Module], called: Called) -> None:
    """Run a network once, without gradients; `called` gets each of the modules, what it was given and what it gave."""
    handles = [module.register_forward_hook(called) for module in modules]
    try:
        with torch.no_grad():
            net(*given)
    finally:
        for handle in handles:
            handle.remove()
