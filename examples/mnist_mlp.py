"""A network of your own on MNIST: 784-256-128-10, three passes over the rows, in seconds.

python examples/mnist_mlp.py [FOLDER]       # the folder with the four IDX files; default: mnist in $LEADLINE_DATA
"""

import sys
from pathlib import Path

import torch
from torch import nn

import leadline as ll

folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path("mnist")
mnist = ll.load(folder.name, data=folder.parent if len(sys.argv) > 1 else None)

torch.manual_seed(0)
net = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
trained = ll.train(
    net, mnist, loss="cross_entropy", optimizer="adam", lr=1e-3, batch_size=64, epochs=3, normalise=(0.5, 0.5)
)
print(trained.describe())
print(f"test accuracy {trained.evaluate(mnist).accuracy:.2%}")
