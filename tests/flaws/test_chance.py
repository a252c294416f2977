"""Copies of rows are distinguished from rows that are close by chance, or because they belong together."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.flaws.chance import copies
from leadline.flaws.near_duplicates import find_duplicates


def _grid(rng: np.random.Generator, rows: int = 6_000, columns: int = 12) -> np.ndarray:
    """Whole numbers of 0 to 15 about many centres, some rows close to theirs and some far."""
    centre = rng.normal(7, 2, (200, columns))
    away = rng.normal(size=(rows, columns)) * np.minimum(rng.gamma(1.2, 0.5, (rows, 1)), 3)
    return np.asarray((centre[rng.integers(0, 200, rows)] + away).round().clip(0, 15), np.int64)


def _flags(rng: np.random.Generator, rows: int = 3_000) -> np.ndarray:
    """Columns of 0 and 1, one for each value of what was a word, by a profile that is not shown."""
    profile = rng.integers(0, 8, rows)
    cells = []
    for many in (3, 4, 5, 2, 6):
        chance = rng.dirichlet(np.full(many, 0.7), 8).cumsum(axis=1)
        cells.append(
            np.eye(many, dtype=int)[(rng.random(rows)[:, None] > chance[profile]).sum(axis=1).clip(0, many - 1)]
        )
    return np.concatenate(cells, axis=1)


def _families(rng: np.random.Generator, rows: int = 2_000) -> pl.DataFrame:
    """Of each family one booking, fee, place and class; age and sex are each one's own."""
    of = np.repeat(np.arange(rows), rng.geometric(0.45, rows))[:rows]
    many = int(of.max()) + 1
    family = {
        "booking": rng.integers(10_000, 99_999, many), "fee": rng.gamma(2, 10, many).round(2),
        "place": rng.choice(list("ABCDE"), many), "class": rng.integers(1, 4, many),
    }  # fmt: skip
    cells = {name: values[of] for name, values in family.items()}
    cells |= {"age": rng.integers(1, 80, rows), "sex": rng.choice(["m", "f"], rows)}
    label = np.where(rng.random(rows) < 0.5, "yes", "no")
    return pl.DataFrame(cells | {"label": label}).sample(fraction=1.0, shuffle=True, seed=1)


@pytest.mark.parametrize("make", [_grid, _flags])
def test_coarse_tables_have_equal_rows_and_no_copies(make: Any) -> None:
    cells = make(np.random.default_rng(0))
    found = copies(cells)
    assert len(np.unique(cells, axis=0)) < len(cells) - 50
    assert len(np.unique(found.copies)) <= 0.002 * len(cells)
    assert len(np.unique(found.equal)) >= 50, "they are known to be equal"


def test_a_table_in_which_every_row_equals_many_has_no_copies() -> None:
    assert not len(copies(np.random.default_rng(0).integers(0, 2, (500, 6))).copies)


def test_one_column_has_no_copies() -> None:
    assert not len(copies(np.random.default_rng(0).integers(0, 100, (500, 1))).copies)


def test_copies_with_a_value_changed_are_found_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    cells = np.concatenate([rng.integers(0, 5_000, (3_000, 6)), rng.integers(0, 4, (3_000, 4))], axis=1)
    changed = cells[:150].copy()
    changed[np.arange(150), rng.integers(0, 10, 150)] = 9_999
    pairs = {tuple(pair) for pair in copies(np.concatenate([cells, changed])).copies.tolist()}
    assert sum((i, 3_000 + i) in pairs for i in range(150)) >= 148
    assert len(pairs) <= 152


def test_a_single_copy_is_found() -> None:
    cells = np.random.default_rng(0).integers(0, 2_000, (600, 5))
    cells[[411, 7], :4] = cells[300, :4], cells[100, :4]
    assert copies(cells).copies.tolist() == [[7, 100], [300, 411]]


def test_rows_of_a_common_profile_with_another_number_are_not_copies() -> None:
    rng = np.random.default_rng(0)
    n = 4_000
    profile = rng.choice(8, (n, 8), p=[0.6, 0.2, 0.1, 0.05, 0.02, 0.01, 0.01, 0.01])
    assert len(np.unique(copies(np.column_stack([np.arange(n) // 2, profile])).copies)) <= 0.002 * n


def test_a_family_is_a_group_and_no_copies(prepare: Any) -> None:
    made = prepare(_families(np.random.default_rng(0)), target="label")
    found = find_duplicates(made.table, made.store, np.arange(2_000))
    assert len(np.unique(found.pairs)) <= 4
    assert found.group == "booking"
    flaw = found.group_flaw()
    assert flaw is not None and flaw.columns == ("booking",) and "--group booking" in flaw.says


def test_names_of_one_family_are_alike_and_no_copies(prepare: Any) -> None:
    rng = np.random.default_rng(0)
    table = _families(rng, 600)
    first = ["".join(rng.choice(list("abcdefghijklmnop"), 7)) for _ in range(600)]
    table = table.with_columns(name=pl.format("{}, {} of the house at {}", "booking", pl.Series(first), "fee"))
    made = prepare(table, target="label", kind=("name=text",))
    assert len(np.unique(find_duplicates(made.table, made.store, np.arange(600)).pairs)) <= 4


def test_a_text_with_a_word_changed_is_a_copy_only_where_the_other_values_agree(prepare: Any) -> None:
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abdefgiklmnorstu"), 5)) for _ in range(300)]
    text = [" ".join(rng.choice(words, 12)) for _ in range(460)]
    text[400:] = [each.replace(each.split()[3], "umbrella", 1) for each in text[:60]]
    city, size = rng.choice(["Ulm", "Rom", "Oslo"], 460), rng.integers(0, 90, 460)
    colour = rng.choice(["red", "blue", "green", "grey"], 460)
    city[400:430], size[400:430], colour[400:430] = city[:30], size[:30], colour[:30]
    table = pl.DataFrame({"text": text, "city": city, "size": size, "colour": colour, "label": ["a", "b"] * 230})
    made = prepare(table, target="label", kind=("text=text",))
    pairs = {tuple(pair) for pair in find_duplicates(made.table, made.store, np.arange(460)).pairs.tolist()}
    assert sum((i, 400 + i) in pairs for i in range(30)) >= 27
    assert len(pairs) <= 35


def test_rows_equal_by_chance_are_reported_and_stay(prepare: Any) -> None:
    cells = _grid(np.random.default_rng(0), 3_000, 8)
    label = np.where(np.random.default_rng(1).random(3_000) < 0.5, "a", "b")
    made = prepare(pl.DataFrame({f"x{k}": cells[:, k] for k in range(8)} | {"label": label}))
    found = find_duplicates(made.table, made.store, np.arange(3_000))
    assert not len(found.pairs) and found.group_flaw() is None
    (message,) = found.messages()
    assert "rows equal another in every input. That may be chance" in message
