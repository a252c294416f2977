"""The frame of a page that stands beside a run's report: head, brand, style, footer."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from leadline.report.page import LOGO, POLICY


def html_page(title: str, header: Sequence[str], body: str, styles: Sequence[str] = ()) -> str:
    """A whole page.

    Args:
        title: of the window, as HTML text.
        header: what stands beside the brand.
        body: the HTML of its main part.
        styles: files of this package to add to style.css.
    """
    folder = files("leadline.report")
    style = "\n".join(folder.joinpath(file).read_text(encoding="utf-8") for file in ("style.css", *styles))
    beside = "".join(f"<span>{each}</span>" for each in header)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{title} · Leadline</title>\n<style>\n{style}</style></head>\n"
        f'<body><header><span class="brand">{LOGO}Leadline</span>{beside}</header>'
        f'<div class="neatline" aria-hidden="true"></div><main>{body}</main>\n'
        "<footer>Made by Leadline. Measure before you go deep.</footer></body></html>\n"
    )
