"""Audio in class folders -> verdict and one file.

python examples/sounds_folder.py SOUNDS/        # SOUNDS/dog/1.wav, SOUNDS/rain/2.ogg, ...
"""

import sys

import leadline as ll

run = ll.fit(sys.argv[1], budget="3m")
print(run.verdict.answer, run.verdict.why)
print(run.model.predict(sys.argv[1]).head())
print("Open", run.report())
