"""The page in a real browser: it renders, it fits a phone, and what can be read can be read."""

import re
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from leadline.report.page import render

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PROBE = (
    "<script>onerror = m => document.title = 'error: ' + m;"
    "onload = () => document.title = `${document.documentElement.scrollWidth} of ${innerWidth}`</script>"
)
RESULT = {
    "title": "Ein Ordner mit einem sehr langen Namen, wie Leute sie haben.csv", "source": "ordner",
    "task": "multiclass", "metric": "accuracy", "higher_is_better": True, "classes": ["Äpfel", "Birnen"],
    "budget_s": 60.0, "spent_s": 55.0,
    "rows": {"train": 800, "valid": 100, "calib": 0, "test": 100}, "seed": 0, "test_openings": 1,
    "verdict": {
        "answer": "deep", "winner": "cnn", "against": "boosting", "gap": 0.03, "low": 0.01, "high": 0.05,
        "region": 0.005, "p_deep": 0.99, "p_same": 0.01, "p_classical": 0.0, "of": "model", "why": "It is better.",
    },
    "contenders": [
        {"name": name, "family": family, "status": "finished", "score": score, "low": score - 0.02,
         "high": score + 0.02, "fit_s": 9.0, "predict_us": 50.0, "bytes": 90_000,
         "curve": [[1.0, 1, 0.8], [2.0, 2, 0.9]]}
        for name, family, score in (("cnn", "deep", 0.97), ("boosting", "classical", 0.94))
    ],
    "flaws": [{
        "name": "twins", "says": "12 of 1,000 rows repeat another, or nearly.", "rows": 12, "fixes": 12, "columns": [],
        "price": {"size": -0.01, "low": -0.02, "high": -0.002, "metric": "accuracy", "of": "cnn", "how": "without"},
    }],
    "command": "leadline fit ordner --budget 60s", "warnings": ["A warning."],
}  # fmt: skip


def _page(tmp_path: Path) -> Path:
    told = pl.DataFrame({"row": [0, 1], "truth": ["Äpfel", "Birnen"], "prediction": ["Äpfel", "Äpfel"]})
    html = render(RESULT, told, [])
    assert "http-equiv" in html
    html = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", PROBE, html)  # so that we may measure it
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("width", [1200, 500])
def test_it_renders_without_an_error_and_no_wider_than_the_window(width: int, tmp_path: Path) -> None:
    words = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--dump-dom",
             f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},2000"]  # fmt: skip
    dom = subprocess.run([*words, _page(tmp_path).as_uri()], capture_output=True, text=True, timeout=90).stdout
    found = re.search(r"<title>(\d+) of (\d+)</title>", dom)
    assert found is not None, dom[:400]
    assert int(found[1]) <= int(found[2])
    assert "Yes, deep learning" in dom and "Rows that repeat another" in dom


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: str) -> None:
    """WCAG 2.1: a contrast of at least 4.5."""
    style = (Path(__file__).parents[2] / "src/leadline/report/style.css").read_text()
    blocks = re.findall(r":root\s*\{([^}]*)\}", style)
    assert len(blocks) >= 2
    colours = dict(re.findall(r"--(\w+):\s*(#[0-9a-fA-F]{6})", blocks[0]))
    if scheme == "dark":
        colours |= dict(re.findall(r"--(\w+):\s*(#[0-9a-fA-F]{6})", blocks[1]))
    for text in ("ink", "quiet"):
        assert _contrast(colours[text], colours["paper"]) >= 4.5, (text, colours[text], colours["paper"])


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
