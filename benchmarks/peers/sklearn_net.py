"""The same network as scikit-learn's MLPClassifier: Adam, no penalty, no early stopping.

python benchmarks/peers/sklearn_net.py FOLDER [SEED]

Kept: one thread for its matrix products, by the library that scikit-learn itself brings for that. They are so small
that a second one costs more than it does (8.9 s against 10.5 s, medians of 4, on two cores). Rows stay float32.
"""

import sys
import warnings
from pathlib import Path

from idx import read
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

folder, seed = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
warnings.simplefilter("ignore", ConvergenceWarning)  # three passes are what was asked for
net = MLPClassifier((256, 128), alpha=0, batch_size=64, learning_rate_init=1e-3, max_iter=3, random_state=seed)
with threadpool_limits(1):
    net.fit(*read(folder, "train"))
print(f"test accuracy {net.score(*read(folder, 't10k')):.2%}")
