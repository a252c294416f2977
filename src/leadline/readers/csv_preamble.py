"""What stands around a table in delimited text: comments, titles, `sep=;`, and columns lined up by spaces.

Enters: the top of a file. Leaves: a `Top`: how many lines come before the table, its separator where the file states
one, and whether its columns are lined up by spaces. The file without these is an ordinary delimited file.

    # exported 2024-05-17
    # id,age,city
    1,31,Ulm                 the last comment names the columns

    Sales report
    id;age;city
    1;31;Ulm                 the title is no row
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from leadline.readers.csv_dialect import NO_SEPARATOR, SEPARATORS, Dialect, is_data, sniff

__all__ = ["Top", "is_lined_up", "look", "without"]

COMMENT = re.compile(r"^\s*(#|//)")
STATED = re.compile(r"^(?P<quote>\"?)sep=(.)(?P=quote)[;,\t]*\s*$", re.IGNORECASE)
CELL = re.compile(r'"[^"]*"|\'[^\']*\'|[^ \t]+')
MOST_TITLE = 10  # lines that may stand above a header
FEWEST = 3  # lines that say how a table goes on
ALIKE = 0.95  # share of the lines that have as many fields


@dataclass(frozen=True, kw_only=True)
class Top:
    """What is to be taken away before a file is an ordinary one."""

    skip: int = 0  # lines
    header: str | None = None  # in place of the last of them
    separator: str | None = None
    lined_up: bool = False

    @property
    def plain(self) -> bool:
        return not (self.skip or self.lined_up)


def look(text: str, separator: str | None = None) -> Top:
    """Find what stands around the table, from the top of its file.

    >>> look("# made by hand\\nid,age\\n1,31\\n2,40\\n")
    Top(skip=1, header=None, separator=None, lined_up=False)
    """
    lines = text.splitlines(keepends=True)
    skip, declared = 0, None
    if separator is None and lines and (match := STATED.match(lines[0])):
        skip, declared = 1, match[2]
        separator = declared
    end = skip
    while end < len(lines) and (COMMENT.match(lines[end]) or (end > skip and not lines[end].strip())):
        end += 1
    while end > skip and not lines[end - 1].strip():
        end -= 1  # blank lines are counted where the rest is read
    if skip < end < len(lines):
        below = sniff("".join(lines[end:]), separator)
        if _are_rows(lines[skip:end], below):
            return Top(skip=skip, separator=declared)
        header = _named_by(lines[end - 1], below)
        if header is not None and header.lstrip()[:1] in SEPARATORS:
            return Top(skip=end - 1, separator=declared)  # '#' is the name of the first column
        if header is not None:
            return Top(skip=end, header=header, separator=declared)
        skip = end
    skip += _title("".join(lines[skip:]), separator)
    lined_up = separator is None and is_lined_up("".join(lines[skip:]))
    return Top(skip=skip, separator=declared, lined_up=lined_up)


def without(plain: Path, top: Top, folder: Path) -> Path:
    """The file without what stands around its table; columns that spaces line up get tabs between them."""
    target = folder / "table.txt"
    with (
        plain.open(encoding="utf-8", newline="") as old,
        target.open("w", encoding="utf-8", newline="") as new,
    ):
        for number, line in enumerate(old):
            if number < top.skip:
                if number == top.skip - 1 and top.header is not None:
                    new.write(top.header)
                continue
            new.write("\t".join(_cells(line)) + "\n" if top.lined_up else line)
    return target


def is_lined_up(text: str) -> bool:
    """Whether spaces cut the lines into columns: as many fields on each line, and at least half of them numbers.

    >>> is_lined_up("18.0   8   307.0\\n15.0   8   350.0\\n16.0   8   304.0\\n")
    True
    >>> is_lined_up("to be or not\\nto be that is\\nthe question\\n")
    False
    """
    separator = sniff(text).separator
    lines = [line for line in text.splitlines()[:500] if line.strip()]
    # A tab may stand between two of many columns that spaces part.
    tabbed = separator == "\t" and sum("  " in line.strip() for line in lines) > ALIKE * len(lines)
    if len(lines) < FEWEST or not (tabbed or separator == NO_SEPARATOR):
        return False
    records = [_cells(line) for line in lines]
    width, hits = Counter(map(len, records)).most_common(1)[0]
    if width < (3 if tabbed else 2) or hits < ALIKE * len(records):
        return False
    whole = [record for record in records[1:] if len(record) == width]
    numeric = sum(sum(is_data(record[i]) for record in whole) > 0.8 * len(whole) for i in range(width))
    return 2 * numeric >= width


def _cells(line: str) -> list[str]:
    return [value.strip("\"'") for value in CELL.findall(line.rstrip("\r\n"))]


def _are_rows(lines: list[str], below: Dialect) -> bool:
    """Whether what begins as comments do are rows, such as colours (#ff0000,red): several, and as wide as the table."""
    filled = [line for line in lines if line.strip()]
    wide = all(line.count(below.separator) + 1 == len(below.names) for line in filled)
    return len(below.names) > 1 and len(filled) > 1 and wide and all(re.match(r"#\S", line) for line in filled)


def _named_by(comment: str, below: Dialect) -> str | None:
    """The comment as a header, where it has a name for each column and the table below has none."""
    bare = COMMENT.sub("", comment, count=1).lstrip()
    above = bare.rstrip("\r\n").split(below.separator)
    if below.header and above[0].strip():  # it names its columns itself
        return None
    return bare if len(above) == len(below.names) and not any(is_data(name.strip()) for name in above) else None


def _title(text: str, separator: str | None) -> int:
    """How many lines above the header hold one value, where the table has more."""
    separator = sniff(text, separator).separator
    if separator == NO_SEPARATOR:
        return _title_of_few(text)
    lines = list(_lines(text))
    width = Counter(line.count(separator) + 1 for _, line in lines).most_common(1)[0][0] if lines else 1
    if width < 2 or len(lines) <= FEWEST or '"' in lines[0][1]:
        return 0
    indented = False  # a title stands at the left, or above a header; a name alone may stand over the last column
    for number, (index, line) in enumerate(lines[: MOST_TITLE + 1]):
        values = [value.strip() for value in line.split(separator)]
        if sum(map(bool, values)) > 1 or (number == 0 and width == 2 and separator in line):
            return index if number and not (indented and any(map(is_data, values))) else 0
        indented = indented or not values[0]
    return 0


def _title_of_few(text: str) -> int:
    """A title above a short table makes its separator hard to see: it is inferred from the lines below."""
    lines = list(_lines(text))
    for number in range(1, min(MOST_TITLE, len(lines) - FEWEST) + 1):
        below = sniff(text.split("\n", lines[number][0])[-1])
        if below.separator not in (NO_SEPARATOR, " ") and below.header:
            above = [line for _, line in lines[:number]]
            return lines[number][0] if not any(below.separator in line for line in above) else 0
    return 0


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """(number, line) of the lines that are not blank."""
    return ((number, line) for number, line in enumerate(text.splitlines()) if line.strip())
