"""How the deep contenders are optimised: rules (`train/optim.py`) with the rate of each at every share of the steps.

Enters: the parameters of a network. Leaves: a `Recipe`. A rate is a function of step / steps alone, so a run that plans
its steps again only stretches it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from leadline.train.optim import AdamRule, Filters, MuonRule, Rate, Rows, Rule, Scheduled, SGDRule

WARMUP = 0.1  # share of the steps over which rates rise
TUNED_DECAY = 0.01


class Recipe(Scheduled):
    """Rules, each with its rate, that clear the gradients."""

    def step(self, done: float, share: float = 1.0) -> None:
        super().step(done, share)
        for rule, _ in self._rules:
            for p in rule.parameters:
                p.grad = None

    def tail(self, share: float) -> Recipe:
        """The last `share` of the schedule, as a schedule of its own: for weights that have learned already."""

        def late(rate: Rate) -> Rate:
            return lambda done: rate(1 - share * (1 - done))

        return Recipe([(rule, late(rate)) for rule, rate in self._rules])


def adam(module: nn.Module, peak: float, decay: float, warmup: float = 0.05) -> Recipe:
    """AdamW, warmed up, then falling along a cosine to zero. Only matrices decay."""
    trained: list[Tensor] = [p for p in module.parameters() if p.requires_grad]

    def rate(done: float) -> float:
        return peak * min(1.0, (done + 1e-4) / warmup) * 0.5 * (1 + math.cos(math.pi * done))

    def moments(parameters: list[Tensor], weight_decay: float) -> AdamRule:
        return AdamRule(parameters, 0.9, 0.999, 1e-8, weight_decay, decoupled=True)

    matrices, others = [p for p in trained if p.ndim >= 2], [p for p in trained if p.ndim < 2]
    return Recipe([(moments(matrices, decay), rate), (moments(others, 0.0), rate)])


def layerwise(layers: Sequence[Sequence[Tensor]], head: nn.Module, peak: float, fall: float, of_head: float) -> Recipe:
    """AdamW for a network that begins from learned weights: a layer learns `fall` times as fast as the one after it.

    Howard & Ruder 2018, 'Universal Language Model Fine-tuning for Text Classification'. Rates rise over the first
    `WARMUP`, and fall linearly to zero.

    Args:
        layers: weights of each layer that is trained, from input to output.
        peak: the rate of the last of them.
        of_head: the rate of what follows them.
    """
    rules: list[tuple[Rule, Rate]] = []
    rates = [peak * fall**above for above in reversed(range(len(layers)))]
    for weights, highest in zip([*layers, list(head.parameters())], [*rates, of_head], strict=True):

        def rate(done: float, highest: float = highest) -> float:
            return highest * min(1.0, (done + 1e-4) / WARMUP) * min(1.0, (1 - done) / (1 - WARMUP))

        matrices, others = [p for p in weights if p.ndim >= 2], [p for p in weights if p.ndim < 2]
        rules += [
            (AdamRule(each, 0.9, 0.98, 1e-6, decay, decoupled=True), rate)
            for each, decay in ((matrices, TUNED_DECAY), (others, 0.0))
        ]
    return Recipe(rules)


FILTER_RATE, FILTER_MOMENTUM = 0.12, 0.6
NORM_RATE, HEAD_RATE, SGD_MOMENTUM, SGD_DECAY = 3.0, 2.0, 0.85, 5e-4
MATRIX_RATE, MATRIX_DECAY = 3e-3, 1e-2


def convolutional(module: nn.Module, head: nn.Module, scale: float = 1.0) -> Recipe:
    """Muon for filters, Nesterov SGD for biases and a linear head; rates fall linearly to zero.

    Matrices elsewhere (recurrence, a trunk, embeddings) move by Adam, and so does the head behind them. `scale`
    multiplies the rates of SGD: a squared loss needs far smaller ones than cross-entropy.
    """
    trained: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
    in_head = {id(p) for p in head.parameters()}
    filters = [p for p in trained if p.ndim == 4]
    matrices = [p for p in trained if p.ndim in (2, 3) and id(p) not in in_head]
    last = [p for p in trained if id(p) in in_head]
    biases = [p for p in trained if p.ndim < 2 and id(p) not in in_head]
    if matrices:  # their biases are not those of a norm: SGD's rate would be far too large
        normed = {id(p) for m in module.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
        matrices += last + [p for p in biases if id(p) not in normed]
        biases, last = [p for p in biases if id(p) in normed], []

    def warm(peak: float) -> Rate:
        return lambda done: peak * (1 - done) * min(1.0, (done + 1e-4) / WARMUP)

    return Recipe([
        (Filters(filters, FILTER_MOMENTUM), lambda done: FILTER_RATE * (1 - done)),
        (SGDW(biases, SGD_MOMENTUM, SGD_DECAY), warm(scale * NORM_RATE)),
        (SGDW(last, SGD_MOMENTUM, SGD_DECAY), warm(scale * HEAD_RATE)),
        (AdamRule(matrices, 0.9, 0.99, 1e-8, MATRIX_DECAY, decoupled=True), warm(MATRIX_RATE)),
    ])  # fmt: skip


class SGDW(SGDRule):
    """Nesterov SGD whose decay is apart from the gradient."""

    def __init__(self, parameters: Iterable[Tensor], momentum: float, decay: float) -> None:
        super().__init__(parameters, momentum, nesterov=True)
        self._decoupled = decay

    def __call__(self, rate: float) -> None:
        torch._foreach_mul_(self.parameters, 1.0 - rate * self._decoupled)
        super().__call__(rate)


HIDDEN_RATE, HIDDEN_MOMENTUM, HIDDEN_DECAY = 0.02, 0.95, 0.02
TABLE_RATE, TABLE_BETA = 3e-3, 0.99
OTHER_RATE = 3e-3
RISING, COOLING = 0.02, 0.6


def transformer(hidden: Iterable[Tensor], tables: Iterable[Tensor], others: Iterable[Tensor]) -> Recipe:
    """Muon for the matrices of the blocks, Adam for the rest, row by row for tables with sparse gradients.

    Rates rise over the first fiftieth and fall linearly over the last `COOLING`.
    """

    def rate(peak: float) -> Rate:
        return lambda done: peak * min(1.0, (done + 1e-3) / RISING) * min(1.0, (1 - done) / COOLING)

    return Recipe([
        (MuonRule(hidden, HIDDEN_MOMENTUM, HIDDEN_DECAY), rate(HIDDEN_RATE)),
        (Rows(tables, TABLE_BETA), rate(TABLE_RATE)),
        (AdamRule(others, 0.9, 0.95, 1e-8, 0.0, decoupled=True), rate(OTHER_RATE)),
    ])  # fmt: skip
