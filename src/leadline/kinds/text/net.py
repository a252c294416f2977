"""Bodies for texts: a bag of n-grams, and two that read the tokens in their order.

Sources: the bag after Joulin et al. 2016, 'Bag of Tricks for Efficient Text Classification'; the encoder with blocks of
nets/transformer.py, and pooled by attention as in Lin et al. 2017, 'A Structured Self-Attentive Sentence Embedding';
passes from both ends of nets/rnn.py, and their maximum as in Conneau et al. 2017, 'Supervised Learning of Universal
Sentence Representations'; tokens left out in training after Iyyer et al. 2015, 'Deep Unordered Composition'.

Texts of a batch differ in length: what lies beyond one's own end counts nowhere, so a text gives the same alone and in
any batch. Shapes: N texts, T tokens, P places (one or several tokens each), D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leadline.nets.rnn import Bidirectional
from leadline.nets.transformer import Block, normal

UNKNOWN = 1  # the number of a token that is not in the vocabulary
PLACES = 128  # that a text has, at most: tokens of longer ones share a place
WIDTH = 64  # of an embedding


class BagBody(nn.Module):
    """int32 n-gram numbers [N, K], 0 for none -> [N, width]. In training a share of the grams is left out."""

    def __init__(self, grams: int, width: int = WIDTH, dropped: float = 0.3) -> None:
        super().__init__()
        self.table = nn.Embedding(grams, width, padding_idx=0)
        nn.init.normal_(self.table.weight, std=0.1)
        with torch.no_grad():
            self.table.weight[0] = 0
        self.width, self.dropped = width, dropped

    @torch.no_grad()
    def prepare(self, grams: Tensor) -> None:
        """Nothing is learned from the data before training."""

    def forward(self, grams: Tensor) -> Tensor:
        if self.training:
            grams = torch.where(torch.rand(grams.shape, device=grams.device) < self.dropped, 0, grams)
        count = (grams != 0).sum(dim=1, keepdim=True).clamp_min(1)
        summed: Tensor = self.table(grams).sum(dim=1)
        return summed / count.sqrt()


class Tokens(nn.Module):
    """int32 token numbers [N, T], 0 for none -> vectors [N, P, D], and how many places are a text's own [N].

    In training a share of the tokens is unknown. A place of a text that may have more than `PLACES` tokens is several
    tokens that follow each other: their sum over the root of their number.
    """

    def __init__(self, vocabulary: int, longest: int, width: int, std: float, dropped: float) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, width, padding_idx=0)
        nn.init.normal_(self.table.weight, std=std)
        with torch.no_grad():
            self.table.weight[0] = 0
        self.stride, self.dropped = -(-longest // PLACES), dropped

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        own = (ids != 0).sum(dim=1).clamp_min(1)
        ids = F.pad(ids, (0, -ids.shape[1] % self.stride))
        if not torch.compiler.is_exporting():  # what no text of the batch has costs nothing, in a traced graph too
            ids = ids[:, : (own.max() + self.stride - 1) // self.stride * self.stride]
        places = ids.shape[1] // self.stride
        if self.training:
            ids = torch.where((torch.rand(ids.shape) < self.dropped) & (ids != 0), UNKNOWN, ids)
        vectors: Tensor = self.table(ids)
        if self.stride > 1:
            joined = vectors.reshape(-1, places, self.stride, vectors.shape[2]).sum(dim=2)
            count = (ids != 0).reshape(-1, places, self.stride).sum(dim=2).clamp_min(1)
            vectors, own = joined / count.sqrt().unsqueeze(2), (own + self.stride - 1) // self.stride
        return vectors, own


class TransformerBody(nn.Module):
    """int32 token numbers [N, T] -> [N, width]: an encoder, pooled by attention, beside the sum of its vectors."""

    frequencies: Tensor

    def __init__(
        self, vocabulary: int, longest: int, *, size: int = 64, layers: int = 1, heads: int = 4, dropped: float = 0.5
    ) -> None:
        super().__init__()
        self.tokens = Tokens(vocabulary, longest, size, std=0.1, dropped=dropped)
        self.blocks = nn.ModuleList(Block(size, heads) for _ in range(layers))
        self.query = nn.Linear(size, 1, bias=False)
        nn.init.zeros_(self.query.weight)  # a fresh one pools all places alike
        self.dropout = nn.Dropout(dropped)
        half = size // heads // 2
        self.register_buffer("frequencies", 10_000.0 ** -(torch.arange(half) / half), persistent=False)
        self.width = 2 * size

    @torch.no_grad()
    def prepare(self, ids: Tensor) -> None:
        """Nothing is learned from the data before training."""

    def forward(self, ids: Tensor) -> Tensor:
        vectors, own = self.tokens(ids)
        turns = torch.arange(vectors.shape[1]).unsqueeze(1) * self.frequencies
        inside = _inside(own, vectors.shape[1])
        x = self.dropout(vectors)
        for block in self.blocks:
            x, _ = block(x, turns, inside[:, None, None], None)
        x = normal(x)
        shares = self.query(x).squeeze(2).masked_fill(~inside, -1e4).softmax(dim=1)
        pooled = (shares.unsqueeze(2) * x).sum(dim=1)
        return torch.cat((self.dropout(pooled), _summed(vectors, own)), dim=1)


class RecurrentBody(nn.Module):
    """int32 token numbers [N, T] -> [N, width]: a pass from each end and its maximum, beside the sum of its vectors."""

    def __init__(self, vocabulary: int, longest: int, *, size: int = 64, dropped: float = 0.5) -> None:
        super().__init__()
        self.tokens = Tokens(vocabulary, longest, size, std=0.1, dropped=dropped)
        self.passes = Bidirectional(size, size)
        self.dropout = nn.Dropout(dropped)
        self.width = self.passes.width + size

    @torch.no_grad()
    def prepare(self, ids: Tensor) -> None:
        """Nothing is learned from the data before training."""

    def forward(self, ids: Tensor) -> Tensor:
        vectors, own = self.tokens(ids)
        x = self.passes(self.dropout(vectors), own)
        inside = _inside(own, vectors.shape[1])
        most = x.masked_fill(~inside.unsqueeze(2), -1e4).amax(dim=1)
        return torch.cat((self.dropout(most), _summed(vectors, own)), dim=1)


def _inside(own: Tensor, places: int) -> Tensor:
    """bool [N, places]: a text's own."""
    return torch.arange(places, device=own.device) < own.unsqueeze(1)


def _summed(vectors: Tensor, own: Tensor) -> Tensor:
    """Vectors [N, P, D], zero beyond a text's own, over the root of their number -> [N, D]."""
    return vectors.sum(dim=1) / own.sqrt().unsqueeze(1)
