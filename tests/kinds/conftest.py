"""Fit a kind on train cells and run its graphs on others, as the store does; train a body further, as a run does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.core.kind import Fit, Limits
from leadline.core.pretrained import Precision, PretrainedBody
from leadline.core.tensors import Block
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


@pytest.fixture
def trains() -> Callable[..., Any]:
    """trains(body, folder, block, name, rows): a body of a folder learns, and its graph says what it says.

    Gives it as it is afterwards. `name`: of the tensor that it reads.
    """
    import torch

    from leadline.contenders.tuned_body import batch_of

    def checked(body: PretrainedBody, folder: Path, block: Block, name: str, rows: np.ndarray) -> Any:
        assert body.trainable is not None and body.training_s(folder, block) > 0
        frozen = Session(body.graph(folder, block, Precision.FLOAT32, rows)).only({name: rows})
        net: Any = body.trainable(folder, block)
        net.eval()
        near = 1e-4 * max(1.0, float(np.abs(frozen).max()))
        every = np.arange(len(rows))

        def said(cut: int, places: np.ndarray = every, body: Any = net) -> Any:
            lengths = body.lengths(rows[places])
            some = batch_of(rows, places, int(lengths.max()))
            hidden, (steps, width) = body.lower(some, cut), body.hidden(lengths, cut)
            assert hidden.shape == (len(some), steps.max(), width)
            return body.upper(hidden, some, cut)

        with torch.no_grad():
            for cut in {0, net.cut}:
                np.testing.assert_allclose(said(cut).numpy(), frozen[:, -net.width :], rtol=0, atol=near)
                alone = torch.cat([said(cut, every[[place]]) for place in every])
                np.testing.assert_allclose(alone.numpy(), frozen[:, -net.width :], rtol=0, atol=near)
            target = torch.randn(len(rows), net.width, generator=torch.Generator().manual_seed(0)) + said(0)
        learned = [weight for number in range(net.depth) for weight in net.layer(number)]
        assert {id(weight) for weight in learned} == {id(weight) for weight in net.parameters()}
        assert len(learned) == len(net.state_dict()) and all(net.layer(number) for number in range(net.depth))
        before, losses = [weight.detach().clone() for weight in learned], {}
        optimizer = torch.optim.AdamW(learned, 3e-3)
        for cut in (net.cut, 0):
            for _ in range(6):
                loss = (said(cut) - target).square().mean()
                losses.setdefault(cut, []).append(float(loss.detach()))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        assert all(steps[-1] < steps[0] for steps in losses.values())
        assert not any(torch.equal(one, two) for one, two in zip(before, learned, strict=True))
        with torch.no_grad():
            expected = said(0).numpy()
        assert np.abs(expected - frozen[:, -net.width :]).max() > 1e-2
        for precision in body.precisions[-1:]:
            found = Session(net.graph(block, precision, rows)).only({name: rows})
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(1.0, float(np.abs(expected).max())))
        with torch.no_grad():  # the next one begins where this one began
            again = said(0, every, body.trainable(folder, block).eval()).numpy()  # type: ignore[attr-defined]
        np.testing.assert_allclose(again, frozen[:, -net.width :], rtol=0, atol=near)
        return net

    return checked
