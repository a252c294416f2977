"""What tutorials teach: a data set of PIL images, transformed a sample at a time, through a DataLoader.

python benchmarks/peers/reference_script.py FOLDER [SEED]

The data set and the transforms do what `torchvision.datasets.MNIST`, `ToTensor` and `Normalize` do for each sample, in
the same order and with the same copies, so that the script needs nothing but PyTorch and Pillow.
"""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

folder = Path(sys.argv[1])
torch.manual_seed(int(sys.argv[2]) if len(sys.argv) > 2 else 0)


class Compose:
    def __init__(self, transforms: list[Callable]) -> None:
        self.transforms = transforms

    def __call__(self, image):
        for transform in self.transforms:
            image = transform(image)
        return image


class ToTensor:
    """PIL image -> float32 [channels, height, width] in [0, 1]."""

    def __call__(self, image: Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.array(image, np.uint8, copy=True))
        pixels = pixels.view(image.size[1], image.size[0], len(image.getbands()))
        return pixels.permute((2, 0, 1)).contiguous().to(dtype=torch.get_default_dtype()).div(255)


class Normalize(nn.Module):
    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, image: Tensor) -> Tensor:
        image = image.clone()
        mean = torch.as_tensor(self.mean, dtype=image.dtype, device=image.device)
        std = torch.as_tensor(self.std, dtype=image.dtype, device=image.device)
        if (std == 0).any():
            raise ValueError("std is zero")
        return image.sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))


class MNIST(Dataset):
    def __init__(self, part: str, transform: Callable) -> None:
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
            self.data = torch.from_numpy(np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28).copy())
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
            self.targets = torch.from_numpy(np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64))
        self.transform = transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, target = self.data[index], int(self.targets[index])
        return self.transform(Image.fromarray(image.numpy())), target


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(784, 256), nn.Linear(256, 128), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flatten(x, 1)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))


transform = Compose([ToTensor(), Normalize((0.5,), (0.5,))])
train_loader = DataLoader(MNIST("train", transform), batch_size=64, shuffle=True)
test_loader = DataLoader(MNIST("t10k", transform), batch_size=1000)
model = Net()
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for _ in range(3):
    model.train()
    for images, labels in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()

model.eval()
right = 0
with torch.no_grad():
    for images, labels in test_loader:
        right += (model(images).argmax(dim=1) == labels).sum().item()
print(f"test accuracy {right / len(test_loader.dataset):.2%}")
