"""Calls of the public Python, and what they run, leave the process as it was: also where they fail or are abandoned."""

from __future__ import annotations

import copy
import logging
import math
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import lightgbm  # noqa: F401  (a first import may add filters of its own)
import numpy as np
import onnxruntime  # noqa: F401
import onnxscript  # noqa: F401
import polars as pl
import pytest
import sklearn.linear_model  # noqa: F401
import threadpoolctl
import torch
import torch._dynamo
from torch import nn

import leadline as ll
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.graph import torch_export
from leadline.system.process_state import SharedChange, errors_only, warnings_ignored


def _descriptor(number: int) -> tuple[int, int]:
    found = os.fstat(number)
    return found.st_dev, found.st_ino


def snapshot() -> dict[str, Any]:
    """What a user, or a library beside ours, may have set in this process."""
    cudnn = torch.backends.cudnn
    generator, keys, *rest = np.random.get_state()
    names = sorted(
        set(logging.root.manager.loggerDict) - {"torch.__trace"}
    )  # PyTorch replaces its first handler itself
    loggers = [logging.getLogger(), *map(logging.getLogger, names)]
    return {
        "torch threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "BLAS and OpenMP": {each["filepath"]: each["num_threads"] for each in threadpoolctl.threadpool_info()},
        "torch types": (torch.get_default_dtype(), torch.get_default_device(), torch.get_float32_matmul_precision()),
        "torch modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark,
            float(torch.tensor(1e-39) * 2) == 0.0,
        ),
        "attention": (nn.functional.scaled_dot_product_attention, nn.functional.multi_head_attention_forward),
        "torch generator": torch.get_rng_state().tolist(),
        "NumPy generator": (generator, np.asarray(keys).tolist(), *rest),
        "random": random.getstate(),
        "logging": {each.name: (each.level, each.disabled, list(each.handlers)) for each in loggers},
        "warnings": (list(warnings.filters), warnings.showwarning),
        "environment": {name: os.environ[name] for name in os.environ if name != "PYTEST_CURRENT_TEST"},
        "streams": (id(sys.stdout), id(sys.stderr), _descriptor(1), _descriptor(2)),
        "hooks": (sys.excepthook, threading.excepthook, sys.getrecursionlimit()),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "folder": Path.cwd(),
    }  # fmt: skip


@pytest.fixture
def unchanged() -> Iterator[None]:
    """The process has unusual settings, and still has them after the test."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(2)
    logging.getLogger("torch.onnx").setLevel(logging.INFO)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    before = snapshot()
    try:
        yield
        after = snapshot()
        known = before["logging"]
        after["logging"] = {name: after["logging"][name] for name in known}  # a library that is loaded adds its own
        pools = before["BLAS and OpenMP"]
        after["BLAS and OpenMP"] = {path: n for path, n in after["BLAS and OpenMP"].items() if path in pools}
        for what, value in before.items():
            assert after[what] == value, what
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
        logging.getLogger("torch.onnx").setLevel(logging.NOTSET)


NET = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(24, 2))


class Sum(nn.Module):
    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return torch.stack(inputs).sum(0)


ROWS = (np.random.default_rng(0).normal(size=(64, 1, 8)).astype("float32"), np.arange(64) % 2)


def _fails(*_: object) -> None:
    raise ZeroDivisionError


CALLS: dict[str, Callable[[], object]] = {
    "train": lambda: ll.train(copy.deepcopy(NET), ROWS, epochs=2, valid=ROWS, precision="auto", lr=1e-2),
    "train_under_a_budget": lambda: ll.train(copy.deepcopy(NET), ROWS, budget="0.3", lr=1e-2),
    "train_that_fails": lambda: ll.train(copy.deepcopy(NET), ROWS, epochs=2, lr=1e-2, callbacks=[_fails]),
    "trace": lambda: ll.trace(copy.deepcopy(NET), ROWS),
    "trace_that_fails": lambda: ll.trace(copy.deepcopy(NET), (ROWS[0][:, :, :3], ROWS[1])),
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", CALLS)
def test_training_and_tracing(name: str) -> None:
    if name.endswith("fails"):
        with pytest.raises((ZeroDivisionError, ll.LeadlineError)):
            CALLS[name]()
    else:
        CALLS[name]()


@pytest.mark.usefixtures("unchanged")
def test_a_run_and_its_model(mixed: Any, tmp_path: Path) -> None:
    frame = mixed(120)
    ll.check(frame, target="y")
    with pytest.raises(ll.LeadlineError):
        ll.fit(frame, target="no such column")
    run = ll.fit(frame, target="y", budget="5s", only="linear", out=str(tmp_path / "run"))
    model = ll.Model(run.folder / "model.onnx")
    model.predict(frame.head(5))
    with pytest.raises(ll.LeadlineError):
        model.predict(pl.DataFrame({"other": [1]}))


@pytest.fixture(scope="module")
def stores(mixed: Any, story: Any, prepare: Any) -> dict[str, Any]:
    table = prepare(mixed(120), target="y").store
    return {"lstm": prepare(story(200), token_unit="character").store, **dict.fromkeys(("mlp", "boosting"), table)}


@pytest.mark.parametrize("name", ["mlp", "boosting", "lstm"])
@pytest.mark.parametrize("items", [None, 2])
def test_a_contender(name: str, items: int | None, stores: dict[str, Any], request: pytest.FixtureRequest) -> None:
    """All of it; or only its first items, after which it is abandoned."""
    request.getfixturevalue("unchanged")
    store = stores[name]
    training = PORTFOLIO[name].fit(Data(store=store, clock=Clock(math.inf), threads=1, epochs=2), 0)
    found = [item for item, _ in zip(training, chain(range(items or 10**6)), strict=False)]
    training.close()  # type: ignore[attr-defined]
    if items is None:
        fitted: Any = found[-1]
        fitted.predict(store, store.split.test)
        fitted.graph()


@pytest.mark.usefixtures("unchanged")
def test_the_slow_exporter_prints_nothing(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_export, "_traced", lambda *_: None)
    torch_export.export(Sum(), {"x": np.zeros((2, 6), np.float32)})
    assert capfd.readouterr() == ("", "")


def test_the_first_one_in_changes_and_the_last_one_out_restores() -> None:
    said: list[str] = []

    def change() -> Callable[[], object]:
        said.append("changed")
        return lambda: said.append("restored")

    shared = SharedChange(change)
    shared.__enter__()
    shared.__enter__()
    shared.__exit__()  # of the first one: the second is still inside
    assert said == ["changed"]
    shared.__exit__()
    assert said == ["changed", "restored"]


@pytest.mark.usefixtures("unchanged")
def test_threads_that_overlap_leave_no_filter_and_no_level() -> None:
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with warnings_ignored(), errors_only("torch.onnx"):
            inside.set()
            leave.wait(5)

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(5)
    with warnings_ignored(), errors_only("torch.onnx"):
        leave.set()
        thread.join()  # it leaves first
        warnings.warn("not shown", stacklevel=1)
        assert logging.getLogger("torch.onnx").level == logging.ERROR
