"""Where the shipped model is right and where it errs, on the held-out test rows.

Enters: `Facts`, and the test predictions as a frame with `truth` and `prediction`. Leaves: HTML.
A million rows are counted by polars; what is drawn point by point is every n-th row, so the same rows each time.
"""

from __future__ import annotations

import math

import polars as pl

from leadline.charts.format import Measure, count, grid, name, percent, plain, scroll, tag
from leadline.charts.svg import Axis, Frame, bars, cloud
from leadline.report.facts import Facts

__all__ = ["agreement", "answers"]

DRAWN_CLASSES, PAIRS, POINTS, BARS = 20, 20, 2000, 40


def answers(facts: Facts, predictions: pl.DataFrame) -> str:
    """The confusion matrix or most confused pairs; for regression predicted against true and the errors' spread."""
    if not {"truth", "prediction"} <= set(predictions.columns) or predictions.is_empty():
        return "<p>No test predictions were kept.</p>"
    if facts.task.numeric:
        return _numbers(predictions)
    if facts.task.multilabel:
        return _labels(predictions, [str(c) for c in facts.result.get("classes") or []])
    pairs = predictions.select(pl.col("truth", "prediction").cast(pl.String).fill_null("(missing)"))
    counts = {(t, p): n for t, p, n in pairs.group_by("truth", "prediction").len().iter_rows()}
    known = [str(c) for c in facts.result.get("classes") or []]
    seen = {label for pair in counts for label in pair}
    classes = [c for c in known if c in seen or len(known) <= DRAWN_CLASSES] + sorted(seen - set(known))
    right = sum(n for (t, p), n in counts.items() if t == p)
    lead = f"<p>{count(right)} of {count(len(pairs))} test rows answered right, {count(len(pairs) - right)} wrong.</p>"
    return lead + (_matrix(classes, counts) if len(classes) <= DRAWN_CLASSES else _confused(counts))


def _labels(predictions: pl.DataFrame, classes: list[str]) -> str:
    """Where a row may bear several labels: how often each is borne, said, and both, the commonest first."""
    sets = [[set(cell.split("|")) for cell in predictions[column].fill_null("")] for column in ("truth", "prediction")]
    counted = []
    for label in classes:
        borne, said = ([label in row for row in side] for side in sets)
        counted.append((sum(borne), sum(said), sum(a and b for a, b in zip(borne, said, strict=True)), label))
    counted.sort(key=lambda row: -row[0])
    rows = [
        (
            name(label), count(borne), percent(both / borne) if borne else "–",
            count(said), percent(both / said) if said else "–",
            percent(2 * both / (borne + said) if borne + said else None),
        )
        for borne, said, both, label in counted
    ]  # fmt: skip
    each = [2 * both / (borne + said) for borne, said, both, _ in counted if borne + said]
    right = sum(a == b for a, b in zip(*sets, strict=True))
    have = "has all its" if right == 1 else "have all their"
    lead = (
        f"<p>{count(right)} of {count(len(predictions))} test rows {have} labels predicted, and no other. "
        f"The mean of F1 over the labels is {percent(sum(each) / len(each) if each else None)}.</p>"
    )
    head = ("Label", "Support", "Recall", "Predicted", "Precision", "F1")
    return lead + grid(head, rows, 1, "Labels")


def _matrix(classes: list[str], counts: dict[tuple[str, str], int]) -> str:
    """Truth down, prediction across; errors tinted by their share of the row's class."""
    length = 14 if len(classes) > 8 else 24
    head = "".join(f'<th scope="col">{name(c, length)}</th>' for c in classes)
    rows = []
    for truth in classes:
        total = sum(counts.get((truth, c), 0) for c in classes)
        cells = "".join(_cell(counts.get((truth, c), 0), total, c == truth) for c in classes)
        hit = percent(counts.get((truth, truth), 0) / total) if total else "–"
        rows.append(f'<tr><th scope="row">{name(truth, 28)}</th>{cells}<td>{hit}</td></tr>')
    table = (
        f'<table class="confusion"><thead><tr><th scope="col">true ↓ said →</th>{head}<th scope="col">found</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table>"
    )
    note = (
        "A row is a true class, a column what the model said; the last column is the share of the class that was found."
    )
    return f"<p>{note}</p>{scroll(table, 'Confusion matrix')}"


def _cell(n: int, total: int, right: bool) -> str:
    if right:
        return f'<td class="right">{count(n)}</td>'
    share = n / total if total else 0.0
    level = 0 if n == 0 else 1 + sum(share >= edge for edge in (0.01, 0.05, 0.2))
    return f'<td class="w{level}">{count(n)}</td>' if n else '<td class="none">·</td>'


def _confused(counts: dict[tuple[str, str], int]) -> str:
    """For many classes: the pairs most often confused and the classes least often found."""
    totals: dict[str, int] = {}
    for (truth, _), n in counts.items():
        totals[truth] = totals.get(truth, 0) + n
    wrong = sorted(((n, t, p) for (t, p), n in counts.items() if t != p), key=lambda item: (-item[0], item[1:]))
    pairs = [(name(t), name(p), count(n), percent(n / totals[t])) for n, t, p in wrong[:PAIRS]]
    found = sorted((counts.get((t, t), 0) / n, t, n) for t, n in totals.items())
    weak = [(name(t), percent(share), count(n)) for share, t, n in found[:PAIRS] if share < 1]
    if not pairs:
        return ""
    note = f"{count(len(totals))} classes are too many for a matrix; these are its largest entries off the diagonal."
    first = grid(("True class", "Model said", "Rows", "Of the class"), pairs, 2, "Most confused")
    second = grid(("Class", "Found", "Test rows"), weak, 1, "Hardest classes")
    pair = tag("div", f"<h3>Most confused</h3>{first}") + tag("div", f"<h3>Hardest classes</h3>{second}")
    return f'<p>{note}</p><div class="pair">{pair}</div>'


def _numbers(predictions: pl.DataFrame) -> str:
    """Regression: predicted against true, and the histogram of prediction minus truth."""
    both = predictions.select(pl.col("truth", "prediction").cast(pl.Float64, strict=False)).drop_nulls()
    both = both.filter(pl.col("truth").is_finite() & pl.col("prediction").is_finite())
    if both.is_empty():
        return "<p>No test row has a finite prediction.</p>"
    drawn = both.gather_every(math.ceil(len(both) / POINTS))
    usual = [float(both["prediction"].quantile(share) or 0) for share in (0.005, 0.995)]
    axis = Axis.over([*drawn["truth"].to_list(), *usual], pad=0.03)
    errors = both["prediction"] - both["truth"]
    edge = float(errors.abs().quantile(0.995) or 0) or 1e-12
    spread = Axis(-edge * 1.02, edge * 1.02)
    places = (
        ((errors.clip(-edge, edge) - spread.low) / (spread.high - spread.low) * BARS).cast(pl.Int64).clip(0, BARS - 1)
    )
    filled = dict(places.value_counts().iter_rows())
    value = Measure.fit("value", True, [axis.low, axis.high], step=(axis.high - axis.low) / 50).text
    error = Measure.fit("value", True, [edge], step=edge / 50).text
    half, most = (plain(float(errors.abs().quantile(share) or 0)) for share in (0.5, 0.95))
    sampled = (
        f" {count(len(drawn))} of {count(len(both))} rows {'is' if len(drawn) == 1 else 'are'} drawn."
        if len(drawn) < len(both)
        else ""
    )
    same = Frame("Predicted against true values on the test rows", ("true", "predicted"), (value, value))
    off = Frame("Histogram of prediction minus truth", ("predicted minus true", "rows"), (error, count))
    first, second = (
        cloud(list(drawn.iter_rows()), axis, same),
        bars([filled.get(i, 0) for i in range(BARS)], spread, off),
    )
    return (
        f"<p>Half of all errors are under {half}, 95% under {most}.{sampled} On the dashed line a prediction is exact. "
        "Predictions far beyond all true values lie on the rim, the rarest 0.5% of errors in the outermost bars.</p>"
        '<div class="pair">'
        f"<figure><h3>Predicted against true</h3>{first}</figure><figure><h3>Errors</h3>{second}</figure></div>"
    )


def agreement(facts: Facts, predictions: pl.DataFrame) -> str:
    """How often only one of the two compared contenders is right: what the interval is made of."""
    pair = [str(facts.verdict.get(key)) for key in ("winner", "against")]
    columns = [f"prediction_{n}" for n in pair]
    if facts.task.numeric or predictions.is_empty() or not {"truth", *columns} <= set(predictions.columns):
        return ""
    one, other = (predictions[c].cast(pl.String).eq_missing(predictions["truth"].cast(pl.String)) for c in columns)
    groups = {
        "Both right": one & other,
        f"Only {name(pair[0], 24)} right": one & ~other,
        f"Only {name(pair[1], 24)} right": ~one & other,
        "Both wrong": ~one & ~other,
    }
    found = [(title, int(hit.sum() or 0)) for title, hit in groups.items()]
    rows = [(title, count(n), percent(n / len(one))) for title, n in found]
    return (
        f"<h3>Where the two differ</h3>{grid(('On the test rows', 'Rows', 'Share'), rows, 1, 'Where the two differ')}"
    )
