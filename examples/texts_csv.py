"""Texts in a file with a column of labels. Only two contenders race, and every event of the run is printed.

python examples/texts_csv.py messages.csv label
"""

import sys

import leadline as ll

texts, target = sys.argv[1:]
run = ll.fit(texts, target=target, budget="2m", only="bag,linear", watch=lambda e: print(e["t"], e["event"]))
print(run.verdict.why)
print(run.model.predict(texts).head())
