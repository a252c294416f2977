"""Learning curves of a finished run, and what stops them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.cli.commands import main
from leadline.core.records import Side
from leadline.curves import measure as measure_module
from leadline.curves.curves import sentence
from leadline.curves.measure import DRAWS, SIZES, Allowance, Design, Measured, _order, measure
from leadline.report.curves import render
from leadline.stats.worth import Distance


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ll.Run:
    folder = tmp_path_factory.mktemp("curves")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).round(3)
    y = np.where(x @ [2.0, -1.0, 0.5, 0.0] + rng.normal(0, 0.5, 300) > 0, "yes", "no")
    pl.DataFrame({f"x{i}": x[:, i] for i in range(4)} | {"y": y}).write_csv(folder / "rows.csv")
    return ll.fit(
        folder / "rows.csv", target="y", only="linear,mlp", budget="12s", repeats=1, out=folder / "run",
        cache=folder / "cache",
    )  # fmt: skip


def test_curves_are_measured_written_and_shown(run: ll.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled = run.result["rows"]["train"] + run.result["rows"]["valid"]
    each = {"linear": 6.0, "mlp": 6.0}
    monkeypatch.setattr(Design, "of", lambda *_: Design(sizes=(40, labelled), seconds=(each, each)))
    for name, value in {"SIZES": 2, "DRAWS": 1, "FEWEST": ((0, 0), (0, 1)), "FURTHER": ()}.items():
        monkeypatch.setattr(measure_module, name, value)
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    said: list[str] = []
    found = ll.learning_curves(run, budget="60s", watch=said.append)
    assert said == ["40 labelled rows, draw 1", f"{labelled} labelled rows, draw 1"]
    assert {curve.side: curve.contender for curve in found.curves} == {"scratch": "mlp", "classical": "linear"}
    assert [point.rows for point in found.curves[0].points] == [40, labelled]
    assert found.evaluations == 4 and [(each.first, each.second) for each in found.worth] == [("scratch", "classical")]
    linear = next(curve for curve in found.curves if curve.contender == "linear")
    full = next(c for c in run.result["contenders"] if c["name"] == "linear")["score"]
    assert abs(linear.points[-1].scores[0] - full) < 0.08, "all rows again: as good as in the run"
    assert json.loads((run.folder / "curves.json").read_text())["labelled"] == labelled
    page = found.report().read_text()
    assert found.worth[0].why.split(":")[0] in page and "<script" not in page and "http://" not in page
    assert all(path.read_bytes() == content for path, content in before.items()), "the run stays as it was"


def test_too_little_is_one_sentence(run: ll.Run, tmp_path: Path) -> None:
    with pytest.raises(
        ll.BudgetError, match=r"^Learning curves of this run need more than \d+ s; give --budget \d+0s, or more\.$"
    ):
        ll.learning_curves(run, budget="1s")
    with pytest.raises(ll.BudgetError, match="labelled rows"):
        Design.of(40, 2, {"linear": 1.0})
    rows = pl.read_csv(run.folder.parent / "rows.csv")
    alone = ll.fit(rows, target="y", only="linear", budget="5s", out=tmp_path / "alone")
    with pytest.raises(ll.LeadlineError, match=r"finished with linear \(classical\)"):
        ll.learning_curves(alone, rows)


class _Clock:
    """Trainings that take the seconds they are said to take, of a clock that only they move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, start_s: float, rows_s: float) -> None:
        self.now, self.start_s, self.rows_s = 1000.0, start_s, rows_s
        fake = SimpleNamespace(monotonic=lambda: self.now, perf_counter=lambda: self.now)
        monkeypatch.setattr(measure_module, "time", fake)
        monkeypatch.setattr(measure_module, "_nested", lambda data, sizes, seed: iter(sizes))
        monkeypatch.setattr(measure_module, "_point", self._point)

    def _point(self, data: Any, size: int, given: Any, seed: int, until: float, idle: Any) -> Any:
        ends = self.now + self.start_s + 0.5 + self.rows_s * size
        self.start_s = 0.0  # a process begins once
        self.now = min(ends, until)
        return None if ends > until else {name: (np.zeros(10), False) for name in ("body", "linear")}

    def measured(self, seconds: float) -> Measured:
        data: Any = SimpleNamespace(
            settings=SimpleNamespace(seed=0), labels=lambda part: np.ones(10),
            store=SimpleNamespace(task=SimpleNamespace(metric="rmse")),
        )  # fmt: skip
        design = Design.of(320, 0, {"body": 4.0, "linear": 1.7})
        allowance = Allowance(began=self.now, seconds=seconds)
        return measure(data, {Side.PRETRAINED: "body", Side.CLASSICAL: "linear"}, design, allowance, lambda said: None)


@pytest.mark.parametrize("rows_s", [0.001, 0.02, 0.1])
@pytest.mark.parametrize("start_s", [0.0, 3.0])
def test_the_budget_is_used_and_not_overrun(start_s: float, rows_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = Design.of(320, 0, {"body": 4.0}).sizes
    whole = start_s + DRAWS * sum(0.5 + rows_s * size for size in sizes)
    fewest = start_s + 2 * sum(0.5 + rows_s * sizes[place] for place in (0, 2, 4))
    for seconds in np.geomspace(0.2 * fewest, 2 * whole, 25):
        clock = _Clock(monkeypatch, start_s, rows_s)
        began = clock.now
        try:
            found = clock.measured(seconds)
        except ll.BudgetError as error:
            assert "more than" in str(error) or int(str(error).split()[7]) == pytest.approx(fewest, rel=0.5, abs=1)
            assert seconds < 1.3 * fewest + start_s, "refused although there was time"
            assert clock.now - began <= 1.1 * seconds
            continue
        curve = found.curves[Side.PRETRAINED]
        assert clock.now - began <= 1.1 * seconds
        assert found.draws >= 2 and len(curve.sizes) >= 3 and curve.sizes[0] == 16 and curve.sizes[-1] == 320
        assert all(len(draws) == found.draws for draws in curve.answers)
        if seconds > 1.15 * whole:
            assert (len(curve.sizes), found.draws, found.all_s) == (SIZES, DRAWS, None)
        else:
            assert found.all_s is None or found.all_s == pytest.approx(whole, rel=0.6)


def _page(task: str, metric: str) -> str:
    points = [{"rows": rows, "scores": scores} for rows, scores in ((16, [3.1, 4.2]), (320, [1.195, 1.195]))]
    curves = [{"side": "pretrained", "contender": "body", "points": points}]
    found = {"title": "rows", "task": task, "metric": metric, "labelled": 320, "test": 80, "evaluations": 4}
    return render({**found, "curves": curves, "worth": [], "notes": []})


def test_the_page_states_no_range_of_draws_that_share_all_rows() -> None:
    page = _page("regression", "rmse")
    assert "3.10 to 4.20" in page and "1.20 to 1.20" not in page and "1.195 to" not in page
    assert "lowest and the highest score of the draws, not an interval" in page
    assert "All draws of 320 rows are the same rows" in page
    assert "class" not in page.split("Each point is")[1].split("</p>")[0]
    assert "every class with its share" in _page("multiclass", "log loss")


def test_every_beginning_of_the_order_has_the_shares_of_the_classes() -> None:
    strata = np.repeat([0, 1, 2], [600, 300, 100])
    for seed in range(5):
        order = _order(np.arange(1000), strata, np.random.default_rng(seed))
        assert sorted(order) == list(range(1000))
        for size in (20, 50, 200):
            assert np.abs(np.bincount(strata[order[:size]], minlength=3) / size - [0.6, 0.3, 0.1]).max() <= 1.5 / size


@pytest.mark.parametrize(
    ("code", "rows", "start"),
    [
        ("worth", 600, "Pretraining is worth 600 labelled rows here against bag: with 400 rows body is as good as bag"),
        ("at_least", 900, "Pretraining is worth at least 900 labelled rows here against bag"),
        (
            "costs",
            -600,
            "Deep learning is worth 600 labelled rows here against body: with 400 rows bag is as good as body",
        ),
        ("costs_at_least", -900, "Deep learning is worth at least 900 labelled rows here against body"),
        ("open", 10, "How many labelled rows body is worth against bag is open"),
    ],
)
def test_the_sentence_names_the_side_that_is_ahead(code: str, rows: float, start: str) -> None:
    gap = Distance(code=code, rows=rows, low=rows - 100, high=rows + 100)  # type: ignore[arg-type]
    assert sentence(("pretrained", "scratch"), ("body", "bag"), gap, 1000).startswith(start)


def test_the_command(run: ll.Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["curves", str(run.folder), "--budget", "1s", "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("leadline: Learning curves of this run need more than ")
