"""What a kind is: how one sort of column is recognised, decoded and encoded.

A kind turns values of columns into answers in steps that never run backwards:

    sniff   values of a sample      -> how to decode them, or None: not this kind
    decode  values                  -> plain arrays; the only step outside the ONNX graph
    fit     decoded train values    -> a `Fit`: the encode graph, and the feature graphs of the classical contenders
    body    (a kind's net.py)       -> arithmetic on encoded tensors, exported with the network

Columns of a `joint` kind share one block (all numbers are one matrix); others have a block each. Whatever else a stage
has to know of a kind is a fact or a hook of `Kind`, with a default: no stage asks a kind for its name.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from pathlib import Path
from re import Pattern
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import polars as pl

from leadline.core.parts import Parts, Value, whole

if TYPE_CHECKING:
    from io import BytesIO

    import onnx
    import torch

    from leadline.core.contender import Data
    from leadline.core.json_types import Json, JsonObject
    from leadline.core.pretrained import PretrainedBody
    from leadline.core.printed import Feature
    from leadline.core.tensors import Block, Tensors
    from leadline.core.textbook import Textbook

MISSING = ("", "?", "NA", "N/A", "n/a", "nan", "NaN", "NAN", "null", "NULL", "None", "#N/A", "-")


Values = np.ndarray | list[np.ndarray | None]  # one item a row; None: it could not be read


class View(StrEnum):
    """A feature view: what contenders read in place of an encoded tensor, named as files name it."""

    DENSE = auto()  # numbers a column
    CODES = auto()  # category numbers
    BAG = auto()  # numbers of n-grams, 0 for none
    GRAMS = auto()  # numbers of characters, 0 for none: the graph '<tensor>.cut' makes n-grams of them
    PIECES = auto()  # numbers of word pieces, 0 for none: what a pretrained body of texts reads


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Values as arrays. `values` has one item a row: an ndarray, or a list of arrays where shapes differ."""

    values: Values
    bad: Mapping[int, str] = field(default_factory=dict)  # position -> why it could not be decoded


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a kind may spend when it is fitted."""

    rows: int  # train rows
    seconds: float  # the whole budget
    columns: tuple[str, ...]  # names of the block's columns, for the graph's inputs
    labels: np.ndarray | None = None  # the target of the samples' rows, where it is known: class numbers, or values
    weights: Path | None = None  # of the pretrained body that is to read the block


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A graph that makes one stored tensor, with the shape and type of one row of it.

    Where `padding` is given, rows may come out shorter than `shape` along its first axis: the store fills them up with
    this mark, and bodies and forms leave it out.

    A form `from_values` is made from the decoded columns, as the encoded tensor is, and at the same time. `cut` is the
    graph that a contender runs on such a form, within its own: its outputs would be too large to be stored.
    """

    graph: onnx.ModelProto
    shape: tuple[int, ...]
    dtype: str
    padding: int | None = None
    from_values: bool = False
    cut: onnx.ModelProto | None = None


@dataclass(frozen=True, kw_only=True)
class Fit:
    """A fitted kind: facts that travel in the model's metadata, and graphs.

    `encode` maps decoded columns to the encoded tensor. `forms` maps that tensor to the views that contenders read.
    `decode` takes the place of what `sniff` said of decoding, where that depends on what was fitted; from then on every
    value is decoded by it.
    """

    settings: JsonObject
    encode: Tensor
    forms: Mapping[str, Tensor] = field(default_factory=dict)
    decode: JsonObject = field(default_factory=dict)


class Scale(Enum):
    """What a single value measures (Stevens 1946): an amount, a name, or a moment."""

    NUMERIC = auto()
    NOMINAL = auto()
    TEMPORAL = auto()


# Architectures of bodies; a contender names those that it reads.
DENSE, CONVOLUTION, RECURRENT, EMBEDDING = "dense", "convolution", "recurrent", "embedding"
PATCH_ATTENTION = "attention over patches"
TOKEN_ATTENTION, TOKEN_PASSES = "attention over tokens", "passes over tokens"


class Augmentation(Protocol):
    """Augmentation of one tensor through a training."""

    generator: torch.Generator  # of all its chance: a checkpoint keeps where it stands

    def __call__(self, batch: torch.Tensor, part: torch.Tensor, epoch: int) -> torch.Tensor:
        """`part` are the places of the batch's rows among the train rows, and the valid rows after them."""


class BodyModule(Protocol):
    """The PyTorch module of a body."""

    width: int  # of its output [N, width]

    def prepare(self, rows: torch.Tensor) -> None:
        """Take the statistics of some train rows, as they are encoded."""


@runtime_checkable
class Resized(Protocol):
    """A body whose sizes follow from its rows, and that can take the weights of one of other sizes."""

    def resized(self, earlier: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Weights {parameter: tensor} of an earlier body as this one has them; its own sizes may change by it."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """The part of a network that reads a block, and how such a network is trained. Nothing here imports PyTorch early.

    A network of several bodies takes the highest peak, the weakest decay and the most smoothing of them, and the
    smallest batch, unless there is a convolution: the one with the most channels says the batch. How long it trains is
    said by the bodies of the architecture that the contender prefers.
    """

    build: Callable[[Block, int], BodyModule]  # block, channels -> its module
    # block, divisor -> a narrower module, where channels do not say its width
    narrow: Callable[[Block, int], BodyModule] | None = None
    # as `build`; at half the width it answers several times as fast as the whole
    lean: Callable[[Block, int], BodyModule] | None = None
    form: str | None = None  # the feature view that it reads in place of the encoded tensor
    widths: tuple[int, ...] = ()  # channels of a convolution, by what a step costs; () is none
    batch: int = 128  # rows in a step, where they are few
    passes: int = 30  # over the train rows, at most
    steps: int = 0  # where so many passes are fewer steps than this, as many
    prepared: int = 20_000  # train rows by which it is prepared
    peak: float = 1e-3  # learning rate, without convolution
    decay: float = 1e-2
    smoothing: float = 0.0  # of the labels, without convolution
    alike: tuple[str, ...] = ()  # settings of its block that are the same wherever its weights can be used again
    # store, block -> {parameter: what each of its rows stands for; None: nothing that another run knows}
    entries: Callable[[Tensors, Block], Mapping[str, Sequence[str | None]]] | None = None
    # (data, tensor name, seed) -> augmentation, and what is to be said of it
    augmentation: Callable[[Data, str, int], tuple[Augmentation, str]] | None = None
    # (batch, generator) -> batch in which rows are mixed, the share that is a row's own, and the place of the other
    mix: Callable[[torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor, torch.Tensor]] | None = None


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of a block, to be compared with each other."""

    block: Block
    places: np.ndarray  # int64 [n], row numbers
    tensor: np.ndarray  # of all rows of the store
    cells: Callable[[], pl.Series]  # of these rows, read when they are asked for


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """How near duplicates are found by content."""

    rate: float  # rows a second
    pairs: Callable[[Rows], tuple[np.ndarray, np.ndarray]]  # [pairs, 2] positions in `places`; how far apart, 0 to 1


@dataclass(frozen=True, kw_only=True)
class FileProperties:
    """What a file says besides its content, and how a tensor is made that does not have it."""

    facts: Callable[[str | bytes | Path | BytesIO], Mapping[str, float | str | None]]  # a path, or bytes as a file
    words: Mapping[str, str]  # what each is called
    removable: tuple[str, ...]  # those that `removed` evens out
    removed: Callable[[Rows, Path | None, bytes], np.ndarray]  # rows, root, encode graph -> tensor [n, ...]
    seconds: Callable[[pl.Series, Path | None], float]  # that a row takes, estimated from sizes alone


class Kind(ABC):
    """One file or folder in `kinds/`. Stateless: what is learned travels in `settings` and graphs."""

    name: str
    formerly: str | None = None  # its name in earlier versions
    sample: int  # train rows that `fit` looks at
    onnx_input: str  # NumPy type of the decoded value, as the shipped model takes it
    joint: bool = False  # all columns of this kind form one block
    native: str | None = None  # the form that the encoded tensor itself already is, if any
    scale: Scale | None = None  # what a single value measures

    # --- values
    variable_shape: bool = False  # decoded values differ in shape, and are encoded one by one
    costly: bool = False  # to decode a row takes long enough to be budgeted
    fit_depends_on_rows: bool = True  # another split needs another fit
    is_file: bool = False  # a value is a file: a path, or its bytes
    suffixes: tuple[str, ...] = ()  # of such files
    magic: Pattern[bytes] | None = None  # how such files begin
    plural: str = "values"  # of a joint kind, in sentences
    noun: str = "value"  # one of them, in sentences
    wanted: str = "a value"  # what a file should be: 'an image'
    corpus: bool = False  # rows are stretches of one text corpus, whose next token is predicted
    settled_by_all: bool = False  # the notation is inferred from all train values, not a sample
    by_word: bool = True  # the user may choose this kind for values that do not look like it
    written_as: str = "text or numbers"  # of values, in a table
    seconds_per_row: float = 3e-5  # in the shipped file

    # --- what is done with rows
    bodies: Mapping[str, Body] = {}  # architecture -> body
    pretrained: tuple[PretrainedBody, ...] = ()  # the one to prefer first
    similarity: Similarity | None = None  # None: rows are compared value by value
    file_properties: FileProperties | None = None
    textbook: Textbook | None = None
    prose: bool = False  # a person reads a value as a text of its own
    listed: bool = True  # a person reads a value in a list of values

    @abstractmethod
    def sniff(self, cells: pl.Series, root: Path | None) -> dict[str, Json] | None:
        """How to decode these values (settings for `decode`), or None if they are of another kind."""

    @abstractmethod
    def decode(self, cells: pl.Series, root: Path | None, settings: JsonObject) -> Decoded:
        """Values to arrays; never raises for a bad value, reports it in `bad`."""

    @abstractmethod
    def fit(self, samples: list[Values], settings: JsonObject, limits: Limits) -> Fit:
        """Learn the encoding from decoded train values, one item of `samples` a column."""

    def states(self, dtype: pl.DataType) -> bool:
        """Whether values of this type can be nothing else."""
        return False

    def accepts(self, dtype: pl.DataType, settings: JsonObject) -> bool:
        """Whether values of this type can be read at all, whatever they hold."""
        return self.is_file or not (dtype.is_nested() or dtype in (pl.Binary, pl.Object, pl.Duration))

    def plain(self, settings: JsonObject) -> bool:
        """Whether values are numbers as programs write them."""
        return False

    def rewritten(self, cells: pl.Series, settings: JsonObject, dtype: pl.DataType, contract: JsonObject) -> pl.Series:
        """Values of one part as the train part has them: its type, and its notation.

        Args:
            settings: how these values are read.
            dtype: the type of the train part's values.
            contract: how that part's values are read.
        """
        if cells.dtype.is_nested() and dtype == pl.String:
            held = [None if cell is None else json.dumps(list(cell)) for cell in cells.to_list()]
            return pl.Series(cells.name, held, dtype=pl.String)
        if cells.dtype == pl.String and dtype.is_nested():
            found = self.as_lists(cells)
            return found.cast(dtype if isinstance(dtype, pl.List) else found.dtype)
        return cells

    def as_lists(self, cells: pl.Series) -> pl.Series:
        """Texts such as '[1, 2]' as lists."""
        return cells

    def names_rows(self, cells: pl.Series) -> bool:
        """Whether the values of a column can name what rows belong to."""
        return self.scale is Scale.NOMINAL

    def remarks(self, block: Block) -> list[str]:
        """What is to be said of how a block was fitted, a sentence each."""
        return []

    def input_shape(self, name: str, block: Block) -> list[str | int]:
        """The shape of a decoded column, as the file takes it; words are free."""
        return ["N"]

    def picture(self, row: np.ndarray, settings: JsonObject, side: int) -> np.ndarray | None:
        """An encoded row, without padding, as pixels uint8 [height, width, 1 or 3], about `side` wide;
        None: there is nothing to see."""
        return None

    def sound(self, row: np.ndarray, settings: JsonObject) -> tuple[np.ndarray, int] | None:
        """An encoded row, without padding, as int16 samples and their rate; None: there is nothing to hear."""
        return None

    def has_body(self, folder: Path) -> bool:
        """Whether a folder of the user's is of a network that reads values of this kind, by its configuration alone.

        Raises FolderError where that cannot be read.
        """
        return False

    def body_in(self, folder: Path) -> PretrainedBody | None:
        """The pretrained body whose weights are in a folder of the user's; None: the folder is of another kind.

        Raises FolderError (`kinds/body_folder.py`), the end of a sentence that begins with the folder, where the folder
        is of this kind, but holds no such body.
        """
        return None

    def emptied(self, encoded: np.ndarray) -> np.ndarray | None:
        """Encoded rows [n, ...] without content, of the same shape, from which a path to them begins; None: no such."""
        return None

    def features(self, block: Block) -> tuple[Feature, ...]:
        """The encoded columns of a block in units of the user; none: nobody can read them."""
        return ()

    def parts(self, value: Value, settings: JsonObject) -> tuple[Parts, ...]:
        """A decoded value in parts that can be removed one by one, in every way to divide it.

        Args:
            settings: how the value was decoded.
        """
        return (whole(value),)

    def variants(self, cells: pl.Series, rng: np.random.Generator) -> pl.Series | None:
        """Other values, as many, made of these; None: there is no such way. A model answers them for its students."""
        return None


@runtime_checkable
class Perceived(Protocol):
    """A kind with visible or audible content: blank rows are reported."""

    blank_is: str  # what a blank row is called: 'of one colour', 'silent'

    def blank(self, rows: np.ndarray) -> np.ndarray:
        """Encoded rows [n, ...] -> bool [n]: those without content."""


@runtime_checkable
class Parsed(Protocol):
    """A kind whose values are written in one notation of many: numbers, times."""

    def parsed(self, words: pl.Series, settings: JsonObject) -> pl.Series:
        """Texts without the words for 'missing' as values [rows], null where one cannot be read."""

    def notation_of(self, words: pl.Series) -> tuple[dict[str, Json], float, str] | None:
        """(settings, share of the values that they read, the message) that fit these values alone."""


def absent(values: np.ndarray) -> np.ndarray:
    """Which decoded values are missing, bool [rows]: NaN, the smallest whole number, or a word for it."""
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values).reshape(len(values), -1).all(axis=1))
    if values.dtype.kind == "i":
        return np.asarray(values == np.iinfo(np.int64).min)
    return pl.Series(values.tolist(), dtype=pl.String).is_in(MISSING).to_numpy()


@runtime_checkable
class Columnwise(Protocol):
    """A kind that decodes many columns faster together than one by one."""

    def decode_columns(
        self, frame: pl.DataFrame, root: Path | None, settings: Mapping[str, JsonObject]
    ) -> dict[str, Decoded]:
        """Values of columns to arrays, as `decode` does for each."""


def decode_columns(
    kind: Kind, frame: pl.DataFrame, root: Path | None, settings: Mapping[str, JsonObject]
) -> dict[str, Decoded]:
    """The columns of a block, each by its own settings."""
    if isinstance(kind, Columnwise):
        return kind.decode_columns(frame, root, settings)
    return {name: kind.decode(frame[name], root, how) for name, how in settings.items()}


def share(flags: pl.Series) -> float:
    """The share of true values; 0 where there are none."""
    return int(flags.sum()) / len(flags) if len(flags) else 0.0


def present(cells: pl.Series) -> pl.Series:
    """Texts stripped, with the usual words for 'missing' as null."""
    if cells.dtype != pl.String:
        return cells
    stripped = cells.str.strip_chars()
    return stripped.set(stripped.is_in(MISSING), None)
