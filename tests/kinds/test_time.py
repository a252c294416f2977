"""Times: the calendar in the graph against Python's datetime."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.kinds import KINDS
from leadline.kinds.time import PARTS

TIME = KINDS["time"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _parts(moment: datetime, start: datetime, end: datetime) -> list[float]:
    """PARTS by datetime."""
    hour = (moment - moment.replace(hour=0, minute=0, second=0, microsecond=0)) / timedelta(hours=1)
    march = date(moment.year if moment.month >= 3 else moment.year - 1, 3, 1)
    elapsed = (moment - start) / (end - start)
    return [
        elapsed, moment.year, moment.month, moment.day, moment.weekday(), hour, (moment.date() - march).days,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-02-29", datetime(2024, 2, 29)),
        ("1969-12-31 23:59:59", datetime(1969, 12, 31, 23, 59, 59)),
        ("1900-01-01T00:00:00", datetime(1900, 1, 1)),
        ("2020-05-06T07:08:09.250", datetime(2020, 5, 6, 7, 8, 9, 250_000)),
        ("2020-05-06T07:08:09+02:00", datetime(2020, 5, 6, 5, 8, 9)),
        ("2020-05-06T07:08:09Z", datetime(2020, 5, 6, 7, 8, 9)),
        ("31.12.1999", datetime(1999, 12, 31)),
        ("31/12/1999", datetime(1999, 12, 31)),
        ("12/31/1999", datetime(1999, 12, 31)),
        ("31 Dec 1999", datetime(1999, 12, 31)),
        ("Dec 31, 1999", datetime(1999, 12, 31)),
        ("December 31, 1999", datetime(1999, 12, 31)),
        ("31-Dec-99", datetime(1999, 12, 31)),
        ("31.12.99", datetime(1999, 12, 31)),
        ("12/31/99", datetime(1999, 12, 31)),
        ("12/31/1999 11:45 PM", datetime(1999, 12, 31, 23, 45)),
        ("12/31/1999 23:45:07", datetime(1999, 12, 31, 23, 45, 7)),
        ("2020-05-06T07:08", datetime(2020, 5, 6, 7, 8)),
        ("2020-05-06T07:08:09.250Z", datetime(2020, 5, 6, 7, 8, 9, 250_000)),
        ("1999-12", datetime(1999, 12, 1)),
        ("Dec 1999", datetime(1999, 12, 1)),
        ("Fri, 31 Dec 1999 23:45:07 +0100", datetime(1999, 12, 31, 22, 45, 7)),
        ("Fri, 31 Dec 1999 23:45:07 GMT", datetime(1999, 12, 31, 23, 45, 7)),
        ("19991231", datetime(1999, 12, 31)),
    ],
)
def test_forms_are_recognised(text: str, moment: datetime) -> None:
    cells = pl.Series([text, None, "?"])
    settings = TIME.sniff(cells, None)
    assert settings is not None
    expected = (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(milliseconds=1)
    decoded = TIME.decode(cells, None, settings)
    assert decoded.values[0] == expected and decoded.values[1] == decoded.values[2] == np.iinfo(np.int64).min
    assert not decoded.bad


def test_a_day_as_eight_digits_is_no_number_and_other_numbers_of_eight_digits_are() -> None:
    days = pl.Series([20241231, 20230101, None])
    assert KINDS["number"].sniff(days, None) is None and TIME.sniff(days, None) == {"format": "%Y%m%d"}
    assert TIME.decode(days, None, {"format": "%Y%m%d"}).values[1] == 1_672_531_200_000
    numbers = pl.Series([20241231, 20239999, 31415926])
    assert KINDS["number"].sniff(numbers, None) == {} and TIME.sniff(numbers, None) is None


STAMPS = [1_700_000_001 + 86_399 * i for i in range(20)]


@pytest.mark.parametrize("name", ["timestamp", "createdAt", "event_time", "ts", "unixReviewTime", "Date"])
@pytest.mark.parametrize("factor", [1, 1_000, 1_000_000, 1_000_000_000])
@pytest.mark.parametrize("dtype", [pl.Int64, pl.String, pl.Float64])
def test_numbers_since_1970_are_times_where_the_name_says_so(name: str, factor: int, dtype: Any) -> None:
    cells = pl.Series(name, [*(stamp * factor for stamp in STAMPS), None]).cast(dtype)
    settings = TIME.sniff(cells, None)
    assert settings is not None and KINDS["number"].sniff(cells, None) is None
    values = TIME.decode(cells, None, settings).values
    assert values[:20].tolist() == [stamp * 1_000 for stamp in STAMPS] and values[20] == np.iinfo(np.int64).min


def test_numbers_since_1970_without_a_name_must_be_whole_minutes() -> None:
    assert (
        TIME.sniff(pl.Series("x", STAMPS), None) is None and KINDS["number"].sniff(pl.Series("x", STAMPS), None) == {}
    )
    hours = pl.Series("x", [1_700_002_800 + 3_600 * i for i in range(20)])
    assert TIME.sniff(hours, None) == {"format": "seconds since 1970"}
    assert TIME.sniff(hours * 1_000, None) == {"format": "milliseconds since 1970"}


@pytest.mark.parametrize(
    "cells",
    [
        pl.Series("date", [5, 6, 7]), pl.Series("time", [9_000_000_000, 9_100_000_000]),
        pl.Series("ts", [1_700_000_000] * 9), pl.Series("state", STAMPS), pl.Series("data", STAMPS),
    ],
)  # fmt: skip
def test_other_numbers_are_no_times(cells: pl.Series) -> None:
    assert TIME.sniff(cells, None) is None and KINDS["number"].sniff(cells, None) is not None


def test_what_is_no_number_since_1970_is_bad() -> None:
    decoded = TIME.decode(pl.Series(["1700000000", "soon", "nan", "inf"]), None, {"format": "seconds since 1970"})
    assert list(decoded.bad) == [1, 3] and decoded.bad[1] == "'soon' is not a date of the form seconds since 1970"


@pytest.mark.parametrize("cells", [["soon", "later"], ["1", "2"], ["2024-02-30"], ["2024-13-01"], [""]])
def test_other_text_is_no_time(cells: list[str]) -> None:
    assert TIME.sniff(pl.Series(cells), None) is None


def test_a_day_that_does_not_exist_is_bad() -> None:
    settings = TIME.sniff(pl.Series(["2024-02-29"] * 99), None)
    assert settings is not None
    decoded = TIME.decode(pl.Series(["2023-02-29", "2024-02-29"]), None, settings)
    assert decoded.bad == {0: "'2023-02-29' is not a date of the form %Y-%m-%d"}


def test_calendar_agrees_with_datetime(fit: Any) -> None:
    rng = np.random.default_rng(0)
    first, last = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (1582, 2421))
    edges = [
        datetime(year, month, day, hour, tzinfo=UTC)
        for year in (1600, 1700, 1900, 1969, 1970, 1972, 2000, 2023, 2024, 2100, 2400)
        for month, day in ((1, 1), (2, 28), (3, 1), (12, 31))
        for hour in (0, 23)
    ]
    edges += [datetime(year, 2, 29, 12, tzinfo=UTC) for year in (1600, 1904, 1968, 1972, 2000, 2024, 2400)]
    drawn = [EPOCH + timedelta(seconds=int(s)) for s in rng.integers(first, last, 2_000)]
    moments = edges + drawn
    start, end = min(moments), max(moments)
    cells = pl.Series("when", [moment.replace(tzinfo=None) for moment in moments], dtype=pl.Datetime("ms"))
    _, run = fit("time", cells)
    expected = np.array([_parts(moment, start, end) for moment in moments], np.float32)
    for i, name in enumerate(PARTS):
        np.testing.assert_allclose(run(cells)[:, i], expected[:, i], rtol=1e-6, atol=1e-7, err_msg=name)


def test_missing_is_nan_in_every_part(fit: Any) -> None:
    cells = pl.Series("when", [date(2020, 1, 1), None, date(2021, 1, 1)])
    _, run = fit("time", cells)
    assert np.isnan(run(cells)).all(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize("cells", [[date(2020, 5, 5)] * 3, [None, None]])
def test_columns_of_one_moment_or_none(cells: list[Any], fit: Any) -> None:
    _, run = fit("time", pl.Series("when", cells, dtype=pl.Date))
    encoded = run(pl.Series([date(1950, 1, 1), date(2050, 1, 1)]))
    assert np.isfinite(encoded).all()


def test_a_zone_is_turned_to_utc(fit: Any) -> None:
    naive = pl.Series("when", [datetime(2020, 1, 1), datetime(2020, 1, 2)], dtype=pl.Datetime("us"))
    zoned = naive.dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")
    assert TIME.sniff(zoned, None) == {"format": None}
    np.testing.assert_array_equal(
        TIME.decode(zoned, None, {"format": None}).values, TIME.decode(naive, None, {"format": None}).values
    )


def test_text_is_read_where_train_held_dates() -> None:
    cells = pl.Series(["1999-12-31", "2020-01-01 06:00", "1999/12/31", "soon", None])
    decoded = TIME.decode(cells, None, {"format": None})
    days = [None if ms < -(2**62) else ms / 86_400_000 for ms in decoded.values.tolist()]
    assert days == [10_956, 18_262.25, 10_956, None, None]
    assert decoded.bad == {3: "'soon' is not a date of the form %Y-%m-%d"}
