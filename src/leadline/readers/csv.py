"""Delimited text to Parquet, and which of its lines are bad.

Enters: a plain UTF-8 file. Leaves: a Parquet file of String columns, notes, and the lines that could not be read.
The fast way is polars, streaming. It is silent about lines that are too short, so its result is checked by counting
separators; where it refuses or the count is off, Python's csv module reads record by record.

    >>> done = convert(Path("train.csv"), Path("cache"), "train.csv")   # doctest: +SKIP
    >>> done.bad                                                        # doctest: +SKIP
    ((17, '3 fields where 2 were expected'),)
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from leadline.core.note import NO_HEADER, Note
from leadline.readers.csv_dialect import LONGEST_VALUE, SEPARATORS, Dialect, reader_of, sample_of, sniff
from leadline.readers.csv_preamble import look, without
from leadline.readers.media import listed
from leadline.readers.part import agreed, counted
from leadline.system.errors import SourceError
from leadline.system.process_state import environment

__all__ = ["Converted", "convert"]

BLOCK_BYTES = 2**20
LISTED_BAD = 1000


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A table as Parquet, notes that follow the file's name, and bad lines as (line, reason)."""

    table: Path
    notes: tuple[str, ...] = ()
    bad: tuple[tuple[int, str], ...] = ()
    unit: str = "line"  # what the numbers of `bad` count

    def with_bad(self, line: int, reason: str) -> "Converted":
        """The same with one more bad line; beyond a thousand they are counted, not listed."""
        return replace(self, bad=(*self.bad, (line, reason))) if len(self.bad) < LISTED_BAD else self


def convert(
    plain: Path, folder: Path, name: str, *, separator: str | None = None, unit: str = "line"
) -> Converted:  # fmt: skip
    """Turn a delimited file into `folder`/table.parquet; `name` is what errors call it.

    Args:
        separator: where it is known (default: inferred from the content).
        unit: what one line is for the user: a row, where the lines were made from a workbook.

    Raises SourceError for zero rows, and more than half of the lines bad.
    """
    top = look(sample_of(plain), separator)
    if not top.plain:
        plain = without(plain, top, folder)
    known = "\t" if top.lined_up else separator or top.separator
    dialect = sniff(sample_of(plain), known)
    notes: list[str] = []
    if shown := top.skip - (top.separator is not None):
        notes.append(f"has {counted(shown, unit)} above its table, left out")
    if top.header is not None:
        notes.append("names its columns in a comment, which is read as its header")
    if not dialect.header:
        called = f"s are called column_1 to column_{len(dialect.names)}" if len(dialect.names) > 1 else " is column_1"
        notes.append(Note(NO_HEADER, f"has no header line; its column{called}"))
    done = _by_polars(plain, folder, dialect) or _by_csv(plain, folder, dialect, name, unit)
    repeats = _tidied(done.table, dialect, folder)
    rows = pl.scan_parquet(done.table).select(pl.len()).collect().item()
    if not rows:
        raise SourceError(f"{name} has a header line and no row; add at least one row below it")
    above = top.skip - (top.header is not None)
    return replace(
        done, unit=unit, notes=(*notes, *repeats, *done.notes),
        bad=tuple((line + above, reason) for line, reason in done.bad),
    )  # fmt: skip


def _tidied(table: Path, dialect: Dialect, folder: Path) -> list[str]:
    """Take out header lines that come again, and columns that are copies of one of the same name; what to say."""
    notes = []
    frame = pl.scan_parquet(table)
    titles = _titles(dialect)
    if titles and frame.select(pl.col(titles[0][0]).str.strip_chars().eq(titles[0][1]).any()).collect().item():
        again = pl.all_horizontal(pl.col(n).str.strip_chars().eq_missing(pl.lit(t)) for n, t in titles)
        if count := frame.select(again.sum()).collect().item():
            frame = frame.filter(~again)
            notes.append(f"has its header {agreed(count, '1 time', '{} times')} more among its rows, left out")
    copies: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    for name, old in _twice(dialect):
        same = frame.select(pl.col(name).eq_missing(pl.col(old)).all()).collect().item()
        (copies if same else others).append((name, old))
    if copies:
        frame = frame.drop(name for name, _ in copies)
        names = listed(dict.fromkeys(repr(old) for _, old in copies))
        notes.append(f"has {names} more than once with the same values; one of each is kept")
    if others:
        notes.append(f"has more than one column named {listed(dict.fromkeys(repr(old) for _, old in others))}; "
                     f"the later ones are called {listed(name for name, _ in others)}")  # fmt: skip
    if notes:
        fresh = folder / "tidied.parquet"
        _sink(frame, fresh)
        fresh.replace(table)
    return notes


def _titles(dialect: Dialect) -> list[tuple[str, str]]:
    """(column, what the header says) of the columns that the file names."""
    return [(name, dialect.titles[i]) for i, name in enumerate(dialect.names) if dialect.titles[i]]


def _twice(dialect: Dialect) -> list[tuple[str, str]]:
    """(column, the column before it of the same title)."""
    first: dict[str, str] = {}
    pairs = []
    for name, title in zip(dialect.names, dialect.titles, strict=True):
        if title and first.setdefault(title, name) != name:
            pairs.append((name, first[title]))
    return pairs


# --- the fast way ----------------------------------------------------------------------------------------------------


def _by_polars(plain: Path, folder: Path, dialect: Dialect) -> Converted | None:
    """None where polars refuses the file, or where its reading can't be proved to be the right one."""
    table, first = folder / "table.parquet", folder / "first.parquet"
    if dialect.spaced or _only_carriage_returns(plain):
        return None
    try:
        frame = pl.scan_csv(
            plain,
            separator=dialect.separator,
            quote_char='"' if dialect.quoting else None,
            has_header=dialect.header,
            skip_lines=dialect.skip,
            infer_schema=False,
        )
        if len(frame.collect_schema()) != len(dialect.names):
            return None  # a header that is one name short, among others
        _sink(_named(frame, dialect.names), first)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    blank = _blank_lines(plain, first, dialect)
    if blank is None:
        return None
    frame = pl.scan_parquet(first)
    if blank:
        frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    if blank or frame.select(pl.any_horizontal((pl.all() == "").any())).collect().item():
        _sink(_empty_to_null(frame), table)
    else:
        first.replace(table)
    return Converted(table=table, notes=_blank_note(blank + dialect.skip))


def _blank_lines(plain: Path, table: Path, dialect: Dialect) -> int | None:
    """How many of the rows are blank lines; None where some rows are lines with too few or swallowed fields.

    Every row of F fields has F - 1 separators, a blank line none; those inside quoted values come on top. So the
    separators of the whole file tell whether a null at the end of a row was written or made up.
    """
    frame = pl.scan_parquet(table)
    last = pl.nth(-1)
    swallowed = pl.any_horizontal(
        (pl.all().str.contains("\t", literal=True) & pl.all().str.contains("\n", literal=True)).any()
    )
    rows, empty, open_end, merged = (
        frame.select(
            rows=pl.len(),
            empty=pl.all_horizontal(pl.all().is_null()).sum(),
            open_end=last.is_null().sum(),
            merged=swallowed if dialect.separator == "\t" and dialect.quoting else pl.lit(value=False),
        )
        .collect()
        .row(0)
    )
    if merged:
        return None
    if not open_end:
        return 0
    fields = len(dialect.names)
    if fields == 1:
        return int(empty)
    inside = pl.sum_horizontal(pl.all().str.count_matches(dialect.separator, literal=True).sum())
    written = _separators(plain).get(dialect.separator, 0) - frame.select(inside).collect().item()
    if dialect.header:
        # The header's own; a quoted name may hold more of them, which only sends the file the slow way.
        written -= fields - 1
    if written == rows * (fields - 1):
        return 0
    # A row of nothing but separators and a line without any could cancel out, so blank lines are counted themselves.
    if written == (rows - empty) * (fields - 1) and _empty_lines(plain) - dialect.skip == empty:
        return int(empty)
    return None


def _separators(plain: Path) -> dict[str, int]:
    counts: Counter[str] = Counter()
    with plain.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            for separator in SEPARATORS:
                counts[separator] += block.count(separator.encode())
    return counts


def _empty_lines(plain: Path) -> int:
    with plain.open("rb") as file:
        return sum(line in (b"\n", b"\r\n") for line in file)


def _only_carriage_returns(plain: Path) -> bool:
    with plain.open("rb") as file:
        head = file.read(BLOCK_BYTES)
    return b"\r" in head and b"\n" not in head


def _empty_to_null(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_columns(pl.when(pl.all() != "").then(pl.all()))


def _named(frame: pl.LazyFrame, names: tuple[str, ...]) -> pl.LazyFrame:
    """Columns renamed by position."""
    old_names = frame.collect_schema().names()
    return frame.select(pl.col(old).alias(new) for old, new in zip(old_names, names, strict=True))


def _sink(frame: pl.LazyFrame, table: Path) -> None:
    with environment("POLARS_CSV_CHUNK_SIZE", str(BLOCK_BYTES)):  # else chunks grow with the file, and many are held
        frame.sink_parquet(table, compression="lz4")


def _blank_note(blank: int) -> tuple[str, ...]:
    return (f"has {counted(blank, 'blank line')}, left out",) if blank else ()


# --- the slow way ----------------------------------------------------------------------------------------------------


@dataclass
class _Pass:
    """One reading of the whole file under one idea of what a quote means."""

    clean: Path
    good: int = 0  # records of the right width
    bad: int = 0
    blank: int = 0
    quotes: int = 0


def _by_csv(plain: Path, folder: Path, dialect: Dialect, name: str, unit: str) -> Converted:
    limit = csv.field_size_limit(LONGEST_VALUE)
    try:
        done, best, off = _best_pass(plain, folder, dialect)
    finally:
        csv.field_size_limit(limit)
    if best.bad > best.good:
        (line, reason), was = done.bad[0], "was" if len(dialect.names) == 1 else "were"
        raise SourceError(
            f"{name} has {counted(best.bad, f'bad {unit}')} of {best.good + best.bad:,} (first: {unit} {line}, "
            f"{reason}), where {counted(len(dialect.names), 'field')} a {unit} {was} expected; check its "
            "separator, quotes and header"
        )
    notes = list(_blank_note(best.blank))
    if off:
        notes.append("has stray quote characters; they are read as part of the text")
    if best.bad:
        notes.append(f"has {counted(best.bad, unit)} that could not be read, left out")
    if best.good:
        frame = _named(pl.scan_csv(best.clean, has_header=False, infer_schema=False), dialect.names)
    else:
        frame = pl.LazyFrame(schema=dict.fromkeys(dialect.names, pl.String))
    _sink(_empty_to_null(frame), done.table)
    return replace(done, notes=tuple(notes))


def _best_pass(plain: Path, folder: Path, dialect: Dialect) -> tuple[Converted, _Pass, bool]:
    """Read by the book; where quotes break the rules, take them leniently or as text, whichever keeps more rows."""
    if not dialect.quoting:
        return *_pass(plain, folder, dialect), False
    done, best = _pass(plain, folder, dialect, strict=True)
    if not best.quotes:
        return done, best, False
    done, best = _pass(plain, folder, dialect)
    text, plainly = _pass(plain, folder, replace(dialect, quoting=False))
    if plainly.good > best.good:
        return text, plainly, True
    return done, best, False


def _pass(plain: Path, folder: Path, dialect: Dialect, strict: bool = False) -> tuple[Converted, _Pass]:
    result = _Pass(clean=folder / f"clean-{dialect.quoting}-{strict}.csv")
    done = Converted(table=folder / "table.parquet")
    fields = len(dialect.names)
    header, tabbed = dialect.header, dialect.separator == "\t"
    with (
        plain.open(encoding="utf-8", newline="") as old,
        result.clean.open("w", encoding="utf-8", newline="") as new,
    ):
        writer = csv.writer(new, quoting=csv.QUOTE_ALL, lineterminator="\n")
        for line, record, reason in _records(old, dialect, strict):
            if reason:
                result.quotes += 1
            elif not record:
                result.blank += 1
                continue
            elif header:
                header = False
                continue
            elif len(record) == fields:
                result.good += 1
                # In a tab file such a value begins with a stray quote, which has swallowed lines.
                result.quotes += tabbed and any("\t" in value and "\n" in value for value in record)
                writer.writerow(record)
                continue
            result.bad += 1
            done = done.with_bad(
                line,
                reason or f"{counted(len(record), 'field')} where {fields} {'was' if fields == 1 else 'were'} expected",
            )
    return done, result


def _records(file: io.TextIOBase, dialect: Dialect, strict: bool) -> Iterator[tuple[int, list[str], str]]:
    """(line, record, what is wrong) for each record; the csv module continues after one that it can't read."""
    reader = reader_of(file, dialect.separator, dialect.quoting, dialect.spaced, strict)
    while True:
        line = reader.line_num + 1
        try:
            yield line, next(reader), ""
        except StopIteration:
            return
        except csv.Error as error:
            yield line, [], str(error)
