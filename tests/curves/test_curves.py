"""Learning curves of a finished run, and what stops them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline.cli.commands import main
from leadline.curves import curves as curves_module
from leadline.curves.curves import sentence
from leadline.curves.measure import Design, _order
from leadline.stats.worth import Distance


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ll.Run:
    folder = tmp_path_factory.mktemp("curves")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).round(3)
    y = np.where(x @ [2.0, -1.0, 0.5, 0.0] + rng.normal(0, 0.5, 300) > 0, "yes", "no")
    pl.DataFrame({f"x{i}": x[:, i] for i in range(4)} | {"y": y}).write_csv(folder / "rows.csv")
    return ll.fit(
        folder / "rows.csv", target="y", only="linear,mlp", budget="12s", out=folder / "run", cache=folder / "cache"
    )


def test_curves_are_measured_written_and_shown(run: ll.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    labelled = run.result["rows"]["train"] + run.result["rows"]["valid"]
    each = {"linear": 6.0, "mlp": 6.0}
    design = Design(sizes=(40, labelled), draws=1, seconds=(each, each))
    monkeypatch.setattr(curves_module.Design, "of", lambda *_: design)
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    said: list[str] = []
    found = ll.learning_curves(run, watch=said.append)
    assert said == ["40 labelled rows, draw 1 of 1", f"{labelled} labelled rows, draw 1 of 1"]
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
        ll.BudgetError, match=r"^Learning curves of this run need about \d+ s; give a larger --budget\.$"
    ):
        ll.learning_curves(run, budget="20s")
    with pytest.raises(ll.BudgetError, match="labelled rows"):
        Design.of(40, 2, {"linear": 1.0}, 600.0)
    rows = pl.read_csv(run.folder.parent / "rows.csv")
    alone = ll.fit(rows, target="y", only="linear", budget="5s", out=tmp_path / "alone")
    with pytest.raises(ll.LeadlineError, match=r"finished with linear \(classical\)"):
        ll.learning_curves(alone, rows)


def test_a_longer_budget_has_more_points() -> None:
    spent = {"cnn": 20.0, "linear": 2.0}
    found = {seconds: Design.of(5000, 2, spent, seconds) for seconds in (140, 200, 250, 600)}
    assert [(each.draws, len(each.sizes)) for each in found.values()] == [(2, 3), (2, 4), (2, 5), (3, 5)]
    for seconds, each in found.items():
        assert each.sizes[0] == 156 and each.sizes[-1] == 5000
        assert each.draws * sum(sum(one.values()) for one in each.seconds) <= seconds
        assert each.seconds[0]["cnn"] == pytest.approx(14.0) and each.seconds[-1]["cnn"] == pytest.approx(24.0)
    with pytest.raises(ll.BudgetError, match="need about"):
        Design.of(5000, 2, spent, 80.0)


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
    assert main(["curves", str(run.folder), "--budget", "20s"]) == 2
    assert capsys.readouterr().err.startswith("leadline: Learning curves of this run need about ")
