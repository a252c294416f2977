"""The page in a real browser, as its readers have it: on a desk, on a phone, in the dark, on paper."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import soundfile
from PIL import Image

from leadline.report.page import render
from leadline.results.examples import Example, Found, Journey, Step

ARABIC, CHINESE = "هذا الفيلم رائع، شاهدته مرتين", "这部电影非常精彩，我看了两遍。" * 12
LONG = "eine_Spalte_mit_einem_sehr_langen_Namen_ohne_jedes_Leerzeichen_darin_wie_Leute_sie_haben"
RESULT: dict[str, Any] = {
    "title": "Ein Ordner mit einem sehr langen Namen, wie Leute sie haben.csv", "source": LONG,
    "task": "multiclass", "metric": "accuracy", "higher_is_better": True, "classes": ["Äpfel", "Birnen", LONG],
    "budget_s": 60.0, "spent_s": 55.0,
    "rows": {"train": 800, "valid": 100, "calib": 0, "test": 100}, "seed": 0, "test_openings": 1,
    "verdict": {
        "answer": "deep", "winner": "cnn", "against": "boosting", "gap": 0.03, "low": 0.01, "high": 0.05,
        "region": 0.005, "p_deep": 0.99, "p_same": 0.01, "p_classical": 0.0, "of": "model", "why": "It is better.",
    },
    "shipped": {"file": "model.onnx", "contender": "cnn", "bytes": 90_000, "parity": {"rows": 100}},
    "contenders": [
        {"name": name, "family": family, "status": "finished", "score": score, "low": score - 0.02,
         "high": score + 0.02, "fit_s": 9.0, "fit_cpu_s": 7.0, "predict_us": 50.0, "one_us": 90.0, "bytes": 90_000,
         "params": 12_345, "peak_mb": 300.0, "curve": [[1.0, 1, 0.8], [2.0, 2, 0.9]], "describe": ["It tried."]}
        for name, family, score in (
            ("cnn", "deep", 0.97), ("boosting", "classical", 0.94), ("baseline", "baseline", 0.5),
        )
    ],
    "columns": [
        {"name": LONG, "kind": "text", "role": "input", "missing": 0.1, "unique": 900, "note": LONG}
    ],
    "flaws": [{
        "name": "near_duplicates", "says": "12 of 1,000 rows are near duplicates.", "rows": 12, "fixes": 12,
        "columns": [],
        "price": {"size": -0.01, "low": -0.02, "high": -0.002, "metric": "accuracy", "of": "cnn", "how": "without"},
    }],
    "command": f"leadline fit {LONG} --budget 60s", "warnings": ["A warning."], "versions": {"python": "3.11"},
}  # fmt: skip
TELLS_COLOURS = """(() => {
  const parts = c => { const n = c.match(/[\\d.]+/g).map(Number);
    const full = c.startsWith('color(srgb') ? 255 : 1;
    return [n[0] * full, n[1] * full, n[2] * full, n[3] ?? 1] };
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || e.matches('.none, title') || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), ink = parts(e.closest('svg') ? style.fill : style.color);
    let g = e, ground = [0, 0, 0, 0];
    while (g && ground[3] === 0) { ground = parts(getComputedStyle(g).backgroundColor); g = g.parentElement }
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), big = size >= 24 || (size >= 18.66 && style.fontWeight >= 600);
    const contrast = (a + .05) / (b + .05);
    if (contrast < (big ? 3 : 4.5)) found.push([e.outerHTML.slice(0, 90), contrast]);
  }
  return found })()"""
RUNS_OVER = """[...document.querySelectorAll('body *')].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width && !e.closest('.scroll, pre, svg') && (box.right > innerWidth + 1 || box.left < -1) })
  .map(e => e.outerHTML.slice(0, 120))"""


def picture(size: int = 32) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.arange(size * size * 3, dtype=np.uint32).reshape(size, size, 3).astype(np.uint8)).save(
        out, "PNG"
    )
    return out.getvalue()


def heard(seconds: float = 0.5) -> bytes:
    out = io.BytesIO()
    tone = 8_000 * np.sin(np.arange(int(seconds * 22_050)) / 10)
    soundfile.write(out, tone.astype(np.int16), 22_050, format="MP3")
    return out.getvalue()


def page(**changes: Any) -> str:
    told = pl.DataFrame({
        "row": [0, 1, 2], "truth": ["Äpfel", "Birnen", LONG], "prediction": ["Äpfel", "Äpfel", "Äpfel"],
        "prediction_cnn": ["Äpfel", "Äpfel", "Äpfel"], "prediction_boosting": ["Äpfel", "Birnen", "Äpfel"],
    })  # fmt: skip
    shown = [
        Example(row=0, truth="Birnen", prediction="Äpfel", confidence=0.9, text=ARABIC),
        Example(row=1, truth="Birnen", prediction=LONG, confidence=0.9, text=CHINESE),
        Example(row=2, truth="Birnen", prediction="Äpfel", confidence=0.8, image=picture(), sound=heard()),
    ]
    twins = [Found(row=3, twin=7, label=LONG, images=(picture(), picture()), sounds=(heard(), heard()))]
    steps = (Step(stage="cell", name=LONG, shape="uint8 [32, 32, 3]", values=ARABIC),)
    way = Journey(row=6, steps=steps, truth="Äpfel", image=picture(), sound=heard())
    return render(RESULT | changes, told, shown, {"near_duplicates": twins}, way)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pages") / "report.html"
    made.write_text(page(), encoding="utf-8")
    return made


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 768, 390])
def test_it_fits_every_width_and_every_word_stands_out(width: int, dark: bool, browser: Any, path: Path) -> None:
    browser.open(path, width, dark=dark)
    assert browser.ask("innerWidth") == width
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask(RUNS_OVER) == []
    assert browser.ask(TELLS_COLOURS) == []
    assert browser.complaints == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(("gap", "half", "region"), [(-0.059, 0.05, 0.005), (0.001, 0.004, 0.02), (0.0, 0.01, 0.005)])
def test_nothing_lies_behind_the_reading_of_the_difference(
    gap: float, half: float, region: float, width: int, browser: Any, tmp_path: Path
) -> None:
    judged = RESULT["verdict"] | {"gap": gap, "low": gap - half, "high": gap + half, "region": region}
    (tmp_path / "report.html").write_text(page(verdict=judged), encoding="utf-8")
    browser.open(tmp_path / "report.html", width)
    over = browser.ask("""(() => {
      const boxes = s => [...document.querySelectorAll('.interval ' + s)].map(e => e.getBoundingClientRect());
      const [own] = boxes('.reading');
      return boxes('.same, .edge, .zone, .tick, .sounding, .lead').filter(b =>
        b.left < own.right && b.right > own.left && b.top < own.bottom && b.bottom > own.top).length })()""")
    assert over == 0


def test_on_a_phone_nothing_is_too_small_to_read(browser: Any, path: Path) -> None:
    browser.open(path, 390, 844)
    sizes = browser.ask(
        "[...document.querySelectorAll('p, li, dd, td, th, text')].map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 11
    top = browser.ask("document.querySelector('h1').getBoundingClientRect().bottom")
    assert top < 300  # the answer is in sight before anybody scrolls


def test_pictures_are_drawn_and_sounds_can_be_played(browser: Any, path: Path) -> None:
    browser.open(path, 1280)
    assert browser.ask("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    lengths = browser.ask(
        "Promise.all([...document.querySelectorAll('audio')].map(a => new Promise(done => {"
        " if (a.duration) done(a.duration);"
        " a.onloadedmetadata = () => done(a.duration); a.onerror = () => done(-1) })))"
    )
    assert len(lengths) == 4 and all(0.4 < length < 0.7 for length in lengths)
    assert browser.complaints == []


def test_a_text_is_set_in_the_direction_of_its_script(browser: Any, path: Path) -> None:
    browser.open(path, 390)
    assert browser.ask(
        "[...document.querySelectorAll('#mistakes blockquote')].map(e => getComputedStyle(e).direction)"
    ) == ["rtl", "ltr"]


def test_on_paper_the_answer_has_a_page_of_its_own_and_tables_are_whole(
    browser: Any, path: Path, tmp_path: Path
) -> None:
    browser.open(path, 690, paper=True, dark=True)  # an A4 sheet less its margins
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.ask("getComputedStyle(document.querySelector('.first')).breakAfter") == "page"
    assert browser.ask("getComputedStyle(document.querySelector('nav')).display") == "none"
    wide = browser.ask(
        "[...document.querySelectorAll('.scroll > table')].filter(t => t.scrollWidth > t.parentElement.clientWidth + 1)"
        ".map(t => t.parentElement.getAttribute('aria-label'))"
    )
    assert wide == []
    browser.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
