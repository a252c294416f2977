"""Recurrent networks: an LSTM that predicts the next token as a step, and a bidirectional layer over unequal rows.

Source: Hochreiter and Schmidhuber 1997, 'Long Short-Term Memory'; Schuster and Paliwal 1997, 'Bidirectional Recurrent
Neural Networks'. The recurrences are PyTorch's own, which run fused.

Shapes: N rows, T steps, D width, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.nets.embed import Embed

State = tuple[Tensor, ...]


class LSTM(nn.Module):
    """ids int64 [N, T], state -> logits float32 [N, T, V] of the token after each, state.

    The layers add to the vectors of the tokens, so what an n-gram tells need not pass through them.

    The state: what each layer gives out and what it holds, both [layers, N, D], and the last tokens.
    """

    def __init__(self, embed: Embed, layers: int) -> None:
        super().__init__()
        vocabulary, width = embed.tokens.weight.shape
        self.embed, self.before = embed, embed.before
        self.layers = nn.LSTM(width, width, layers, batch_first=True)
        self.head = nn.Linear(width, vocabulary, bias=False)
        nn.init.zeros_(self.head.weight)

    def initial(self, texts: int) -> State:
        """The state before any token."""
        empty = torch.zeros(self.layers.num_layers, texts, self.layers.hidden_size)
        return empty, empty.clone(), torch.zeros(texts, self.before, dtype=torch.long)

    def forward(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        out, held, tail = state
        read = torch.cat((tail, ids), dim=1)
        x, (out, held) = self._run(read, (out, held))
        return self.head(x).float(), (out, held, read[:, -self.before :])

    def losses(self, windows: Tensor) -> Tensor:
        """windows int64 [N, before + T + 1] -> mean -log p of the last T tokens, each from those before in the
        window.
        """
        x, _ = self._run(windows[:, :-1], None)
        return F.cross_entropy(self.head(x).float().flatten(0, 1), windows[:, self.before + 1 :].flatten())

    def _run(self, read: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        x = self.embed(read)
        x = F.rms_norm(x, x.shape[-1:])
        out, after = recur(self.layers, x, state)
        return F.rms_norm(x + out, x.shape[-1:]), after


class Bidirectional(nn.Module):
    """[N, T, inputs] and lengths int64 [N] -> [N, T, 2 * width]: a pass from each end of every row, 0 beyond its
    length.

    The pass from the end reads the row turned round within its own length, by gather, so that padding comes last in
    both: a row gives the same in any batch, and the layer exports to ONNX, which packed sequences do not.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.forth = nn.LSTM(inputs, width, batch_first=True)
        self.back = nn.LSTM(inputs, width, batch_first=True)
        self.width = 2 * width

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        place = torch.arange(x.shape[1], device=x.device)
        within = place < lengths.unsqueeze(1)
        turned = torch.where(within, lengths.unsqueeze(1) - 1 - place, place).unsqueeze(2)
        forth, _ = recur(self.forth, x, None)
        back, _ = recur(self.back, x.gather(1, _wide(turned, x.shape[2])), None)
        back = back.gather(1, _wide(turned, back.shape[2]))
        return torch.cat((forth, back), dim=2) * within.unsqueeze(2)


def recur(layers: nn.LSTM, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """What `layers` makes of [N, T, inputs]; under `torch.export` by ONNX's own LSTM, as PyTorch's would hold its T."""
    if not torch.compiler.is_exporting():
        out, after = layers(x, state)
        return out, after
    n, t, width = x.shape[0], x.shape[1], layers.hidden_size
    start = torch.zeros(layers.num_layers, 1, width) * torch.ones(1, n, 1)
    held, kept = (start, start) if state is None else state
    lengths = torch.ones(n, dtype=torch.int32) * t
    out, last = x.transpose(0, 1), []
    for k in range(layers.num_layers):
        weights = [_onnx_order(getattr(layers, f"weight_{way}_l{k}")).unsqueeze(0) for way in ("ih", "hh")]
        biases = torch.cat([_onnx_order(getattr(layers, f"bias_{way}_l{k}")) for way in ("ih", "hh")]).unsqueeze(0)
        out, *ends = torch.onnx.ops.symbolic_multi_out(
            "LSTM", (out, *weights, biases, lengths, held[k : k + 1], kept[k : k + 1]), {"hidden_size": width},
            dtypes=(x.dtype,) * 3, shapes=((t, 1, n, width), (1, n, width), (1, n, width)),
        )  # fmt: skip
        out = out.squeeze(1)
        last.append(ends)
    return out.transpose(0, 1), (torch.cat([h for h, _ in last]), torch.cat([c for _, c in last]))


def _onnx_order(gates: Tensor) -> Tensor:
    """PyTorch's gates (input, forget, candidate, output) in the order of ONNX (input, output, forget, candidate)."""
    size = len(gates) // 4
    return torch.cat([gates[place * size : (place + 1) * size] for place in (0, 3, 1, 2)])


def _wide(places: Tensor, width: int) -> Tensor:
    """[N, T, 1] -> [N, T, width], by a sum: an exported Expand would hold the length of its example."""
    return places + torch.zeros(width, dtype=places.dtype)
