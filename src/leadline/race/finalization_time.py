"""How long the end of a run takes, after the race: export, the check row by row, the verdict, the report.

Measured on two cores at 2.5 GHz: 2 to 3.4 s for tables and pictures, 4.8 for sounds, and what the test rows take. Each
contender says what depends on it (`export_seconds`).
"""

from __future__ import annotations

from collections.abc import Sequence

from leadline.contenders.portfolio import PORTFOLIO
from leadline.dataset.store import Store
from leadline.kinds import KINDS

A_COLUMN = 2.5e-3  # seconds for a column of a table: each is decoded by itself
MOST, MOST_USUAL = 0.4, 0.2  # of the budget; for all, and for what depends on neither rows nor columns
# Share of a budget that is kept for explaining test rows in the report, and the seconds of it: with fewer nothing is
# explained, and more are taken only if they are left.
EXPLAINED, FEWEST_EXPLAINED, KEPT_EXPLAINED = 0.03, 1.5, 6.0
LEFT_EXPLAINED, MOST_EXPLAINED = 0.15, 20.0  # share of the budget, and seconds, that it may take of what is left
WRITING = 1.0  # seconds that the page itself takes


def reserve(store: Store, names: Sequence[str], seconds: float, slow: float, one: float) -> float:
    """Seconds of a budget to keep for it, on a machine that is so many times slower than alone (`slowdown`).

    Args:
        one: of one thread, which most of it is.
    """
    usual = min(one * max(PORTFOLIO[name].export_seconds for name in names), MOST_USUAL * seconds)
    rows = [one * KINDS[block.kind].seconds_per_row for block in store.blocks]
    # A file that cannot be checked within the share is not made: its contender is left out (`race.py`).
    rows += [
        each
        for name in names
        if (each := seconds_to_check(store, name, slow)) * len(store.split.test) <= MOST * seconds
    ]
    row = max(store.a_row, *rows)  # the first was measured
    columns = one * A_COLUMN * sum(len(block.columns) for block in store.blocks)
    return min(usual + row * len(store.split.test) + columns, MOST * seconds) + _kept(store, seconds)


def seconds_to_check(store: Store, name: str, slow: float) -> float:
    """Seconds to check what the file of a contender says of a row."""
    return slow * PORTFOLIO[name].answer_seconds(store)


def _kept(store: Store, seconds: float) -> float:
    """Seconds kept for explaining test rows; none where a budget is too short for it."""
    share = min(EXPLAINED * seconds, KEPT_EXPLAINED)
    return 0.0 if share < FEWEST_EXPLAINED or store.task.generative else share


def explaining(budget: float | None, left: float, spent: float) -> float:
    """Seconds in which test rows may be explained at the end of a run; 0 where they are too few.

    Args:
        budget: None where passes were asked for: then it depends on the seconds that were spent.
        left: of the budget.
    """
    if budget is None:
        share = min(MOST_EXPLAINED, LEFT_EXPLAINED * spent)
    else:
        share = min(MOST_EXPLAINED, LEFT_EXPLAINED * budget, left - WRITING)
    return share if share >= FEWEST_EXPLAINED else 0.0
