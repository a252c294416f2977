"""How many rows a file must answer for an explanation, before it is begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leadline.core.parts import Layout
from leadline.kinds import KINDS
from leadline.use.explain import faithfulness, shapley, whole_model
from leadline.use.explain.explain import (
    COMPARED,
    COMPARED_COSTLY,
    DEPENDED,
    MOST_COLUMNS,
    MOST_PLAYERS,
    VARIANTS,
    Effort,
)
from leadline.use.explain.sample import Sample, is_joint

if TYPE_CHECKING:
    from leadline.use.model import Model

A_CURVE = 2 * (faithfulness.STEPS + 1) * (faithfulness.ORDERS + 1)  # answers of one row


def expected_answers(model: Model, sample: Sample, effort: Effort) -> int:
    """The answers of an explanation of a sample, about: each row is taken for as long as the first one.

    Where all sets of columns may be answered, at most: of trees and of sums of terms they are not.
    """
    joint, inputs = is_joint(model), model.contract["inputs"]
    rows, checked, columns = len(sample.rows), effort.rows(joint), len(inputs)
    own = min(rows, max(len(sample.shown), checked))
    total = rows
    if columns > 1:
        others = min(rows, max(2, min(VARIANTS // columns, COMPARED if joint else COMPARED_COSTLY)))
        players = min(columns, MOST_PLAYERS)
        total += own * (1 + columns * others)
        exact = effort.sets and shapley.affordable(own, columns, rows, joint)
        total += shapley.answers_of_sets(own, columns, rows) if exact else own * 2 * shapley.PAIRS * (players + 1)
        total += checked * (A_CURVE * COMPARED_COSTLY + (columns * others if effort.agreed else 0))
        total += min(columns, MOST_COLUMNS) * whole_model.PERMUTATIONS * rows
        total += DEPENDED * whole_model.DEPENDING * (whole_model.POINTS + 2)
    for name, facts in inputs.items():
        for parts in KINDS[facts["kind"]].parts(sample.rows[0][name], facts["decode"]):
            if parts.layout is not Layout.WHOLE:
                sets = len(parts) if parts.sets is None else len(parts.sets)
                total += own * (1 + sets) + checked * A_CURVE + effort.agreed * effort.masks
    return total
