"""The network body of plain numbers, for every kind that is encoded as a matrix of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leadline.core.kind import DENSE, Body

if TYPE_CHECKING:
    from leadline.core.tensors import Block


def _numbers(block: Block, width: int) -> Any:
    from leadline.nets.tabular import NumberBody

    return NumberBody(block.shape[0])


NUMBER_BODIES = {DENSE: Body(build=_numbers)}
