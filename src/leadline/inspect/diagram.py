"""A module drawn at work: its layers as boxes from the data down to the loss, values going down, gradients coming up.

Enters: the layers of one pass (`layer_stats.py`). Leaves: one SVG document with its own styles, 400 units wide so that
a phone shows it at reading size, in light or dark as the reader has it. Boxes stand in the order in which the layers
ran; shortcuts around them are not drawn. The width of a box grows with the logarithm of the values that the layer gives
for a row; the arrow down carries their shape; the arrow up carries the norm of the gradient by them and is as thick as
its logarithm. A dashed box stands for weights that a module uses itself around the layers below it.
"""

from __future__ import annotations

import math
from html import escape

from leadline.inspect.layer_stats import Layer
from leadline.system.text import enumerated

WIDE = 400
BOX = (150, 376)  # units, the narrowest and the widest
GAP = 46  # between two boxes: room for the arrows and what they carry
LETTER = 6.2  # units, the mean width of a character of the small print
THICK = (1.0, 7.0)  # of the arrow up
STYLE = """
.ll{--paper:#fbfaf6;--box:#e6eff5;--edge:#b9c9d6;--ink:#10243a;--quiet:#4c6075;--down:#1c5c94;--up:#ad1567;
  background:var(--paper);width:100%;max-width:560px;height:auto;display:block;margin:0 auto;
  font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",Arial,sans-serif}
@media(prefers-color-scheme:dark){.ll{--paper:#0b1826;--box:#183049;--edge:#35506b;--ink:#e8eef3;--quiet:#a5b5c4;
  --down:#6db3ec;--up:#ff79b8}}
.ll .paper{fill:var(--paper)}.ll text{fill:var(--ink);font-size:12px}.ll .name{font-size:13.5px;font-weight:600}
.ll .title{font-size:15px;font-weight:600}.ll .small{fill:var(--quiet);font-size:11px}.ll .mid{text-anchor:middle}
.ll .end{text-anchor:end}.ll .box{fill:var(--box);stroke:var(--edge)}.ll .live{stroke:var(--down);stroke-width:1.5}
.ll .held{stroke-dasharray:5 4}.ll .down{stroke:var(--down);fill:none}.ll .up{stroke:var(--up);fill:none}
.ll .head.down{fill:var(--down);stroke:none}.ll .head.up{fill:var(--up);stroke:none}
.ll text.downward{fill:var(--down)}.ll text.upward,.ll text.ill{fill:var(--up)}
"""


def drawn(layers: list[Layer], *, title: str, note: str, loss: str) -> str:
    """The drawing of one pass; `title` and `note` head it, `loss` ends it."""
    parts: list[str] = []
    y = 24.0
    for words, css in ((title, "title"), *((line, "small") for line in note.split("\n"))):
        for line in _lines(words, 46 if css == "title" else 62):
            parts.append(_text(css, 12, y, line))
            y += 19 if css == "title" else 15
    parts.append(_text("small downward", 12, y + 4, "▼ values, by their shape"))
    parts.append(_text("small upward end", WIDE - 12, y + 4, "▲ gradient, by its norm"))
    y += 22
    gradients = [layer.gradient for layer in layers if layer.gradient and math.isfinite(layer.gradient)]
    sizes = [_size(layer) for layer in layers]
    first = enumerated([str(list(shape)) for shape in layers[0].inputs]) if layers else ""
    parts.append(_text("mid", WIDE / 2, y + 8, f"data {first}"))
    y += 14
    above: Layer | None = None
    for layer, size in zip(layers, sizes, strict=True):
        # What goes down into a layer is what the one above gives; what comes up out of it is that one's gradient.
        parts.append(_arrows(y, above, gradients))
        y += GAP if above else GAP / 2
        box, height = _box(layer, y, size / max(sizes))
        parts.append(box)
        y += height
        above = above if layer.holds else layer
    parts.append(_arrows(y, above, gradients))
    y += GAP if above else GAP / 2
    parts.append(_text("name mid", WIDE / 2, y + 10, f"loss: {loss}"))
    y += 28
    body = "".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ll" viewBox="0 0 {WIDE} {y:.0f}" role="img" '
        f'aria-label="{escape(title)}"><style>{STYLE}</style>'
        f'<rect class="paper" width="{WIDE}" height="{y:.0f}"/>{body}</svg>\n'
    )


def _box(layer: Layer, y: float, share: float) -> tuple[str, float]:
    """A layer's box and its height."""
    said = [*_lines(layer.product, 56), *_lines(layer.nonlinearity.removeprefix(f"{layer.type}: "), 56)]
    name = _short(f"{layer.name} · {layer.type}" if layer.name else layer.type, 44)
    facts = [f"{layer.parameters:,} weights"] if layer.parameters else []
    if layer.weight_gradient is not None:
        facts.append(f"gradient by them {layer.weight_gradient:.1e}")
    small = [("small mid", ", ".join(facts))] if facts else []
    if layer.dead:
        small.append(("small mid ill", f"{len(layer.dead)} of {layer.units} units {layer.slope} on every row"))
    # The print needs its room, whatever the layer's size.
    room = [8.2 * len(name), *(LETTER * len(words) for words in said), *(LETTER * len(words) for _, words in small)]
    wide = min(BOX[1], max(BOX[0] + (BOX[1] - BOX[0]) * share, 24 + max(room)))
    height = 28 + 15 * (len(said) + len(small))
    left, middle = (WIDE - wide) / 2, WIDE / 2
    css = "box live" if layer.parameters else "box"
    css += " held" if layer.holds else ""
    parts = [
        f'<g><title>{escape(_told(layer))}</title><rect class="{css}" x="{left:.1f}" y="{y:.1f}" width="{wide:.1f}" '
        f'height="{height}" rx="5"/>',
        _text("name mid", middle, y + 18, name),
    ]
    line = y + 18
    for css, words in [*(("mid", words) for words in said), *small]:
        line += 15
        parts.append(_text(css, middle, line, words))
    return "".join(parts) + "</g>", height


def _arrows(y: float, above: Layer | None, gradients: list[float]) -> str:
    """Between two boxes: the values of the layer above go down, and its gradient comes up."""
    top, foot, left, right = y + 4, y + (GAP if above else GAP / 2) - 4, WIDE / 2 - 10, WIDE / 2 + 10
    parts = [
        f'<path class="down" d="M{left} {top}V{foot - 6}" stroke-width="2"/>'
        f'<path class="head down" d="M{left - 5} {foot - 8}h10l-5 8z"/>'
    ]
    if above is None:
        return "".join(parts)
    middle = (top + foot) / 2 + 4
    parts.append(_text("small downward end", left - 10, middle, str(list(above.output))))
    if above.gradient is None:
        parts.append(_text("small", right + 2, middle, "no gradient"))
        return "".join(parts)
    thick = _thickness(above.gradient, gradients)
    head = 5 + thick / 2
    parts.append(
        f'<path class="up" d="M{right} {foot}V{top + 6}" stroke-width="{thick:.1f}"/>'
        f'<path class="head up" d="M{right - head:.1f} {top + 8}h{2 * head:.1f}l-{head:.1f} -8z"/>'
    )
    parts.append(_text("small upward", right + 6 + head, middle, f"{above.gradient:.1e}"))
    return "".join(parts)


def _thickness(gradient: float, gradients: list[float]) -> float:
    """By the logarithm, so that a gradient that fades by layers is seen to fade; a decade at least is spanned."""
    if not gradients or not gradient or not math.isfinite(gradient):
        return THICK[0]
    low, high = math.log10(min(gradients)), math.log10(max(gradients))
    share = 1 - (high - math.log10(gradient)) / max(high - low, 3.0)
    return THICK[0] + (THICK[1] - THICK[0]) * share


def _size(layer: Layer) -> float:
    """The logarithm of the values that a layer gives for a row."""
    return math.log2(1 + max(1, math.prod(layer.output[1:])))


def _told(layer: Layer) -> str:
    """What a pointer that rests on the box is shown."""
    shapes = enumerated([str(list(shape)) for shape in layer.inputs])
    lines = [str(layer), f"{shapes} -> {list(layer.output)}"]
    lines.append(f"values {layer.mean:.3g} ± {layer.std:.3g}, at most {layer.largest:.3g}, {layer.zeros:.0%} zero")
    if layer.gradient is not None:
        lines.append(f"gradient by the output {layer.gradient:.3g}")
    lines.append(f"forward {1e3 * layer.forward_s:.3g} ms")
    return "\n".join(lines)


def _text(css: str, x: float, y: float, words: str) -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def _lines(words: str, most: int) -> list[str]:
    """Words in lines of at most so many characters; a shape stays in one line."""
    lines: list[str] = []
    for word in words.replace(", ", ",\0").split():
        if lines and len(lines[-1]) + 1 + len(word) <= most:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [line.replace("\0", " ") for line in lines]


def _short(words: str, most: int) -> str:
    return words if len(words) <= most else "…" + words[1 - most :]
