"""The picture of a run: the loss of every step, what the checks found on valid rows, and where something happened.

Enters: a `History`, finished or still growing. Leaves: one SVG document with its own styles, in light or dark as the
reader has it, whose print grows on narrow screens. A long run is thinned: of each stretch of steps the lowest and the
highest loss appear faintly, so that no spike is lost, and over them the running mean. A note that names its step is a
mark there; the others stand together above. Each mark tells its text to a pointer that rests on it, and to a reader
that reads aloud.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from leadline.charts.format import count, esc, seconds
from leadline.charts.svg import Axis
from leadline.train.history import History

WIDE, LEFT, RIGHT = 640, 80, 26  # units; the plot lies between the margins
TOP, LOSS, GAP, ACCURACY, FOOT = 100, 220, 52, 96, 62  # units, from the top down
POINTS = 600  # drawn of a line, at most
SINGLE = 60  # checks that appear as points with a text of their own, at most
SMOOTH = 50  # the running mean is over a fiftieth of the run
LOG = 20  # largest by smallest loss above which the axis is logarithmic
SPIKES = 0.005  # of the losses, at either end, for which the axis does not stretch
STEP = re.compile(r"\bstep ([\d,]*\d)")
STYLE = """
.ll-run{--paper:#fbfaf6;--rule:#d5dde3;--ink:#10243a;--quiet:#4c6075;--train:#1c5c94;--valid:#8d6100;--note:#ad1567;
  background:var(--paper);width:100%;max-width:860px;height:auto;display:block;margin:0 auto;
  font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",Arial,sans-serif}
@media(prefers-color-scheme:dark){.ll-run{--paper:#0b1826;--rule:#29405a;--ink:#e8eef3;--quiet:#a5b5c4;--train:#6db3ec;
  --valid:#dfae4a;--note:#ff79b8}}
.ll-run .paper{fill:var(--paper)}.ll-run text{fill:var(--quiet);font-size:11px}
.ll-run text.title{fill:var(--ink);font-size:14px;font-weight:600}.ll-run text.key{fill:var(--ink)}
.ll-run tspan.train{fill:var(--train)}.ll-run tspan.valid{fill:var(--valid)}.ll-run .noted{fill:var(--note)}
.ll-run .mid{text-anchor:middle}.ll-run .end{text-anchor:end}
.ll-run .grid{stroke:var(--rule)}.ll-run .axis{stroke:var(--ink)}
.ll-run .line{fill:none;stroke-width:2;stroke-linejoin:round}.ll-run .raw{stroke-width:1;opacity:.38}
.ll-run .line.train{stroke:var(--train)}.ll-run .line.valid{stroke:var(--valid)}.ll-run .dot{stroke:var(--paper)}
.ll-run .dot.valid{fill:var(--valid)}.ll-run .dot.train{fill:var(--train)}
.ll-run .when{stroke:var(--note);stroke-dasharray:2 4;opacity:.75}
.ll-run .note{fill:var(--note);stroke:var(--paper)}
@media(max-width:620px){.ll-run text,.ll-run text.title{font-size:14px}}
@media(max-width:480px){.ll-run text,.ll-run text.title{font-size:18px}.ll-run .spare{display:none}}
"""

Points = Sequence[tuple[float, float]]
Said = Sequence[tuple[float, float, str]]  # points with what they tell
T = TypeVar("T")


@dataclass(frozen=True)
class Plot:
    """Two axes and where they lie: steps from left to right, values in `high` units below `top`."""

    across: Axis
    up: Axis
    top: float
    high: float

    @property
    def foot(self) -> float:
        return self.top + self.high

    def x(self, step: float) -> float:
        return LEFT + (WIDE - LEFT - RIGHT) * self.across.at(step) / 100

    def y(self, value: float) -> float:
        """What lies beyond the axis is a little outside the plot, where the clip path cuts it off."""
        return self.foot - self.high * min(102.0, max(-2.0, self.up.spot(value))) / 100

    def line(self, css: str, points: Points) -> str:
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return f'<polyline class="line {css}" points="{path}"/>' if len(points) > 1 else ""

    def dots(self, css: str, points: Said) -> str:
        """As many as stay distinguishable; where there are more, the last one."""
        return "".join(
            f'<circle class="dot {css}" cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="4">'
            f"<title>{esc(said)}</title></circle>"
            for x, y, said in (points if len(points) <= SINGLE else points[-1:])
        )

    def grid(self, name: str, words: Callable[[float], str]) -> str:
        """The name, the values and the lines of the upward axis."""
        parts = [_text("", 16, self.top - 16, name)]
        for value in self.up.ticks(max(2, int(self.high // 44))):
            y = self.y(value)
            parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDE - RIGHT}"/>')
            parts.append(_text("end", LEFT - 8, y + 4, words(value)))
        parts.append(f'<path class="axis" d="M{LEFT} {self.foot}H{WIDE - RIGHT}"/>')
        return "".join(parts)

    def steps(self) -> str:
        """The values and the name of the axis across; on a phone every other value goes."""
        parts = []
        ticks = [value for value in self.across.ticks(6) if value == int(value)]
        spare = " spare" * (len(ticks) > 4)
        for place, value in enumerate(ticks):
            x = self.x(value)
            last = x > WIDE - RIGHT - 8
            parts.append(f'<path class="axis" d="M{x:.1f} {self.foot}v5"/>')
            css = ("end" if last else "mid") + spare * (place % 2)
            parts.append(_text(css, x + 12 * last, self.foot + 22, count(value)))
        parts.append(_text("end", WIDE - RIGHT + 12, self.foot + 46, "step"))
        return "".join(parts)


def curves(history: History) -> str:
    """The drawing of a run."""
    steps = max([len(history.losses), *(check.step for check in history.checks)], default=0)
    train = [(step, loss) for step, loss in enumerate(history.losses, 1) if math.isfinite(loss)]
    scored = [(check.step, check.valid, str(check)) for check in history.checks if check.valid is not None]
    valid = [(step, found.loss, said) for step, found, said in scored if math.isfinite(found.loss)]
    right = [(step, found.accuracy, said) for step, found, said in scored if found.accuracy is not None]
    title = _title(history, steps)
    if not train and not valid:
        words = f"None of {steps:,} steps had a finite loss." if steps else "No step was taken yet."
        return _document(title, [_text("", 16, TOP, words)], TOP + FOOT, history.notes)
    smooth, window = _smoothed(train)
    placed, loose = _notes(history.notes, steps)
    up = _loss_axis([loss for _, loss in train], [loss for _, loss in smooth], [loss for _, loss, _ in valid])
    plot = Plot(Axis(0.0, max(1.0, steps)), up, TOP, LOSS)
    parts = [
        _keys(window, bool(train), bool(valid), loose),
        plot.grid("loss, log scale" if up.log else "loss", _number),
        *(f'<path class="when" d="M{plot.x(step):.1f} {plot.top}V{plot.foot}"/>' for step in placed),
        '<g clip-path="url(#ll-run-loss)">',
        plot.line("raw train", _spread(train)) if window > 1 else "",
        plot.line("train", smooth),
        plot.line("valid", _thinned([(x, y) for x, y, _ in valid])),
        "</g>",
        plot.dots("train", [(x, y, f"step {x}: loss {y:.4g}") for x, y in train]) if len(train) == 1 else "",
        plot.dots("valid", valid),
        *(_mark(plot.x(step), plot.foot, notes) for step, notes in placed.items()),
    ]
    if right:
        plot = Plot(plot.across, _accuracy_axis([share for _, share, _ in right]), plot.foot + GAP, ACCURACY)
        parts += [
            plot.grid("accuracy on valid rows", lambda share: f"{100 * share:g}%"),
            plot.line("valid", _thinned([(x, y) for x, y, _ in right])),
            plot.dots("valid", right),
        ]
    return _document(title, [*parts, plot.steps()], plot.foot + FOOT, history.notes)


def _title(history: History, steps: int) -> str:
    """The run in a line: how long it was."""
    words = [f"{steps:,} step{'s' * (steps != 1)}"]
    last = history.checks[-1] if history.checks else None
    if last is not None and last.step == steps:
        words.append(f"{last.epoch:.4g} epoch{'s' * (last.epoch != 1)}")
    spent = sum(history.seconds.values()) or (last.seconds if last is not None else 0.0)
    return ", ".join([*words, seconds(spent)] if spent else words)


def _document(title: str, parts: list[str], height: float, notes: list[str]) -> str:
    told = f"<desc>{esc('; '.join(notes))}</desc>" if notes else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ll-run" viewBox="0 0 {WIDE} {height:.0f}" role="img" '
        f'aria-label="A training run: {esc(title)}">{told}<style>{STYLE}</style><defs><clipPath id="ll-run-loss">'
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDE - LEFT - RIGHT}" height="{LOSS}"/></clipPath></defs>'
        f'<rect class="paper" width="{WIDE}" height="{height:.0f}"/>{_text("title", 16, 26, title)}'
        f"{''.join(parts)}</svg>\n"
    )


def _smoothed(points: Points) -> tuple[Points, int]:
    """The mean of the steps around some of them, and of how many; at both ends of the run half of these are missing."""
    half = len(points) // (2 * SMOOTH)
    window = 2 * half + 1
    shares = [y / window for _, y in points]  # divided first: a sum of the largest losses could overflow
    found = []
    for place in _thinned(range(len(points))):
        around = shares[max(0, place - half) : place + half + 1]
        found.append((points[place][0], math.fsum(around) * (window / len(around))))
    return found, window


def _spread(points: Points) -> Points:
    """The lowest and the highest of each stretch, in their order."""
    stretch = math.ceil(2 * len(points) / POINTS)
    if stretch <= 2:
        return points
    found: list[tuple[float, float]] = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        found += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return found


def _thinned(values: Sequence[T]) -> Sequence[T]:
    """Values at equal distances, the last one among them."""
    apart = math.ceil(len(values) / POINTS) or 1
    return [*values[:-1:apart], *values[-1:]]


def _loss_axis(raw: Sequence[float], smooth: Sequence[float], valid: Sequence[float]) -> Axis:
    """Covers the lines, and of single steps all but a few spikes; logarithmic where the lines fall by a lot."""
    ordered = sorted(raw)
    spikes = int(SPIKES * len(ordered))
    lines = [*smooth, *valid]
    log = min(lines) > 0 and max(lines) > LOG * min(lines)
    covered = [*lines, *ordered[spikes : len(ordered) - spikes]]
    if not log:
        axis = Axis.over(covered, pad=0.04)
        if min(covered) < 0:
            return axis
        return Axis(max(0.0, axis.low), axis.high if max(covered) else 1.0)
    # A single batch may be predicted almost wholly: a tenth of the lowest line is deep enough.
    return Axis.over([max(value, min(lines) / 10) for value in covered], pad=0.02, log=True)


def _accuracy_axis(shares: Sequence[float]) -> Axis:
    room = max(0.005, 0.15 * (max(shares) - min(shares)))
    return Axis(max(0.0, min(shares) - room), min(1.0, max(shares) + room))


def _notes(notes: Sequence[str], steps: int) -> tuple[dict[int, list[str]], list[str]]:
    """Notes by the step at which they were made, which is the first one that they name; and those that name none."""
    placed: dict[int, list[str]] = {}
    loose = []
    for note in notes:
        named = STEP.search(note)
        step = int(named[1].replace(",", "")) if named else -1
        if 0 <= step <= steps:
            placed.setdefault(step, []).append(note)
        else:
            loose.append(note)
    return placed, loose


def _mark(x: float, foot: float, notes: list[str]) -> str:
    """A triangle on the axis, with the notes of its step."""
    told = esc("\n".join(notes))
    return f'<path class="note" d="M{x - 7:.1f} {foot}h14l-7 -12z"><title>{told}</title></path>'


def _keys(window: int, train: bool, valid: bool, loose: list[str]) -> str:
    """What is what, in a line, which print of any size may stretch; at its end the notes that have no place."""
    of_train = f"train, mean of {window:,} steps" if window > 1 else "train"
    drawn = [("train", "━━", of_train)] * train + [("valid", "━●━", "valid")] * valid
    keys = "".join(
        f'<tspan class="{css}" dx="{"1.6em" if place else 0}">{sign}</tspan><tspan dx=".5em">{words}</tspan>'
        for place, (css, sign, words) in enumerate(drawn)
    )
    line = f'<text class="key" x="16" y="54">{keys}</text>'
    if not loose:
        return line
    told, words = esc("\n".join(loose)), f"{len(loose)} note{'s' * (len(loose) != 1)}"
    sign = '<tspan class="noted">▲</tspan>'
    return f'{line}<text class="key end" x="{WIDE - RIGHT + 12}" y="54"><title>{told}</title>{sign} {words}</text>'


def _number(value: float) -> str:
    return f"{value:,g}".replace("-", "−")


def _text(css: str, x: float, y: float, words: str) -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}">{esc(words)}</text>'
