"""What a layer computes, written out: its linear product, its nonlinearity, its sums, and where its slope is flat.

Enters: a layer of PyTorch with the tensors that went in and came out. Leaves: a `Formula`. A layer is known by its
`forward`, so a subclass that overrides it is not taken for what it was.

FLOPs are of the forward pass. A multiply-add counts 2, so y[N, K] = x[N, I] W[I, K] + b[K] counts 2 N I K, its bias
included. Of recurrent layers and attention the products are counted alone; norms count 4 an element (centre, divide,
weigh, shift), activations and pooled values 1. What only moves values counts 0.

    >>> layer, x = nn.Linear(784, 256), torch.zeros(64, 784)
    >>> found = formula(layer, [x], [layer(x)])
    >>> found.product, found.flops
    ('y[64, 256] = x[64, 784] W[784, 256] + b[256]', 25690112)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import batchnorm, instancenorm

SATURATED = 0.01  # share of its steepest slope under which a tanh or a sigmoid hands back next to no gradient


@dataclass(frozen=True, kw_only=True)
class Formula:
    """What one module computes: its arithmetic, and where its nonlinearity is flat."""

    flops: int | None = None  # None: not known
    product: str = ""
    nonlinearity: str = ""
    axis: int | None = None  # of the output's units; None: the same as of the layer before
    flat: Tensor | None = None  # bool, in the output's shape: where no gradient, or next to none, is handed back
    slope: str = "zero"  # what an output is where it is flat


Write = Callable[[Any, list[Tensor], list[Tensor]], Formula]


def known(module: nn.Module) -> bool:
    """Whether it is a layer of PyTorch whose formula is written below."""
    return type(module).forward in FORMULAS


def formula(module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> Formula:
    """The formula of a layer that read `inputs` and gave `outputs`; an empty one where it is not known."""
    if not known(module) or not inputs or not outputs:
        return Formula()
    return FORMULAS[type(module).forward](module, inputs, outputs)


def sized(name: str, shape: torch.Size | tuple[int, ...] | list[int]) -> str:
    """A tensor by its letter and shape, such as x[64, 784]."""
    return f"{name}{list(shape)}"


def _linear(layer: nn.Linear, x: list[Tensor], y: list[Tensor]) -> Formula:
    weight = (layer.in_features, layer.out_features)
    bias = "" if layer.bias is None else f" + {sized('b', weight[1:])}"
    return Formula(
        flops=2 * y[0].numel() * layer.in_features,
        product=f"{sized('y', y[0].shape)} = {sized('x', x[0].shape)} {sized('W', weight)}{bias}",
        axis=-1,
    )


def _conv(layer: Any, x: list[Tensor], y: list[Tensor]) -> Formula:
    """Each output of a convolution sums over a window of inputs; each input of a transposed one feeds a window."""
    shape, transposed = layer.weight.shape, layer.transposed
    window = math.prod(shape[1:])
    bias = "" if layer.bias is None else f" + {sized('b', layer.bias.shape)}"
    steps = [("stride", layer.stride, 1), ("padding", layer.padding, 0), ("dilation", layer.dilation, 1)]
    how = [f"{word} {_one(value)}" for word, value, usual in steps if _one(value) != str(usual)]
    how += [f"{layer.groups} groups"] * (layer.groups > 1)
    sign = "*ᵀ" if transposed else "*"
    return Formula(
        flops=2 * (x[0] if transposed else y[0]).numel() * window,
        product=f"{sized('y', y[0].shape)} = {sized('x', x[0].shape)} {sign} {sized('W', shape)}{bias}"
        + (f"; {', '.join(how)}" if how else ""),
        axis=-layer.weight.ndim + 1,
    )


def _one(value: object) -> str:
    """A setting for each axis as one number, where all are the same."""
    if not isinstance(value, tuple):
        return str(value)
    return str(value[0]) if len(set(value)) == 1 else "x".join(map(str, value))


GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
CELLS = {
    "LSTM": "LSTM: c = σ(f) c + σ(i) tanh(g), h = σ(o) tanh(c)",
    "GRU": "GRU: h = (1 - σ(z)) tanh(n) + σ(z) h",
    "RNN_TANH": "RNN: h = tanh(gates)",
    "RNN_RELU": "RNN: h = max(gates, 0)",
}


def _recurrent(layer: Any, x: list[Tensor], y: list[Tensor]) -> Formula:
    """One product with the input and one with the last state, at every step, layer and direction."""
    hidden, state, ways = layer.hidden_size, layer.proj_size or layer.hidden_size, 1 + layer.bidirectional
    gates = GATES[layer.mode] * hidden
    read = [layer.input_size] + [state * ways] * (layer.num_layers - 1)
    a_step = sum(2 * ways * (gates * (size + state) + layer.proj_size * hidden) for size in read)
    places = list(x[0].shape[:-1])
    bias = f" + {sized('b', [gates])}" if layer.bias else ""
    more = [f"{layer.num_layers} layers"] * (layer.num_layers > 1) + ["both ways"] * (ways > 1)
    return Formula(
        flops=a_step * math.prod(places),
        product=f"{sized('gates', [*places, gates])} = {sized('x', x[0].shape)} {sized('W', [read[0], gates])} + "
        f"{sized('h', [*places, state])} {sized('U', [state, gates])}{bias}" + (f"; {', '.join(more)}" if more else ""),
        nonlinearity=CELLS[layer.mode],
        axis=-1,
    )


def _attention(layer: nn.MultiheadAttention, x: list[Tensor], y: list[Tensor]) -> Formula:
    """Projections of queries, keys and values, two products for each pair of places, and one projection out."""
    query, key, value = (x * 3)[:3] if len(x) < 3 else x[:3]
    wide, size = layer.embed_dim, layer.head_dim
    time = 0 if query.ndim == 2 else int(layer.batch_first)
    asked, seen = query.numel() // wide, key.shape[time]
    kept = key.numel() // key.shape[-1]
    flops = 2 * wide * (2 * asked * wide + kept * key.shape[-1] + kept * value.shape[-1]) + 4 * asked * seen * wide
    return Formula(
        flops=flops,
        product=f"{sized('y', y[0].shape)} = A V {sized('W', [wide, wide])}; Q, K, V = {sized('x', query.shape)} "
        f"{sized('W', [wide, 3 * wide])}; {layer.num_heads} heads of {size}",
        nonlinearity=f"attention: A = softmax(Q Kᵀ / √{size})",
        axis=-1,
    )


def _embedding(layer: nn.Embedding, x: list[Tensor], y: list[Tensor]) -> Formula:
    product = f"{sized('y', y[0].shape)} = rows of {sized('W', layer.weight.shape)} at {sized('x', x[0].shape)}"
    return Formula(flops=0, product=product, axis=-1)


def _bag(layer: nn.EmbeddingBag, x: list[Tensor], y: list[Tensor]) -> Formula:
    product = f"{sized('y', y[0].shape)} = {layer.mode} of rows of {sized('W', layer.weight.shape)}"
    return Formula(flops=x[0].numel() * layer.embedding_dim, product=product, axis=-1)


def _norm(over: str, axis: int | None, centred: bool = True) -> Write:
    def write(layer: Any, x: list[Tensor], y: list[Tensor]) -> Formula:
        weight, bias = getattr(layer, "weight", None) is not None, getattr(layer, "bias", None) is not None
        said = f"{'w ' * weight}{'(x - mean) / std' if centred else 'x / root mean square'}{' + b' * bias}"
        return Formula(flops=4 * y[0].numel(), nonlinearity=f"{type(layer).__name__}: {said}, {over}", axis=axis)

    return write


def _batch_norm(layer: Any, x: list[Tensor], y: list[Tensor]) -> Formula:
    seen = layer.training or layer.running_mean is None
    return _norm("over the batch" if seen else "by running mean and std", 1)(layer, x, y)


def _activation(words: str, flat: Callable[[Any, Tensor], Tensor] | None = None, slope: str = "zero") -> Write:
    def write(layer: Any, x: list[Tensor], y: list[Tensor]) -> Formula:
        return Formula(
            flops=y[0].numel(), nonlinearity=f"{type(layer).__name__}: {words.format(layer=layer)}",
            flat=None if flat is None else flat(layer, y[0]), slope=slope,
        )  # fmt: skip

    return write


def _moved(words: str = "", pooled: bool = False) -> Write:
    """Layers that pick, average or move values, and have no weights."""

    def write(layer: Any, x: list[Tensor], y: list[Tensor]) -> Formula:
        window = _one(getattr(layer, "kernel_size", ""))
        said = f"{type(layer).__name__}: {words.format(window=window)}" if words else ""
        return Formula(flops=x[0].numel() if pooled else 0, nonlinearity=said)

    return write


def _dropout(layer: Any, x: list[Tensor], y: list[Tensor]) -> Formula:
    said = f"zeroes a share of {layer.p:g}" if layer.training else "lets all through in eval mode"
    return Formula(flops=y[0].numel() if layer.training else 0, nonlinearity=f"{type(layer).__name__}: {said}")


FORMULAS: dict[Any, Write] = {
    nn.Linear.forward: _linear,
    nn.Conv1d.forward: _conv,
    nn.Conv2d.forward: _conv,
    nn.Conv3d.forward: _conv,
    nn.ConvTranspose1d.forward: _conv,
    nn.ConvTranspose2d.forward: _conv,
    nn.ConvTranspose3d.forward: _conv,
    nn.RNN.forward: _recurrent,
    nn.LSTM.forward: _recurrent,
    nn.GRU.forward: _recurrent,
    nn.MultiheadAttention.forward: _attention,
    nn.Embedding.forward: _embedding,
    nn.EmbeddingBag.forward: _bag,
    batchnorm._BatchNorm.forward: _batch_norm,
    instancenorm._InstanceNorm.forward: _norm("over each channel of a row", 1),
    nn.GroupNorm.forward: _norm("over groups of channels", 1),
    nn.LayerNorm.forward: _norm("over each row", None),
    nn.RMSNorm.forward: _norm("over each row", None, centred=False),
    nn.ReLU.forward: _activation("max(x, 0)", lambda _, y: y <= 0),
    nn.Hardtanh.forward: _activation(
        "min(max(x, {layer.min_val:g}), {layer.max_val:g})",
        lambda layer, y: (y <= layer.min_val) | (y >= layer.max_val),
        "at a bound",
    ),
    nn.Sigmoid.forward: _activation("1 / (1 + exp(-x))", lambda _, y: 4 * y * (1 - y) < SATURATED, "saturated"),
    nn.Tanh.forward: _activation("tanh(x)", lambda _, y: 1 - y * y < SATURATED, "saturated"),
    nn.LeakyReLU.forward: _activation("x if x > 0 else {layer.negative_slope:g} x"),
    nn.PReLU.forward: _activation("x if x > 0 else a x, a is learned"),
    nn.ELU.forward: _activation("x if x > 0 else {layer.alpha:g} (exp(x) - 1)"),
    nn.SELU.forward: _activation("1.0507 (x if x > 0 else 1.6733 (exp(x) - 1))"),
    nn.GELU.forward: _activation("x Φ(x), Φ the normal distribution"),
    nn.SiLU.forward: _activation("x / (1 + exp(-x))"),
    nn.Mish.forward: _activation("x tanh(log(1 + exp(x)))"),
    nn.Softplus.forward: _activation("log(1 + exp(x))"),
    nn.Softmax.forward: _activation("exp(x) / sum of exp(x)"),
    nn.LogSoftmax.forward: _activation("x - log(sum of exp(x))"),
    nn.MaxPool1d.forward: _moved("largest of {window} places", True),
    nn.MaxPool2d.forward: _moved("largest of {window} x {window} places", True),
    nn.AvgPool1d.forward: _moved("mean of {window} places", True),
    nn.AvgPool2d.forward: _moved("mean of {window} x {window} places", True),
    nn.AdaptiveAvgPool1d.forward: _moved("mean of equal parts", True),
    nn.AdaptiveAvgPool2d.forward: _moved("mean of equal parts", True),
    nn.AdaptiveMaxPool2d.forward: _moved("largest of equal parts", True),
    nn.Dropout.forward: _dropout,
    nn.Dropout1d.forward: _dropout,
    nn.Dropout2d.forward: _dropout,
    nn.AlphaDropout.forward: _dropout,
    nn.Flatten.forward: _moved(),
    nn.Unflatten.forward: _moved(),
    nn.Identity.forward: _moved(),
}
