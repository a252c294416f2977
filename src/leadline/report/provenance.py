"""What the answer rests on: the data, the warnings, how to get it again, and the rule of the verdict.

Enters: `Facts`. Leaves: HTML, a section each.
"""

from __future__ import annotations

import json

from leadline.charts.format import clip, count, esc, grid, name, percent, plain, tag
from leadline.readers.part import agreed, counted
from leadline.report.facts import Facts, number

__all__ = ["data", "rule", "reproduce", "warnings"]

COLUMNS, WARNINGS = 200, 50
USE = """\
import numpy as np
import onnxruntime as ort

session = ort.InferenceSession({file}, providers=["CPUExecutionProvider"])
print(session.get_modelmeta().custom_metadata_map)            # classes, units, how values are decoded
for value in session.get_inputs():
    print(value.name, value.type, value.shape)                # one input a column, rows first

row = {{value.name: ... for value in session.get_inputs()}}     # fill in arrays of one row or of many
for value, answer in zip(session.get_outputs(), session.run(None, row)):
    print(value.name, np.asarray(answer)[:3])"""


WRITE = """\
import leadline as ll

model = ll.Model({file})
print(model.generate("Once ", length=400, temperature=0.8, seed=1))   # no PyTorch needed
print(model.contract["state"])      # without Leadline: give each state back at the next call, see the contract"""


def data(facts: Facts) -> str:
    """Rows by split, and the columns."""
    result = facts.result
    rows = {key: int(number((result.get("rows") or {}).get(key)) or 0) for key in ("train", "valid", "calib", "test")}
    total = sum(rows.values())
    words = {
        "train": "to learn from",
        "valid": "to stop and select",
        "calib": "to calibrate",
        "test": "held out, for the verdict",
    }
    bar = "".join(f'<span class="{k}" style="flex:{n} 1 0"></span>' for k, n in rows.items() if n)
    told = ", ".join(f"<b>{k}</b> {count(n)} ({words[k]})" for k, n in rows.items() if n)
    lost = int(number(result.get("quarantined")) or 0)
    aside = f" {count(lost)} could not be read and {'was' if lost == 1 else 'were'} put aside." if lost else ""
    target = f", to predict {name(result['target'])}" if result.get("target") else ""
    split = f'<div class="splits" aria-hidden="true">{bar}</div><p>{told}.</p>' if total else ""
    source = name(result.get("source") or "memory", 80)
    return f"<p>{count(total)} rows from {source}{target}.{aside}</p>{split}{_columns(facts)}"


def _columns(facts: Facts) -> str:
    columns = facts.result.get("columns") or []
    if not columns:
        return ""
    rows = [
        (
            tag("b", name(c.get("name"))),
            *(tag("bdi", clip(c.get(key) or "–", 200)) for key in ("kind", "role", "note")),
            percent(number(c.get("missing"))),
            f"{'about ' if c.get('estimated') else ''}{count(number(c.get('unique')))}",
        )
        for c in columns[:COLUMNS]
    ]
    more = (
        f"<p>{agreed(len(columns) - COLUMNS, '1 more column is', '{} more columns are')} in result.json.</p>"
        if len(columns) > COLUMNS
        else ""
    )
    return grid(("Column", "Kind", "Role", "Note", "Missing", "Distinct"), rows, 4, "Columns") + more


def warnings(facts: Facts) -> str:
    """What was replaced, ignored or looks wrong."""
    found = facts.result.get("warnings") or []
    more = (
        f"<p>{agreed(len(found) - WARNINGS, '1 more is', '{} more are')} in result.json.</p>"
        if len(found) > WARNINGS
        else ""
    )
    return (
        f'<ul class="warnings">{"".join(tag("li", clip(w, 500)) for w in found[:WARNINGS])}</ul>{more}' if found else ""
    )


def reproduce(facts: Facts) -> str:
    """The command, what it ran on, and how to use the model without Leadline."""
    result = facts.result
    machine = result.get("machine") or {}
    cores, memory = number(machine.get("cores")), number(machine.get("memory_gb"))
    where = [clip(machine["processor"], 80)] if machine.get("processor") else []
    where += [counted(int(cores), "core")] if cores else []
    where += [f"{plain(memory)} GB"] if memory else []
    where += [clip(machine["system"], 40)] if machine.get("system") else []
    versions = ", ".join(f"{clip(k, 40)} {clip(v, 40)}" for k, v in list((result.get("versions") or {}).items())[:40])
    pairs = [
        ("Leadline", clip(result.get("leadline") or "–")),
        ("Run at", clip(result.get("created") or "–")),
        ("Seed", clip(result.get("seed"))),
    ]
    pairs += [
        ("Machine", ", ".join(where) or "–"),
        ("Versions", versions or "–"),
        ("Data hash", f"<code>{clip(result.get('data_hash') or '–', 80)}</code>"),
    ]
    keys = "".join(f"<dt>{a}</dt><dd>{b}</dd>" for a, b in pairs)
    command = clip(result.get("command") or "leadline fit", 1000)
    return f'<pre tabindex="0"><code>{command}</code></pre><dl class="keys">{keys}</dl>{_use(facts)}'


def _use(facts: Facts) -> str:
    """The shipped file's check against training, and a snippet that runs it."""
    shipped = facts.result.get("shipped") or {}
    if not shipped.get("file"):
        return ""
    parity = shipped.get("parity") or {}
    differ, rows, worst = (number(parity.get(key)) for key in ("decisions_differ", "rows", "max_difference"))
    checked = (
        f"On {count(rows)} rows the file and the trained model differ by at most {plain(worst or 0.0, 2)}"
        if rows
        else ""
    )
    checked += f", and in {count(differ)} decisions" if rows and differ is not None else ""
    use = WRITE if facts.task.generative else USE
    code = use.format(file=json.dumps(str(shipped["file"]), ensure_ascii=False))
    return (
        f"<h3>Use {name(shipped['file'])} anywhere ONNX Runtime runs</h3>{tag('p', checked + '.') if checked else ''}"
        f'<pre tabindex="0"><code>{esc(code)}</code></pre>'
    )


def rule(facts: Facts) -> str:
    """The one rule, in the run's own units."""
    region = number(facts.verdict.get("region"))
    here = f", here ± {facts.measure.difference(region)}" if region is not None else ""
    method = {
        "folds": "Each repeat trains all contenders anew on a fold of its own; the best of each family by the fold's "
        "valid rows answer its test rows. The interval holds what these rows leave open and the noise of training: "
        "what real races show of it, corrected by how the folds at hand scatter.",
        "seeds": "Each repeat trains all contenders from another seed; the best of each family by valid answer the "
        "same test rows. The bootstrap resamples rows, and the noise between seeds is added.",
    }.get(
        str(facts.verdict.get("by")),
        "The best deep and the best classical contender, chosen on the valid rows, answer the same test rows, which "
        "the bootstrap resamples.",
    )
    return (
        f"<p>{method} The {facts.level} interval of the difference is held against a region that makes no practical "
        f"difference{here}. In this order:</p><ol>"
        "<li>The interval lies inside the region: <b>either will do</b>, and the cheaper one ships.</li>"
        "<li>The whole interval favours deep: <b>yes, deep learning</b>.</li>"
        "<li>The whole interval favours classical: <b>no, stay classical</b>.</li>"
        "<li>Otherwise: <b>too close to call</b>, with the number of rows that would settle it.</li></ol>"
        f"<p>{_evaluated(facts)}The baseline is what guessing gives: the commonest class or the mean.</p>"
    )


def _evaluated(facts: Facts) -> str:
    """How often the labels of test rows were handed out to score contenders, as it was counted."""
    opened, found = number(facts.result.get("test_evaluations")), facts.result.get("evaluations") or {}
    if not opened:
        return ""
    sets, most = number(found.get("sets")) or 1, number(found.get("most")) or opened
    if sets > 1:
        told = (
            f"The labels of test rows were held out of each race: each of {count(sets)} folds was scored "
            f"{_times(most)}, after its race, {count(number(found.get('rows')))} rows in all, a row at most "
            f"{_times(number(found.get('most_a_row')) or 1)}, by contenders that were trained without it."
        )
    else:
        rows = count(number((facts.result.get("rows") or {}).get("test")))
        told = f"The labels of the {rows} test rows were held out until the race had ended, and scored {_times(most)}"
        told += f": {count(most)} trainings were scored on the same rows." if most > 1 else "."
        paid = facts.level != "95%"
        if most > 1:
            told += (
                f" Whether to go on was read from them, for which an interval of {facts.level} pays."
                if paid
                else " Nothing was chosen by what they showed."
            )
    return f"{told} After the verdict they were read for this page. Earlier runs on these rows are not counted. "


def _times(many: float) -> str:
    return "once" if many == 1 else f"{count(many)} times"
