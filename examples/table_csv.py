"""A table in a file (CSV, TSV, JSON Lines, Parquet) and the column to predict: a class or a number in each row.

python examples/table_csv.py houses.csv price
"""

import sys

import leadline as ll

table, target = sys.argv[1:]
run = ll.fit(table, target=target, budget="2m")
print(run.verdict.why)
for contender in run.result["contenders"]:
    print(f"{contender['name']:10} {contender['family']:10} {contender['status']:10} {contender['score']}")
print(run.model.predict(table).head())
