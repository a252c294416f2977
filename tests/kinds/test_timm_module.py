"""Bodies in timm folders by the package itself: networks made up here, and its own where it is installed."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from leadline.core.pretrained import Precision
from leadline.core.tensors import Block
from leadline.graph.runtime import Session
from leadline.kinds.body_folder import WEIGHTS, FolderError
from leadline.kinds.image.timm_folder import timm_in
from leadline.kinds.weights import verify
from leadline.system.errors import LeadlineError

CFG = {
    "input_size": [3, 64, 64], "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.25], "interpolation": "bicubic",
    "license": "apache-2.0",
}  # fmt: skip
MADE_UP = '''
"""Two architectures: convolutions, and one that reads pictures of one size."""

import torch
from torch import nn

__version__ = "0"


def is_model(name):
    return name in ("convolver_tiny", "fixed_tiny")


class Convolver(nn.Module):
    def __init__(self, width=8, num_classes=1000, fixed=False):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, 4)
        self.stages = nn.ModuleList(nn.Sequential(nn.Conv2d(width, width, 3, 2, 1), nn.GELU()) for _ in range(4))
        self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, num_classes) if num_classes else nn.Identity()
        self.pretrained_cfg, self.fixed = {"classifier": "classifier", "fixed_input_size": fixed}, fixed

    def forward_intermediates(self, x, indices=None):
        assert not self.fixed or tuple(x.shape[2:]) == (64, 64)
        x, maps = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return self.norm(x), [maps[number] for number in (indices or range(4))]

    def forward_head(self, x, pre_logits=False):
        x = x.mean((2, 3))
        return x if pre_logits else self.classifier(x)


def create_model(name, pretrained=False, checkpoint_path=None, num_classes=1000, **kwargs):
    return Convolver(num_classes=num_classes, fixed=name.startswith("fixed"), **kwargs)
'''


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package of that name, whatever is installed."""
    (tmp_path / "timm.py").write_text(MADE_UP)
    (tmp_path / "timm-0.dist-info").mkdir()
    (tmp_path / "timm-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: timm\nVersion: 0\n")
    for name in [each for each in sys.modules if each.split(".")[0] == "timm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield importlib.import_module("timm")
    sys.modules.pop("timm", None)


def _folder(path: Path, architecture: str, net: Any, cfg: dict[str, Any] | None = None, **args: Any) -> Path:
    path.mkdir(parents=True)
    facts = {"architecture": f"{architecture}.some_tag", "num_classes": 5, "pretrained_cfg": cfg or CFG}
    (path / "config.json").write_text(json.dumps({**facts, "model_args": args}))
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path / WEIGHTS)
    return path


@pytest.fixture
def folder(made_up: Any, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = made_up.create_model("convolver_tiny", num_classes=5, width=12)
    return _folder(tmp_path / "net", "convolver_tiny", net, width=12)


def _block(height: int, width: int) -> Block:
    return Block(
        name="x", kind="image", columns=("x",), decode={}, shape=(height, width, 3), dtype="uint8", forms={},
        settings={"height": height, "width": width, "channels": 3},
    )  # fmt: skip


def _agrees(path: Path, net: Any, sides: tuple[int, int], cfg: dict[str, Any]) -> None:
    """The graph gives the means of four of the network's maps, and what its classifier reads."""
    body = timm_in(path)
    assert body is not None
    pictures = np.random.default_rng(0).integers(0, 256, (3, 48, 40, 3)).astype(np.uint8)
    session = Session(body.graph(path, _block(48, 40), Precision.FLOAT32, None))
    found = session.only({"x": pictures})
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    x = F.interpolate(x, sides, mode=cfg["interpolation"], antialias=True, align_corners=False) / 255
    x = (x - torch.tensor(cfg["mean"]).view(3, 1, 1)) / torch.tensor(cfg["std"]).view(3, 1, 1)
    with torch.no_grad():
        last, maps = net.eval().forward_intermediates(x)
        pooled = net.forward_head(last, pre_logits=True)
    chosen = [maps[round(len(maps) * part / 4) - 1].mean((2, 3)) for part in (1, 2, 3, 4)]
    expected = torch.cat([*chosen, pooled.flatten(1)], dim=1).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(1.0, float(np.abs(expected).max())))
    np.testing.assert_allclose(session.only({"x": pictures[1:2]}), found[1:2], rtol=0, atol=1e-5)
    assert sum(layer.width for layer in body.layers) == found.shape[1]


@pytest.mark.parametrize(("architecture", "sides"), [("convolver_tiny", (64, 53)), ("fixed_tiny", (64, 64))])
def test_a_network_of_the_package_is_read(
    architecture: str, sides: tuple[int, int], made_up: Any, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    net = made_up.create_model(architecture, num_classes=5, width=12)
    path = _folder(tmp_path / "net", architecture, net, width=12)
    verify(str(path))
    _agrees(path, net, sides, CFG)
    body = timm_in(path)
    assert body is not None and body.name == f"{architecture}.some_tag net" and body.licence == "apache-2.0"


def test_it_is_trained_further(folder: Path, trains: Any) -> None:
    body, pictures = timm_in(folder), np.random.default_rng(0).integers(0, 256, (4, 48, 40, 3)).astype(np.uint8)
    assert body is not None
    net = trains(body, folder, _block(48, 40), "x", pictures)
    assert (net.depth, net.cut, net.width) == (4, 2, 36)


def _changed(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        weights = load_file(path / WEIGHTS)
        change(weights)
        save_file(weights, path / WEIGHTS)

    return changed


def _facts(**facts: Any) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        (path / "config.json").write_text(json.dumps({**json.loads((path / "config.json").read_text()), **facts}))

    return changed


def _nan(weights: dict[str, Tensor]) -> None:
    weights["stages.1.0.weight"][2, 1] = torch.nan


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_facts(architecture="swin_huge"), "holds swin_huge, which timm 0 does not know"),
        (_facts(model_args={"width": 16}), "has stem.weight of shape [12, 3, 4, 4], where convolver_tiny.some_tag nee"),
        (_facts(model_args={"widths": 16}), "cannot be read by timm 0: TypeError"),
        (_facts(model_args={"checkpoint_path": "x.pth"}), "with checkpoint_path among its model_args"),
        (_changed(lambda each: each.pop("stages.3.0.bias")), "has no stages.3.0.bias in its model.safetensors"),
        (_changed(lambda each: each.update(gate=torch.ones(3))), "with gate, which no convolver_tiny.some_tag of timm"),
        (_changed(_nan), "has weights in stages.1.0.weight that are not finite"),
        (_facts(pretrained_cfg={**CFG, "std": [0.1, 0, 0.1]}), "where numbers above 0 were expected"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_sentence(change: Callable[[Path], None], says: str, folder: Path) -> None:
    verify(str(folder))
    change(folder)
    with pytest.raises(LeadlineError) as caught:
        verify(str(folder))
    said = str(caught.value)
    assert said.startswith(f"--weights {folder} ") and says in said and said.endswith(".") and "\n" not in said


def test_weights_of_a_head_are_no_matter(folder: Path) -> None:
    _changed(lambda each: [each.pop(name) for name in ("classifier.weight", "classifier.bias")])(folder)
    verify(str(folder))


def test_without_the_package_a_sentence_has_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None if name == "timm" else find(name, *more))
    with pytest.raises(FolderError, match=r"reads: pip install timm; without it these are read: timm's resnet18, "):
        timm_in(folder)


def test_a_package_that_cannot_be_imported_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    sys.modules.pop("timm")
    (folder / "README.md").write_text("another folder, of which nothing is known yet")
    (tmp_path / "timm.py").write_text("raise ImportError('no torchvision for this PyTorch\\nand more')\n")
    importlib.invalidate_caches()
    with pytest.raises(
        FolderError,
        match=r"installed, but cannot be imported \(ImportError: no torchvision for this PyTorch\); without",
    ):
        timm_in(folder)


class Anything(type):
    """A class of which every attribute is there."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return f"{cls.__name__}.{name}"


class Vision(ModuleType):
    """What timm imports of torchvision and no network of the tests uses."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name, (nn.Module,), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        ours = name.split(".")[0] == "torchvision"
        return importlib.util.spec_from_loader(name, self, is_package=True) if ours else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return Vision(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


@pytest.fixture(scope="module")
def timm() -> Iterator[Any]:
    """The package itself; torchvision, which it imports, may not go with the PyTorch that is here."""
    if importlib.util.find_spec("timm") is None:
        pytest.skip("needs timm")
    finder = Finder()
    sys.meta_path.insert(0, finder)
    yield importlib.import_module("timm")
    sys.meta_path.remove(finder)
    for name in [each for each in sys.modules if each.split(".")[0] in ("timm", "torchvision")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("architecture", "args", "sides"),
    [
        ("convnext_atto", {"depths": [1, 1, 1, 1], "dims": [8, 12, 16, 24]}, (96, 80)),
        ("mobilenetv3_small_050", {}, (96, 80)),
        ("regnetx_002", {}, (96, 80)),
        ("swin_tiny_patch4_window7_224", {"embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 4]},
         (224, 224)),
        ("eva02_tiny_patch14_224", {"embed_dim": 24, "depth": 4, "num_heads": 2}, (224, 224)),
    ],
)  # fmt: skip
def test_networks_of_timm_itself_are_read(
    architecture: str, args: dict[str, Any], sides: tuple[int, int], timm: Any, tmp_path: Path, trains: Any
) -> None:
    torch.manual_seed(0)
    net = timm.create_model(architecture, num_classes=5, **args).eval()
    names = ("mean", "std", "interpolation", "input_size", "fixed_input_size", "license")
    cfg = {name: value for name, value in dict(net.pretrained_cfg).items() if name in names}
    path = _folder(tmp_path / "net", architecture, net, cfg, **args)
    verify(str(path))
    _agrees(path, net, sides, cfg)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 48, 40, 3)).astype(np.uint8)
    trains(timm_in(path), path, _block(48, 40), "x", pictures)
