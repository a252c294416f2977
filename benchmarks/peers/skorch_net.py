"""The same network as a skorch NeuralNetClassifier on tensors in memory.

python benchmarks/peers/skorch_net.py FOLDER [SEED]

Kept: whole batches by index through PyTorch's BatchSampler (9.0 s; 11.9 s a row at a time, two runs each in
turn), and PyTorch's fused Adam. Nothing is held out or printed: no time goes into what the others don't do.
"""

import sys
from pathlib import Path

import torch
from idx import read
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

folder = Path(sys.argv[1])
torch.manual_seed(int(sys.argv[2]) if len(sys.argv) > 2 else 0)


class Batches(DataLoader):
    def __init__(self, rows, batch_size, shuffle=False):
        order = RandomSampler(rows) if shuffle else SequentialSampler(rows)
        super().__init__(rows, sampler=BatchSampler(order, batch_size, drop_last=False), batch_size=None)


def tensors(part):
    return map(torch.from_numpy, read(folder, part))


net = NeuralNetClassifier(
    nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)),
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    optimizer__fused=True,
    lr=1e-3,
    batch_size=64,
    max_epochs=3,
    iterator_train=Batches,
    iterator_train__shuffle=True,
    iterator_valid=Batches,
    iterator_valid__batch_size=1000,
    train_split=None,
    verbose=0,
)
net.fit(*tensors("train"))
x, y = tensors("t10k")
print(f"test accuracy {net.score(x, y):.2%}")
