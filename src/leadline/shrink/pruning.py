"""A narrower network cut out of a wide one: the channels that matter least to its loss are left out.

Enters: the bodies that a run keeps of a convolutional network (network.npz), and the teacher's answers. Leaves: weights
for the same architecture with fewer channels, from which a student begins. How much a channel matters is the square of
what the loss would change without it, to first order: the sum of its values times their gradients (Molchanov et al.
2019, 'Importance Estimation for Neural Network Pruning'), a mean over train rows. Behind fewer channels the statistics
of norms are taken again, and the head is fitted to the teacher's raw answers by least squares. Shapes: N rows,
C channels, D features before the head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from leadline.contenders.bodies import build, gathered
from leadline.contenders.earlier_network import EarlierNetwork, take
from leadline.core.contender import Clock, Data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from leadline.core.kind import Body
    from leadline.core.tensors import Tensors

__all__ = ["Wide", "cut", "wide"]

ROWS, A_BATCH = 1_024, 256  # train rows that say what matters, and how many of them at once
RIDGE = 1e-3  # of the mean square of a feature, in least squares
AGREE = 0.9  # share of the variance of the teacher's raw answers that the network of the run has to explain


class Wide:
    """The network of a run, with its weights, and rows that it is cut by.

    Args:
        width: its channels, as an architecture counts them.
        raw: the model's answers to them before its activation [N, outputs].
        loss: of outputs for some of the rows, by their places.
    """

    def __init__(
        self, net: nn.Module, width: int, inputs: Sequence[Tensor], raw: Tensor, loss: Callable[[Tensor, slice], Tensor]
    ) -> None:
        self.width = width
        self.net, self.inputs, self.raw, self.loss = net, inputs, raw, loss
        self.importance: list[Tensor] = []  # of each channel [C] of each convolution
        self.narrower: dict[tuple[int, ...], dict[str, Tensor]] = {}  # by channels: the weights of what was cut out

    def batches(self) -> Iterator[tuple[slice, list[Tensor]]]:
        for start in range(0, len(self.raw), A_BATCH):
            part = slice(start, start + A_BATCH)
            yield part, [each[part] for each in self.inputs]


def wide(path: Path, store: Tensors, bodies: Mapping[str, Body], rows: np.ndarray, raw: np.ndarray) -> Wide | None:
    """The network that a run kept, with a head that answers as the run's model; None where they do not agree.

    Args:
        path: of network.npz.
        bodies: {tensor: body} that it has.
        rows: of the store; `raw` [n, outputs] as `Wide` has them.
    """
    earlier = EarlierNetwork.read(path)
    if earlier.trunk or len(bodies) != 1:
        return None
    with torch.random.fork_rng(devices=[]):  # all that it initialises is overwritten
        net = build(store, dict(bodies), raw.shape[1], earlier.width, ())
    inputs = gathered(store, list(bodies), rows)
    for body, values in zip(net.bodies, inputs, strict=True):
        body.prepare(values)
    taken = take(net, store, bodies, earlier)
    data = Data(store=store, clock=Clock(1.0), threads=1)
    labels = data.encoded(rows, data.scale())
    truth = torch.from_numpy(labels.astype(np.float32) if labels.dtype.kind == "f" else labels)

    def loss(out: Tensor, part: slice) -> Tensor:
        return store.task.loss(out, truth[part], 0.0, each=True).sum()

    found = Wide(net.eval(), earlier.width, inputs, torch.from_numpy(raw.astype(np.float32)), loss)
    if taken.parameters < taken.of or _fit_head(net, found) < AGREE:
        return None
    found.importance = _importance(found)
    return found


@torch.no_grad()
def _features(net: nn.Module, of: Wide) -> Tensor:
    """What the head reads [N, D]."""
    return torch.cat([net.bodies[0](*inputs) for _, inputs in of.batches()])  # type: ignore[index, operator]


@torch.no_grad()
def _fit_head(net: nn.Module, of: Wide) -> float:
    """Fit the head to the raw answers; the share of their variance that it explains."""
    x, y = _features(net, of).double(), of.raw.double()
    middle, mean = x.mean(0), y.mean(0)
    x, y = x - middle, y - mean
    product = x.T @ x
    product += RIDGE * product.diagonal().mean() * torch.eye(len(product), dtype=product.dtype)
    weight = torch.linalg.solve(product, x.T @ y)
    head: nn.Linear = net.head  # type: ignore[assignment]
    head.weight.copy_(weight.T)
    head.bias.copy_(mean - middle @ weight)
    return float(1 - ((y - x @ weight) ** 2).sum() / (y**2).sum().clamp_min(1e-12))


def _convolutions(net: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Convolutions in the order of the data, each with the norm that follows."""
    found: list[tuple[nn.Conv2d, nn.BatchNorm2d | None]] = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            found.append((module, None))
        elif isinstance(module, nn.BatchNorm2d):
            found[-1] = (found[-1][0], module)
    return found


def _importance(of: Wide) -> list[Tensor]:
    """Of each channel [C] of each convolution."""
    sites = [norm or conv for conv, norm in _convolutions(of.net)]
    seen: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: object, out: Tensor) -> Tensor:
        seen[module] = out if out.requires_grad else out.requires_grad_()
        return seen[module]

    hooks = [site.register_forward_hook(keep) for site in sites]
    sums = [torch.zeros(0) for _ in sites]
    for part, inputs in of.batches():
        loss = of.loss(of.net(*inputs), part)
        slopes = torch.autograd.grad(loss, [seen[site] for site in sites])
        for place, (site, slope) in enumerate(zip(sites, slopes, strict=True)):
            worth = (seen[site].detach() * slope).sum((2, 3)).square().sum(0)
            sums[place] = worth if not len(sums[place]) else sums[place] + worth
    for hook in hooks:
        hook.remove()
    return sums


def cut(of: Wide, net: nn.Module) -> None:
    """Set weights of the wide network into a narrower one of the same architecture, in place."""
    channels = tuple(conv.out_channels for conv, _ in _convolutions(net))
    if channels not in of.narrower:
        _cut(of, net)
        of.narrower[channels] = {name: held.clone() for name, held in net.state_dict().items()}
    net.load_state_dict(of.narrower[channels])


def _cut(of: Wide, net: nn.Module) -> None:
    """The channels that matter most, the statistics of norms behind them, and the head."""
    inner: Tensor | None = None  # channels that the convolution before has kept
    with torch.no_grad():
        for (full, norm), (thin, narrow), worth in zip(
            _convolutions(of.net), _convolutions(net), of.importance, strict=True
        ):
            kept = torch.sort(torch.topk(worth, thin.out_channels).indices).values
            weight = full.weight[kept]
            thin.weight.copy_(weight if inner is None else weight[:, inner])
            if thin.bias is not None and full.bias is not None:
                thin.bias.copy_(full.bias[kept])
            if narrow is not None and norm is not None:
                for name, held in narrow.state_dict().items():
                    if held.ndim:
                        held.copy_(norm.state_dict()[name][kept])
            inner = kept
        _settle(net, of)
    _fit_head(net.eval(), of)


def _settle(net: nn.Module, of: Wide) -> None:
    """Take the statistics of norms again, which are of maps that fewer channels have made."""
    norms = [norm for _, norm in _convolutions(net) if norm is not None]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a mean over all batches
    net.train()
    for _, inputs in of.batches():
        net(*inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
