"""Networks of pictures of the packages `transformers` and `timm`, as modules that give pooled states. Imports PyTorch.

Enters: a network. Leaves: a module from pictures float32 [N, 3, height, width] to {name of a layer: [N, width]}: means
over the places of the states at four depths, and what the network itself says of the whole picture.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from leadline.kinds.body_folder import FolderError
from leadline.kinds.depths import quarters
from leadline.kinds.image.module_body import noise
from leadline.kinds.image.pixels import Sides

CLASS = ("cls_token", "class_token", "class_embedding")  # what the first token of a picture is called
POOLED, TOKEN, LAST = "pooled", "class token", "last states"
TOKENS, MAPS = 3, 4  # axes of states [N, places, width], and [N, width, height, width]


class HiddenStates(nn.Module):
    """Of a network of `transformers`: what it pools, else its class token, else the mean of its last states."""

    def __init__(self, tower: nn.Module, sides: Sides) -> None:
        super().__init__()
        self.tower = tower
        with torch.no_grad():
            said = self._said(torch.from_numpy(noise(sides)[:1]))
        hidden = said.get("hidden_states") or ()
        chosen = quarters(len(hidden) - 1)
        if not chosen or any(hidden[number].ndim not in (TOKENS, MAPS) for number in chosen):
            raise FolderError("holds a network of pictures that gives no hidden states.")
        square = sides[0] == sides[1]
        self.places = {number: _places(hidden[number], square) for number in chosen}
        self.fixed = any(hidden[number].ndim == TOKENS for number in chosen)  # positions are numbered
        self.whole = self._of_the_whole(said)
        self.last_places = _places(said.last_hidden_state, square) if self.whole == LAST else ()
        self.made = self._states(said)

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        return self._states(self._said(pixels))

    def _said(self, pixels: Tensor) -> Any:
        return self.tower(pixel_values=pixels, output_hidden_states=True, return_dict=True)

    def _states(self, said: Any) -> dict[str, Tensor]:
        means = {f"block {number}": said.hidden_states[number].mean(axes) for number, axes in self.places.items()}
        if self.whole == POOLED:
            return {**means, POOLED: said.pooler_output.flatten(1)}
        last = said.last_hidden_state
        return {**means, self.whole: last[:, 0] if self.whole == TOKEN else last.mean(self.last_places)}

    def _of_the_whole(self, said: Any) -> str:
        """How it says the whole picture. A pooler that no file has weights of is none."""
        pooled = said.get("pooler_output")
        if pooled is not None and bool(torch.isfinite(pooled).all()):
            return POOLED
        named = any(name.endswith(CLASS) for name, _ in self.tower.named_parameters())
        return TOKEN if named and said.last_hidden_state.ndim == TOKENS else LAST


class Intermediates(nn.Module):
    """Of a network of `timm`: what its classifier reads."""

    def __init__(self, net: Any, sides: Sides, fixed: bool) -> None:
        super().__init__()
        self.net = net
        self.fixed = fixed
        self.chosen: list[int] = []
        pixels = torch.from_numpy(noise(sides)[:1])
        with torch.no_grad():
            if hasattr(net, "forward_intermediates"):
                _, maps = self.net.forward_intermediates(pixels)
                self.chosen = [number - 1 for number in quarters(len(maps))]
            self.made = self.forward(pixels)

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        if not self.chosen:
            return {POOLED: self._whole(self.net.forward_features(pixels))}
        last, maps = self.net.forward_intermediates(pixels, indices=self.chosen)
        means = {
            f"block {number + 1}": each.mean(_places(each, False))
            for number, each in zip(self.chosen, maps, strict=True)
        }
        return {**means, POOLED: self._whole(last)}

    def _whole(self, last: Tensor) -> Tensor:
        pooled: Tensor = self.net.forward_head(last, pre_logits=True)
        return pooled.flatten(1)


States = HiddenStates | Intermediates


class Joined(nn.Module):
    """The states side by side: [N, sum of widths]."""

    def __init__(self, states: nn.Module) -> None:
        super().__init__()
        self.states = states

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.cat(list(self.states(pixels).values()), dim=1)


def _places(states: Tensor, square: bool) -> tuple[int, ...]:
    """The axes of places: of maps the last two, or of a square picture the first two where these are of one size."""
    if states.ndim == TOKENS:
        return (1,)
    return (1, 2) if square and states.shape[1] == states.shape[2] != states.shape[3] else (2, 3)
