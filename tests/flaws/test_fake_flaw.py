"""A flaw is one class and one entry: a fake one, which only this file knows, goes through a whole run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import leadline as ll
from leadline import config
from leadline.dataset.table import Table
from leadline.flaws import FLAWS
from leadline.flaws.detector import Detector, Finding, ScanData, TestAnswers
from leadline.flaws.flaw import Flaw, Impact


class Sentinels(Detector[str]):
    """Columns with -999 for missing."""

    name, title, description, removal = "sentinels", "Sentinel values", "sentinel values", "removed"

    def search(self, data: ScanData, seconds: float) -> Finding[str]:
        columns = data.table.take(data.known_rows, [c.name for c in data.table.inputs]).get_columns()
        names = tuple(values.name for values in columns if values.dtype.is_numeric() and (values == -999).any())
        flaw = Flaw(name=self.name, columns=names, fixes=len(names), says=f"{names} have sentinel values.")
        return Finding(data=data, flaws=(flaw,), evidence="-999")

    def revisit(self, finding: Finding[str], data: ScanData) -> Sequence[Flaw]:
        values = data.table.take(data.all_rows, [finding.flaws[0].columns[0]]).to_series()
        rows = np.flatnonzero(values.to_numpy() == float(finding.evidence or 0))
        return [replace(flaw, rows=data.all_rows[rows]) for flaw in finding.flaws]

    def impact(self, flaw: Flaw, test: TestAnswers) -> Impact:
        return Impact(size=0.0, low=0.0, high=0.0, metric=test.metric.name, of=test.contender, how="as a test")

    def fix(self, table: Table, flaw: Flaw) -> tuple[Table, str]:
        columns = [replace(c, role="dropped" if c.name in flaw.columns else c.role) for c in table.columns]
        return replace(table, columns=tuple(columns)), f"Removed {flaw.columns}."


def test_a_fake_flaw_goes_through_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FLAWS, "sentinels", Sentinels())
    monkeypatch.setattr(config, "FIXES", (*config.FIXES, "sentinels"))
    x = np.random.default_rng(0).normal(size=(600, 3)).round(2)
    x[5::100, 1] = -999
    table = pl.DataFrame(x, schema=["a", "b", "c"]).with_columns(
        label=pl.Series(np.where(x[:, 0] + x[:, 2] > 0, "yes", "no"))
    )
    run = ll.fit(table, out=tmp_path / "run", only="linear", epochs=1, fix="sentinels")
    (flaw,) = run.result["flaws"]
    assert (flaw["columns"], flaw["rows"], flaw["impact"]["how"], flaw["fixed"]) == (["b"], 6, "as a test", True)
    assert [c["name"] for c in run.result["columns"] if c["role"] == "dropped"] == ["b"]
    assert "Removed ('b',)." in run.result["warnings"] and "sentinel values" in run.result["searched_for"]
    assert "<h3>Sentinel values</h3>" in (run.folder / "report.html").read_text()
    assert (run.folder / "flaws.csv").read_text().startswith("flaw,row,duplicate_of,suggested_label\nsentinels,6,")
