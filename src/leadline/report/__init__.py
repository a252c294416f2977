"""A result as one self-contained HTML page.

page.py           the page: sections in reading order
summary.py        the first screen: the answer, how sure, at what cost, what would change it
leaderboard.py    contenders, cost against quality, scores during training
mistakes.py       confusion, errors
gallery.py        the worst mistakes
flaws.py          what is wrong with the data; journey.py: one row, step by step
media_budget.py   pictures and sounds, under one budget
provenance.py     data, warnings, how to do it again, the rule
facts.py          what all of them ask of a result
write.py          the page and result.json, into the run folder
charts/svg.py     SVG
charts/format.py  numbers and names as safe text
"""

from leadline.report.page import render
from leadline.results.examples import Example

__all__ = ["Example", "render"]
