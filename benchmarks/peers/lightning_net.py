"""The same network as a LightningModule, its rows a TensorDataset in memory.

python benchmarks/peers/lightning_net.py FOLDER [SEED]

Kept: Lightning's own mode for speed, `barebones` (no logger, checkpoints, progress bar or checks), whole batches by
index through PyTorch's BatchSampler (11.4 s; 15.0 s a row at a time, medians of three in turn), and PyTorch's fused
Adam. Accuracy is counted outside, because a barebones trainer logs nothing.
"""

import logging
import sys
import warnings
from pathlib import Path

import lightning
import torch
import torch.nn.functional as F
from idx import read
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

folder, seed = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", ".*does not have many workers.*")  # rows in memory want none
lightning.seed_everything(seed, verbose=False)


class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
        )  # fmt: skip

    def training_step(self, batch, index):
        x, y = batch
        return F.cross_entropy(self.layers(x), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)


rows = TensorDataset(*map(torch.from_numpy, read(folder, "train")))
batches = BatchSampler(RandomSampler(rows), batch_size=64, drop_last=False)
net = Net()
trainer = lightning.Trainer(accelerator="cpu", max_epochs=3, barebones=True)
trainer.fit(net, DataLoader(rows, sampler=batches, batch_size=None))

x, y = map(torch.from_numpy, read(folder, "t10k"))
with torch.no_grad():
    print(f"test accuracy {(net.layers(x).argmax(1) == y).float().mean():.2%}")
