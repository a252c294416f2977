"""What the textbook expects of a table before anything is trained: deep, classical or either, with a confidence.

Enters: the understood table, the rows of its split, the machine and the budget. Leaves: an `Expectation`: an answer, a
sentence, and every reason with its source. It is the hypothesis that a run then tests; it changes nothing in the run.

In order: who must read the model gets a classical one. Else the kind of the data and the rows to learn from decide, by
the first finding of its kind that they reach (`core/textbook.py`). Where that says deep and the budget is short for so
many rows, it is open.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from leadline.core.textbook import CLASSICAL, DEEP, EITHER, OFTEN, OPEN, USUALLY, Finding, Textbook
from leadline.dataset.table import Table
from leadline.kinds import KINDS, Scale
from leadline.kinds.series.kind import Series
from leadline.kinds.weights import find_body

OURS = "Leadline's own rule of thumb"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One thing that was found, the family it speaks for, and who says so."""

    finding: str
    points_to: str  # deep, classical or either
    source: str


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Which family the textbook expects to win, its confidence, one sentence of why, and the reasons."""

    answer: str  # deep, classical or either
    confidence: str  # usually, often or open
    why: str
    reasons: tuple[Reason, ...]


assert Series.textbook is not None
SERIES = Series.textbook  # holds of numbered columns too, whose neighbours are alike
COLUMNS = Textbook(
    data="columns", rank=9,
    findings=(
        Finding(50_000, EITHER, OPEN, "networks catch up with boosted trees when rows are many",
         "Gorishniy et al. 2021, 2024; McElfresh et al. 2023"),
        Finding(1_000, CLASSICAL, USUALLY, "boosted trees beat networks on tables under about 50,000 rows",
         "Grinsztajn et al. 2022; McElfresh et al. 2023"),
        Finding(0, CLASSICAL, OFTEN, "so few rows suit linear models and small trees",
         "Hastie et al. 2009; McElfresh et al. 2023"),
    ),
)  # fmt: skip
LEARNED = (
    "what a body has learned from millions of others helps most where rows are few (Yosinski et al. 2014; "
    "Howard & Ruder 2018)"
)
READABLE = "whoever must explain each answer needs a model that can be read, not one explained afterwards"
IN_ORDER = 16  # numbered columns of numbers that may be a series
LOOKED = 500  # rows from which that is inferred
ALIKE, MORE_ALIKE = 0.4, 1.2  # correlation of neighbours, and how far above that of strangers

WORDS = {DEEP: "deep learning", CLASSICAL: "classical models"}


def expect(
    table: Table, rows: Mapping[str, int], machine: Mapping[str, Any], *, interpretable: bool, seconds: float,
    weights: str | None = None,
) -> Expectation:  # fmt: skip
    """Apply the rules.

    Args:
        table: as the audit leaves it.
        rows: of each part of the split, by name.
        machine: as `system.resources.machine` describes it: cores, memory_gb.
        interpretable: the user must be able to read the model.
        seconds: the budget; inf for none.
        weights: of pretrained bodies, as the settings name them.
    """
    train = rows["train"]
    ordered = _in_order(table)
    book = _sort([column.kind for column in table.inputs], ordered > 0)
    rule = applied(book, train, len(table.task.classes))
    short = seconds * int(machine["cores"]) < train * book.seconds
    reasons = [Reason(finding=_amount(table, book, train), points_to=rule.answer, source=rule.source)]
    reasons += _shape(table, book, train, ordered)
    body = book.pretrained and any(find_body(KINDS[column.kind], weights) for column in table.inputs)
    if rule.sure != USUALLY and book.pretrained:
        text = "a pretrained body can read them" if body else "networks start from nothing: none here is pretrained"
        source = "Yosinski et al. 2014; Devlin et al. 2019"
        reasons.append(Reason(finding=text, points_to=DEEP if body else CLASSICAL, source=source))
    if interpretable:
        reasons.append(Reason(finding="the model must be open to reading", points_to=CLASSICAL, source="Rudin 2019"))
    reasons.append(_means(machine, seconds, short))
    answer, sure, because = rule.answer, rule.sure, f"{rule.because} ({rule.source})"
    if body and answer != DEEP:
        answer, sure, because = DEEP, OFTEN, LEARNED
    if interpretable:
        answer, sure, because = CLASSICAL, USUALLY, f"{READABLE} (Rudin 2019)"
    elif short and answer == DEEP:
        answer, sure, because = EITHER, OPEN, f"{because}, but the budget is short for {train:,} rows on this machine"
    return Expectation(answer=answer, confidence=sure, why=_sentence(answer, sure, because), reasons=tuple(reasons))


def books() -> dict[str, Textbook]:
    """What is known of each sort of data, by its name."""
    known = [*(kind.textbook for kind in KINDS.values()), COLUMNS]
    return {book.data: book for book in known if book is not None}


def applied(book: Textbook, rows: int, classes: int) -> Finding:
    """The first finding for which there are enough rows.

    Example:
        >>> applied(COLUMNS, 20_000, classes=2).answer, applied(books()["images"], 5_000, classes=10).answer
        ('classical', 'deep')
    """
    amount = rows // (classes or 10) if book.by_class else rows
    return next(finding for finding in book.findings if amount >= finding.least)


def _sort(kinds: list[str], ordered: bool) -> Textbook:
    """The sort of data by which the textbook goes: a text among many columns does not make a table one of texts.

    Example:
        >>> [_sort(kinds, False).data for kinds in (["text"], ["number"] * 5 + ["text"], ["number", "image"])]
        ['texts', 'columns', 'images']
    """
    known = [(book, kind) for kind in kinds if (book := KINDS[kind].textbook) is not None]
    book, kind = min(known, key=lambda each: each[0].rank, default=(COLUMNS, ""))
    count = kinds.count(kind)
    if book is COLUMNS or book.beside * count < len(kinds) - count:
        return SERIES if ordered else COLUMNS
    return book


def _sentence(answer: str, sure: str, because: str) -> str:
    if answer == EITHER:
        return f"The textbook expects either side to win, and calls it open, because {because}."
    return f"The textbook {sure} expects {WORDS[answer]} to win here, because {because}."


def _amount(table: Table, book: Textbook, train: int) -> str:
    """'images, 45,000 rows to learn from, 4,500 a class on average'"""
    text = f"{book.data}, {book.amount.format(train)} to learn from"
    if any(KINDS[column.kind].corpus for column in table.inputs):
        return text
    classes = len(table.task.classes)
    if table.task.multilabel:
        return f"{text}, {classes:,} labels"
    return f"{text}, {train // classes:,} a class on average" if classes else f"{text}, a number to predict"


def _shape(table: Table, book: Textbook, train: int, ordered: int) -> list[Reason]:
    """What the columns say."""
    kinds = [column.kind for column in table.inputs]
    texts = sum(KINDS[kind].prose for kind in kinds)
    scales = [*Scale, None]
    joint = sorted((KINDS[kind] for kind in set(kinds) if KINDS[kind].joint), key=lambda kind: scales.index(kind.scale))
    plain = {kind.plural: kinds.count(kind.name) for kind in joint}
    counts = ", ".join(f"{count:,} of {word}" for word, count in plain.items())
    columns = book in (SERIES, COLUMNS)
    reasons = []
    if book is SERIES:
        numbered = f"{ordered:,} numbered columns, neighbours more alike than strangers: a series, or pixels"
        near = numbered if ordered else "values in order, as many in each row: a series"
        reasons.append(Reason(finding=near, points_to=DEEP, source="Wang et al. 2017"))
    elif book is COLUMNS:
        reasons.append(
            Reason(
                finding=f"columns ({counts}) without an order that a network could use, each with a meaning of its own",
                points_to=CLASSICAL, source="Grinsztajn et al. 2022",
            )
        )  # fmt: skip
    if columns and texts:
        among = f"texts among the columns: {texts:,}"
        reasons.append(Reason(finding=among, points_to=EITHER, source="Shi et al. 2021"))
    elif plain and not columns:
        reasons.append(
            Reason(finding=f"columns beside the {book.data}: {counts}", points_to=EITHER, source="Shi et al. 2021")
        )
    if columns and len(kinds) > train:
        wide = f"more columns ({len(kinds):,}) than rows to learn from ({train:,}): only strong penalties help"
        reasons.append(Reason(finding=wide, points_to=CLASSICAL, source="Hastie et al. 2009, chapter 18"))
    return reasons


def _means(machine: Mapping[str, Any], seconds: float, short: bool) -> Reason:
    """The machine and the budget."""
    cores = int(machine["cores"])
    memory = f", {machine['memory_gb']:g} GB" if machine["memory_gb"] else ""
    time = "no limit of time" if math.isinf(seconds) else f"{seconds:,.0f} s"
    ends = "short for a network on so many rows" if short else "enough for a network to learn something"
    text = f"{time} on {cores} core{'s' if cores > 1 else ''}{memory}, no GPU used: {ends}"
    return Reason(finding=text, points_to=CLASSICAL if short else EITHER, source=OURS)


def _in_order(table: Table) -> int:
    """How many columns of numbers are one row of measurements: numbered, and neighbours alike. 0: none."""
    run = _numbered([column.name for column in table.inputs if KINDS[column.kind].scale is Scale.NUMERIC])
    if len(run) < IN_ORDER:
        return 0
    rows = np.flatnonzero(table.part == 0)
    frame = table.take(rows[:: max(1, len(rows) // LOOKED)], run)
    values = frame.select(pl.all().cast(pl.Float64, strict=False).fill_null(0.0).fill_nan(0.0)).to_numpy()
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    if scaled.shape[1] < IN_ORDER:
        return 0
    near, far = (_alike(scaled, away) for away in (1, scaled.shape[1] // 2))
    return len(run) if near > ALIKE and near > MORE_ALIKE * far else 0


def _alike(scaled: np.ndarray, away: int) -> float:
    """How strongly columns [rows, columns] that stand so far apart are correlated: the median."""
    products = np.einsum("rc,rc->c", scaled[:, :-away], scaled[:, away:]) / len(scaled)
    return float(np.median(np.abs(products)))


def _numbered(names: list[str]) -> list[str]:
    """The longest run of names that end in rising numbers after the same word.

    Example:
        >>> _numbered(["age", "t1", "t2", "t4", "u5"])
        ['t1', 't2', 't4']
    """
    parsed = [(match[1], int(match[2])) if (match := re.fullmatch(r"(.*?)(\d+)", n)) else None for n in names]
    runs = [names[:1]]
    for (before, this), name in zip(pairwise(parsed), names[1:], strict=True):
        if before and this and before[0] == this[0] and before[1] < this[1]:
            runs[-1].append(name)
        else:
            runs.append([name])
    return max(runs, key=len)
