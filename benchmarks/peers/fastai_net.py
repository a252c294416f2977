"""The same network as a fastai Learner, its rows in memory.

python benchmarks/peers/fastai_net.py FOLDER [SEED]

Whole batches by index, as fastai's own loader of tables picks them, and PyTorch's fused Adam in fastai's wrapper. Over
three runs each, its own Adam and a row at a time were neither faster nor slower beyond their spread (15 to 21 s). The
test rows are its validation rows: fastai looks at them after every epoch, in ten batches. `fastai.basics` needs no
torchvision, `fastai.vision` does.
"""

import random
import sys
from functools import partial
from pathlib import Path

import torch
from fastai.basics import CrossEntropyLossFlat, DataLoader, DataLoaders, Learner, OptimWrapper, accuracy
from idx import read
from torch import nn
from torch.utils.data import TensorDataset

folder, seed = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
torch.manual_seed(seed)
random.seed(seed)  # the loader draws its order from here


class Batches(DataLoader):
    """Rows picked a batch at a time, as fastai's own loader of tables does."""

    def do_item(self, row):
        return row

    def create_batch(self, rows):
        return self.dataset[rows]


def rows(part, size, shuffle):
    return Batches(TensorDataset(*map(torch.from_numpy, read(folder, part))), bs=size, shuffle=shuffle)


learner = Learner(
    DataLoaders(rows("train", 64, True), rows("t10k", 1000, False)),
    nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)),
    loss_func=CrossEntropyLossFlat(),
    opt_func=partial(OptimWrapper, opt=partial(torch.optim.Adam, fused=True)),
    metrics=accuracy,
)
with learner.no_logging():
    learner.fit(3, 1e-3)
print(f"test accuracy {learner.validate()[1]:.2%}")
