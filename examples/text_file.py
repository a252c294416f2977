"""A text -> a language model that continues any prompt, in one file that needs no PyTorch.

python examples/text_file.py NOVEL.txt "It was a"
"""

import sys

import leadline as ll

run = ll.fit(sys.argv[1], budget="3m")
print(run.verdict.answer, run.verdict.why)
print(sys.argv[2] + run.model.generate(sys.argv[2], length=400, temperature=0.7))
print("Open", run.report())
