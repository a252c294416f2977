"""The report, seen as its readers see it: made-up results of every sort, read back as text and opened in a browser."""

import copy
import random
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.report.page import render
from leadline.results.examples import Example, Found, Journey, Step

VOID = {"meta", "link", "img", "br", "hr", "input"}
HOSTILE = "<script>alert('x')</script><b>\"&'\u202e\x00"


# Made-up results ------------------------------------------------------------------------------------------------------


def contender(name: str, family: str, score: float | None, half: float = 0.0, **more: Any) -> dict[str, Any]:
    rng = random.Random(name)
    low, high = (None, None) if score is None else (score - half, score + half)
    made = {"name": name, "family": family, "status": "finished", "why": None, "score": score, "low": low, "high": high}
    made |= {"valid_score": score, "seeds": 1, "fit_s": 61.0, "predict_us": 85.0, "params": 300_000, "bytes": 430_000}
    curve = (
        []
        if score is None
        else [[s * 3.0, s * 50, score - half * 40 * 0.75**s * rng.uniform(0.9, 1.1)] for s in range(1, 21)]
    )
    made |= {
        "peak_mb": 900.0,
        "curve": curve if family == "deep" else [],
        "describe": ["bf16, 2 threads", "3,200 steps of 128"],
    }
    return made | more


def verdict(
    answer: str, gap: float | None, low: float | None, high: float | None, region: float, **more: Any
) -> dict[str, Any]:
    made = {
        "answer": answer,
        "winner": "cnn",
        "against": "boosting",
        "gap": gap,
        "low": low,
        "high": high,
        "region": region,
    }
    made |= {"p_deep": 0.9962, "p_same": 0.0038, "p_classical": 0.0, "of": "model", "settle_rows": None}
    return (
        made
        | {"why": "This cnn answers more of the held-out test rows right than boosting, by more than matters."}
        | more
    )


def result(
    title: str, task: str, contenders: list[dict[str, Any]], judged: dict[str, Any], **more: Any
) -> dict[str, Any]:
    made: dict[str, Any] = {"leadline": "0.1.0", "created": "2026-11-23T05:00:00Z", "title": title, "source": "photos/"}
    made |= {
        "target": "label",
        "task": task,
        "metric": "accuracy",
        "higher_is_better": True,
        "classes": None,
        "seed": 0,
    }
    made |= {
        "rows": {"train": 48_000, "valid": 6_000, "calib": 6_000, "test": 10_000},
        "budget_s": 180.0,
        "spent_s": 171.2,
    }
    made |= {"test_evaluations": 1, "command": "leadline fit photos/ --budget 3m", "data_hash": "9f2c77ab01e4d0b3"}
    made |= {"machine": {"processor": "Xeon", "cores": 2, "memory_gb": 23.4, "system": "Linux"}, "quarantined": 3}
    made |= {"versions": {"python": "3.11.7", "torch": "2.13.0"}, "contenders": contenders, "verdict": judged}
    made["columns"] = [
        {"name": "image", "kind": "image", "role": "input", "missing": 0.0, "unique": 59_870, "note": ""},
        {
            "name": "file",
            "kind": "text",
            "role": "dropped",
            "missing": 0.0,
            "unique": 60_000,
            "note": "identifier: dropped",
        },
        {"name": "label", "kind": "category", "role": "target", "missing": 0.012, "unique": 10, "note": ""},
    ]
    made["shipped"] = {"file": "model.onnx", "contender": judged["winner"], "score": None, "bytes": 430_000}
    made["shipped"]["parity"] = {"rows": 10_000, "max_difference": 3e-6, "decisions_differ": 0}
    made["warnings"] = ["12 rows appear twice; both were kept on the same side of the split."]
    return made | more


def race(best: float = 0.994) -> list[dict[str, Any]]:
    return [
        contender("cnn", "deep", best, 0.0016),
        contender("mlp", "deep", best - 0.011, 0.0026, fit_s=24.0, predict_us=11.0, status="cut"),
        contender("boosting", "classical", best - 0.0162, 0.0028, fit_s=44.0, predict_us=31.0, bytes=2_900_000),
        contender("linear", "classical", best - 0.072, 0.0053, fit_s=6.0, predict_us=3.5, bytes=31_000),
        contender("neighbours", "classical", best - 0.023, 0.0034, fit_s=0.8, predict_us=2100.0, bytes=188_000_000),
        contender("baseline", "baseline", 0.1135, 0.006, fit_s=0.01, predict_us=0.4, bytes=400),
        contender("ebm", "classical", None, status="failed", why="It wanted 31 GB of memory and 4 GB were allowed."),
        contender(
            "transformer", "deep", None, status="skipped", why="Pictures of 28×28 are too small for its patches."
        ),
    ]


def classified(classes: list[str], n: int, wrong: float = 0.02, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(classes), n)
    columns = {"row": np.arange(n), "truth": truth}
    for key, share in (("prediction", wrong), ("prediction_boosting", 2 * wrong)):
        columns[key] = np.where(rng.random(n) < share, (truth + rng.geometric(0.4, n)) % len(classes), truth)
    frame = pl.DataFrame(columns | {"prediction_cnn": columns["prediction"]})
    names = pl.Series(classes)
    return frame.with_columns(names.gather(frame[c]).alias(c) for c in frame.columns if c != "row")


def png(width: int = 28, height: int = 28, level: int = 128) -> bytes:
    """A grey PNG, written by hand so that no library is needed."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + bytes((level + 3 * x + 5 * y) % 256 for x in range(width)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


Case = tuple[dict[str, Any], pl.DataFrame, list[Example]]


def multiclass() -> Case:
    digits = [str(d) for d in range(10)]
    shown = [
        Example(
            row=60_000 + i,
            truth=str(i % 10),
            prediction=str((i + 3) % 10),
            confidence=0.99 - i / 50,
            image=png(level=9 * i),
        )
        for i in range(12)
    ]
    judged = verdict("deep", 0.0162, 0.0131, 0.0193, 0.005)
    return result("mnist", "multiclass", race(), judged, classes=digits), classified(digits, 10_000), shown


def binary() -> Case:
    judged = verdict(
        "tie",
        -0.0004,
        -0.0031,
        0.0023,
        0.005,
        winner="boosting",
        against="mlp",
        p_deep=0.0,
        p_same=0.997,
        p_classical=0.003,
    )
    shown = [
        Example(
            row=i,
            truth="spam",
            prediction="ham",
            confidence=0.97,
            text="Dear friend, your parcel waits at the harbour. " * (i + 1),
        )
        for i in range(4)
    ]
    made = result("mail", "binary", race(0.981), judged, classes=["ham", "spam"])
    return made, classified(["ham", "spam"], 2_000).rename({"prediction_cnn": "prediction_mlp"}), shown


def regression(scale: float = 1e6) -> Case:
    rng = np.random.default_rng(0)
    truth = rng.lognormal(0, 0.5, 5_000) * scale
    frame = pl.DataFrame(
        {"row": np.arange(5_000), "truth": truth, "prediction": truth + rng.normal(0, 0.1, 5_000) * scale}
    )
    field = [
        contender("cnn", "deep", 0.1012 * scale, 0.002 * scale),
        contender("boosting", "classical", 0.0951 * scale, 0.002 * scale, predict_us=30.0, fit_s=9.0),
        contender("baseline", "baseline", 0.61 * scale, 0.01 * scale, predict_us=0.3, fit_s=0.01),
    ]
    for c in field:
        c["curve"] = [[s, i, 2 * c["score"] - v] for s, i, v in c["curve"]]
    judged = verdict(
        "classical",
        -0.0061 * scale,
        -0.0084 * scale,
        -0.0038 * scale,
        0.001 * scale,
        winner="boosting",
        against="cnn",
        p_deep=0.0,
        p_classical=0.9962,
    )
    shown = [
        Example(
            row=i,
            truth="10",
            prediction="14",
            error=truth[i] * 0.4,
            values={"rooms": "4", "city": "Vigo"},
        )
        for i in range(5)
    ]
    made = result("houses", "regression", field, judged, metric="rmse", higher_is_better=False, target="price")
    return made, frame, shown


def unsure() -> Case:
    judged = verdict(
        "unsure", 0.006, -0.004, 0.016, 0.005, p_deep=0.57, p_same=0.41, p_classical=0.02, settle_rows=41_000
    )
    return (
        result("tiny", "multiclass", race(0.93), judged, classes=["a", "b", "c"]),
        classified(["a", "b", "c"], 500),
        [],
    )


def only_floor() -> Case:
    judged = verdict(
        "unsure",
        None,
        None,
        None,
        0.005,
        winner=None,
        against=None,
        p_deep=None,
        why="Nothing but the baseline finished within the budget.",
    )
    field = [c | {"curve": []} for c in race() if c["family"] == "baseline" or c["score"] is None]
    return (
        result("rushed", "multiclass", field, judged, classes=["a", "b"], shipped=None, warnings=[]),
        pl.DataFrame(),
        [],
    )


def many_classes() -> Case:
    classes = [f"a class whose name goes on for a long while, number {i} " + "x" * 400 for i in range(300)]
    return (
        result("species", "multiclass", race(0.7), verdict("deep", 0.0162, 0.0131, 0.0193, 0.005), classes=classes),
        classified(classes, 20_000),
        [],
    )


def hostile() -> Case:
    classes = [HOSTILE + str(i) for i in range(3)]
    field = [
        contender(HOSTILE + c["name"], c["family"], c["score"], 0.003, why=HOSTILE, describe=[HOSTILE]) for c in race()
    ]
    judged = verdict(
        "deep", 0.0162, 0.0131, 0.0193, 0.005, winner=HOSTILE + "cnn", against=HOSTILE + "boosting", why=HOSTILE
    )
    made = result(
        HOSTILE,
        "multiclass",
        field,
        judged,
        classes=classes,
        source=HOSTILE,
        target=HOSTILE,
        command=HOSTILE,
        warnings=[HOSTILE],
    )
    made |= {
        "versions": {HOSTILE: HOSTILE},
        "machine": {"processor": HOSTILE, "system": HOSTILE},
        "data_hash": HOSTILE,
        "created": HOSTILE,
    }
    made["columns"] = [
        {"name": HOSTILE, "kind": HOSTILE, "role": HOSTILE, "missing": 0.5, "unique": 3, "note": HOSTILE}
    ]
    made["shipped"] |= {"file": HOSTILE}
    frame = classified(classes, 300, 0.2).rename(
        {"prediction_cnn": f"prediction_{HOSTILE}cnn", "prediction_boosting": f"prediction_{HOSTILE}boosting"}
    )
    return (
        made,
        frame,
        [
            Example(
                row=1,
                truth=HOSTILE,
                prediction=HOSTILE,
                confidence=0.5,
                image=png(),
                text=HOSTILE,
                values={HOSTILE: HOSTILE},
            )
        ],
    )


CASES = {f.__name__: f for f in (multiclass, binary, regression, unsure, only_floor, many_classes, hostile)}


# Reading a page back --------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Checks that tags balance and collects what a reader sees and what a browser would load."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text: list[str] = []
        self.found: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def words(page: str) -> str:
    return " ".join(" ".join(read(page).text).split())


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {key: render(*make()) for key, make in CASES.items()}


# What every page keeps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", CASES)
def test_a_page_is_whole_and_small_and_loads_nothing(pages: dict[str, str], key: str) -> None:
    page = pages[key]
    reader = read(page)
    assert len(page.encode()) < 5_000_000
    assert reader.found.count("h1") == 1 and reader.found.count("main") == 1
    assert "script" not in reader.found
    loads = [value for _, name, value in reader.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert all(value.startswith(("#", "data:")) for value in loads)
    assert not re.search(r"url\(|@import", page)
    anchors = {value for _, name, value in reader.attributes if name == "id"}
    assert {value[1:] for value in loads if value.startswith("#")} <= anchors
    assert not re.search(r"\b(nan|inf|None)\b", words(page).replace("run(None, row)", ""))


@pytest.mark.parametrize("key", CASES)
def test_every_picture_has_words(pages: dict[str, str], key: str) -> None:
    pictures = re.findall(r'<svg[^>]*role="img"[^>]*>', pages[key])
    assert pictures and all(re.search(r'aria-label="[^"]{5,}"', picture) for picture in pictures)
    assert all(value for tag, name, value in read(pages[key]).attributes if (tag, name) == ("img", "alt"))


@pytest.mark.parametrize("key", [k for k in CASES if k != "hostile"])
def test_the_first_words_are_the_verdict_and_every_contender_is_named(pages: dict[str, str], key: str) -> None:
    made = CASES[key]()[0]
    text = words(pages[key])
    assert made["verdict"]["why"] in text
    for c in made["contenders"]:
        assert c["name"] in text
        assert c["why"] is None or c["why"] in text
    for warning in made["warnings"]:
        assert warning in text


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("multiclass", "Yes, deep learning"),
        ("regression", "No, stay classical"),
        ("binary", "Either will do"),
        ("unsure", "Too close to call"),
        ("only_floor", "No answer yet"),
    ],
)
def test_the_headline_answers_the_question(pages: dict[str, str], key: str, answer: str) -> None:
    assert re.search(f'<h1 id="answer">{answer}</h1>', pages[key])


def test_the_use_of_the_valid_rows_and_who_had_too_little_time_are_said() -> None:
    made, *rest = CASES["multiclass"]()
    ended = [c for c in made["contenders"] if c["score"] is not None]
    assert "the valid rows had chosen" not in words(render(made, *rest))  # a run of before: nothing is known of it
    for c in ended:
        c |= {"trained_on_valid": True, "undertrained": False}
    text = words(render(made, *rest))
    assert "every contender was trained on them too" in text and "ndertrained" not in text
    ended[0]["trained_on_valid"], ended[2]["undertrained"] = False, True
    text = re.sub(r" ([:.])", r"\1", words(render(made, *rest)))
    assert f"the others were trained on them too. Not {ended[0]['name']}:" in text
    assert f"losing says nothing of a family: {ended[2]['name']}." in text


def test_who_stands_for_a_family_is_said_with_what_chose_it() -> None:
    made, *rest = CASES["multiclass"]()
    assert "Chosen on the valid rows" not in words(render(made, *rest))  # a result of before
    made["chosen"] = [
        {"of": "classical", "contender": "linear", "by": "brier"},
        {"of": "deep", "contender": "cnn", "by": "metric"},
        {"of": "scratch", "contender": "cnn", "by": "metric"},
    ]
    text = re.sub(r" ([,;:.])", r"\1", words(render(made, *rest)))
    assert (
        "Chosen on the valid rows: linear for classical, by Brier score among those that accuracy does not tell from "
        "the best; cnn for deep, by accuracy."
    ) in text
    made["chosen"].append({"of": "pretrained", "contender": "finetuned", "by": "cost"})
    text = re.sub(r" ([,;:.])", r"\1", words(render(made, *rest)))
    assert "cnn for scratch, by accuracy; finetuned for pretrained, as the cheapest within one standard error" in text


# The first screen -----------------------------------------------------------------------------------------------------


def test_the_first_screen_says_how_sure_what_it_costs_and_what_would_change_it(pages: dict[str, str]) -> None:
    text = words(pages["multiclass"])
    assert "no practical difference" in text and "deep better" in text and "classical better" in text
    assert "+1.62 points" in text and "95% interval +1.31 to +1.93 points" in text
    assert "99.40%" in text and "99.24% to 99.56%" in text
    assert "85 µs" in text and "430 kB" in text and "2 min 51 s" in text and "of 3 min" in text
    assert "if differences up to 1.93 points do not matter to you" in text
    assert "boosting answers 2.7 times as fast" in text
    assert "the budget cut mlp short" in text


def test_no_probability_is_written_as_a_certainty() -> None:
    made, frame, shown = multiclass()
    made["verdict"] |= {"p_deep": 1.0, "p_same": 0.0, "p_classical": 0.0}
    text = words(render(made, frame, shown))
    assert "over 99.9%" in text and "under 0.1%" in text


def test_an_unsure_page_says_how_many_rows_would_settle_it(pages: dict[str, str]) -> None:
    text = words(pages["unsure"])
    assert "if the gap stays as it is, about 41,000 settle it in 4 of 5 runs; here 10,000" in text
    made, frame, shown = unsure()
    made["verdict"] |= {"by": "folds", "repeats": 3, "settle_repeats": 4, "settle_s": 60.0, "settle_rows": None}
    text = words(render(made, frame, shown))
    assert "4 more folds (60 s) settle it in 4 of 5 runs, if the gap stays as it is: --repeats 7" in text


def test_a_tie_says_from_which_tolerance_it_would_be_none() -> None:
    made, frame, shown = binary()
    made["verdict"] |= {"gap": 0.002, "low": 0.001, "high": 0.003}
    assert "if differences under 0.30 points matter to you, the answer becomes: deep learning" in words(
        render(made, frame, shown)
    )


def test_one_family_alone_gets_no_interval_and_no_verdict() -> None:
    made, frame, shown = multiclass()
    made["contenders"] = [c for c in made["contenders"] if c["family"] == "deep"]
    made["verdict"] |= {"answer": "unsure", "against": None, "gap": None, "low": None, "high": None}
    text = words(render(made, frame, shown))
    assert "No answer yet" in text and "must both finish before" in text
    made["needs"] = {"conditions": ["--interpretable"], "excluded": {}}
    assert "must both finish and satisfy --interpretable before" in words(render(made, frame, shown))


# Answers and mistakes -------------------------------------------------------------------------------------------------


def test_the_confusion_matrix_counts_every_row(pages: dict[str, str]) -> None:
    table = re.search(r'<table class="confusion">.*?</table>', pages["multiclass"], re.S)
    assert table
    cells = re.findall(r'<td class="(?:right|w\d)">([\d,]+)</td>', table[0])
    assert sum(int(cell.replace(",", "")) for cell in cells) == 10_000


def test_many_classes_are_listed_by_confusion_not_drawn(pages: dict[str, str]) -> None:
    text = words(pages["many_classes"])
    assert "300 classes are too many for a matrix" in text and "Most confused" in text and "Hardest classes" in text
    assert 'class="confusion"' not in pages["many_classes"]
    assert max(len(word) for word in text.split()) < 100


def test_where_the_two_differ_adds_up(pages: dict[str, str]) -> None:
    found = re.findall(
        r"(?:Both right|Only cnn right|Only boosting right|Both wrong) ([\d,]+)", words(pages["multiclass"])
    )
    assert len(found) == 4
    assert sum(int(n.replace(",", "")) for n in found) == 10_000


@pytest.mark.parametrize("scale", [1e-6, 1.0, 3e6, 1e12])
def test_regression_is_readable_in_any_unit(scale: float) -> None:
    text = words(render(*regression(scale)))
    assert "Half of all errors are under" in text and "Predicted against true" in text
    assert not re.search(r"\d[eE][+-]\d", text)


def test_a_million_rows_stay_a_small_page_drawn_the_same_each_time() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 1, 1_000_000)
    frame = pl.DataFrame(
        {"row": np.arange(1_000_000), "truth": truth, "prediction": truth + rng.normal(0, 0.1, 1_000_000)}
    )
    made = regression(1.0)[0]
    page = render(made, frame, [])
    assert page == render(made, frame, [])
    assert len(page) < 500_000 and "2,000 of 1,000,000 rows are shown" in page
    assert len(re.findall(r'r="2.5"', page)) == 2_000


def test_examples_are_shown_as_what_they_are(pages: dict[str, str]) -> None:
    assert pages["multiclass"].count('src="data:image/png;base64,') == 12
    assert "your parcel waits at the harbour" in words(pages["binary"])
    assert "rooms" in words(pages["regression"]) and "Off by" in words(pages["regression"])


def test_everything_embedded_shares_one_room() -> None:
    """Mistakes, flaws and the one row, all far too large: the page keeps its five megabytes, and says what it lacks."""
    made, frame, _ = multiclass()
    made["flaws"] = [
        {"name": key, "message": f"{key} were found.", "rows": 9, "fixes": 9, "impact": None}
        for key in ("near_duplicates", "label_errors")
    ]
    big, long = png() + bytes(150_000), b"ID3" + bytes(200_000)
    shown = [Example(row=i, truth="1", prediction="2", image=big, sound=long) for i in range(30)]
    found = {
        flaw["name"]: [Found(row=i, duplicate_of=i + 50, images=(big, big), sounds=(long, long)) for i in range(9)]
        for flaw in made["flaws"]
    }
    way = Journey(row=0, steps=(Step(stage="value", name="x", shape="uint8", values="1"),), image=big, sound=long)
    page = render(made, frame, shown, found, way)
    assert 3_900_000 < len(page.encode()) < 5_000_000
    assert "Picture left out" in page and "Sound left out" in page and "6 more are not shown" in page
    for section in ("mistakes", "flaws", "journey"):  # none of them starves the others
        body = re.search(rf'<section id="{section}".*?</section>', page, re.S)
        assert body and "data:image/png" in body[0] and "data:audio/mpeg" in body[0], section


def test_of_several_labels_a_mistake_says_which_were_missed_and_which_are_wrong() -> None:
    made, frame, _ = multiclass()
    made |= {"task": "multilabel", "classes": ["red", "green", "blue"]}
    told = words(render(made, frame, [Example(row=0, truth="red|green", prediction="green|blue", text="A flag.")]))
    assert "missed red wrong blue right green row 1" in told


# What may come in -----------------------------------------------------------------------------------------------------


def test_nothing_a_user_wrote_becomes_markup(pages: dict[str, str]) -> None:
    page = pages["hostile"]
    reader = read(page)
    assert "<script" not in page and "alert('x')" not in page and "\x00" not in page
    assert all(not name.startswith("on") for _, name, _ in reader.attributes)
    assert "&amp;lt;" not in page and "&amp;#x27;" not in page
    assert "<script>alert('x')</script>" in "".join(reader.text)


def test_a_result_that_ended_early_still_makes_a_page() -> None:
    assert "No answer yet" in words(render({}, pl.DataFrame(), []))
    made = multiclass()[0]
    for key in list(made):
        part = copy.deepcopy(made)
        del part[key]
        read(render(part, pl.DataFrame(), []))
        read(render(part | {key: None}, pl.DataFrame(), []))


def test_colours_can_be_read_on_their_ground() -> None:
    style = (Path(render.__code__.co_filename).parent / "style.css").read_text()
    grounds = [
        dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)[:2]
    ]
    assert len(grounds) == 2 and grounds[0] != grounds[1]  # by day and by night
    for colours in grounds:
        for ground in ("paper", "shoal"):
            for ink in ("ink", "quiet", "deep", "classical", "signal"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
            assert contrast(colours["baseline"], colours[ground]) >= 3
        assert contrast(colours["on"], colours["wrong"]) >= 4.5


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2.2."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_who_ran_over_its_time_is_named_where_it_would_change_the_answer() -> None:
    made, frame, shown = multiclass()
    made["contenders"] = [c for c in made["contenders"] if c["family"] != "deep"]
    made["contenders"].append(
        contender("gpt", "deep", None, status="failed", why="it ran over its 5 s", code="overran")
    )
    made["verdict"] |= {"answer": "unsure", "winner": "boosting", "against": None, "gap": None, "low": None}
    text = words(render(made, frame, shown))
    assert "More time: gpt ran over the time given and had to be ended." in text


def test_where_the_seconds_went_and_why_the_race_ended() -> None:
    made, frame, shown = multiclass()
    made |= {
        "seconds": {"read": 2.0, "race": 150.0, "export": 8.0, "report": 11.2}, "spent_s": 171.2,
        "ended": {"code": "no_room", "why": "Every contender has ended, and another repeat takes 99 s."},
    }  # fmt: skip
    made["contenders"][0]["ran_s"] = [10.0, 140.0]
    page = render(made, frame, shown)
    text = words(page)
    assert "The run took 2 min 51 s of a budget of 3 min." in text
    assert "The race ended for this reason: Every contender has ended, and another repeat takes 99 s." in text
    part = page[page.index('id="seconds"') :]
    part = part[: part.index("</section>")]
    assert re.findall(r'<i class="(\w+)" style="left:([\d.]+)%', part) == [
        ("stage", "0.00"), ("stage", "1.17"), ("deep", "5.84"), ("stage", "88.79"), ("stage", "93.46"),
    ]  # fmt: skip
    assert sum(float(width) for width in re.findall(r'"stage" style="left:[\d.]+%;width:([\d.]+)%', part)) == (
        pytest.approx(100, abs=0.1)
    )
    assert 'id="seconds"' not in render(made | {"seconds": {}}, frame, shown)


def test_advice_on_time_fits_how_the_run_was_started() -> None:
    made, frame, shown = multiclass()
    made["contenders"][1]["status"] = "cut"
    assert "More time: the budget cut mlp short." in words(render(made, frame, shown))
    stopped = words(render(made | {"ended": {"code": "stopped", "why": "You stopped it."}}, frame, shown))
    assert "More time: stopping the race cut mlp short." in stopped and "cut by the budget" not in stopped
    made["verdict"] |= {"answer": "unsure", "gap": -0.02, "low": -0.03, "high": -0.01}
    assert "A larger budget: cnn had too little time" in words(render(made, frame, shown))
    passes = words(render(made | {"epochs": 3, "budget_s": None}, frame, shown))
    assert "More passes: cnn had too little time" in passes and "A larger budget" not in passes


def test_fits_that_a_search_compared_are_no_line_and_the_sign_is_at_the_one_that_was_kept() -> None:
    tried = [[1.65, 1, 1.31], [1.66, 2, 1.41], [1.67, 3, 1.50]]
    trained = [[1.0, 1, 1.9], [2.0, 2, 1.2], [3.0, 3, 1.4]]
    made = {
        "metric": "rmse", "higher_is_better": False, "task": "regression",
        "contenders": [
            contender("linear", "classical", 1.34, 0.1, valid_score=1.31, curve=tried),
            contender("mlp", "deep", 1.30, 0.1, valid_score=1.2, curve=trained),
        ],
    }  # fmt: skip
    section = render(made, pl.DataFrame(), []).split('id="learning"')[1].split("</section>")[0]
    assert section.count('class="tried classical"') == 3 and section.count("<polyline") == 1
    (square,) = re.findall(r'<rect class="mark classical" x="([\d.]+)%" y="([\d.]+)"', section)
    (disc,) = re.findall(r'<circle class="mark deep" cx="([\d.]+)%" cy="([\d.]+)"', section)
    assert float(square[0]) / float(disc[0]) == pytest.approx(1.65 / 2.0, abs=0.01)
    dots = re.findall(r'class="tried classical" cx="[\d.]+%" cy="([\d.]+)"', section)
    assert float(square[1]) + 5 == pytest.approx(float(dots[0]), abs=0.1), "lower is better, and is lower on the page"
    assert "Each sign is at the score of the model that was kept." in section and "no line joins them" in section


@pytest.mark.parametrize(
    ("late", "said"),
    [
        (1, "the budget left none for c0."),
        (3, "the budget left none for c0, c1 and c2."),
        (5, "the budget left none for c0, c1, c2 and 2 more."),
    ],
)
def test_several_are_listed_as_a_sentence_lists_them(late: int, said: str) -> None:
    skipped = [contender(f"c{i}", "deep", None, status="skipped", code="no_time") for i in range(late)]
    made = {"contenders": [contender("linear", "classical", 0.9, 0.1), *skipped]}
    assert said in re.sub("<[^>]+>", "", render(made, pl.DataFrame(), []))
