"""How delimited text is written: its separator, its quotes, its header.

Enters: the top of a file. Leaves: a `Dialect`. All is decided from the content, never from the file's name.

    >>> sniff("ham\\thello\\nham\\tbye, now\\nspam\\tbuy\\n").separator
    '\\t'
"""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _csv import Reader

__all__ = ["LONGEST_VALUE", "NO_SEPARATOR", "SEPARATORS", "Dialect", "is_data", "reader_of", "sample_of", "sniff"]

SAMPLE_CHARS = 2**18
SAMPLE_RECORDS = 500
# A stray quote would make the csv module swallow the file; no real value is longer than this.
LONGEST_VALUE = 2**24
# Cannot occur in text: the separator of a file that has one column.
NO_SEPARATOR = "\x1f"
SEPARATORS = "\t;,|"
HEADER_AGREES = 0.02
NAME = re.compile(r"^[^\W\d][^\n\t]{0,39}$")
WORD = re.compile(r"^\S+$")
SIGNED = r"[+\-\u2212]?\s*[$€£¥₹]?\s*[+\-\u2212]?"
NUMBER = re.compile(
    rf"^\(?{SIGNED}(\d+([.,'\u2019 \u00a0\u202f]\d+)*[.,]?|[.,]\d+)(e[+-]?\d+)?\s*[%$€£¥₹]?\)?$|^[+-]?(inf|nan)$",
    re.IGNORECASE,
)
DATE = re.compile(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b")
MISSING = frozenset({"", "?", "-", "na", "n/a", "nan", "null", "none", "."})


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a file is written. `names` is without gaps and without repeats, `titles` is what the header says, stripped
    ("" where it says nothing); `skip` counts blank lines at the top."""

    separator: str
    quoting: bool
    header: bool
    names: tuple[str, ...]
    titles: tuple[str, ...]
    skip: int
    spaced: bool = False


def sample_of(plain: Path) -> str:
    """The top of the file in whole lines; more of it where lines are very long."""
    size = SAMPLE_CHARS
    with plain.open(encoding="utf-8", newline="") as file:
        text = file.read(size)
        while text.count("\n") < 4 and size < LONGEST_VALUE and (more := file.read(size)):
            text, size = text + more, size * 2
        whole = not file.read(1)
    return text if whole or "\n" not in text else text[: text.rindex("\n") + 1]


def sniff(text: str, separator: str | None = None) -> Dialect:
    """Separator (where none is given), quoting, header and names, from the top of a file.

    >>> sniff("text,label\\nso good,pos\\n").names, sniff("5.1,3.5,a\\n4.9,3.0,b\\n").names
    (('text', 'label'), ('column_1', 'column_2', 'column_3'))
    """
    separator, quoting, spaced, records = _separator(text, SEPARATORS if separator is None else separator)
    width = Counter(len(record) for record in records).most_common(1)[0][0] if records else 1
    if len(records) > 1 and len(records[0]) == width - 1 > 0:
        records = [_widened(records[0], records[1:], width), *records[1:]]
    header = bool(records) and _has_header(records)
    first = [" ".join(value.split()) for value in records[0]] if header else [""] * width
    body = text.lstrip("\r\n")
    return Dialect(
        separator=separator,
        quoting=quoting,
        header=header,
        names=_unique([value or f"column_{i}" for i, value in enumerate(first, start=1)]),
        titles=tuple(first),
        skip=text[: len(text) - len(body)].count("\n"),
        spaced=spaced,
    )


def _widened(first: list[str], below: list[list[str]], width: int) -> list[str]:
    """A header that is one name short: its rows end with a separator, or begin with their own names, as R has it."""
    ends = all(not record[-1].strip() for record in below if len(record) == width)
    return [*first, ""] if ends else ["", *first]


def _unique(names: list[str]) -> tuple[str, ...]:
    """Names of which none comes twice: the second `x` is `x_2`.

    >>> _unique(["x", "y", "x", "x_2"])
    ('x', 'y', 'x_3', 'x_2')
    """
    taken, seen, unique = set(names), set[str](), list[str]()
    for name in names:
        if name in seen:
            number = next(n for n in range(2, len(taken) + 3) if f"{name}_{n}" not in taken)
            name = f"{name}_{number}"
            taken.add(name)
        seen.add(name)
        unique.append(name)
    return tuple(unique)


def _separator(text: str, separators: str) -> tuple[str, bool, bool, list[list[str]]]:
    """The separator that cuts most lines into the same number of fields; with its quoting and records."""
    best: tuple[float, str, bool, bool, list[list[str]]] | None = None
    for separator in separators:
        for quoting, spaced in _readings(text, separator):
            records = _top_records(text, separator, quoting, spaced)
            if not records:
                continue
            widths = Counter(len(record) for record in records)
            width, hits = widths.most_common(1)[0]
            # A header that one separator cuts as it cuts the rows below says more than any one of these.
            share = hits / len(records) + (HEADER_AGREES if len(records[0]) == width else 0.0)
            first = len(records[0])
            if first > 1 and all(NAME.match(value) and value == value.strip() for value in records[0]):
                # A line of names is a header, however ragged the lines below it are.
                share, width = max(share if width > 1 else 0.0, 0.5), max(width, first)
            elif share < 0.8:
                continue
            if width > 1 and (best is None or share > best[0] + 0.005):
                best = (share, separator, quoting, spaced, records)
    if best is not None:
        return best[1:]
    records = _top_records(text, ",", True, False)
    if '"' in text and records and all(len(record) == 1 for record in records):
        return ",", True, False, records
    return NO_SEPARATOR, False, False, [[line] for line in text.splitlines()[:SAMPLE_RECORDS] if line.strip()]


def _readings(text: str, separator: str) -> list[tuple[bool, bool]]:
    """(quoting, space allowed before a quote) worth trying; a later one must do better than the first to win."""
    readings = [(True, False)]
    if f'{separator} "' in text:
        readings.append((True, True))
    if separator == "\t":
        # In tab files quotes are often just text.
        readings.append((False, False))
    return readings


def _top_records(text: str, separator: str, quoting: bool, spaced: bool) -> list[list[str]]:
    reader = reader_of(io.StringIO(text, newline=""), separator, quoting, spaced)
    records: list[list[str]] = []
    try:
        for record in reader:
            if record:
                records.append(record)
            if len(records) == SAMPLE_RECORDS:
                break
    except csv.Error:
        # A value longer than the csv module takes: the records before it are enough.
        pass
    return records


def reader_of(file: io.TextIOBase, separator: str, quoting: bool, spaced: bool, strict: bool = False) -> "Reader":
    """The standard library's reader, set to a dialect."""
    return csv.reader(
        file,
        delimiter=separator,
        quoting=csv.QUOTE_MINIMAL if quoting else csv.QUOTE_NONE,
        skipinitialspace=spaced,
        strict=strict,
    )


def _has_header(records: list[list[str]]) -> bool:
    """Whether the first record names the columns.

    A name differs in kind from what stands below it (text over numbers), or at least never comes again below it.
    """
    first = [value.strip() for value in records[0]]
    below = [record for record in records[1:] if len(record) == len(first)]
    below = [record for record in below if [value.strip() for value in record] != first]  # a header that comes again
    columns = [[record[i].strip() for record in below] for i in range(len(first))]
    numeric = [is_data(value) for value in first]
    over_numbers = any(
        not numeric[i] and first[i].lower() not in MISSING and _mostly_data(column) for i, column in enumerate(columns)
    )
    if any(numeric):
        names = [value for value, number in zip(first, numeric, strict=True) if number]
        whole = all(name.isdigit() for name in names) and len(set(names)) == len(names)
        counted = whole and len(names) > 2 and [int(n) for n in names] in (
            list(range(len(names))), list(range(1, len(names) + 1))
        )  # fmt: skip
        return counted or (whole and over_numbers)
    if over_numbers:
        return True
    if any(len(value) > 60 or "\n" in value for value in first):
        return False
    if len(first) == 1 and not (NAME.match(first[0]) and (WORD.match(first[0]) or not below)):
        return False
    return not any(value and value in column for value, column in zip(first, columns, strict=True))


def is_data(value: str) -> bool:
    """Whether a value is a number or a date, as no column name is."""
    return bool(NUMBER.match(value) or DATE.match(value))


def _mostly_data(column: list[str]) -> bool:
    values = [value for value in column if value.lower() not in MISSING]
    return bool(values) and sum(map(is_data, values)) >= 0.9 * len(values)
