"""The parity certificate of a shipped file, read and run again. Imports neither PyTorch nor onnx.

Enters: a file, and a source that has some of the certified rows. Leaves: `Verified`, or an error in one sentence. That
the file is whole, byte for byte, is checked whenever it is opened (`graph/digest.py`); here the graph alone is held
against the certificate, and the answers that this machine and these versions give against those that are recorded.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from leadline.graph.digest import graph_digest
from leadline.system.cache import cache_folder
from leadline.system.errors import ModelError
from leadline.system.os_errors import spoken
from leadline.system.processor import processor_class
from leadline.system.resources import versions
from leadline.use.input_check import Watch
from leadline.use.predict import batches, source_to_predict

if TYPE_CHECKING:
    from leadline.use.model import Model

__all__ = ["Verified", "answers_of", "row_digests", "verify", "written"]

SHAPES = ("onnxruntime", "numpy", "pillow", "soundfile", "polars")  # packages on which answers depend


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was checked: the certificate (None: the file has none), and the rows that were answered again."""

    path: Path
    contract: Mapping[str, Any]
    certificate: Mapping[str, Any] | None
    rows: int | None = None  # certified rows that the source has; None: no source
    max_difference: float = 0.0  # of their answers, from those that are recorded
    decisions_differ: int = 0

    @property
    def elsewhere(self) -> list[str]:
        """What differs between the machine where the file was made and this one, a phrase each."""
        made, here = self.contract.get("versions", {}), versions()
        both = [name for name in SHAPES if name in made and name in here]
        found = [f"{name} {made[name]}, here {here[name]}" for name in both if made[name] != here[name]]
        if self.certificate is not None and self.certificate["processor"] != processor_class():
            found.append(f"{self.certificate['processor']}, here {processor_class()}")
        return found

    def __str__(self) -> str:
        if self.certificate is None:
            return (
                f"{self.path}: no certificate, as in files of an earlier Leadline. Its bytes are those that were "
                "written, but how far it was compared with the trained contender is not recorded; fit again for that."
            )
        found = self.certificate
        lines = [
            f"{self.path}: every byte as it was written; graph {found['graph'][:16]}…",
            f"parity: {found['rows']:,} test rows compared with {found['of']}, largest difference "
            f"{found['max_difference']:.3g}, {found['decisions_differ']:,} decisions changed",
        ]
        if "upper" in found:
            lines.append(
                f"drop: at most {found['upper']:.3g} (95%), judged by {found['judged_rows']:,} test rows that chose "
                f"nothing; allowed was {found['max_drop']:.3g}"
            )
        if self.rows is not None:
            lines.append(
                f"here: {self.rows} of {len(found['certified_rows'])} certified rows are in the source; largest "
                f"difference {self.max_difference:.3g}, {self.decisions_differ} decisions changed"
            )
        if self.elsewhere:
            lines.append(f"made with other software or another processor: {'; '.join(self.elsewhere)}")
        return "\n".join(lines)


def verify(model: Model, source: Any = None, *, cache: str | Path | None = None) -> Verified:
    """Check a file against its certificate; with a source also its answers to the certified rows that the source has.

    Raises:
        ModelError: the graph is not the one that was certified, no certified row is in the source, or an answer
            differs by more than the certificate allows.
    """
    certificate = model.certificate
    if certificate is not None and graph_digest(model.path.read_bytes()) != certificate["graph"]:
        raise ModelError(f"The graph of {model.path} is not the one that its certificate is about; fit again.")
    if certificate is None or source is None:
        return Verified(path=model.path, contract=model.contract, certificate=certificate)
    if model.task.generative:
        raise ModelError(
            f"{model.path} writes text, and its certificate records no single rows; verify it without a source."
        )
    place = Path(cache) if cache else cache_folder()
    with spoken(cache=place, out=place):
        found = _certified(model, source, place, certificate["certified_rows"])
    if not found:
        raise ModelError(
            f"The source has none of the {len(certificate['certified_rows'])} rows whose answers {model.path} records; "
            "give the data that it was fitted on."
        )
    recorded = answers_of(certificate, len(model.classes))
    places = sorted(found)
    here, then = np.stack([found[place] for place in places]), recorded[places]
    apart = np.abs(here - then).reshape(len(places), -1).max(axis=1)
    flips = model.task.flips(here, then)  # of answers that are as near as is allowed it depends on rounding
    result = Verified(
        path=model.path, contract=model.contract, certificate=certificate, rows=len(places),
        max_difference=float(apart.max()), decisions_differ=int(flips.sum()),
    )  # fmt: skip
    # Not (a > b): a NaN counts as a difference.
    if not (apart <= certificate["tolerance"]).all():
        why = f" ({'; '.join(result.elsewhere)})" if result.elsewhere else ""
        raise ModelError(
            f"{model.path} answers {len(places)} certified rows by up to {result.max_difference:.3g} differently here "
            f"than where it was made{why}; {certificate['tolerance']:.3g} is allowed: use the versions that it was "
            "made with, or fit again on this machine."
        )
    return result


def _certified(model: Model, source: Any, cache: Path, digests: list[str]) -> dict[int, np.ndarray]:
    """{place among the certified rows: scores}, of those that the source has."""
    given, watch = source_to_predict(source, model, cache), Watch(model.contract["inputs"])
    missing = {digest: place for place, digest in enumerate(digests) if digest}
    found: dict[int, np.ndarray] = {}
    for frame in batches(model, given, watch):
        own = row_digests(model, frame, given.root, watch)
        rows = [row for row, digest in enumerate(own) if digest in missing]
        if rows:
            answers, _ = model.answer(frame[rows], given.root, watch)
            scores = answers[model.task.scores_role]
            found |= {missing.pop(digest): scores[k] for k, row in enumerate(rows) if (digest := own[row]) in missing}
        if not missing:
            break
    return found


def row_digests(model: Model, frame: pl.DataFrame, root: Path | None, watch: Watch | None = None) -> list[str | None]:
    """The BLAKE2b-64 of the decoded values of each row, hex; None where a row cannot be decoded."""
    found: list[str | None] = [None] * len(frame)
    for rows, feeds in model.calls(frame, root, watch):
        for k, row in enumerate(rows):
            digest = blake2b(digest_size=8)
            for name in sorted(feeds):
                value = np.asarray(feeds[name][k])
                digest.update(f"{name}\0{value.shape}\0".encode())
                text = value.dtype.kind in "OU"
                digest.update("\0".join(map(str, value.ravel())).encode() if text else value.tobytes())
            found[row] = digest.hexdigest()
    return found


def written(answers: np.ndarray) -> str:
    """Answers as a certificate keeps them: float64 where they are values, which float32 would round."""
    return base64.b64encode(np.ascontiguousarray(answers, "<f8" if answers.ndim == 1 else "<f4").tobytes()).decode()


def answers_of(certificate: Mapping[str, Any], classes: int) -> np.ndarray:
    """The recorded answers [n, classes], or values [n]."""
    data = base64.b64decode(certificate["answers"])
    return np.frombuffer(data, "<f4").reshape(-1, classes) if classes else np.frombuffer(data, "<f8")
