"""The parity certificate: what a shipped file was compared with, and a few rows by which anyone can compare it again.

Enters: a file that ends with its digest, the answers that it has to give on the test rows, and what the comparison
found. Leaves: the same file with one more entry in its metadata (`core/records.py`, Certificate).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from leadline.core.records import Certificate
from leadline.dataset.table import Table
from leadline.graph.digest import graph_digest, with_certificate
from leadline.ship.parity import TOLERANCE, Parity
from leadline.system.processor import processor_class
from leadline.use.model import Model
from leadline.use.verify import row_digests, written

__all__ = ["certify", "record"]

CERTIFIED = 32  # rows whose answers the file keeps
MOST_ANSWERS = 320  # numbers in these answers: of a hundred classes, three rows


def record(
    model: Model, table: Table, rows: np.ndarray, answers: np.ndarray, parity: Parity, of: str,
    tolerance: float | None = None,
) -> Certificate:  # fmt: skip
    """The certificate of a file.

    Args:
        rows: row numbers of the table, rising, that were compared.
        answers: what the file has to give on them, [n, classes] or [n]; of text, bits [n], which are not kept.
        of: what the file was compared with.
        tolerance: by which answers elsewhere may differ (default: `TOLERANCE`, in the unit of the task).
    """
    task = model.task
    limit = TOLERANCE * task.unit(answers) if tolerance is None else tolerance
    digests: list[str] = []
    sample = np.zeros((0, 1), np.float32)
    if not task.generative:
        most = max(1, min(CERTIFIED, MOST_ANSWERS // (answers.shape[1] if answers.ndim == 2 else 1)))
        places = np.unique(np.linspace(0, len(rows) - 1, most).astype(int))
        frame = table.take(rows[places], list(model.contract["inputs"]))
        distinct = {
            digest: place for place, digest in zip(places, row_digests(model, frame, table.source.root), strict=True)
        }
        distinct.pop(None, None)  # of a row that cannot be decoded
        digests, sample = [digest for digest in distinct if digest], answers[list(distinct.values())]
    return {
        "of": of, "rows": parity.rows, "max_difference": parity.max_difference,
        "decisions_differ": parity.decisions_differ, "tolerance": float(limit),
        "graph": graph_digest(model.path.read_bytes()), "processor": processor_class(), "certified_rows": digests,
        "answers": written(sample),
    }  # fmt: skip


def certify(path: Path, certificate: Certificate) -> None:
    """Add a certificate to a file; its graph stays as it is, byte for byte."""
    path.write_bytes(with_certificate(path.read_bytes(), json.dumps(certificate)))
