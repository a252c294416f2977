"""Workbooks (.xlsx, .xlsm, .xlsb, .xls, .ods) to delimited text, by python-calamine.

Enters: a workbook. Leaves: a UTF-8 file of its first sheet that holds more than a row, and notes. Cells become the
text that a CSV of them would hold, so what they mean is told as it is for CSV: 3.0 is 3, a date is 2024-05-17.

    >>> as_text(3.0), as_text(True), as_text(datetime(2024, 5, 17))
    ('3', 'True', '2024-05-17')
"""

import csv
import zipfile
from datetime import datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leadline.data.packed import check_size
from leadline.errors import SourceError

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

__all__ = ["WORKBOOKS", "sheet_as_csv"]

WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")


def sheet_as_csv(path: Path, folder: Path) -> tuple[Path, list[str]]:
    """(a file in `folder` with the cells of one sheet, what is to be said). Raises SourceError where there is none."""
    target = folder / "sheet.csv"
    workbook = _opened(path)
    sheets = workbook.sheet_names
    for name in sheets:
        rows = _rows(workbook, name, path)
        if sum(any(cell != "" for cell in row) for row in rows) < 2:
            continue
        with target.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([as_text(cell) for cell in row] for row in rows)
        others = [other for other in sheets if other != name]
        if not others:
            return target, []
        return target, [f"has {len(sheets)} sheets; {name!r} is read, and {', '.join(map(repr, others[:5]))} is not"]
    raise SourceError(
        f"{path.name} has no sheet of more than one row ({', '.join(sheets) or 'none at all'}), where a table was "
        "expected; save the table in its first sheet"
    )


def _opened(path: Path) -> "CalamineWorkbook":
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        if zipfile.is_zipfile(path):  # a workbook is unpacked in memory, so what it comes to is asked first
            with zipfile.ZipFile(path) as packed:
                check_size(path, path.stat().st_size, sum(entry.file_size for entry in packed.infolist()))
        return CalamineWorkbook.from_path(str(path))
    except (CalamineError, OSError, ValueError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or ["?"])[0]
        raise SourceError(
            f"{path.name} is not a workbook that can be read ({reason}); save it again, without a password, or as CSV"
        ) from error


def _rows(workbook: "CalamineWorkbook", sheet: str, path: Path) -> list[list[Any]]:
    from python_calamine import CalamineError

    try:
        return workbook.get_sheet_by_name(sheet).to_python(skip_empty_area=True)
    except (CalamineError, OSError, ValueError) as error:
        raise SourceError(
            f"sheet {sheet!r} of {path.name} cannot be read ({error}); save it again, or as CSV"
        ) from error


def as_text(cell: Any) -> str:
    """A cell as a CSV would hold it."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(sep=" ")
    return str(cell)
