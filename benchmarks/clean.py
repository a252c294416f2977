"""Clean data in which no row repeats another: how many are called near duplicates all the same?

Called by plants.py, as its rows 'clean-tables' and 'clean-folders'. Tables: real ones without their exact repeats, and
made ones whose rows are drawn one by one, some of coarse grids, of columns of 0 and 1, of words alone, of families that
share a rare number. Folders: subsets of real ones, and clips of noise and pure tones. The sets that the rule was tuned
on are marked so and count apart. Every pair that was told was looked at: those that a set truly has (`KNOWN`) are
stated, and do not count.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image
from record import Found

MOST = 0.002  # of the rows
ROWS = 20_000


def read(data: Path, path: str, drop: tuple[str, ...] = (), **options: Any) -> pl.DataFrame:
    """A real table, some of its rows, without columns, and then without exact repeats."""
    file = data / path
    frame = pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file, infer_schema=False, **options)
    frame = frame.drop(drop)
    return frame.sample(min(ROWS, frame.height), seed=1).unique(maintain_order=True)


def _apart(frame: pl.DataFrame, target: str) -> pl.DataFrame:
    """Without rows that are equal in all but the target and what differs in every row."""
    names = [n for n in frame.columns if n != target and frame[n].n_unique() < frame.height]
    return frame.unique(names, maintain_order=True)


def grid(seed: int, rows: int = 16_000, columns: int = 16, fonts: int = 20) -> pl.DataFrame:
    """As in letter-recognition: 26 letters of 20 fonts, each distorted, measured by 16 numbers of 0 to 15."""
    rng = np.random.default_rng(seed)
    letter, font = rng.integers(0, 26, rows), rng.integers(0, fonts, rows)
    centre = rng.normal(7, 2.0, (26, 1, columns)) + rng.normal(0, 1.0, (26, fonts, columns))
    common = rng.normal(size=(rows, 4)) @ rng.normal(0, 0.45, (4, columns))
    scale = np.minimum(rng.gamma(1.2, 0.5, (rows, 1)), 3)
    cells = centre[letter, font] + (common + rng.normal(size=(rows, columns))) * scale
    cells = cells.round().clip(0, 15).astype(int)
    return pl.DataFrame({f"x{k}": cells[:, k] for k in range(columns)} | {"y": [chr(65 + k) for k in letter]})


def words(seed: int, rows: int = 8_000, columns: int = 18, profiles: int = 12) -> pl.DataFrame:
    """Words alone, by a profile that is not shown."""
    rng = np.random.default_rng(seed)
    profile, cells = rng.integers(0, profiles, rows), {}
    for k in range(columns):
        many = int(rng.integers(2, 10))
        chance = rng.dirichlet(np.full(many, 0.4), profiles).cumsum(axis=1)
        cells[f"c{k}"] = [f"v{v}" for v in (rng.random(rows)[:, None] > chance[profile]).sum(axis=1).clip(0, many - 1)]
    return pl.DataFrame(cells | {"y": [f"p{k % 4}" for k in profile]})


def flags(seed: int, rows: int = 6_000, sizes: tuple[int, ...] = (3, 7, 5, 4, 9, 2, 6, 3)) -> pl.DataFrame:
    """Columns of 0 and 1, one for every value of what was a word."""
    rng = np.random.default_rng(seed)
    profile, cells = rng.integers(0, 10, rows), {}
    for group, many in enumerate(sizes):
        chance = rng.dirichlet(np.full(many, 0.6), 10).cumsum(axis=1)
        value = (rng.random(rows)[:, None] > chance[profile]).sum(axis=1).clip(0, many - 1)
        cells |= {f"g{group}_{k}": (value == k).astype(int) for k in range(many)}
    return pl.DataFrame(cells | {"y": [f"p{k % 3}" for k in profile]})


def families(seed: int, rows: int = 4_000) -> pl.DataFrame:
    """People who book together: one number, one fee, one place; age and sex are each one's own."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(rows), rng.geometric(0.45, rows))[:rows]
    many = int(of.max()) + 1
    told = {
        "booking": rng.integers(10_000, 99_999, many), "fee": rng.gamma(2, 10, many).round(2),
        "area": rng.choice(list("ABCDE"), many), "class": rng.integers(1, 4, many), "children": rng.poisson(0.5, many),
    }  # fmt: skip
    age = np.where(rng.random(rows) < 0.2, np.nan, rng.integers(1, 80, rows))
    label = np.where(rng.random(rows) < 0.2 + 0.2 * told["class"][of], "yes", "no")
    frame = pl.DataFrame({k: v[of] for k, v in told.items()} | {"age": age, "sex": rng.choice(["m", "f"], rows)})
    return frame.with_columns(y=pl.Series(label)).sample(fraction=1.0, shuffle=True, seed=seed)


def answers(seed: int, rows: int = 5_000, columns: int = 30) -> pl.DataFrame:
    """A questionnaire: 30 questions answered by 1 to 5, by three moods that are not shown."""
    rng = np.random.default_rng(seed)
    mood = rng.normal(size=(rows, 3)) @ rng.normal(0, 0.9, (3, columns)) + rng.normal(0, 0.6, (rows, columns))
    cells = (3 + 1.2 * mood).round().clip(1, 5).astype(int)
    return pl.DataFrame({f"q{k}": cells[:, k] for k in range(columns)} | {"y": [f"g{int(v > 0)}" for v in mood[:, 0]]})


def baskets(seed: int, rows: int = 8_000, columns: int = 20) -> pl.DataFrame:
    """Counts of what was bought: most are 0, and many baskets hold the same."""
    rng = np.random.default_rng(seed)
    taste = rng.gamma(0.3, 1.0, (8, columns))
    cells = rng.poisson(taste[rng.integers(0, 8, rows)] * rng.gamma(1.0, 0.7, (rows, 1)))
    label = np.where(cells.sum(axis=1) + rng.normal(0, 1, rows) > 2, "more", "less")
    return pl.DataFrame({f"item{k}": cells[:, k] for k in range(columns)} | {"y": label})


def machines(seed: int, rows: int = 6_000) -> pl.DataFrame:
    """Readings of machines that change now and then: most are what they were a step before."""
    rng = np.random.default_rng(seed)
    cells: dict[str, Any] = {"machine": np.repeat(np.arange(60), rows // 60), "hour": np.arange(rows) % (rows // 60)}
    for k in range(6):
        moved = rng.random(rows) < 0.4
        moved[:: rows // 60] = True
        cells[f"s{k}"] = rng.normal(20, 5, rows).round(1)[np.maximum.accumulate(np.where(moved, np.arange(rows), 0))]
    return pl.DataFrame(cells | {"y": np.where(cells["s0"] + rng.normal(0, 3, rows) > 20, "hot", "cold")})


def households(seed: int, rows: int = 5_000) -> pl.DataFrame:
    """People of one address and phone, some alone: age, work and sex are each one's own."""
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(rows), rng.choice(5, rows, p=[0.4, 0.3, 0.15, 0.1, 0.05]) + 1)[:rows]
    many = int(of.max()) + 1
    shared = {
        "street": rng.integers(0, 700, many), "house": rng.integers(1, 120, many), "rooms": rng.integers(1, 7, many),
        "phone": rng.integers(10**6, 10**7, many),
    }  # fmt: skip
    cells: dict[str, Any] = {name: values[of] for name, values in shared.items()}
    cells |= {"age": rng.integers(0, 95, rows), "work": rng.choice(list("abcdefgh"), rows), "sex": rng.choice(2, rows)}
    return pl.DataFrame(cells | {"y": np.where(cells["age"] + rng.normal(0, 20, rows) > 45, "yes", "no")})


TABLES: dict[str, tuple[Callable[[Path], pl.DataFrame], str, bool]] = {  # read, target, whether it was tuned on
    "titanic": (lambda data: read(data, "titanic/titanic.csv"), "Survived", True),
    "adult": (lambda data: read(data, "adult/train.csv"), "income", True),
    "abalone": (lambda data: read(data, "abalone/abalone.csv"), "rings", True),
    "telco-churn": (lambda data: read(data, "telco-churn/Telco-Customer-Churn.csv"), "Churn", True),
    "a coarse grid": (lambda data: grid(0), "y", True),
    "diamonds": (lambda data: read(data, "diamonds/diamonds.csv"), "price", False),
    "credit-g": (lambda data: read(data, "credit-g/credit-g.csv"), "class", False),
    "bank-marketing": (lambda data: read(data, "bank-marketing/bank-full.csv", separator=";"), "y", False),
    "bike-sharing": (
        lambda data: read(data, "bike-sharing/hour.csv", ("instant", "casual", "registered")),
        "cnt",
        True,
    ),
    "california-housing": (lambda data: read(data, "california-housing/housing.csv"), "median_house_value", False),
    "wine-quality": (lambda data: _apart(read(data, "wine-quality/winequality.csv"), "quality"), "quality", False),
    "har-wle": (lambda data: read(data, "har-wle/train.csv"), "classe", False),
    "covertype": (lambda data: read(data, "covertype/covertype-93k.parquet"), "Cover_Type", False),
    "another coarse grid": (lambda data: grid(1, columns=12, fonts=5), "y", False),
    "columns of 0 and 1": (lambda data: flags(2), "y", False),
    "words alone": (lambda data: words(3), "y", False),
    "families": (lambda data: families(4), "y", True),
    "a questionnaire": (lambda data: answers(5), "y", False),
    "baskets": (lambda data: baskets(6), "y", False),
    "machines": (lambda data: machines(7), "y", False),
    "households": (lambda data: households(8), "y", False),
}


KNOWN = {  # rows of pairs that were looked at, and are what they are called
    "wine-quality": (98, "49 wines measured twice: 11 of 12 cells are the same, to the last digit"),
    "diamonds": (2, "a stone offered at two prices"),
    "cifar10": (18, "12 pairs of one photograph"),
    "esc10": (2, "a recording published twice: correlation of the waves 0.96"),
}


def _pictures(cells: list[bytes], labels: list[Any], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number, cell in enumerate(cells):
        (folder / f"{number:05}.png").write_bytes(cell)
    names = [f"{number:05}.png" for number in range(len(cells))]
    pl.DataFrame({"image": names, "label": [f"c{k}" for k in labels]}).write_csv(folder / "rows.csv")
    return folder / "rows.csv"


def _cifar(data: Path, folder: Path) -> Path:
    frame = pl.read_parquet(data / "cifar10" / "cifar10-test.parquet").head(6_000)
    png = []
    for cell in frame["image"].struct.field("bytes"):
        held = io.BytesIO()
        Image.open(io.BytesIO(cell)).save(held, "PNG")
        png.append(held.getvalue())
    return _pictures(png, frame["label"].to_list(), folder)


def _sounds(data: Path, folder: Path, archive: str, manifest: str, many: int) -> Path:
    folder.mkdir(parents=True)
    with zipfile.ZipFile(data / archive) as held:
        held.extractall(folder)
    frame = pl.read_csv(data / manifest)
    frame = frame.select("path", "label").sample(min(many, frame.height), seed=0)
    frame.with_columns(pl.format("c{}", "label").alias("label")).write_csv(folder / "rows.csv")
    return folder / "rows.csv"


def _made_clips(data: Path, folder: Path) -> Path:
    """120 clips of white noise and 120 of one pure tone each: of one sort they look the same from afar."""
    import soundfile

    folder.mkdir(parents=True)
    rng, rows = np.random.default_rng(0), []
    for number in range(240):
        steps = np.arange(int(8_000 * rng.uniform(0.8, 1.2)))
        noise = rng.normal(0, 0.1 * rng.uniform(0.5, 1.5), len(steps))
        tone = rng.uniform(0.1, 0.5) * np.sin(2 * np.pi * rng.uniform(150, 3_500) * steps / 8_000 + rng.uniform(0, 6))
        soundfile.write(folder / f"{number:03}.wav", noise if number % 2 else tone + 0.02 * noise, 8_000)
        rows.append((f"{number:03}.wav", "noise" if number % 2 else "tone"))
    pl.DataFrame(rows, schema=["sound", "label"], orient="row").write_csv(folder / "rows.csv")
    return folder / "rows.csv"


FOLDERS: dict[str, Callable[[Path, Path], Path]] = {
    "cifar10, 6,000 pictures": _cifar,
    "fsdd, 3,000 sounds": lambda data, folder: _sounds(data, folder, "fsdd/fsdd-wav.zip", "fsdd/manifest.csv", 3_000),
    "esc10, 400 sounds": lambda data, folder: _sounds(data, folder, "esc10/esc10-ogg.zip", "esc10/manifest.csv", 400),
    "240 clips of noise and tones": _made_clips,
}


def told(source: Any, target: str, cache: Path) -> tuple[int, np.ndarray]:
    """(rows of a source, pairs of them that are called repeats or nearly), however long the search takes."""
    from leadline.config import from_mapping
    from leadline.dataset.audit import audit
    from leadline.dataset.split import split
    from leadline.dataset.store import build
    from leadline.dataset.table import read as understand
    from leadline.flaws.near_duplicates import find_duplicates
    from leadline.readers.source import read as opened

    asked = from_mapping({"budget": "10min", "target": target})
    table, _ = audit(understand(opened(source, cache=cache), asked), asked)
    parts = split(table.labels, table.part, asked.seed)
    store = build(table, parts, cache, seconds=asked.seconds, key={"seed": asked.seed})
    rows = np.sort(np.concatenate([getattr(parts, part) for part in ("train", "valid", "calib", "test")]))
    return len(rows), find_duplicates(table, store, rows).pairs


def tables(data: Path, folder: Path) -> Found:
    """Every table, and how many of those that nobody tuned on are within the bound."""
    found: Found = []
    kept = {True: 0, False: 0}
    for name, (make, target, tuned) in TABLES.items():
        rows, pairs = told(make(data), target, folder / "cache")
        found.append(_row(f"clean table: {name}{', tuned on' if tuned else ''}", rows, pairs))
        kept[tuned] += found[-1]["met"]
    many = sum(not tuned for _, _, tuned in TABLES.values())
    what = "clean tables that nobody tuned on, within the bound"
    return [*found, {"what": what, "must": "all", "seen": f"{kept[False]} of {many}", "met": kept[False] == many}]


def folders(data: Path, folder: Path) -> Found:
    """Every folder of pictures or sounds."""
    found: Found = []
    for name, put in FOLDERS.items():
        rows, pairs = told(str(put(data, folder / name.split(",")[0].replace(" ", "-"))), "label", folder / "cache")
        found.append(_row(f"clean folder: {name}", rows, pairs))
    return found


def _row(what: str, rows: int, pairs: np.ndarray) -> dict[str, Any]:
    told = len(np.unique(pairs))
    known, why = next((found for name, found in KNOWN.items() if name in what), (0, ""))
    false = max(0, told - known)
    seen = f"{false:,} of {rows:,} ({false / rows:.2%})" + (f"; {told - false} more are {why}" if told > false else "")
    must = f"at most {MOST:.1%} of rows called near duplicates"
    return {"what": what, "must": must, "seen": seen, "met": false <= MOST * rows}
