"""The shipped file, read back as a `Model` that predicts rows.

The file is one ONNX graph from decoded values to answers, with its contract as JSON in the metadata: the columns it
takes, how their values are decoded, its classes, its origin. It ends with a digest of all before it (graph/digest.py),
and a file that does not match it is refused. Reading and running it needs neither torch nor onnx.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.core.kind import Decoded, Kind, decode_columns
from leadline.graph.digest import CERTIFICATE, CONTRACT, VERSION, WITHOUT, damage
from leadline.graph.runtime import Session
from leadline.kinds import FORMER, KINDS
from leadline.system.arguments import checked
from leadline.system.errors import ModelError
from leadline.system.resources import most_threads
from leadline.tasks import task_of
from leadline.use.language_reader import Reader

if TYPE_CHECKING:
    from leadline.use.explain.records import Explanation
    from leadline.use.input_check import Watch
    from leadline.use.verify import Verified

KEYS = {"version": int, "task": str, "classes": list, "inputs": dict, "outputs": dict}  # what every contract says
BATCH = 512  # rows in one call
MANY = 4_096  # the same, where a value is one number or word
PICTURES = 16  # rows decoded together where each may be a picture of any size
ROOM = 1 << 17  # samples or pixels in one call: what is made of more of them lies far from the processor


class Model:
    """A shipped file, ready to answer.

    Example:
        >>> model = Model("model.onnx")  # doctest: +SKIP
        >>> model.predict("new.csv")  # doctest: +SKIP
    """

    @checked
    def __init__(self, path: str | Path) -> None:
        """Raises `ModelError` where the file is none of Leadline's, or not as it was written."""
        self.path = Path(path)
        self._origin = self.path.resolve()  # for a copy that is opened in another folder
        self._session = self._open(threads=1)
        self.contract = _contract(self._session, self.path)
        self.certificate: dict[str, Any] | None = json.loads(self._session.metadata.get(CERTIFICATE, "null"))
        self.classes: list[str] = self.contract["classes"]
        self.task = task_of({**self.contract, "name": self.contract["task"]})
        if self.contract["version"] == WITHOUT:
            message = f"{path} has no digest, as files of an earlier Leadline: whether it is damaged cannot be checked."
            warnings.warn(message, stacklevel=3)

    def _open(self, threads: int) -> Session:
        """The graph, loaded from the very bytes that were checked."""
        path = self.path
        try:
            if not path.is_file():
                raise ModelError(f"There is no model at {path}; `leadline fit` writes model.onnx into its run folder.")
            data = path.read_bytes()
        except PermissionError as error:
            raise ModelError(f"{path} may not be opened by this user; give yourself permission to it.") from error
        except OSError as error:
            raise ModelError(f"{path} cannot be read ({error.strerror}); copy it to a place that can be.") from error
        if (why := damage(data)) is not None:
            raise ModelError(f"{path} is damaged ({why}); copy it again from where it was made, or fit again.")
        try:
            return Session(data, threads=threads)
        except ModelError:
            raise
        except Exception as error:  # ONNX Runtime has an exception type for every way a file can be wrong
            raise ModelError(
                f"{path} cannot be loaded as an ONNX model ({_reason(error)}); give a model.onnx, or the run folder "
                "that holds it."
            ) from error

    def _run(self, session: Session, feeds: Mapping[str, Any], names: Sequence[str]) -> dict[str, np.ndarray]:
        try:
            return session(feeds, names)
        except Exception as error:  # of as many types
            raise ModelError(
                f"ONNX Runtime cannot run {self.path} on these rows ({_reason(error)}); where it answered such rows "
                "before, copy it again from where it was made, or fit again."
            ) from error

    @checked
    def predict(self, source: Any, *, cache: str | Path | None = None) -> pl.DataFrame:
        """Answers for every row of a source: `prediction`, of several labels a list, and `p_<class>` of classes.

        Where the file states a coverage: also `set`, the names of the classes that are likely enough (of several labels
        those that the row may bear), joined by "|", or `low` and `high`.
        """
        from leadline.use.predict import predict

        return predict(self, source, cache=cache)

    @checked
    def predict_to(self, source: Any, out: str | Path, *, cache: str | Path | None = None) -> int:
        """The answers of `predict` in a file, CSV, TSV, Parquet or JSON Lines by its suffix, written as they are made:
        memory does not grow with the rows.

        Returns:
            The number of answers.

        Raises:
            LeadlineError: the file cannot be written, or the source cannot be read; then there is no file.
        """
        from leadline.use.answer_file import write
        from leadline.use.predict import predict_in_parts

        return write(predict_in_parts(self, source, cache=cache), Path(out))

    @checked
    def explain(
        self, source: Any, *, rows: Sequence[int] | None = None, layers: bool = False, gradients: bool = False,
        cache: str | Path | None = None,
    ) -> Explanation:  # fmt: skip
        """Why the file answers rows of a source as it does, and how far that can be trusted.

        Args:
            rows: numbers of the rows to explain, from 0 (default: a dozen, evenly over the source).
            layers: also what each layer of a network has learned; two thirds of the rows fit the probes.
            gradients: of a network also integrated gradients, for which PyTorch must be installed.

        Raises:
            LeadlineError: where there is no such row, a column is missing, or the file is a language model.
        """
        from leadline.use.explain.explain import explain_source

        return explain_source(self, source, rows, layers, cache, gradients)

    @checked
    def verify(self, source: Any = None, *, cache: str | Path | None = None) -> Verified:
        """What the parity certificate in the file states; with a source its rows are answered again and compared.

        Raises:
            ModelError: the graph is not the one that was certified, or it answers differently here.
        """
        from leadline.use.verify import verify

        return verify(self, source, cache=cache)

    def __reduce__(self) -> tuple[type[Model], tuple[Path]]:
        """Pickled and copied by its path: the file is opened again where it is unpickled."""
        return type(self), (self._origin,)

    @checked
    def reader(self, threads: int = 1) -> Reader:
        """The step of a language model, on one thread or so many. Raises `ModelError` where this is none."""
        if not self.task.generative:
            raise ModelError(f"{self.path.name} predicts {self.contract['target']!r}, and writes no text; use predict.")
        session = self._session if threads == 1 else self._open(threads)
        return Reader(partial(self._run, session), self.contract)

    @checked
    def generate(self, prompt: str = "\n", **settings: Any) -> str:
        """Text that continues the prompt; `settings` are those of `leadline.use.generate.generate`."""
        from leadline.use.generate import generate

        return "".join(generate(self, prompt, **settings))

    def answer(
        self, frame: pl.DataFrame, root: Path | None, watch: Watch | None = None
    ) -> tuple[dict[str, np.ndarray], dict[int, str]]:  # fmt: skip
        """Run the graph on the rows of a frame.

        Args:
            watch: how the values are read, where not as the contract says; it counts what they were.

        Returns:
            By role: prediction [n] (strings or float64; multilabel: bool [n, classes]); for classes also
            probabilities [n, classes]; with a coverage also set, bool [n, classes], or low and high [n]. And
            {row: why} of the rows that could not be decoded; ignore their predictions.
        """
        empty = self.task.blank(len(frame))
        predictions = {role: empty[role] for role in self.contract["outputs"]}
        bad: dict[int, str] = {}
        inputs = self.contract["inputs"].items()
        sized = all(
            isinstance(frame[name].dtype, pl.Array) for name, facts in inputs if KINDS[facts["kind"]].variable_shape
        )
        step = BATCH if sized else PICTURES  # whatever the machine: the last bits of an answer depend on it
        step = MANY if all(KINDS[facts["kind"]].joint for _, facts in inputs) else step
        ways = {name: facts["decode"] if watch is None else watch.settings(name) for name, facts in inputs}
        kinds = {name: facts["kind"] for name, facts in inputs}

        def one(start: int) -> list[tuple[str, Decoded]]:
            decoded = self._decoded(frame.slice(start, step), root, ways)
            for rows, feeds in self._feeds(decoded, min(step, len(frame) - start), bad, start):
                outputs = self._run(self._session, feeds, list(self.contract["outputs"].values()))
                for role, name in self.contract["outputs"].items():
                    predictions[role][rows] = outputs[name]
            return [(name, column) for name, column in decoded.items() if not KINDS[kinds[name]].variable_shape]

        # A call runs on one thread, and as many calls side by side as there are cores: none waits for another one, and
        # an answer does not depend on how many there are.
        with ThreadPoolExecutor(most_threads()) as pool:
            starts = range(0, len(frame), step)
            for start, columns in zip(starts, pool.map(one, starts), strict=True):
                for name, decoded in columns:
                    if watch is not None:
                        watch.note(name, decoded, start)
        return predictions, bad

    def run(self, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Outputs by role of decoded values, all of one shape, as the file takes them."""
        found = self.outputs(feeds)
        return {role: found[name] for role, name in self.contract["outputs"].items()}

    def outputs(self, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The same by the names that the file gives them."""
        return self._run(self._session, feeds, list(self.contract["outputs"].values()))

    def decoded(
        self, frame: pl.DataFrame, root: Path | None, own: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Decoded]:  # fmt: skip
        """Decoded values of a frame's rows; `own` says how columns are read that are not as the contract says."""
        ways = {name: facts["decode"] for name, facts in self.contract["inputs"].items()}
        return self._decoded(frame, root, {**ways, **own})

    def feeds(self, frame: pl.DataFrame, root: Path | None) -> dict[str, Any]:
        """Decoded values of a frame's rows, all of one shape, as the file takes them."""
        ways = {name: facts["decode"] for name, facts in self.contract["inputs"].items()}
        ((_, feeds),) = self._feeds(self._decoded(frame, root, ways), len(frame), {}, 0, whole=True)
        return feeds

    def calls(
        self, frame: pl.DataFrame, root: Path | None, watch: Watch | None = None
    ) -> list[tuple[np.ndarray, dict[str, Any]]]:  # fmt: skip
        """(row numbers of the frame, inputs of the file) of every call that its rows need; rows that cannot be decoded
        are in none.
        """
        ways = {
            name: facts["decode"] if watch is None else watch.settings(name)
            for name, facts in self.contract["inputs"].items()
        }
        return self._feeds(self._decoded(frame, root, ways), len(frame), {}, 0)

    def _decoded(
        self, frame: pl.DataFrame, root: Path | None, ways: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Decoded]:  # fmt: skip
        """The values of every column, in the order of the inputs; those of one kind together."""
        by_kind: dict[str, list[str]] = {}
        for name, facts in self.contract["inputs"].items():
            by_kind.setdefault(facts["kind"], []).append(name)
        columns: dict[str, Decoded] = {}
        for kind_name, names in by_kind.items():
            kind = KINDS[kind_name]
            if kind.variable_shape:
                columns |= {name: _one_by_one(kind, frame[name], root, ways[name]) for name in names}
            else:
                columns |= decode_columns(kind, frame, root, {name: ways[name] for name in names})
        return {name: columns[name] for name in self.contract["inputs"]}

    def _feeds(
        self, decoded: Mapping[str, Decoded], count: int, bad: dict[int, str], start: int, *, whole: bool = False
    ) -> list[tuple[np.ndarray, dict[str, Any]]]:
        """(row numbers, inputs) of each call that a batch needs: rows with pictures of one size go together.

        Args:
            whole: however large these are.
        """
        columns = {name: item.values for name, item in decoded.items()}
        groups: dict[tuple[Any, ...], list[int]] = {}
        shapes: list[tuple[Any, ...]] = [()] * count
        broken: set[int] = set()
        for name, item in decoded.items():
            if KINDS[self.contract["inputs"][name]["kind"]].variable_shape:
                bad.update({start + row: why for row, why in item.bad.items()})
                broken |= {i for i, value in enumerate(item.values) if value is None}
                shapes = [
                    (*shape, None if value is None else value.shape)
                    for shape, value in zip(shapes, item.values, strict=True)
                ]
        for i, shape in enumerate(shapes):
            if i not in broken:
                groups.setdefault(shape, []).append(i)
        calls = []
        for shape, together in groups.items():
            room = len(together) if whole else max(1, ROOM // max(1, sum(math.prod(part or ()) for part in shape)))
            for first in range(0, len(together), room):
                rows = together[first : first + room]
                feeds = {
                    name: np.asarray([values[i] for i in rows]) if isinstance(values, list) else values[rows]
                    for name, values in columns.items()
                }
                calls.append((np.array(rows) + start, feeds))
        return calls


def _reason(error: Exception) -> str:
    """What ONNX Runtime says, without the places in its own code."""
    return str(error).rsplit(" : ", 1)[-1].strip().rstrip(".")[:200]


def _contract(session: Session, path: Path) -> dict[str, Any]:
    text = session.metadata.get(CONTRACT)
    if text is None:
        raise ModelError(f"{path} is an ONNX file, but not one that Leadline wrote: it holds no contract.")
    try:
        contract = json.loads(text)
        if contract["version"] > VERSION:
            raise ModelError(f"{path} was written by a newer Leadline; update with `pip install -U leadline`.")
        for facts in contract["inputs"].values():
            facts["kind"] = FORMER.get(facts["kind"], facts["kind"])
        wrong = [key for key, kind in KEYS.items() if not isinstance(contract[key], kind)]
        wrong += [
            name for name, facts in contract["inputs"].items() if facts["kind"] not in KINDS or "decode" not in facts
        ]
    except (ValueError, KeyError, TypeError, AttributeError):  # only in a file without a digest
        wrong = ["JSON"]
    if wrong:
        raise ModelError(f"{path} is damaged (its contract cannot be read); copy it again, or fit again.")
    return dict(contract)


def _one_by_one(kind: Kind, values: pl.Series, root: Path | None, settings: Mapping[str, Any]) -> Decoded:
    """Decoded values of one column of images or audio."""
    if isinstance(values.dtype, pl.Array):
        return kind.decode(values, root, settings)
    parts = [kind.decode(values.slice(i, 1), root, settings) for i in range(len(values))]
    return Decoded(
        values=[part.values[0] for part in parts], bad={i: part.bad[0] for i, part in enumerate(parts) if part.bad}
    )
