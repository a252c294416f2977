"""BERT in plain PyTorch, as sentence encoders run it: what the graphs of Leadline are compared with.

Enters: a folder with config.json and model.safetensors; numbers of word pieces [N, T], 0 for padding. Leaves: pooled
states [N, layers * width], the mean over the pieces of the embeddings and of each layer, and the maximum of the last.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F


class Bert:
    """`Bert(folder)(ids)`; attention by PyTorch's fused kernel."""

    def __init__(self, folder: Path) -> None:
        from safetensors.torch import load_file

        self.facts = json.loads((folder / "config.json").read_text())
        self.weights = load_file(folder / "model.safetensors")

    def dense(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(x, x.shape[-1:], weight, bias, self.facts["layer_norm_eps"])

    @torch.inference_mode()
    def __call__(self, ids: np.ndarray) -> np.ndarray:
        tokens = torch.from_numpy(ids.astype(np.int64))
        held = tokens > 0
        table = "embeddings.{}_embeddings.weight"
        x = self.weights[table.format("word")][tokens] + self.weights[table.format("position")][: tokens.shape[1]]
        x = self.norm(x + self.weights[table.format("token_type")][0], "embeddings.LayerNorm")
        states = [x]
        for number in range(self.facts["num_hidden_layers"]):
            x = self.layer(x, f"encoder.layer.{number}", held[:, None, None])
            states.append(x)
        share = (held / held.sum(dim=1, keepdim=True))[:, :, None]
        pooled = [(state * share).sum(dim=1) for state in states]
        pooled.append(x.masked_fill(~held[:, :, None], -torch.inf).amax(dim=1))
        return torch.cat(pooled, dim=1).numpy()

    def layer(self, x: torch.Tensor, name: str, held: torch.Tensor) -> torch.Tensor:
        heads = self.facts["num_attention_heads"]
        query, key, value = (
            self.dense(x, f"{name}.attention.self.{part}").unflatten(-1, (heads, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=held).transpose(1, 2).flatten(2)
        x = self.norm(x + self.dense(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        hidden = F.gelu(self.dense(x, f"{name}.intermediate.dense"))
        return self.norm(x + self.dense(hidden, f"{name}.output.dense"), f"{name}.output.LayerNorm")
