"""The frame of a page that stands beside a run's report: head, brand, style, footer."""

from __future__ import annotations

from collections.abc import Sequence

from leadline.report.page import LOGO, POLICY, style


def html_page(title: str, header: Sequence[str], body: str) -> str:
    """A whole page.

    Args:
        title: of the window, as HTML text.
        header: what stands beside the brand.
        body: the HTML of its main part.
    """
    beside = "".join(f"<span>{each}</span>" for each in header)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{title} · Leadline</title>\n<style>\n{style()}</style></head>\n"
        f'<body><header><span class="brand">{LOGO}Leadline</span>{beside}</header>'
        f'<div class="neatline" aria-hidden="true"></div><main>{body}</main>\n'
        "<footer>Made by Leadline. Measure before you go deep.</footer></body></html>\n"
    )
