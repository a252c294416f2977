"""What a user writes who cares for speed: MNIST as tensors in memory, batches by index, PyTorch's own Adam.

python benchmarks/peers/plain_pytorch.py FOLDER [SEED]
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

folder = Path(sys.argv[1])
torch.manual_seed(int(sys.argv[2]) if len(sys.argv) > 2 else 0)


def read(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return (torch.from_numpy(images.astype(np.float32)) / 255 - 0.5) / 0.5, torch.from_numpy(labels.astype(np.int64))


x, y = read("train")
net = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
for _ in range(3):
    for part in torch.randperm(len(x)).split(64):
        loss = F.cross_entropy(net(x[part]), y[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

x, y = read("t10k")
with torch.no_grad():
    print(f"test accuracy {(net(x).argmax(1) == y).float().mean():.2%}")
