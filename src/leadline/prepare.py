"""From a source to rows that contenders can learn from: table, audit, split, encode, flaws. Writes to the cache alone.

A run takes these steps before its race (pipeline.py); the data of a finished run come back by the same steps
(results/run_data.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from leadline.config import Settings
from leadline.core.contender import Clock
from leadline.dataset.audit import audit
from leadline.dataset.encode import Encoder
from leadline.dataset.heldout import HeldOut
from leadline.dataset.sampling import WHOLE, Sample
from leadline.dataset.store import Store
from leadline.dataset.table import Table
from leadline.dataset.table import read as infer_table
from leadline.flaws.scan import Scan, scan
from leadline.kinds.weights import write_graphs
from leadline.readers.source import Source
from leadline.system.resources import most_threads


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """Rows that are ready for training; table and store have no labels of test rows."""

    held_out: HeldOut
    table: Table
    store: Store
    scan: Scan
    messages: list[str]


def examine(source: Source, settings: Settings) -> tuple[Table, list[str]]:
    """The table that a source holds, and the messages of its audit. Raises LeadlineError for what the user can fix."""
    table, audited = audit(infer_table(source, settings), settings)
    return table, list(audited)


def prepare(
    examined: tuple[Table, list[str]], settings: Settings, cache: Path, clock: Clock | None, *, sample: Sample = WHOLE,
    end: Callable[[str], None] = lambda stage: None,
) -> Prepared:  # fmt: skip
    """Rows become tensors, labels of test rows are held out, flaws are searched for and, on --fix, removed.

    Args:
        examined: what `examine` gives.
        clock: of the search for flaws; what it finds depends on the readings. None: no search.
        sample: how many rows are decoded.
        end: called with the name of each stage when it ends.
    """
    table, audited = examined
    held_out = HeldOut(table)
    encode = Encoder(held_out=held_out, settings=settings, cache=cache, sample=sample)
    table, store = encode(table)
    if clock is not None:
        write_graphs(store.blocks)
    end("encode")
    scanned = Scan(table=table, store=store, base=table)
    if clock is not None:
        scanned = scan(table, store, encode, settings, most_threads(), clock)
    end("flaws")
    messages = [*audited, *scanned.messages]
    return Prepared(held_out=held_out, table=scanned.table, store=scanned.store, scan=scanned, messages=messages)
