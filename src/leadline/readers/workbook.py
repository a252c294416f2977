"""Workbooks (.xlsx, .xlsm, .xlsb, .xls, .ods) to delimited text, by python-calamine.

Enters: a workbook, and perhaps the name of a sheet. Leaves: a UTF-8 file of that sheet, else of the one that is not
hidden and holds most, without titles and notes around the table, and notes. Values become the text that a CSV of them
would hold, so that types are inferred as for CSV: 3.0 is 3, a date is 2024-05-17.

    >>> as_text(3.0), as_text(True), as_text(datetime(2024, 5, 17))
    ('3', 'True', '2024-05-17')
"""

import csv
import re
import zipfile
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.readers.compression import check_size
from leadline.readers.media import listed
from leadline.readers.worksheet import Rows, table_of
from leadline.system.errors import SourceError

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

__all__ = ["WORKBOOKS", "named_sheet", "sheet_as_csv"]

WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")


def named_sheet(path: Path) -> tuple[Path, str | None]:
    """A workbook, and the sheet of it that is meant: `sales.xlsx#Data`; a file that is there is never taken apart.

    >>> named_sheet(Path("sales.csv"))
    (PosixPath('sales.csv'), None)
    """
    before, sign, sheet = str(path).rpartition("#")
    meant = Path(before)
    if not sign or path.exists() or meant.suffix.lower() not in WORKBOOKS or not meant.is_file():
        return path, None
    return meant, sheet


def sheet_as_csv(path: Path, folder: Path, sheet: str | None = None) -> tuple[Path, list[str]]:
    """(a file in `folder` with the values of one sheet, messages). Raises SourceError where there is none."""
    target = folder / "sheet.csv"
    workbook = _opened(path)
    name, rows = _chosen(workbook, path, sheet)
    rows, notes = table_of(rows, _merged(workbook, name))
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([as_text(value) for value in row] for row in rows)
    others = [other for other in workbook.sheet_names if other != name]
    if others and sheet is None:
        unread = f"{listed(map(repr, others))} {'is' if len(others) == 1 else 'are'} not"
        name_it = f"{path.name}#{others[0]}"
        notes.insert(0, f"has {len(others) + 1} sheets; {name!r} is read, and {unread} (name one as in {name_it!r})")
    if blank := _never_reckoned(path, rows):
        notes.append(
            f"holds formulas whose results were never saved, in {listed(map(repr, blank))}; open it in a spreadsheet "
            "program and save it there"
        )
    return target, notes


def _chosen(workbook: "CalamineWorkbook", path: Path, sheet: str | None) -> tuple[str, Rows]:
    """The requested sheet, else that with most values; a hidden one only where no other holds a table."""
    if sheet is not None:
        if sheet not in workbook.sheet_names:
            raise SourceError(f"{path.name} has no sheet {sheet!r}; it has {listed(map(repr, workbook.sheet_names))}")
        rows = _rows(workbook, sheet, path)
        if _height(rows) < 2:
            raise SourceError(f"sheet {sheet!r} of {path.name} holds no table; name another, or save the table in it")
        return sheet, rows
    shown = {each.name for each in workbook.sheets_metadata if str(each.visible).endswith(".Visible")}
    for names in (shown, set(workbook.sheet_names) - shown):
        best: tuple[int, str, Rows] | None = None
        for name in (name for name in workbook.sheet_names if name in names):
            rows = _rows(workbook, name, path)
            filled = sum(value != "" for row in rows for value in row)
            if _height(rows) > 1 and (best is None or filled > best[0]):
                best = filled, name, rows
        if best is not None:
            return best[1:]
    raise SourceError(
        f"{path.name} has no sheet of more than one row ({', '.join(workbook.sheet_names) or 'none at all'}), where a "
        "table was expected; save the table in its first sheet"
    )


def _height(rows: Rows) -> int:
    """Rows that are not blank."""
    return sum(any(value != "" for value in row) for row in rows)


def _opened(path: Path) -> "CalamineWorkbook":
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        if zipfile.is_zipfile(path):  # a workbook is unpacked in memory, so what it comes to is asked first
            with zipfile.ZipFile(path) as packed:
                check_size(path, path.stat().st_size, sum(entry.file_size for entry in packed.infolist()))
        return CalamineWorkbook.from_path(str(path))
    except (CalamineError, OSError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, PermissionError):
            raise
        reason = (str(error).splitlines() or ["?"])[0]
        raise SourceError(
            f"{path.name} is not a workbook that can be read ({reason}); save it again, without a password, or as CSV"
        ) from error


def _rows(workbook: "CalamineWorkbook", sheet: str, path: Path) -> Rows:
    """All values of a sheet from its first row and column on, so that merged ranges have the same positions."""
    from python_calamine import CalamineError

    try:
        return workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=False)
    except (CalamineError, OSError, ValueError) as error:
        raise SourceError(
            f"sheet {sheet!r} of {path.name} cannot be read ({error}); save it again, or as CSV"
        ) from error


def _merged(workbook: "CalamineWorkbook", sheet: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The first and the last position of each merged range; some workbook formats don't have them."""
    return list(workbook.get_sheet_by_name(sheet).merged_cell_ranges or ())


def _never_reckoned(path: Path, rows: Rows) -> list[str]:
    """Names of empty columns of a workbook that holds formulas without results, as programs write it."""
    empty = [i for i, name in enumerate(rows[0]) if name != "" and all(row[i] == "" for row in rows[1:])]
    if not empty or not zipfile.is_zipfile(path):
        return []
    bare = re.compile(rb"<f[^<]*</f>\s*(?:<v\s*/>|<v></v>)?\s*</c>")
    with zipfile.ZipFile(path) as packed:
        sheets = [name for name in packed.namelist() if "worksheets/" in name and name.endswith(".xml")]
        unsaved = any(bare.search(packed.read(name)) for name in sheets)
    return [str(rows[0][i]) for i in empty] if unsaved else []


def as_text(value: Any) -> str:
    """A value as a CSV would hold it."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    return str(value)
