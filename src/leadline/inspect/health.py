"""What layers at work say of their health: dead units, gradients that vanish or explode, values that are not finite.

Enters: the layers of one pass (`layer_stats.py`). Leaves: sentences, each with the layers, the rule and the remedy.
They hold no measured norms, so that the same fault has the same warning at every check of a training.
"""

from __future__ import annotations

import math

from leadline.inspect.layer_stats import Layer
from leadline.system.text import few

VANISHED = 1e-4  # share of the last layer's gradient under which that of another has vanished
EXPLODED = 1e3  # times the last layer's gradient, or the norm of the weights themselves
DEAD = 0.2  # share of dead units that is reported: before training, an eighth may be alive on other rows only
SEEN = 64  # values of each unit below which dead ones are not reported: a few zeros in a row are chance


def warnings_of(layers: list[Layer]) -> list[str]:
    """What is wrong with the layers, a sentence each: which, by what rule, and the remedy.

    - not finite: the first output, or if all are finite the last layer (the first on the way back), that holds NaN or
      infinity; no other warning follows then.
    - dead units: a fifth of a layer's units or more, each looked at on 64 values (rows and places) or more.
    - no gradient: it is exactly zero by a layer's weights, but not by every layer's.
    - vanishing: the gradient by the output of a layer with weights is under 1e-4 of that by the last layer's output.
    - exploding: it is over 1,000 times that of the last layer, or the gradient by the weights is over 1,000 times
      their norm, which counts as 1 at least.
    """
    spoiled = [layer for layer in layers if not math.isfinite(layer.largest) and layer.output and 0 not in layer.output]
    if spoiled:
        return [
            f"The output of {spoiled[0]} holds values that are not finite; look at its inputs and weights, and lower "
            "the learning rate."
        ]
    spoiled = [layer for layer in layers if not layer.finite]
    if spoiled:
        return [
            f"The gradient at {spoiled[-1]} is not finite; clip it, lower the learning rate, or fix its backward pass."
        ]
    found = [_dead(layer) for layer in layers if layer.units and _many(layer)]
    found += _stopped(layers)
    last = next((layer.gradient for layer in reversed(layers) if layer.gradient), math.inf)
    faint = [layer for layer in layers if layer.weight_gradient and 0 < (layer.gradient or 0) < VANISHED * last]
    if faint:
        found.append(
            f"The gradient vanishes at {_names(faint)}: by the output there it is under {VANISHED:g} of what it is at "
            "the last layer; use ReLU for sigmoid or tanh, normalise between the layers, or add shortcuts."
        )
    loud = [layer for layer in layers if (layer.gradient or 0) > EXPLODED * last or _steep(layer)]
    if loud:
        found.append(
            f"The gradient explodes at {_names(loud)}; clip it, scale the targets, or make the first weights smaller."
        )
    return list(dict.fromkeys(found))


def _stopped(layers: list[Layer]) -> list[str]:
    trained = [layer for layer in layers if layer.weight_gradient is not None]
    none = [layer for layer in trained if layer.weight_gradient == 0]
    if not none or len(none) == len(trained):
        return []
    return [
        f"No gradient at all reaches the weights of {_names(none)}; look for dead units or weights of zero between "
        "there and the loss."
    ]


def _steep(layer: Layer) -> bool:
    if not layer.weight_gradient or not layer.ratio:
        return False
    return layer.weight_gradient > EXPLODED * max(layer.weight_gradient / layer.ratio, 1.0)


def _many(layer: Layer) -> bool:
    return math.prod(layer.output) >= SEEN * layer.units and len(layer.dead) >= max(1, DEAD * layer.units)


def _dead(layer: Layer) -> str:
    count = "All" if len(layer.dead) == layer.units else str(len(layer.dead))
    remedy = {
        "zero": "lower the learning rate, normalise before it, or use LeakyReLU",
        "saturated": "make its inputs smaller, normalise before it, or use ReLU",
    }.get(layer.slope, "normalise before it, or widen its bounds")
    rows = f"all {layer.output[0]} rows"
    return (
        f"{count} of {layer.units} units of {layer} are {layer.slope} on {rows} and learn nothing from them; {remedy}."
    )


def _names(layers: list[Layer]) -> str:
    """Up to three layers by name, and how many more; one that was called twice is one."""
    return few(list(dict.fromkeys(map(str, layers))))
