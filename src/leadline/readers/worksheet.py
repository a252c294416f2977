"""The table of a sheet, without titles, notes, a second table beside it, and merged ranges.

Enters: all values of a sheet, "" where empty, and its merged ranges. Leaves: a header and its rows, and messages.

    >>> table_of([["Sales", "", ""], ["", "", ""], ["id", "age", "city"], [1, 31, "Ulm"], [2, 40, "Ulm"]], [])
    ([['id', 'age', 'city'], [1, 31, 'Ulm'], [2, 40, 'Ulm']], ['has 1 row above its table, left out'])
"""

from collections.abc import Sequence
from typing import Any

from leadline.readers.media import listed
from leadline.readers.part import counted

__all__ = ["Rows", "table_of"]

Rows = list[list[Any]]
Cell = tuple[int, int]
MOST_AROUND = 10  # rows that may stand above a header, or below the last row
NARROWEST = 3  # columns; in a narrower table a row with one value may be a row


def table_of(rows: Rows, merged: Sequence[tuple[Cell, Cell]]) -> tuple[Rows, list[str]]:
    """(header and rows, notes)."""
    # A merged range has its value in its first place alone: downwards it holds for every row.
    for (top, left), (bottom, _) in merged:
        for row in range(top + 1, min(bottom + 1, len(rows))):
            if left < len(rows[row]) and rows[row][left] == "":
                rows[row][left] = rows[top][left]
    wide = {top for (top, left), (_, right) in merged if right > left}
    rows, notes = _widest(rows)
    rows, above = _below_titles(rows, wide)
    rows, below = _above_notes(rows)
    for count, where in ((above, "above"), (below, "below")):
        if count:
            notes.append(f"has {counted(count, 'row')} {where} its table, left out")
    return rows, notes


def _widest(rows: Rows) -> tuple[Rows, list[str]]:
    """Without blank columns, and without a small table that blank columns part from the large one."""
    filled = [[place for place, row in enumerate(rows) if row[i] != ""] for i in range(len(rows[0]))]
    blocks: list[list[int]] = [[]]
    for i, places in enumerate(filled):
        if places:
            blocks[-1].append(i)
        elif blocks[-1]:
            blocks.append([])
    blocks = [block for block in blocks if block]
    height = [max(filled[i][-1] for i in block) - min(filled[i][0] for i in block) for block in blocks]
    largest = max(range(len(blocks)), key=lambda k: sum(len(filled[i]) for i in blocks[k]))
    small = [k for k in range(len(blocks)) if 2 * height[k] < height[largest]]
    columns = [i for k, block in enumerate(blocks) if k not in small for i in block]
    notes = []
    if small:
        first = [str(rows[filled[i][0]][i]) for k in small for i in blocks[k]]
        notes.append(f"has {listed(map(repr, first))} beside its table, parted by an empty column, left out")
    return [[row[i] for i in columns] for row in rows], notes


def _filled(row: list[Any]) -> int:
    return sum(value != "" for value in row)


def _below_titles(rows: Rows, wide: set[int]) -> tuple[Rows, int]:
    """From the header on: above it stand blank rows, titles, and names of groups of columns, merged over them."""
    width, start, titles = len(rows[0]), 0, 0
    groups: list[Any] | None = None
    while start < len(rows) - 2 and titles <= MOST_AROUND:
        row = rows[start]
        if any(value != "" for value in row):
            below = next(each for each in rows[start + 1 :] if any(value != "" for value in each))
            # A name may stand over the last column alone; a title does not stand right above numbers.
            over_numbers = row[0] == "" and any(isinstance(value, int | float) for value in below)
            title = _filled(row) == 1 and width >= NARROWEST and not over_numbers
            if not title and not (start in wide and _filled(rows[start + 1]) > _filled(row)):
                break
            groups = None if title else row
            titles += 1
        start += 1
    if titles > MOST_AROUND:
        return rows, 0
    rows = rows[start:]
    if groups is not None and len(set(map(str, rows[0]))) < width:  # names that come again in each group
        rows[0] = [f"{group} {name}".strip() for group, name in zip(_spread(groups), rows[0], strict=True)]
    return rows, titles


def _spread(groups: list[Any]) -> list[Any]:
    """Names of groups over all their columns."""
    names: list[Any] = []
    for group in groups:
        names.append(group if group != "" or not names else names[-1])
    return names


def _above_notes(rows: Rows) -> tuple[Rows, int]:
    """Without blank rows at the end, and without notes of one value below a blank row."""
    end = len(rows)
    while end > 2 and _filled(rows[end - 1]) == 0:
        end -= 1
    rows = rows[:end]
    while end > 2 and _filled(rows[end - 1]) == 1:
        end -= 1
    notes = len(rows) - end
    if len(rows[0]) < NARROWEST or not 0 < notes <= MOST_AROUND or _filled(rows[end - 1]) > 0:
        return rows, 0
    while end > 2 and _filled(rows[end - 1]) == 0:
        end -= 1
    return rows[:end], notes
