"""What the textbook expects of a table before anything is trained: deep, classical or either, and how sure it is.

Enters: the understood table, the rows of its split, the machine and the budget. Leaves: an `Expectation`: an answer, a
sentence, and every reason with its source. It is the hypothesis that a run then tests; it changes nothing in the run.

In order: who must read the model gets a classical one. Else the kind of the data and the rows to learn from decide, by
the first line of `RULES` that they reach. Where that says deep and the budget is short for so many rows, it is open.
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

from leadline.dataset.table import Table

DEEP, CLASSICAL, EITHER = "deep", "classical", "either"
USUALLY, OFTEN, OPEN = "usually", "often", "open"
OURS = "Leadline's own rule of thumb"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One thing that was found, the family it speaks for, and who says so."""

    found: str
    points_to: str  # deep, classical or either
    source: str


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Which family the textbook expects to win, how sure it is, one sentence of why, and the reasons."""

    answer: str  # deep, classical or either
    sure: str  # usually, often or open
    why: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Of this sort of data, with at least so many rows to learn from (a class), the textbook says this."""

    data: str
    least: int
    answer: str
    sure: str
    because: str
    source: str


# Images and sounds count rows a class, or a tenth of the rows where a number is asked; the others count rows.
# A row of a text corpus is about a kilobyte. The first line that is reached holds.
RULES = tuple(
    Rule(data=data, least=least, answer=answer, sure=sure, because=because, source=source)
    for data, least, answer, sure, because, source in (
        ("images", 500, DEEP, USUALLY, "convolutions use where pixels are to each other, given hundreds a class",
         "LeCun et al. 1998; Krizhevsky et al. 2012"),
        ("images", 50, DEEP, OFTEN, "small convolutional networks already learn from dozens of images a class",
         "Brigato & Iocchi 2021"),
        ("images", 0, EITHER, OPEN, "with so few images a class, features by hand and a linear model hold their own",
         "Dalal & Triggs 2005; Brigato & Iocchi 2021"),
        ("sounds", 100, DEEP, USUALLY, "a spectrogram is read by convolutions as a picture is, given a hundred a class",
         "Hershey et al. 2017"),
        ("sounds", 20, DEEP, OFTEN, "convolutions on spectrograms beat statistics of cepstra from dozens a class on",
         "Piczak 2015"),
        ("sounds", 0, EITHER, OPEN, "with so few sounds a class, statistics of cepstra hold their own",
         "Piczak 2015"),
        ("texts", 1_000_000, DEEP, OFTEN, "networks overtake counted n-grams when texts are millions",
         "Zhang et al. 2015"),
        ("texts", 10_000, EITHER, OPEN, "embedded bags of n-grams and counted ones do about equally well",
         "Joulin et al. 2016; Zhang et al. 2015"),
        ("texts", 0, CLASSICAL, OFTEN, "on few texts counted n-grams beat networks that start from nothing",
         "Wang & Manning 2012; Kim 2014"),
        ("text corpus", 500, DEEP, USUALLY, "networks share what they learn between contexts, and counts cannot",
         "Bengio et al. 2003; Mikolov et al. 2010"),
        ("text corpus", 0, EITHER, OPEN, "on little text well smoothed counts of n-grams are hard to beat",
         "Chen & Goodman 1999"),
        ("columns in order", 0, EITHER, OPEN,
         "networks use the order, and so do random convolutions under a linear model",
         "Wang et al. 2017; Dempster et al. 2020"),
        ("columns", 50_000, EITHER, OPEN, "networks catch up with boosted trees when rows are many",
         "Gorishniy et al. 2021, 2024; McElfresh et al. 2023"),
        ("columns", 1_000, CLASSICAL, USUALLY, "boosted trees beat networks on tables under about 50,000 rows",
         "Grinsztajn et al. 2022; McElfresh et al. 2023"),
        ("columns", 0, CLASSICAL, OFTEN, "so few rows suit linear models and small trees",
         "Hastie et al. 2009; McElfresh et al. 2023"),
    )
)  # fmt: skip
DATA = {
    "tokens": "text corpus",
    "image": "images",
    "audio": "sounds",
    "series": "columns in order",
    "text": "texts",
}  # the first that is there
# Seconds of a core that a network takes for a row until it has learned something: rough, and ours.
A_ROW = {"images": 4e-3, "sounds": 4e-3, "texts": 1e-3, "text corpus": 0.1}
A_COLUMN_ROW = 5e-4
READABLE = "whoever must explain each answer needs a model that can be read, not one explained afterwards"
BESIDE = 3  # other columns beside a text, above which it is a table that has a text
IN_ORDER = 16  # numbered columns of numbers that may be a series
LOOKED = 500  # rows by which that is told
ALIKE, MORE_ALIKE = 0.4, 1.2  # correlation of neighbours, and how far above that of strangers

WORDS = {DEEP: "deep learning", CLASSICAL: "classical models"}


def expect(
    table: Table, rows: Mapping[str, int], machine: Mapping[str, Any], *, interpretable: bool, seconds: float
) -> Expectation:
    """Apply the rules.

    Args:
        table: as the audit leaves it.
        rows: of each part of the split, by name.
        machine: as `system.resources.machine` describes it: cores, memory_gb.
        interpretable: the user must be able to read the model.
        seconds: the budget; inf for none.
    """
    train = rows["train"]
    ordered = _in_order(table)
    data = _sort([column.kind for column in table.inputs], ordered > 0)
    rule = applied(data, train, len(table.task.classes))
    short = _short(data, train, machine, seconds)
    reasons = [Reason(found=_amount(table, data, train), points_to=rule.answer, source=rule.source)]
    reasons += _shape(table, data, train, ordered)
    if rule.sure != USUALLY and data in ("images", "sounds", "texts"):
        found = "networks start from nothing: none here is pretrained"
        reasons.append(Reason(found=found, points_to=CLASSICAL, source="Yosinski et al. 2014; Devlin et al. 2019"))
    if interpretable:
        reasons.append(Reason(found="the model must be open to reading", points_to=CLASSICAL, source="Rudin 2019"))
    reasons.append(_means(machine, seconds, short))
    answer, sure, because = rule.answer, rule.sure, f"{rule.because} ({rule.source})"
    if interpretable:
        answer, sure, because = CLASSICAL, USUALLY, f"{READABLE} (Rudin 2019)"
    elif short and answer == DEEP:
        answer, sure, because = EITHER, OPEN, f"{because}, but the budget is short for {train:,} rows on this machine"
    return Expectation(answer=answer, sure=sure, why=_sentence(answer, sure, because), reasons=tuple(reasons))


def applied(data: str, rows: int, classes: int) -> Rule:
    """The line of `RULES` that holds for this sort of data.

    Example:
        >>> applied("columns", 20_000, classes=2).answer, applied("images", 5_000, classes=10).answer
        ('classical', 'deep')
    """
    amount = rows // (classes or 10) if data in ("images", "sounds") else rows
    return next(rule for rule in RULES if rule.data == data and amount >= rule.least)


def _sort(kinds: list[str], ordered: bool) -> str:
    """The sort of data by which the textbook goes: a text among many columns does not make a table one of texts.

    Example:
        >>> _sort(["text"], False), _sort(["number"] * 5 + ["text"], False), _sort(["number", "image"], False)
        ('texts', 'columns', 'images')
    """
    found = next((kind for kind in DATA if kind in kinds), None)
    if found is None or (found == "text" and kinds.count("text") * BESIDE < len(kinds) - kinds.count("text")):
        return "columns in order" if ordered else "columns"
    return DATA[found]


def _sentence(answer: str, sure: str, because: str) -> str:
    if answer == EITHER:
        return f"The textbook expects either side to win, and calls it open, because {because}."
    return f"The textbook {sure} expects {WORDS[answer]} to win here, because {because}."


def _amount(table: Table, data: str, train: int) -> str:
    """'images, 45,000 rows to learn from, 4,500 a class'."""
    told = f"{data}, {train:,} rows to learn from"
    if data == "text corpus":
        return f"text corpus, about {train:,} kB to learn from"
    classes = len(table.task.classes)
    return f"{told}, {train // classes:,} a class" if classes else f"{told}, a number to predict"


def _shape(table: Table, data: str, train: int, ordered: int) -> list[Reason]:
    """What the columns say."""
    kinds = [column.kind for column in table.inputs]
    texts = kinds.count("text")
    words = {"number": "numbers", "category": "categories", "time": "times", "list": "lists of words"}
    plain = {word: kinds.count(kind) for kind, word in words.items() if kind in kinds}
    told = ", ".join(f"{count:,} of {word}" for word, count in plain.items())
    found = []
    if data == "columns in order":
        near = f"{ordered:,} numbered columns, neighbours more alike than strangers: a series, or pixels"
        found.append(Reason(found=near, points_to=DEEP, source="Wang et al. 2017"))
    elif data == "columns":
        found.append(
            Reason(
                found=f"columns ({told}) without an order that a network could use, each with a meaning of its own",
                points_to=CLASSICAL, source="Grinsztajn et al. 2022",
            )
        )  # fmt: skip
    if data.startswith("columns") and texts:
        among = f"texts among the columns: {texts:,}"
        found.append(Reason(found=among, points_to=EITHER, source="Shi et al. 2021"))
    elif plain and not data.startswith("columns"):
        found.append(Reason(found=f"columns beside the {data}: {told}", points_to=EITHER, source="Shi et al. 2021"))
    if data.startswith("columns") and len(kinds) > train:
        wide = f"more columns ({len(kinds):,}) than rows to learn from ({train:,}): only strong penalties help"
        found.append(Reason(found=wide, points_to=CLASSICAL, source="Hastie et al. 2009, chapter 18"))
    return found


def _means(machine: Mapping[str, Any], seconds: float, short: bool) -> Reason:
    """The machine and the budget."""
    cores = int(machine["cores"])
    memory = f", {machine['memory_gb']:g} GB" if machine["memory_gb"] else ""
    time = "no limit of time" if math.isinf(seconds) else f"{seconds:,.0f} s"
    ends = "short for a network on so many rows" if short else "enough for a network to learn something"
    found = f"{time} on {cores} core{'s' if cores > 1 else ''}{memory}, no GPU used: {ends}"
    return Reason(found=found, points_to=CLASSICAL if short else EITHER, source=OURS)


def _short(data: str, train: int, machine: Mapping[str, Any], seconds: float) -> bool:
    return seconds * int(machine["cores"]) < train * A_ROW.get(data, A_COLUMN_ROW)


def _in_order(table: Table) -> int:
    """How many columns of numbers are one row of measurements: numbered, and neighbours alike. 0: none."""
    run = _numbered([column.name for column in table.inputs if column.kind == "number"])
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
