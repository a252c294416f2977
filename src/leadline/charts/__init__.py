"""Inline SVG charts, and how numbers and names are written in them."""
