"""The worst mistakes, as what they are: pictures, players, texts in any script, or rows of a table.

Enters: `Example` after `Example`, worst first, and the room that pictures and sounds may take. Leaves: HTML.

    >>> shown = [Example(row=6, truth="cat", prediction="dog", confidence=0.9, text="It purrs.")]
    >>> "It purrs." in gallery(shown, Facts.of({}), Room(0))
    True
"""

from __future__ import annotations

from collections.abc import Sequence

from leadline.charts.format import clip, count, grid, name, percent, plain, tag
from leadline.readers.part import agreed
from leadline.report.facts import Facts
from leadline.report.media_budget import Room, is_picture
from leadline.results.examples import Example

SHOWN, OPEN, VALUES = 24, 12, 12
TEXT = 420  # characters of a text


def gallery(examples: Sequence[Example], facts: Facts, room: Room) -> str:
    """The worst mistakes; the first dozen in sight, as many more on request."""
    shown = examples[:SHOWN]
    if not shown:
        return ""
    several = facts.task.multilabel
    more = f" {agreed(len(examples) - SHOWN, '1 more is', '{} more are')} not shown." if len(examples) > SHOWN else ""
    what = "passages that it found hardest to predict" if facts.task.generative else None
    numbered = (
        " Each row has its number in the source, and among the test rows; the second is the N of "
        "<code>leadline explain RUN --row N</code>."
        if any(each.test_row is not None for each in shown)
        else ""
    )
    lead = f"<p>The test {what or 'rows on which the model was furthest off'}.{more}{numbered}</p>"
    if all(each.values and each.text is None and each.image is None and each.sound is None for each in shown):
        return lead + _table(shown, several)
    css = "gallery" if all(is_picture(each.image) and each.sound is None for each in shown) else "gallery wide"
    figures = [_figure(each, several, room) for each in shown]
    held = f'<div class="{css}">{"".join(figures[:OPEN])}</div>'
    if len(figures) > OPEN:
        rest = f'<div class="{css}">{"".join(figures[OPEN:])}</div>'
        held += f"<details><summary>The next {len(figures) - OPEN}</summary>{rest}</details>"
    return lead + held


def _table(shown: Sequence[Example], several: bool) -> str:
    """Rows of plain values are compared best below each other."""
    columns = list(dict.fromkeys(key for each in shown for key in each.values or ()))[:VALUES]
    sure = any(each.confidence is not None for each in shown)
    off = any(each.error is not None for each in shown)
    tested = any(each.test_row is not None for each in shown)
    head = [
        "Row",
        *(["Test row"] if tested else []),
        "True",
        "Said",
        *(["Sure"] if sure else []),
        *(["Off by"] if off else []),
    ]
    head += [name(column, 30) for column in columns]
    rows = []
    for each in shown:
        shown_values = [_labels(each)] if several else []
        shown_values = shown_values or [f"<b>{name(each.truth, 40)}</b>", f"<b>{name(each.prediction, 40)}</b>"]
        shown_values += [percent(each.confidence)] if sure else []
        shown_values += [_off(each.error)] if off else []
        cells = [name((each.values or {}).get(column, "–"), 40) for column in columns]
        place = [count(None if each.test_row is None else each.test_row + 1)] if tested else []
        rows.append([count(each.row + 1), *place, *shown_values, *cells])
    if several:
        at = head.index("True")
        head[at : at + 2] = ["Labels"]
    return grid(head, rows, len(head), "Worst mistakes", "dense")


def _figure(each: Example, several: bool, room: Room) -> str:
    """One example: what it is, its label and its prediction."""
    body, label = "", f"row {each.row + 1}"
    if not several and each.truth is not None:
        label += f": {clip(each.truth, 40)}, taken for {clip(each.prediction, 40)}"
    if each.image is not None and is_picture(each.image):
        body = room.picture(each.image, label)
    if each.sound is not None:
        body += room.sound(each.sound, f"sound of row {each.row + 1}")
    if each.text is not None:
        body += f'<blockquote dir="auto">{clip(each.text.strip(), TEXT) or "(empty)"}</blockquote>'
    if each.values:
        pairs = list(each.values.items())[:VALUES]
        body += tag("dl", "".join(f"<dt>{name(k, 30)}</dt><dd>{name(v, 60)}</dd>" for k, v in pairs))
    said = ""
    if several and each.truth is not None:
        said = f"{_labels(each)}<br>"
    elif each.truth is not None:
        sure = f", {percent(each.confidence)} sure" if each.confidence is not None else ""
        off = f", off by {_off(each.error)}" if each.error is not None else ""
        said = f"true <b>{name(each.truth, 40)}</b><br>said <b>{name(each.prediction, 40)}</b>{sure}{off}<br>"
    return f"<figure>{body}<figcaption>{said}<small>{_number(each)}</small></figcaption></figure>"


def _number(each: Example) -> str:
    also = "" if each.test_row is None else f", test row {count(each.test_row + 1)}"
    return f"row {count(each.row + 1)}{also}"


def _labels(each: Example) -> str:
    """Several labels as a reader asks for them: which were missed, which are wrong, which are right."""
    labels, predicted = (set(filter(None, str(side or "").split("|"))) for side in (each.truth, each.prediction))
    groups = (("missed", labels - predicted), ("wrong", predicted - labels), ("right", labels & predicted))
    parts = [
        f"{word} " + ", ".join(f"<b>{name(label, 30)}</b>" for label in sorted(labels))
        for word, labels in groups
        if labels
    ]
    return "<br>".join(parts) or "none"


def _off(error: float | None) -> str:
    return "–" if error is None else f"{'+' if error > 0 else ''}{plain(error)}"
