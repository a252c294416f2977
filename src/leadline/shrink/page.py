"""The report of a smaller model: the frontier as a plot and a table, what ships, what was given up, how to run it.

Enters: what shrink.json holds. Leaves: one self-contained HTML page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from leadline.charts.format import esc, grid, micros, plain, size
from leadline.charts.svg import Axis, Frame, Mark, scatter
from leadline.contenders.families import BASELINE, DEEP
from leadline.shrink.recipes import Recipe, recipes

__all__ = ["body", "page"]

NAMED = 12  # files in the plot, with more of which those on the frontier alone have their names

STYLE = """
:root { color-scheme: light dark; --ink: #10243a; --paper: #fbfaf6; --rule: #d5dde3; --quiet: #4c6075; --deep: #1c5c94;
  --baseline: #64748b; --signal: #ad1567; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eef3; --paper: #0b1826; --rule: #29405a; --quiet: #a5b5c4;
  --deep: #6db3ec; --baseline: #93a4b7; --signal: #ff79b8; } }
body { margin: 0 auto; max-width: 1056px; padding: 24px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-variant-numeric: tabular-nums; }
h1, h2 { font-family: "Iowan Old Style", Palatino, Charter, Georgia, serif; line-height: 1.15; }
h1 { font-size: clamp(2.2rem, 6vw, 4rem); margin: 4px 0 12px; letter-spacing: -.018em; overflow-wrap: anywhere; }
h2 { font-size: 1.7rem; margin: 34px 0 8px; } p { max-width: 72ch; } .eyebrow { color: var(--quiet); margin: 0; }
figure { margin: 0; } .plot { padding: 34px 14px 52px calc(var(--gutter) + 8px); }
svg { display: block; width: 100%; overflow: visible; } svg text { fill: var(--ink); font-size: 12px; }
svg text.tick, svg text.name { fill: var(--quiet); } svg text.end { text-anchor: end; }
svg text.mid { text-anchor: middle; }
svg text.label { paint-order: stroke; stroke: var(--paper); stroke-width: 3px; }
.grid { stroke: var(--rule); } .axis { stroke: var(--ink); } .front { stroke: var(--quiet); stroke-dasharray: 5 4; }
.mark.deep { fill: var(--deep); } .mark.baseline { fill: var(--paper); stroke: var(--baseline); stroke-width: 2px; }
.halo { fill: none; stroke: var(--signal); stroke-width: 2px; }
.scroll, pre { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; white-space: nowrap; }
td, th { padding: 6px 18px 6px 0; text-align: left; border-bottom: 1px solid var(--rule); font-weight: 400; }
th { color: var(--quiet); border-bottom-color: var(--ink); } .num { text-align: right; }
td:last-child { text-align: left; } summary { cursor: pointer; color: var(--deep); }
"""
SHOWN = 5  # times the allowed drop, within which candidates are plotted; the table has all of them


def page(result: Mapping[str, Any], folder: Path, run_report: str | None) -> str:
    """The page of a shrink that went to `folder`; `run_report` is where the report of the run lies."""
    title = "A smaller file" if result["chosen"] is not None else "No smaller file"
    back = f'<p><a href="{esc(run_report)}">The report of the run</a></p>' if run_report else ""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{esc(folder.name)}: {title}</title><style>{STYLE}</style></head><body>\n"
        f'<p class="eyebrow">{esc(folder.name)}</p><h1>{title}</h1>\n{back}{body(result, "h2", "model.onnx")}'
        "</body></html>\n"
    )


def body(result: Mapping[str, Any], heading: str, model: str) -> str:
    """What ships and why, the frontier, and how to run the file at the path `model`."""
    rows = list(result["frontier"])
    head = ("file", "size", "one row", "a row in a batch", "memory", result["metric"], "drop", "")
    table = grid(
        head,
        [
            (
                esc(row["name"]), size(row["bytes"]), micros(row["one_us"]), micros(row["batch_us"]),
                f"{row['peak_mb']:.0f} MB", plain(row["score"], 4),
                "" if row["drop"] is None else f"{row['drop']:z.2%}", esc(row["status"]),
            )  # fmt: skip
            for row in rows
        ],
        1, "Candidates",
    )  # fmt: skip
    notes = "".join(f"<li>{esc(note)}</li>" for note in result["notes"])
    run = ""
    if result["chosen"] is not None:
        found = recipes(model, result["inputs"], result["outputs"])
        run = f"<{heading}>How to run it</{heading}>{''.join(map(_recipe, found))}"
    return (
        f"<p>{esc(result['why'])}</p>\n<ul>{notes}</ul>\n<{heading}>Quality and size</{heading}>"
        f"{_plot(result, rows)}\n{table}\n"
        f"<p>{result['choosing_rows']:,} {result['choosing_part']} rows chose the order of the tests, and "
        f"{result['judging_rows']:,} test rows{_groups(result)}, none of them among these, judged; scores and drops "
        "of the table are of the rows that chose, but for drops with an upper bound. Times are of "
        f"one thread, on the whole file, in a process of its own ({esc(result['processor'])}).</p>\n{run}"
    )


def _recipe(recipe: Recipe) -> str:
    code = f"<pre>{esc(recipe.code)}</pre>" if recipe.code else ""
    title = f"{esc(recipe.platform)}: {esc(recipe.tried)}"
    return f"<details><summary>{title}</summary><p>{esc(recipe.about)}</p>{code}</details>"


def _groups(result: Mapping[str, Any]) -> str:
    return "" if result["judging_groups"] is None else f" in {result['judging_groups']:,} groups"


def _plot(result: Mapping[str, Any], rows: list[dict[str, Any]]) -> str:
    """Score over bytes; the line joins the files that no other beats on both counts."""
    allowed, higher = result["max_drop"], result["higher_is_better"]
    full = rows[0]["score"]
    rows = [row for row in rows if row["drop"] is None or row["drop"] <= SHOWN * allowed]
    limit = full - allowed if higher else full * (1 + allowed)
    marks = [
        Mark(
            x=row["bytes"],
            y=row["score"],
            name=row["name"],
            family=BASELINE if row["drop"] is None else DEEP,
            title=f"{row['name']}: {plain(row['score'], 4)}, {size(row['bytes'])}",
            chosen=row["name"] == result["chosen"],
        )  # fmt: skip
        for row in rows
    ]
    front: list[Mark] = []
    for mark in sorted(marks, key=lambda each: each.x):
        if not front or (mark.y > front[-1].y if higher else mark.y < front[-1].y):
            front.append(mark)
    if len(marks) > NAMED:  # more names than there is room for: the others are in the table, and at their signs
        said = {rows[0]["name"], result["chosen"], *(mark.name for mark in front)}
        marks = [mark if mark.name in said else replace(mark, name="") for mark in marks]
    titles = ("bytes, log scale", result["metric"] + ("" if higher else ", lower is better"))
    frame = Frame(f"{titles[1]} of candidates against {titles[0]}", titles, (size, lambda value: plain(value, 4)))
    across = Axis.over([mark.x for mark in marks], pad=0.12, log=True)
    up = Axis.over([limit, *(mark.y for mark in marks)], pad=0.3)
    return f"<figure>{scatter(marks, across, up, front, frame)}</figure>"
