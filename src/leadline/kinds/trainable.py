"""A network of another package as a body that is trained further, whatever its architecture. Imports PyTorch.

Enters: the module from which its graph is written, and how stored rows become what it reads (`Reading`). Leaves: a
`TrainableBody`. N: rows; T: places of the longest of them; W: width of a hidden state.

Its layers are found by running it: of the modules beside each other that are of one class and called once each, those
with the most weights. `lower` runs the module up to a layer, and takes what that layer is given. `upper` runs it with
the layers before that one left out, and gives that layer what was kept: masks, positions and all else that it gets are
the module's own. Where that is not what the whole module says, as where the first layer says something to all others
(T5, WavLM), no states are kept, and all layers are trained from the first step on.

Trained are the layers and what follows them; what comes before stays as it is, and so do embeddings. Of the noise that
a module makes while it is trained its dropout is used: no layer is left out by chance, no statistic of a batch is read.
"""

from __future__ import annotations

import copy
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from leadline.core.pretrained import Precision, Rates
from leadline.graph.builder import last_columns
from leadline.graph.new_weights import with_weights
from leadline.graph.torch_export import export
from leadline.kinds.low_rank import LOW_RANK_RATES, MOST_TRAINED, LowRank, said_of
from leadline.kinds.operations import is_dense, is_transposed, operations, run_hooked
from leadline.system.errors import LeadlineError
from leadline.system.resources import give_back

if TYPE_CHECKING:
    import onnx

    from leadline.core.tensors import Block

CLOSE = 1e-4  # of the largest state, by which two ways to compute it may differ: sums run in another order
ROOM = 2e9  # bytes that a step may keep for its gradients
RATES = Rates(upper=(2e-4, 0.9, 1e-3), layers=(1e-4, 0.85, 5e-4), passes=12)  # of pictures and sounds
LEARNED = 3  # times the work of what learns in a step: once forwards, twice backwards

Given = tuple[Tensor, ...]  # what the module is called with


class Reading(Protocol):
    """How stored rows become what a network reads."""

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        """As `TrainableBody` has it."""

    def steps(self, lengths: np.ndarray) -> np.ndarray | None:
        """Places of the hidden states of rows of these lengths, int64 [N]; None: all rows are of one shape."""

    def parts(self, rows: Tensor, alone: bool) -> list[Given]:
        """All rows at once, or one after the other: `alone`, or where the network cannot read several."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A network in a folder."""

    name: str
    module: Callable[[], nn.Module]  # a new one, which gives pooled states, those of the last layers at the end
    width: int  # of the states that are read
    reading: Reading
    rates: Rates
    rows: np.ndarray  # stored rows by which it is tried, of unequal lengths where rows may be
    graph: Callable[[], onnx.ModelProto]  # of the module with the weights of the folder
    samples: Mapping[str, np.ndarray]  # what the module reads, by which it can be written again
    unequal: Collection[str]
    body: Callable[[onnx.ModelProto, Block, Precision, np.ndarray], onnx.ModelProto]  # a graph of it -> one of the body


_MADE: dict[str, TrainableNetwork] = {}


def trainable(key: str, source: Callable[[], Source]) -> TrainableNetwork:
    """A body with the weights of its folder: of the last key a process keeps it, as packages take seconds to read it.

    Args:
        key: of what is in the folder, and of the block that it reads.
    """
    if key not in _MADE:
        _MADE.clear()
        with torch.random.fork_rng(devices=[]):
            _MADE[key] = TrainableNetwork(source())
        give_back()
    return _MADE[key].again()


class _Caught(Exception):  # noqa: N818 - it ends no run
    """A layer was given these hidden states."""

    def __init__(self, hidden: Tensor) -> None:
        self.hidden = hidden


class TrainableNetwork(nn.Module):
    """`TrainableBody` of any module. Of unlike scales, its states are read standardised."""

    standardised = True
    room: int | None

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source, self.reading, self.width = source, source.reading, source.width
        self._transposed: set[str] = set()  # dense layers whose matrix is [inputs, outputs]
        self.states = source.module().eval()
        named = list(self.states.named_parameters())
        self._before = {name: weight.detach() for name, weight in named}
        size, held = sum(weight.numel() for _, weight in named), {id(weight): weight.detach() for _, weight in named}
        for module in self.states.modules():
            for weight in module.parameters(recurse=False):
                weight.requires_grad_(weight.is_floating_point() and not isinstance(module, nn.Embedding))
        rows, self.alone = torch.from_numpy(source.rows), True
        expected = self._answered(rows, 0)
        self.alone = False
        self.alone = not self._says(rows, 0, expected)
        self._names, self._sizes = _layers(self.states, self.reading.parts(rows, self.alone)[0])
        self.depth = max(1, len(self._names))
        self.cut, self._shape = self.depth // 2, self._shape_at(self.depth // 2, rows)
        if not self._says(rows, self.cut, expected):
            self.cut = 0
        self._weights = self._learning(rows)
        self._shares, self.room = self._work(rows), self._room(rows)
        low_rank = size > MOST_TRAINED and self._narrowed()
        self.rates, self.said = (LOW_RANK_RATES, said_of(size)) if low_rank else (source.rates, "")
        self._freeze(held)

    def again(self) -> TrainableNetwork:
        """Another one as it was at first. What is not trained is the same tensor in both."""
        plain = [value for module in self.states.modules() for value in vars(module).values()]
        same = [self.source, self.reading, *self._before.values(), *(x for x in plain if isinstance(x, Tensor))]
        made = copy.deepcopy(self, {id(each): each for each in same})
        for module in made.modules():
            if isinstance(module, LowRank):
                module.begin()
        return made

    def train(self, mode: bool = True) -> TrainableNetwork:
        super().train(False)
        for module in (self, *(part for part in self.modules() if isinstance(part, nn.Dropout))):
            module.training = mode
        return self

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        return self.reading.lengths(rows)

    def hidden(self, lengths: np.ndarray, cut: int) -> tuple[np.ndarray, int]:
        steps = self.reading.steps(lengths) if cut else None
        if steps is None:
            return np.ones(len(lengths), np.int64), math.prod(self._shape) if cut else 1
        return steps, self._shape[-1]

    def share(self, cut: int) -> float:
        return self._shares[cut]

    def lower(self, rows: Tensor, cut: int) -> Tensor:
        if not cut:  # nothing is kept: `upper` reads the rows themselves
            return torch.zeros(len(rows), 1, 1)
        found = [self._caught(given, cut) for given in self.reading.parts(rows, self.alone)]
        if self.reading.steps(self.lengths(rows.numpy())) is None:
            return torch.cat(found).flatten(1)[:, None]
        return nn.utils.rnn.pad_sequence([each for part in found for each in part], batch_first=True)

    def upper(self, hidden: Tensor, rows: Tensor, cut: int) -> Tensor:
        parts, made = self.reading.parts(rows, self.alone), []
        kept: list[Tensor | None] = [None] * len(parts)
        if cut:
            steps = self.reading.steps(self.lengths(rows.numpy()))
            if steps is None:
                kept = [hidden.reshape(-1, *self._shape)]
            elif len(parts) > 1:
                kept = [each[None, :own] for each, own in zip(hidden, steps, strict=True)]
            else:
                kept = [hidden]
        for given, held in zip(parts, kept, strict=True):
            with self._left_out(cut, held):
                made.append(self.states(*given)[:, -self.width :].float())
        return torch.cat(made)

    def layer(self, number: int) -> list[nn.Parameter]:
        return self._weights[number]

    def graph(self, block: Block, precision: Precision, calibration: np.ndarray) -> onnx.ModelProto:
        before = {name: weight.numpy() for name, weight in self._before.items()}
        now = before | {name: weight.detach().numpy() for name, weight in self._now().items()}
        network = with_weights(self.source.graph(), ((before[name], weight) for name, weight in now.items()))
        if network is None:  # its exporter has computed something from them
            module = self.source.module()
            for name, weight in module.named_parameters():
                weight.data = torch.from_numpy(now[name])
            network = export(module, self.source.samples, self.source.unequal)
        return last_columns(self.source.body(network, block, precision, calibration), self.width)

    def _now(self) -> dict[str, Tensor]:
        """What learns, by its names in the package's module."""
        now: dict[str, Tensor] = {name: each for name, each in self.states.named_parameters() if name in self._before}
        for name, module in self.states.named_modules():
            if isinstance(module, LowRank):
                now[f"{name}.weight"] = module.weight.T if name in self._transposed else module.weight
        return now

    @property
    def _layers(self) -> list[nn.Module]:
        return [self.states.get_submodule(name) for name in self._names]

    def _answered(self, rows: Tensor, cut: int) -> Tensor:
        with torch.no_grad():
            return self.upper(self.lower(rows, cut), rows, cut)

    def _caught(self, given: Given, cut: int) -> Tensor:
        """What the layer after the cut is given."""

        def catch(module: nn.Module, args: Any, kwargs: Any) -> None:
            raise _Caught(_first(args, kwargs))

        handle = self._layers[cut].register_forward_pre_hook(catch, with_kwargs=True)
        try:
            self.states(*given)
        except _Caught as caught:
            return caught.hidden
        finally:
            handle.remove()
        raise AssertionError("this layer is called")

    @contextmanager
    def _left_out(self, cut: int, hidden: Tensor | None) -> Iterator[None]:
        """Inside, layers before the cut give what they are given, and the one after it is given `hidden`, if any."""
        if hidden is None:
            yield
            return

        def put(module: nn.Module, args: Any, kwargs: Any) -> Any:
            return _with_first(args, kwargs, hidden)

        layers = self._layers
        handle = layers[cut].register_forward_pre_hook(put, with_kwargs=True)
        for layer, size in zip(layers[:cut], self._sizes, strict=False):
            layer.forward = _passing(size)
        try:
            yield
        finally:
            handle.remove()
            for layer in layers[:cut]:
                del layer.forward

    def _shape_at(self, cut: int, rows: Tensor) -> tuple[int, ...]:
        """Of the hidden states of a row."""
        if not cut:
            return ()
        with torch.no_grad():
            return tuple(self._caught(self.reading.parts(rows, self.alone)[0], cut).shape[1:])

    def _says(self, rows: Tensor, cut: int, expected: Tensor) -> bool:
        """Whether rows together, by the layers after a cut on hidden states as they are kept, say what is expected."""
        steps, width = self.hidden(self.lengths(rows.numpy()), cut)
        try:
            with torch.no_grad():
                hidden = self.lower(rows, cut)
                kept = hidden.shape == (len(rows), steps.max(), width) and bool(hidden.half().isfinite().all())
                return kept and _close(self.upper(hidden, rows, cut), expected)
        except Exception:  # a package's own, of any type: what a layer is given or gives is not what its kin has
            return False

    def _learning(self, rows: Tensor) -> list[list[nn.Parameter]]:
        """The weights of each layer that its states depend on; the last one has those of what follows it too.

        No other weight learns from here on.
        """
        given = self.reading.parts(rows, self.alone)[0]
        with torch.no_grad():
            hidden = self._caught(given, 0) if self._names else None
        with self._left_out(0, hidden):  # what comes before the layers has no gradient then
            self.states(*given)[:, -self.width :].square().sum().backward()
        found: list[list[nn.Parameter]] = [[] for _ in range(self.depth)]
        known: set[int] = set()
        for number, part in [*enumerate(self._layers), (self.depth - 1, self.states)]:
            for weight in part.parameters():
                if id(weight) not in known and weight.grad is not None:
                    found[number].append(weight)
                known.add(id(weight))
        learned = {id(weight) for each in found for weight in each}
        for weight in self.states.parameters():
            weight.grad = None
            weight.requires_grad_(id(weight) in learned)
        if not learned:
            raise LeadlineError(
                f"The network of {self.source.name} cannot be trained further: no weight has a gradient."
            )
        return found

    def _work(self, rows: Tensor) -> list[float]:
        """Shares of the work of a step that are left where so many layers are left out, up to the cut."""
        work = operations(self.states, *self.reading.parts(rows, self.alone)[0])
        learned = {id(weight) for each in self._weights for weight in each}
        costs = {module: each * (LEARNED if id(module.weight) in learned else 1) for module, each in work.items()}
        shares = [1.0]
        for layer in self._layers[: self.cut]:
            inside = sum(costs.get(module, 0) for module in layer.modules())
            shares.append(shares[-1] - inside / max(1, sum(costs.values())))
        return shares

    def _room(self, rows: Tensor) -> int:
        """Places of rows for whose gradients there is memory."""
        own, kept = {weight.untyped_storage().data_ptr() for weight in self.states.parameters()}, 0

        def keep(held: Tensor) -> Tensor:
            nonlocal kept
            kept += held.numel() * held.element_size() * (held.untyped_storage().data_ptr() not in own)
            return held

        with saved_tensors_hooks(keep, lambda held: held):
            self.upper(self.lower(rows, 0), rows, 0)
        return int(ROOM * self.lengths(rows.numpy()).sum() / max(1, kept))

    def _narrowed(self) -> bool:
        """Put matrices of a low rank beside those of the layers, which alone learn then. False: there are no such."""
        learned = {id(weight) for each in self._weights for weight in each}
        weights: list[list[nn.Parameter]] = [[] for _ in range(self.depth)]
        for number, layer in enumerate(self._names or [""]):
            for name, module in [*self.states.get_submodule(layer).named_modules(prefix=layer)]:
                if not is_dense(module) or id(module.weight) not in learned:
                    continue
                weight, across = self._before[f"{name}.weight"], is_transposed(module)
                made = LowRank(weight.T if across else weight, self._before.get(f"{name}.bias"))
                parent, _, key = name.rpartition(".")
                setattr(self.states.get_submodule(parent), key, made)
                self._transposed |= {name} if across else set()
                weights[number] += made.parameters()
        if not any(weights):
            return False
        self._weights = weights
        return True

    def _freeze(self, held: Mapping[int, Tensor]) -> None:
        """What does not learn becomes a plain tensor: no optimizer, checkpoint or copy of the best weights has it.

        Args:
            held: {identity of a weight: its values}.
        """
        learned = {id(weight) for each in self._weights for weight in each}
        for module in self.states.modules():
            for name, weight in [*module.named_parameters(recurse=False)]:
                if id(weight) not in learned:
                    delattr(module, name)
                    setattr(module, name, held[id(weight)])
            module._non_persistent_buffers_set |= {name for name, _ in module.named_buffers(recurse=False)}


def _layers(states: nn.Module, given: Given) -> tuple[list[str], list[int | None]]:
    """Names of the layers in the order in which they are called; and how many things each gives, None: one tensor."""
    order: list[nn.Module] = []
    sizes: dict[nn.Module, int | None] = {}

    def called(module: nn.Module, args: Any, made: Any) -> None:
        order.append(module)
        sizes[module] = len(made) if isinstance(made, tuple) else None

    run_hooked(states, given, states.modules(), called)
    times, place = Counter(order), {module: number for number, module in enumerate(order)}
    groups: list[list[tuple[str, nn.Module]]] = [[]]
    for name, parent in states.named_modules():
        alike: defaultdict[type, list[tuple[str, nn.Module]]] = defaultdict(list)
        for key, child in parent.named_children():
            if times[child] == 1:
                alike[type(child)].append((f"{name}.{key}" if name else key, child))
        groups += [group for group in alike.values() if len(group) > 1]

    def size(group: list[tuple[str, nn.Module]]) -> int:
        """Weights that can learn."""
        return sum(each.numel() for _, part in group for each in part.parameters() if each.requires_grad)

    most = max(groups, key=size)
    found = sorted(most, key=lambda each: place[each[1]])
    return [name for name, _ in found], [sizes[module] for _, module in found]


def _passing(size: int | None) -> Callable[..., Any]:
    """What gives what it is given, as a layer does that gives so many things."""

    def passed(*args: Any, **kwargs: Any) -> Any:
        hidden = _first(args, kwargs)
        return hidden if size is None else (hidden, *[None] * (size - 1))

    return passed


def _first(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """The first tensor that a layer is given: its hidden states."""
    return next(each for each in (*args, *kwargs.values()) if isinstance(each, Tensor))


def _with_first(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], hidden: Tensor
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The same with these hidden states."""
    before = _first(args, kwargs)
    changed = [hidden if each is before else each for each in (*args, *kwargs.values())]
    return tuple(changed[: len(args)]), dict(zip(kwargs, changed[len(args) :], strict=True))


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool((one - other).abs().max() <= CLOSE * (1 + other.abs().max()))
