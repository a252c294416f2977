"""Fit a kind on train cells and run its graphs on others, as the store does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.core.kind import Fit, Limits
from leadline.graph.runtime import Session
from leadline.kinds import KINDS


@pytest.fixture(scope="session")
def fit() -> Callable[..., tuple[Fit, Callable[..., np.ndarray]]]:
    """fit(kind, *train columns) -> (Fit, run); run(*new columns, form=None) gives the encoded tensor or a form."""

    def make(kind_name: str, *columns: pl.Series, seconds: float = 60.0) -> tuple[Fit, Any]:
        kind = KINDS[kind_name]
        names = tuple(column.name or f"c{i}" for i, column in enumerate(columns))
        settings = [kind.sniff(column, None) or {} for column in columns]
        samples = [kind.decode(c, None, s).values for c, s in zip(columns, settings, strict=True)]
        fitted = kind.fit(samples, settings[0], Limits(rows=len(columns[0]), seconds=seconds, columns=names))
        encode = Session(fitted.encode.graph)

        def run(*new: pl.Series, form: str | None = None) -> np.ndarray:
            decoded = [kind.decode(c, None, {**s, **fitted.decode}).values for c, s in zip(new, settings, strict=True)]
            if kind.variable_shape:
                tensor = np.concatenate([encode({names[0]: value[None]})["encoded"] for value in decoded[0]])
            else:
                tensor = encode(dict(zip(names, decoded, strict=True)))["encoded"]
            assert tensor.shape[1:] == fitted.encode.shape and tensor.dtype == fitted.encode.dtype
            if form is None:
                return tensor
            made = Session(fitted.forms[form].graph)({"encoded": tensor})[form]
            assert made.shape[1:] == fitted.forms[form].shape and made.dtype == fitted.forms[form].dtype
            return made

        return fitted, run

    return make
