"""A BERT in a folder, as hubs hand it out: config.json, model.safetensors and vocab.txt, each against the others.

Enters: a folder. Leaves: the sizes of its encoder, and its tensors by the names that BERT has for them now: earlier
files say gamma and beta for the weights of a norm. Nothing but the header of the weights is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from leadline.core.pretrained import Layer
from leadline.kinds.body_folder import (
    AGAIN,
    CONFIG,
    WEIGHTS,
    FolderError,
    Stored,
    agrees,
    configuration,
    has_weights,
    header,
    is_number,
    positive,
)
from leadline.kinds.text.by_row import layers_of
from leadline.kinds.text.tokenizer_folder import PieceReader, read_pieces
from leadline.kinds.text.wordpiece import VOCABULARY, Vocabulary
from leadline.kinds.transformers_folder import TOKENIZER

MODEL = "bert"  # the type of model that is read
KNOWN = {"hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
EMBEDDINGS, POSITIONS, TYPES = (f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type"))
QKV = ("attention.self.query", "attention.self.key", "attention.self.value")
ATTENDED, INNER, OUTER = "attention.output.dense", "intermediate.dense", "output.dense"
NORMS = ("attention.output.LayerNorm", "output.LayerNorm")  # of a layer
FORMER = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
SHORTEST = 3  # positions: a mark at each end, and a piece
STEP, MOST_SPARE = 8, 128  # rows of a table of embeddings that no piece has: it is filled up for the hardware


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of an encoder."""

    layers: int
    width: int
    heads: int
    inner: int  # width between the dense layers
    positions: int
    pieces: int  # rows of the table of embeddings, as the graph has it
    types: int
    epsilon: float  # of the layer norms

    @classmethod
    def read(cls, folder: Path) -> Shape:
        """From a folder; raises FolderError where it holds another sort of model, or does not agree with itself."""
        facts = configuration(folder / CONFIG)
        there = {
            CONFIG: (folder / CONFIG).is_file(), WEIGHTS: has_weights(folder),
            f"{VOCABULARY} or {TOKENIZER}": (folder / VOCABULARY).is_file() or (folder / TOKENIZER).is_file(),
        }  # fmt: skip
        if lacking := [name for name, found in there.items() if not found]:
            raise FolderError(
                f"has no {lacking[0]}; a text body is a folder with {CONFIG}, {WEIGHTS} and {VOCABULARY} or "
                f"{TOKENIZER}."
            )
        stored = stored_in(folder)
        shape = cls._configured(facts, stored)
        agrees(stored, shape.expected(), f"a BERT of {shape.layers} layers")
        reader = pieces_of(folder)
        _fits(reader.count, shape.pieces)
        return replace(shape, pieces=shape.pieces + reader.first)

    @classmethod
    def _configured(cls, facts: Mapping[str, Any], stored: Mapping[str, Stored]) -> Shape:
        """What the configuration says, in range."""
        layers, width = positive(facts, "num_hidden_layers"), positive(facts, "hidden_size")
        heads = positive(facts, "num_attention_heads")
        if width % heads:
            raise FolderError(f"has a {CONFIG} with {heads} attention heads, which do not divide its width {width}.")
        epsilon = facts.get("layer_norm_eps", 1e-12)
        if not is_number(epsilon) or not 0 < epsilon < 1:
            raise FolderError(f"has a {CONFIG} with layer_norm_eps {epsilon!r}, where a small number was expected.")
        held = {name.split(".")[2] for name in stored if name.startswith("encoder.layer.")}
        if len(held) != layers:
            raise FolderError(
                f"has a {CONFIG} with num_hidden_layers {layers}, and its {WEIGHTS} has {len(held)} layers; take both "
                "from one model."
            )
        first = stored.get(f"encoder.layer.0.{INNER}.weight")
        inner = 4 * width if first is None or not first.shape else first.shape[0]
        return cls(
            layers=layers, width=width, heads=heads, inner=positive(facts, "intermediate_size", inner),
            positions=positive(facts, "max_position_embeddings", least=SHORTEST), pieces=positive(facts, "vocab_size"),
            types=positive(facts, "type_vocab_size", 2), epsilon=float(epsilon),
        )  # fmt: skip

    @property
    def pooled(self) -> tuple[Layer, ...]:
        """What the encoder gives, from input to output."""
        return layers_of(self.layers, self.width)

    def expected(self) -> dict[str, tuple[int, ...]]:
        """Shapes of its tensors, by name."""
        width, inner = self.width, self.inner
        shapes: dict[str, tuple[int, ...]] = {
            EMBEDDINGS: (self.pieces, width), POSITIONS: (self.positions, width), TYPES: (self.types, width),
        }  # fmt: skip
        norms = ["embeddings.LayerNorm"]
        for layer in (f"encoder.layer.{number}" for number in range(self.layers)):
            dense = dict.fromkeys((*QKV, ATTENDED), (width, width)) | {INNER: (inner, width), OUTER: (width, inner)}
            for name, shape in dense.items():
                shapes |= {f"{layer}.{name}.weight": shape, f"{layer}.{name}.bias": shape[:1]}
            norms += [f"{layer}.{name}" for name in NORMS]
        return shapes | {f"{name}.{kind}": (width,) for name in norms for kind in ("weight", "bias")}


def is_bert(facts: Mapping[str, Any]) -> bool:
    """Whether a configuration is that of a BERT whose graph is written here."""
    old = {"vocab_size", "hidden_size"} <= facts.keys()  # that names no model
    named = facts.get("model_type", MODEL if old else None)
    return named == MODEL and all(facts.get(name, value) == value for name, value in KNOWN.items())


def pieces_of(folder: Path) -> PieceReader:
    """How a BERT cuts texts: by its vocab.txt, or by the tokenizer.json that later ones have alone."""
    if (folder / TOKENIZER).is_file() and not (folder / VOCABULARY).is_file():
        return read_pieces(folder)
    return Vocabulary.read(folder)


def stored_in(folder: Path) -> dict[str, Stored]:
    """Where the tensors lie, by the names that BERT has for them now."""
    return {_now(name): each for name, each in header(folder).items()}


def _now(name: str) -> str:
    name = name.removeprefix("bert.")
    former = next((end for end in FORMER if name.endswith(end)), None)
    return name if former is None else name.removesuffix(former) + FORMER[former]


def _fits(count: int, rows: int) -> None:
    """Raise FolderError where a table of so many rows is no table of so many pieces."""
    if count > rows or (count < rows and (rows % STEP or rows - count >= MOST_SPARE)):
        raise FolderError(
            f"has a vocabulary of {count:,} pieces and embeddings of {rows:,}; {AGAIN}, or take the vocabulary that "
            "came with the weights."
        )
