"""Damaged sources by number: the same number is the same source.

Enters: a number. Leaves: a `Case` in a folder: one of `FORMS`, with one to three of the mutations that fit it. Tables
have 60 to 300 rows, folders 24 to 60 files, so that a run takes seconds.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

CASES = 200
TABLE_OPTIONS = ("--target", "y")


@dataclass
class Case:
    """A source on disk, how it is called, and the words of which an error about it must have one."""

    form: str
    source: str
    options: tuple[str, ...] = ()
    mutations: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)


def make(number: int, folder: Path) -> Case:
    """Write source `number` into `folder`."""
    rng = random.Random(number)
    form = list(FORMS)[number % len(FORMS)]
    case = FORMS[form](rng, folder)
    case.form = form
    case.places += ["data", "y", "label", *(path.name for path in folder.rglob("*") if path.name.isprintable())]
    return case


# --- tables ----------------------------------------------------------------------------------------------------------

Grid = list[list[str]]


def grid(rng: random.Random) -> Grid:
    """A header and rows of a number, a category, a date, a text and the target `y`."""
    rows = [["size", "colour", "day", "remark", "y"]]
    for _ in range(rng.randint(60, 300)):
        size = rng.gauss(50, 20)
        words = " ".join(rng.choices(["good", "bad", "late", "fine", "röd", "never", "again"], k=rng.randint(2, 9)))
        day = f"{rng.randint(2001, 2024)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        rows.append([f"{size:.2f}", rng.choice("uvw"), day, words, "yes" if size + rng.gauss(0, 9) > 50 else "no"])
    return rows


ABSURD = (
    "1e400", "-1e308", "nan", "inf", "=1+1", "x" * 60_000, "\u202egnp.exe", "😀" * 9, 'say "hi"', "a,b;c\td|e",
    "\x01\x02", "two\nlines", "'", '"', "\\N", "0x1F", "1_000", "９９", "٣", "\ufeff", "١٢٫٥", " ", "None", "NULL",
    "#REF!", "-", "<b>", "{{x}}", "../../etc/passwd", "1.2.3", "31.02.2024", "9" * 400,
)  # fmt: skip
NAMES = (
    "", " ", "__row", "prediction", "p_yes", "label", "a=b", "x" * 3_000, "two\nlines", 'q"q', "名前", "../x",
    "encoded",    "0", "y ", "Y", "input:0", "a/b", "%s", "{x}", "\u202e", "number", "category",
)  # fmt: skip


def drop_header(rows: Grid, rng: random.Random) -> Grid:
    return rows[1:]


def repeat_header(rows: Grid, rng: random.Random) -> Grid:
    for _ in range(3):
        rows.insert(rng.randint(1, len(rows)), list(rows[0]))
    return rows


def ragged(rows: Grid, rng: random.Random) -> Grid:
    for row in rng.sample(rows[1:], k=max(1, int(len(rows) * rng.choice([0.03, 0.3, 0.7])))):
        row[:] = row[: rng.randint(1, 4)] if rng.random() < 0.5 else [*row, "more", "cells"]
    return rows


def absurd(rows: Grid, rng: random.Random) -> Grid:
    for row in rng.sample(rows[1:], k=max(1, int(len(rows) * rng.choice([0.02, 0.2, 0.9])))):
        row[rng.randrange(len(row))] = rng.choice(ABSURD)
    return rows


def hostile_names(rows: Grid, rng: random.Random) -> Grid:
    rows[0] = [*rng.sample(NAMES, 4), "y"]
    return rows


def same_names(rows: Grid, rng: random.Random) -> Grid:
    rows[0] = ["a", "a", "b", "b", "y"]
    return rows


def no_label(rows: Grid, rng: random.Random) -> Grid:
    return [row[:-1] for row in rows]


def empty_labels(rows: Grid, rng: random.Random) -> Grid:
    share = rng.choice([0.2, 0.95, 1.0])
    return [rows[0], *([*row[:-1], "" if rng.random() < share else row[-1]] for row in rows[1:])]


def one_class(rows: Grid, rng: random.Random) -> Grid:
    return [rows[0], *([*row[:-1], "yes"] for row in rows[1:])]


def own_class(rows: Grid, rng: random.Random) -> Grid:
    return [rows[0], *([*row[:-1], f"c{i}"] for i, row in enumerate(rows[1:]))]


def rare_class(rows: Grid, rng: random.Random) -> Grid:
    rows[-1][-1] = "only once"
    return rows


def few_rows(rows: Grid, rng: random.Random) -> Grid:
    return rows[: rng.randint(0, 12)]


def empty_columns(rows: Grid, rng: random.Random) -> Grid:
    return [[*("" for _ in row[:-1]), row[-1]] if rng.random() < 2 and i else row for i, row in enumerate(rows)]


def german(rows: Grid, rng: random.Random) -> Grid:
    return [rows[0], *([f"1.{row[0].replace('.', ',')[-6:].zfill(6)} €", *row[1:]] for row in rows[1:])]


def wide(rows: Grid, rng: random.Random) -> Grid:
    return [
        [*row[:-1], *([f"w{j}" if i == 0 else str((i * j) % 7) for j in range(400)]), row[-1]]
        for i, row in enumerate(rows)
    ]


GRIDS: tuple[Callable[[Grid, random.Random], Grid], ...] = (
    drop_header, repeat_header, ragged, absurd, hostile_names, same_names, no_label, empty_labels, one_class, own_class,
    rare_class, few_rows, empty_columns, german, wide,
)  # fmt: skip


def titled(text: str, rng: random.Random) -> str:
    return rng.choice(["# a comment\n", "A report of sales\n\n", "sep=,\n", "\n\n\n", "//x\n# y,z\n"]) + text


def trailing(text: str, rng: random.Random) -> str:
    return "".join(line + rng.choice([",", ";", ", "])[:1] + "\n" for line in text.splitlines())


def line_ends(text: str, rng: random.Random) -> str:
    return "".join(line + rng.choice(["\n", "\r\n", "\r", "\n\n"]) for line in text.splitlines())


def stray_quotes(text: str, rng: random.Random) -> str:
    letters = list(text)
    for _ in range(rng.choice([1, 5, 60])):
        letters.insert(rng.randrange(len(letters) + 1), '"')
    return "".join(letters)


TEXTS: tuple[Callable[[str, random.Random], str], ...] = (titled, trailing, line_ends, stray_quotes)


def flip(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 10, 200])):
        if out:
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: int(len(data) * rng.random())]


def nothing(data: bytes, rng: random.Random) -> bytes:
    return rng.choice([b"", b"\n", b"\0", b" ", b"\xff\xfe", b"{}", b"[]"])


def zeros(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + bytes(rng.choice([1, 100, 4096])) + data[at:]


def noise(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.choice([4, 300, 5000])) + data[at:]


def mixed_encoding(data: bytes, rng: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    if rng.random() < 0.5:
        return text.encode(rng.choice(["utf-16", "utf-16-le", "utf-8-sig", "cp1252", "utf-32"]), "replace")
    return b"".join(line.encode(rng.choice(["utf-8", "latin-1"]), "replace") for line in text.splitlines(keepends=True))


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip, truncate, nothing, zeros, noise, mixed_encoding)


def as_csv(rows: Grid, separator: str) -> str:
    import csv

    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _grid(rng: random.Random, case: Case, most: int = 2) -> Grid:
    rows = grid(rng)
    for mutation in rng.sample(GRIDS, rng.randint(0, most)):
        rows = mutation(rows, rng)
        case.mutations.append(mutation.__name__)
        if not rows or not rows[0]:
            break
    return rows


def _bytes(data: bytes, rng: random.Random, case: Case, always: bool) -> bytes:
    if always or rng.random() < 0.5:
        mutation = rng.choice(BYTES)
        case.mutations.append(mutation.__name__)
        data = mutation(data, rng)
    return data


def delimited(separator: str, name: str) -> Callable[[random.Random, Path], Case]:
    def build(rng: random.Random, folder: Path) -> Case:
        case = Case("", name, TABLE_OPTIONS)
        text = as_csv(_grid(rng, case), separator)
        if rng.random() < 0.3:
            change = rng.choice(TEXTS)
            case.mutations.append(change.__name__)
            text = change(text, rng)
        data = text.encode("utf-8", "surrogatepass")
        (folder / name).write_bytes(_bytes(data, rng, case, not case.mutations))
        return case

    return build


def spaced(rng: random.Random, folder: Path) -> Case:
    case = Case("", "data.txt", TABLE_OPTIONS)
    rows = [[row[0], row[1], row[2], row[4]] if len(row) == 5 else row for row in _grid(rng, case, 1)]
    data = "\n".join("  ".join(f"{cell:>10}" for cell in row) for row in rows).encode("utf-8", "surrogatepass")
    (folder / case.source).write_bytes(_bytes(data, rng, case, False))
    return case


def packed(suffix: str, pack: Callable[[bytes], bytes]) -> Callable[[random.Random, Path], Case]:
    def build(rng: random.Random, folder: Path) -> Case:
        case = Case("", f"data.csv{suffix}", TABLE_OPTIONS)
        data = pack(as_csv(_grid(rng, case, 1), ",").encode("utf-8", "surrogatepass"))
        (folder / case.source).write_bytes(_bytes(data, rng, case, rng.random() < 0.6))
        return case

    return build


def _zst(data: bytes) -> bytes:
    from leadline.readers.compression import zstd

    return zstd.compress(data)


def _objects(rows: Grid, rng: random.Random) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for row in rows[1:]:
        one: dict[str, object] = dict(zip(rows[0], row, strict=False))
        if rng.random() < 0.9:
            one["place"] = {"city": rng.choice(["Ulm", "Bonn"]), "at": {"lat": rng.random()}}
        if rng.random() < 0.9:
            one["tags"] = rng.choices("abc", k=rng.randint(0, 3))
        found.append(one)
    return found


def odd_types(objects: list[dict[str, object]], rng: random.Random) -> None:
    for one in rng.sample(objects, k=min(len(objects), rng.choice([1, 20]))):
        one[rng.choice(["size", "y", "place", "tags", "new"])] = rng.choice([None, [], {}, 3, "x", [[1]], True, 1e300])


def json_array(rng: random.Random, folder: Path) -> Case:
    case = Case("", "data.json", TABLE_OPTIONS)
    objects = _objects(_grid(rng, case, 1), rng)
    if rng.random() < 0.5:
        case.mutations.append("odd_types")
        odd_types(objects, rng)
    whole: object = rng.choice([objects, {"data": objects}])
    data = json.dumps(whole, ensure_ascii=False).encode("utf-8", "surrogatepass")
    (folder / case.source).write_bytes(_bytes(data, rng, case, False))
    return case


def json_lines(rng: random.Random, folder: Path) -> Case:
    case = Case("", "data.jsonl", TABLE_OPTIONS)
    objects = _objects(_grid(rng, case, 1), rng)
    if rng.random() < 0.5:
        case.mutations.append("odd_types")
        odd_types(objects, rng)
    lines = [json.dumps(one, ensure_ascii=False) for one in objects]
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    (folder / case.source).write_bytes(_bytes(data, rng, case, False))
    return case


def _frame(rows: Grid) -> pl.DataFrame:
    names = [f"c{i}" if rows[0].count(name) > 1 else name for i, name in enumerate(rows[0])]
    body = [row for row in rows[1:] if len(row) == len(names)]
    frame = pl.DataFrame({name: [row[i] for row in body] for i, name in enumerate(names)}, strict=False)
    return frame.with_columns(pl.col("size").cast(pl.Float64, strict=False)) if "size" in frame.columns else frame


def typed(name: str) -> Callable[[random.Random, Path], Case]:
    def build(rng: random.Random, folder: Path) -> Case:
        case = Case("", name, TABLE_OPTIONS)
        rows = _grid(rng, case, 1) or [["y"]]
        frame = _frame(rows)
        if rng.random() < 0.4 and len(frame):
            case.mutations.append("nested")
            frame = frame.with_columns(s=pl.struct(frame.columns), l=pl.lit([1, 2]), b=pl.lit(b"\x00\x01"))
        out = io.BytesIO()
        frame.write_parquet(out) if name.endswith("parquet") else frame.write_ipc(out)
        (folder / name).write_bytes(_bytes(out.getvalue(), rng, case, rng.random() < 0.6))
        return case

    return build


def workbook(rng: random.Random, folder: Path) -> Case:
    """The least that a workbook holds (ECMA-376)."""
    case = Case("", "data.xlsx", TABLE_OPTIONS)
    rows = _grid(rng, case)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"

    def cell(value: str) -> str:
        clean = "".join(c for c in value if c.isprintable()).replace("&", "&amp;").replace("<", "&lt;")
        try:
            return f"<c><v>{float(value):.6g}</v></c>"
        except ValueError:
            return f'<c t="inlineStr"><is><t>{clean}</t></is></c>'

    lines = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    sheets = '<sheet name="One" sheetId="1" r:id="r1"/>'
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", f'<Types xmlns="{package}/content-types"/>')
        file.writestr(
            "_rels/.rels", f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )  # fmt: skip
        file.writestr(
            "xl/workbook.xml", f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{sheets}</sheets></workbook>'
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        )  # fmt: skip
        file.writestr(
            "xl/worksheets/sheet1.xml", f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>'
        )
    (folder / case.source).write_bytes(_bytes(out.getvalue(), rng, case, False))
    return case


def pattern(rng: random.Random, folder: Path) -> Case:
    case = Case("", "data/*.csv", TABLE_OPTIONS)
    (folder / "data").mkdir()
    for month in ("may", "june", "july"):
        rows = grid(rng)
        if rng.random() < 0.4:
            mutation = rng.choice(GRIDS)
            case.mutations.append(mutation.__name__)
            rows = mutation(rows, rng)
        (folder / "data" / f"{month}.csv").write_text(as_csv(rows, ","), encoding="utf-8", errors="replace")
    (folder / "data" / "~$may.csv").write_bytes(b"\0\1")
    return case


def parts(rng: random.Random, folder: Path) -> Case:
    case = Case("", "data", TABLE_OPTIONS)
    (folder / "data").mkdir()
    for part in ("train", "valid", "test"):
        case_of_part = Case("", "")
        data = as_csv(_grid(rng, case_of_part, 1), ",").encode("utf-8", "surrogatepass")
        data = _bytes(data, rng, case_of_part, False) if rng.random() < 0.4 else data
        case.mutations += [f"{part} {name}" for name in case_of_part.mutations]
        (folder / "data" / f"{part}.csv").write_bytes(data)
    return case


# --- media -----------------------------------------------------------------------------------------------------------


def picture(rng: random.Random, label: str, suffix: str = ".png") -> bytes:
    from PIL import Image

    mode = rng.choice(["RGB", "RGB", "L", "P", "RGBA", "CMYK", "I;16", "1", "LA"])
    size = (rng.randint(8, 90), rng.randint(8, 90))
    noisy = np.random.default_rng(rng.randrange(2**32)).integers(0, 120, (size[1], size[0], 3)).astype(np.uint8)
    noisy[..., 0 if label == "cat" else 2] += 120
    image = Image.fromarray(noisy)
    image = Image.fromarray(noisy[..., 0].astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    kind = {".jpg": "JPEG", ".png": "PNG", ".gif": "GIF", ".webp": "WEBP", ".tif": "TIFF", ".bmp": "BMP"}[suffix]
    if kind in ("JPEG", "WEBP", "BMP", "GIF") or (kind == "PNG" and mode == "CMYK"):
        image = Image.fromarray(noisy)
    out = io.BytesIO()
    exif = Image.Exif()
    exif[274] = rng.randint(1, 8)
    if kind == "GIF":
        image.save(out, kind, save_all=True, append_images=[image.rotate(90)] * 2)
    else:
        image.save(out, kind, **({"exif": exif} if kind == "JPEG" else {}))
    return out.getvalue()


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of a few hundred bytes that says it is huge."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(900))) + chunk(b"IEND", b"")


def sound(rng: random.Random, label: str) -> bytes:
    import soundfile

    rate = rng.choice([8_000, 16_000, 22_050])
    steps = np.arange(int(rate * rng.uniform(0.1, 0.6))) / rate
    wave = 0.4 * np.sin(2 * np.pi * (300 if label == "cat" else 900) * steps)
    out = io.BytesIO()
    soundfile.write(out, wave, rate, format="WAV")
    return out.getvalue()


Tree = dict[bytes, bytes]  # path below the folder -> content


def tree(rng: random.Random, kind: str) -> Tree:
    found: Tree = {}
    for label in ("cat", "dog"):
        for i in range(rng.randint(24, 30)):
            suffix = rng.choice([".png", ".jpg", ".gif", ".webp", ".tif", ".bmp"]) if kind == "image" else ".wav"
            content = picture(rng, label, suffix) if kind == "image" else sound(rng, label)
            found[f"{label}/{i:02}{suffix}".encode()] = content
    return found


def some(found: Tree, rng: random.Random) -> list[bytes]:
    return rng.sample(sorted(found), k=max(1, int(len(found) * rng.choice([0.05, 0.3, 0.8]))))


def broken_files(found: Tree, rng: random.Random) -> None:
    for name in some(found, rng):
        found[name] = rng.choice([flip, truncate, nothing, noise])(found[name], rng)


def bombs(found: Tree, rng: random.Random) -> None:
    for name in rng.sample(sorted(found), 2):
        found[name] = bomb(*rng.choice([(60_000, 60_000), (9_500, 9_500), (1, 2**31 - 1), (0, 0)]))


def wrong_suffix(found: Tree, rng: random.Random) -> None:
    for name in some(found, rng):
        found[os.path.splitext(name)[0] + rng.choice([b".jpg", b".PNG", b".tiff", b".txt", b""])] = found.pop(name)


def hostile_files(found: Tree, rng: random.Random) -> None:
    odd = (
        "with space",
        " leading",
        "-rf",
        "名前",
        "😀",
        "a'b",
        'a"b',
        "a\nb",
        "a;b",
        "%2e",
        "x" * 200,
        "two..dots",
        "{x}",
        "\u202eb",
    )
    for name in rng.sample(sorted(found), 8):
        suffix = os.path.splitext(name)[1]
        stem = rng.choice(odd).encode() if rng.random() < 0.6 else b"caf\xe9\xff"
        found[os.path.dirname(name) + b"/" + stem + suffix] = found.pop(name)


def hostile_classes(found: Tree, rng: random.Random) -> None:
    new = rng.choice([b"caf\xe9", "名 前".encode(), b"train", b"-x", b"a=b", b"None", b"c" * 200])
    for name in [name for name in found if name.startswith(b"cat/")]:
        found[new + name[3:]] = found.pop(name)


def one_folder(found: Tree, rng: random.Random) -> None:
    for name in [name for name in found if name.startswith(b"dog/")]:
        del found[name]


def lonely(found: Tree, rng: random.Random) -> None:
    for name in [name for name in found if name.startswith(b"dog/")][1:]:
        del found[name]


def empty_class(found: Tree, rng: random.Random) -> None:
    found[b"bird/readme.txt"] = b"no birds yet"


def mixed_media(found: Tree, rng: random.Random) -> None:
    found |= {b"cat/a.wav": sound(rng, "cat"), b"dog/b.png": picture(rng, "dog"), b"dog/c.pdf": b"%PDF-1.4",
              b"list.csv": b"a,b\n1,2\n", b"loose.png": picture(rng, "cat")}  # fmt: skip


def litter(found: Tree, rng: random.Random) -> None:
    found |= {b"__MACOSX/cat/._00.png": b"\0\5\x16\7", b".DS_Store": b"\0", b"cat/Thumbs.db": b"\xd0\xcf",
              b"dog/desktop.ini": b"[x]", b".ipynb_checkpoints/a.png": b"", b"~$x.xlsx": b""}  # fmt: skip


def nested(found: Tree, rng: random.Random) -> None:
    for name in sorted(found):
        found[b"photos/2024/" + name if rng.random() < 2 else name] = found.pop(name)


def stated(found: Tree, rng: random.Random) -> None:
    for name in sorted(found):
        found[rng.choice([b"train/", b"train/", b"valid/", b"test/"]) + name] = found.pop(name)


def unlabelled(found: Tree, rng: random.Random) -> None:
    for name in sorted(found):
        found[name.replace(b"/", b"_")] = found.pop(name)


TREES: tuple[Callable[[Tree, random.Random], None], ...] = (
    broken_files, bombs, wrong_suffix, hostile_files, hostile_classes, one_folder, lonely, empty_class, mixed_media,
    litter, nested, stated, unlabelled,
)  # fmt: skip


def _tree(rng: random.Random, case: Case, kind: str) -> Tree:
    found = tree(rng, kind)
    for mutation in rng.sample(TREES, rng.randint(1, 2)):
        if mutation is bombs and kind != "image":
            continue
        mutation(found, rng)
        case.mutations.append(mutation.__name__)
    return found


def _write(folder: Path, found: Tree) -> None:
    for name, content in found.items():
        path = os.fsencode(folder) + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.isdir(path):
            with open(path, "wb") as file:
                file.write(content)


def class_folders(kind: str) -> Callable[[random.Random, Path], Case]:
    def build(rng: random.Random, folder: Path) -> Case:
        case = Case("", "data")
        _write(folder / "data", _tree(rng, case, kind))
        if rng.random() < 0.3:
            case.mutations.append("pipes and links")
            (folder / "data" / "cat").mkdir(exist_ok=True)
            os.mkfifo(folder / "data" / "cat" / "pipe.png")
            (folder / "data" / "cat" / "nowhere.png").symlink_to("gone.png")
            (folder / "data" / "loop").symlink_to(folder / "data", target_is_directory=True)
        return case

    return build


def manifest(rng: random.Random, folder: Path) -> Case:
    case = Case("", "data")
    found = tree(rng, "image")
    names = [os.fsdecode(name) for name in found]
    rows = [["file", "label"], *([name, name.split("/")[0]] for name in names)]
    for mutation in rng.sample([ragged, absurd, drop_header, one_class, repeat_header, few_rows], 1):
        rows = mutation(rows, rng)
        case.mutations.append(mutation.__name__)
    if rng.random() < 0.4:
        case.mutations.append("files missing")
        for name in some(found, rng):
            del found[name]
    _write(folder / "data", found)
    (folder / "data" / "labels.csv").write_text(as_csv(rows, ","), encoding="utf-8", errors="replace")
    case.options = ("--target", "label")
    return case


def archive(suffix: str) -> Callable[[random.Random, Path], Case]:
    def build(rng: random.Random, folder: Path) -> Case:
        case = Case("", f"data{suffix}")
        found = _tree(rng, case, "image")
        if rng.random() < 0.3:
            case.mutations.append("leads out")
            found |= {b"../../out.png": b"x", b"/tmp/out.png": b"x"}
        out = io.BytesIO()
        if suffix == ".zip":
            with zipfile.ZipFile(out, "w") as packed_files:
                for name, content in found.items():
                    packed_files.writestr(name.decode("utf-8", "replace"), content)
        else:
            with tarfile.open(fileobj=out, mode="w:gz" if suffix.endswith("gz") else "w:xz") as tar:
                for name, content in found.items():
                    entry = tarfile.TarInfo(os.fsdecode(name))
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
        (folder / case.source).write_bytes(_bytes(out.getvalue(), rng, case, rng.random() < 0.5))
        return case

    return build


def prose(rng: random.Random, folder: Path) -> Case:
    case = Case("", "data.txt")
    words = (
        "the",
        "sea",
        "was",
        "grey",
        "and",
        "the",
        "ship",
        "went",
        "on",
        "with",
        "no",
        "wind",
        "in",
        "her",
        "sails",
    )
    text = " ".join(rng.choices(words, k=rng.choice([3, 900, 9_000])))
    (folder / case.source).write_bytes(_bytes(text.encode(), rng, case, True))
    return case


FORMS: dict[str, Callable[[random.Random, Path], Case]] = {
    "csv": delimited(",", "data.csv"), "semicolons": delimited(";", "data.csv"), "tabs": delimited("\t", "data.tsv"),
    "bars": delimited("|", "data.txt"), "spaces": spaced, "xlsx": workbook, "json": json_array,
    "json lines": json_lines, "parquet": typed("data.parquet"), "feather": typed("data.feather"),
    "gz": packed(".gz", gzip.compress), "bz2": packed(".bz2", bz2.compress), "xz": packed(".xz", lzma.compress),
    "zst": packed(".zst", _zst), "pattern": pattern, "parts": parts, "images": class_folders("image"),
    "sounds": class_folders("audio"), "manifest": manifest, "zip": archive(".zip"), "tar.gz": archive(".tar.gz"),
    "tar.xz": archive(".tar.xz"), "csv again": delimited(",", "data.csv"), "images again": class_folders("image"),
    "prose": prose,
}  # fmt: skip
