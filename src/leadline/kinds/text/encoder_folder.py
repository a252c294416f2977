"""An encoder of texts of any architecture that the package `transformers` reads, from a folder of the user's.

Enters: a folder (`kinds/transformers_folder.py`). Leaves: the graph of a row: pieces int64 [1, T] -> states float32
[1, W], of the embeddings and of each layer the mean over the pieces, of the last also the maximum. PyTorch's exporter
writes it once; the cache keeps it by what is in the folder, so that no other process needs the package, nor seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from leadline.core.kind import View
from leadline.core.pretrained import Layer, Precision
from leadline.kinds.body_folder import CONFIG, MOST, FolderError, configuration, digest, positive
from leadline.kinds.kept import READ, TRIED, WRITTEN, kept
from leadline.kinds.text.bert_folder import SHORTEST
from leadline.kinds.text.by_row import by_row, layers_of, piece_type, row_input
from leadline.kinds.text.tokenizer_folder import PieceReader, read_pieces
from leadline.kinds.transformers_folder import TEXTS, WRITERS, Network, is_model, model_type, network

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from leadline.core.pretrained import TrainableBody
    from leadline.core.tensors import Block
    from leadline.kinds.trainable import Source

# What architectures call the number of their layers, the width of a layer, and the most pieces that have a position.
LAYERS = ("encoder_layers", "num_hidden_layers", "n_layers", "num_layers", "n_layer")
WIDTHS = ("hidden_size", "d_model", "dim", "n_embd", "emb_dim")
POSITIONS = ("max_position_embeddings", "n_positions")
NO_TEXTS = ("image_size", "patch_size", "conv_kernel", "num_mel_bins", "sampling_rate")  # of pictures, or of sounds
MOST_BYTES = (1 << 31) - (1 << 26)  # of a graph: a file of ONNX ends at two gigabytes
SPARE = 10  # times the pieces: embeddings that a model may have
FEW = 8  # positions that stand for no place
TRACED, LONGEST = 4, 9  # pieces of the rows by which a graph is written; and, at most, by which training is tried
VERSION = 4  # of what is kept
PIECES = "pieces"  # the input of the graph of a row


def encodes_texts(facts: Mapping[str, Any]) -> bool:
    """Whether a configuration is of a model of texts, and of nothing else."""
    return is_model(facts) and "vocab_size" in facts and not any(name in facts for name in NO_TEXTS)


@dataclass(frozen=True, kw_only=True)
class EncoderFolder:
    """What a folder says of its encoder."""

    folder: Path
    model: str  # its type, as transformers has it
    layers: int
    width: int
    reader: PieceReader
    pieces: int  # numbers of the pieces that it reads, 0 for none among them
    positions: int  # pieces of a text that it reads at most

    @classmethod
    def read(cls, folder: Path) -> EncoderFolder | None:
        """None where the configuration is no text model's; raises FolderError where the model cannot be read."""
        facts = configuration(folder / CONFIG)
        if not encodes_texts(facts):
            return None
        model = model_type(folder)
        if model is None:
            return None
        reader, rows = read_pieces(folder), positive(facts, "vocab_size")
        if not reader.count <= rows <= SPARE * reader.count:
            raise FolderError(
                f"has a tokenizer of {reader.count:,} pieces and embeddings of {rows:,}; take the tokenizer that came "
                "with the weights."
            )
        return cls(
            folder=folder, model=model, layers=positive(facts, _named(facts, LAYERS)),
            width=positive(facts, _named(facts, WIDTHS)), reader=reader, pieces=rows + reader.first,
            positions=_positions(facts),
        )  # fmt: skip

    @property
    def pooled(self) -> tuple[Layer, ...]:
        """What the encoder gives, from input to output."""
        return layers_of(self.layers, self.width)

    def row(self, precision: Precision) -> onnx.ModelProto:
        """The graph of a row: 'pieces' int64 [1, T] -> 'raw' float32 [1, W]."""
        import onnx

        from leadline.graph.int8_weights import to_int8_weights

        def made() -> bytes:
            model = self._written() if precision == Precision.FLOAT32 else self.row(Precision.FLOAT32)
            if precision == Precision.INT8:
                to_int8_weights(model, PIECES)
            held: bytes = model.SerializeToString()
            return held

        per_gb = TRIED + (READ + WRITTEN if precision == Precision.FLOAT32 else 0.0)
        return onnx.load_from_string(kept(self.folder, f"{VERSION}-{precision}.onnx", made, WRITERS, per_gb))

    def _written(self) -> onnx.ModelProto:
        import torch

        from leadline.graph.torch_export import export

        found = network(self.folder, use_cache=False)
        if found.reads != TEXTS:
            raise FolderError(f"holds a model of type {self.model!r}, which reads no texts.")
        size = sum(weight.numel() * weight.element_size() for weight in found.module.parameters())
        if size > MOST_BYTES:
            raise FolderError(
                f"holds an encoder of {size / 1e9:.1f} GB, where one file of ONNX has room for {MOST_BYTES / 1e9:.1f} "
                "GB; take a smaller model."
            )
        module, ids = _pooled(found), self._traced()
        states = found.tried(lambda: module(torch.from_numpy(ids)))
        if states.shape[1] != (expected := sum(layer.width for layer in self.pooled)):
            raise FolderError(
                f"holds a model of type {self.model!r} that gives {states.shape[1]:,} states, where its {CONFIG} says "
                f"{expected:,}: it cannot be read."
            )
        try:
            return export(module, {PIECES: ids}, unequal=(PIECES,))
        except Exception as error:  # an exporter's own words, a page of them
            raise FolderError(f"holds a {self.model!r}, which PyTorch cannot write as a graph.") from error

    def _traced(self) -> np.ndarray:
        """Pieces [2, T] by which a graph is written."""
        return np.arange(2 * TRACED).reshape(2, TRACED) % (self.pieces - self.reader.first)

    def trainable(self, path: Path, block: Block) -> TrainableBody:
        from leadline.kinds.trainable import trainable  # imports PyTorch

        return trainable(f"{digest(path)} {block.name} {block.forms[View.PIECES]}", self._source)

    def _source(self) -> Source:
        """What is trained: the mean and the maximum of the last layer."""
        from leadline.kinds.text.trainable import RATES
        from leadline.kinds.trainable import Source

        rows = (
            1 + self.reader.first + np.arange(3 * LONGEST).reshape(3, LONGEST) % (self.pieces - self.reader.first - 1)
        )
        for row, length in zip(rows, (LONGEST, LONGEST // 2, 2), strict=True):
            row[length:] = 0
        return Source(
            name=str(self.folder), module=lambda: _pooled(network(self.folder, use_cache=False)),
            width=sum(layer.width for layer in self.pooled[-2:]), reading=PiecesRead(first=self.reader.first),
            rates=RATES, rows=rows, graph=partial(self.row, Precision.FLOAT32), samples={PIECES: self._traced()},
            unequal=(PIECES,), body=lambda row, block, precision, calibration: self.of_block(block, precision, row),
        )  # fmt: skip

    def of_block(self, block: Block, precision: Precision, written: onnx.ModelProto | None = None) -> onnx.ModelProto:
        """The graph that reads the pieces of a block."""
        (length,) = block.forms[View.PIECES][0]
        return self.graph(f"{block.name}.{View.PIECES}", length, precision, written)

    def graph(
        self, name: str, length: int, precision: Precision, written: onnx.ModelProto | None = None
    ) -> onnx.ModelProto:  # fmt: skip
        """The graph: 'name' [N, length], 0 for none at the end -> 'states' float32 [N, W].

        Args:
            written: the graph of a row, with other weights than those of the folder.
        """
        from leadline.graph.builder import Graph
        from leadline.graph.int8_weights import to_int8_weights

        if written is None:
            model = self.row(precision)
        else:
            model = written
            if precision == Precision.INT8:
                to_int8_weights(model, PIECES)
        width = sum(layer.width for layer in self.pooled)
        before, after = Graph("row"), Graph("end")
        ids, _ = row_input(before, length)
        ids = before.op("Sub", ids, before.const(np.int64(self.reader.first)))
        ids = before.op("Unsqueeze", ids, before.const(np.array([0], np.int64)))
        before.output(PIECES, ids, np.int64, [1, "T"])
        shape = after.const(np.array([width], np.int64))
        after.output("pooled", after.op("Reshape", "raw", shape), np.float32, [width])
        start, row, end = before.body(), model.graph, after.body()
        nodes = [*start.node, *row.node, *end.node]
        for part, now in ((row.node, nodes), (row.input, start.input), (row.output, end.output)):
            del part[:]
            part.extend(now)
        row.initializer.extend([*start.initializer, *end.initializer])
        return by_row(row, name, piece_type(self.pieces), length, width)


@dataclass(frozen=True, kw_only=True)
class PiecesRead:
    """Stored rows, 0 for none at the end, as `_pooled` reads them."""

    first: int  # of the numbers of pieces, in rows

    def lengths(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray((rows > 0).sum(axis=1))

    def steps(self, lengths: np.ndarray) -> np.ndarray:
        return lengths

    def parts(self, rows: Tensor, alone: bool) -> list[tuple[Tensor, ...]]:
        ids, real = (rows - self.first).clamp_min(0), rows > 0
        if alone:
            return [(one[: int(there.sum())][None],) for one, there in zip(ids, real, strict=True)]
        return [(ids, real)]


def _pooled(found: Network) -> Any:
    import torch

    padding = max(0, getattr(found.module.config, "pad_token_id", None) or 0)  # by which some count positions

    class Pooled(torch.nn.Module):
        """Pieces [N, T], all of them real -> states [N, W]; of those in `real`, bool [N, T], the last layer's alone."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = found.module

        def forward(self, ids: Tensor, real: Tensor | None = None) -> Tensor:
            if real is None:
                states = self._hidden(ids, torch.ones_like(ids))
                return torch.cat([*(each.mean(dim=1) for each in states), states[-1].amax(dim=1)], dim=1)
            last = self._hidden(ids.masked_fill(~real, padding), real.to(ids.dtype))[-1].float()
            there = real[:, :, None]
            mean = last.masked_fill(~there, 0).sum(dim=1) / there.sum(dim=1)
            return torch.cat([mean, last.masked_fill(~there, -torch.inf).amax(dim=1)], dim=1)

        def _hidden(self, ids: Tensor, there: Tensor) -> tuple[Tensor, ...]:
            said = self.encoder(input_ids=ids, attention_mask=there, output_hidden_states=True, return_dict=True)
            found: tuple[Tensor, ...] = said.hidden_states
            return found

    return Pooled()


def _named(facts: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first of these that the configuration has; else the usual one, which is then said to be missing."""
    return next((name for name in names if name in facts), names[0] if names is WIDTHS else names[1])


def _positions(facts: Mapping[str, Any]) -> int:
    """Without those up to the padding's number, from which some models count. A model that says nothing has no end."""
    name = next((name for name in POSITIONS if facts.get(name, -1) != -1), None)
    if name is None:
        return MOST
    padding = facts.get("pad_token_id")
    before = padding + 1 if isinstance(padding, int) and 0 <= padding < FEW else 0
    return positive(facts, name, least=before + SHORTEST) - before
