"""Bodies in timm folders: the graph against PyTorch's own layers, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from leadline.contenders.pretrained import Pretrained
from leadline.core.contender import Clock, Data
from leadline.core.pretrained import Precision
from leadline.core.tensors import Block
from leadline.graph.runtime import Session
from leadline.kinds.image.timm_folder import timm_in
from leadline.race.entry import eligible_contenders
from leadline.system.errors import LeadlineError

MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


def _written(folder: Path, architecture: str, weights: dict[str, Tensor], side: int = 64) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    cfg = {"input_size": [3, side, side], "mean": MEAN, "std": DEVIATION, "license": "apache-2.0"}
    facts = {"architecture": architecture, "num_classes": 7, "pretrained_cfg": cfg}
    (folder / "config.json").write_text(json.dumps(facts))
    save_file({name: value.detach().contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    return folder


def _random(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=draw) * (shape[0] if len(shape) == 1 else np.prod(shape[1:])) ** -0.5
            for name, shape in shapes.items()}  # fmt: skip


def _vit(folder: Path, width: int = 128, blocks: int = 4, patch: int = 16, side: int = 64, **more: Any) -> Path:
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width), "pos_embed": (1, (side // patch) ** 2 + 1, width),
        "patch_embed.proj.weight": (width, 3, patch, patch), "patch_embed.proj.bias": (width,),
        "norm.weight": (width,), "norm.bias": (width,), "head.weight": (7, width), "head.bias": (7,),
    }  # fmt: skip
    for number in range(blocks):
        dense = {"attn.qkv": (3 * width, width), "attn.proj": (width, width), "mlp.fc1": (4 * width, width),
                 "mlp.fc2": (width, 4 * width)}  # fmt: skip
        for name, shape in dense.items():
            shapes |= {f"blocks.{number}.{name}.weight": shape, f"blocks.{number}.{name}.bias": shape[:1]}
        for norm in ("norm1", "norm2"):
            shapes |= {f"blocks.{number}.{norm}.{kind}": (width,) for kind in ("weight", "bias")}
    return _written(folder, "vit_tiny_patch16_64", {**_random(shapes), **more}, side)


def _block(height: int, width: int, channels: int) -> Block:
    facts: dict[str, Any] = {"height": height, "width": width, "channels": channels}
    return Block(
        name="x", kind="image", columns=("x",), decode={}, shape=(height, width, channels), dtype="uint8", forms={},
        settings=facts,
    )  # fmt: skip


def _pixels(pictures: np.ndarray, sides: tuple[int, int]) -> Tensor:
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    x = F.interpolate(x, sides, mode="bilinear", align_corners=False).expand(-1, 3, -1, -1) / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_vision_transformer_gives_what_torch_gives(channels: int, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = _vit(tmp_path / "vit")
    weights = load_file(folder / "model.safetensors")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 40, channels)).astype(np.uint8)
    x = F.conv2d(_pixels(pictures, (64, 64)), weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], 16)
    x = torch.cat([weights["cls_token"].expand(3, -1, -1), x.flatten(2).transpose(1, 2)], dim=1) + weights["pos_embed"]
    means = []
    for number in range(4):
        layer = nn.TransformerEncoderLayer(128, 2, 512, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True)
        names = {"self_attn.in_proj_": "attn.qkv.", "self_attn.out_proj.": "attn.proj.", "linear1.": "mlp.fc1.",
                 "linear2.": "mlp.fc2.", "norm1.": "norm1.", "norm2.": "norm2."}  # fmt: skip
        layer.load_state_dict({
            ours + kind: weights[f"blocks.{number}.{its}{kind}"] for ours, its in names.items() for kind in
            ("weight", "bias")
        })  # fmt: skip
        with torch.no_grad():
            x = layer.train()(x)
        means.append(x.mean(dim=1))
    last = F.layer_norm(x, (128,), weights["norm.weight"], weights["norm.bias"], 1e-6)[:, 0]
    body = timm_in(folder)
    assert body is not None and body.licence == "apache-2.0" and body.precisions == (Precision.FLOAT32,)
    found = Session(body.graph(folder, _block(32, 40, channels), Precision.FLOAT32, None)).only({"x": pictures})
    np.testing.assert_allclose(found, torch.cat([*means, last], dim=1).numpy(), atol=2e-4)
    assert sum(layer.width for layer in body.layers) == found.shape[1]


class Residual(nn.Module):
    """A block of a ResNet by its definition, with timm's names."""

    def __init__(self, inputs: int, width: int, stride: int, deep: bool) -> None:
        super().__init__()
        outputs = 4 * width if deep else width
        sizes = [(inputs, width, 1), (width, width, 3), (width, outputs, 1)] if deep else [(inputs, width, 3),
                 (width, width, 3)]  # fmt: skip
        for place, (entering, leaving, size) in enumerate(sizes, start=1):
            step = stride if place == (2 if deep else 1) else 1
            setattr(self, f"conv{place}", nn.Conv2d(entering, leaving, size, step, size // 2, bias=False))
            setattr(self, f"bn{place}", nn.BatchNorm2d(leaving))
        self.count, self.outputs = len(sizes), outputs
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for place in range(1, self.count + 1):
            y = getattr(self, f"bn{place}")(getattr(self, f"conv{place}")(y))
            y = F.relu(y) if place < self.count else y
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class ResNet(nn.Module):
    def __init__(self, deep: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.BatchNorm2d(16)
        entering = 16
        for stage in range(1, 5):
            blocks = [Residual(entering, 8 * stage, 1 if stage == 1 else 2, deep)]
            entering = blocks[0].outputs
            setattr(self, f"layer{stage}", nn.Sequential(*blocks, Residual(entering, 8 * stage, 1, deep)))
        self.fc = nn.Linear(entering, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        means = []
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
            means.append(x.mean((2, 3)))
        return torch.cat(means, dim=1)


def _resnet(folder: Path, deep: bool) -> tuple[Path, nn.Module]:
    torch.manual_seed(0)
    net = ResNet(deep)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
            nn.init.normal_(part.bias, 0.0, 0.3)
    with torch.no_grad():
        net(torch.randn(16, 3, 96, 96))
    return _written(folder, "resnet50.a1_in1k" if deep else "resnet18", net.state_dict(), 160), net.eval()


@pytest.mark.parametrize("deep", [False, True])
def test_a_resnet_gives_what_torch_gives(deep: bool, tmp_path: Path) -> None:
    folder, net = _resnet(tmp_path / "net", deep)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3)).astype(np.uint8)
    with torch.no_grad():
        expected = net(_pixels(pictures, (64, 96))).numpy()  # no larger than a body of pictures usually reads
    body = timm_in(folder)
    assert body is not None
    found = Session(body.graph(folder, _block(32, 48, 3), Precision.FLOAT32, None)).only({"x": pictures})
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert [layer.width for layer in body.layers] == [8 * stage * (4 if deep else 1) for stage in range(1, 5)]
    rounded = Session(body.graph(folder, _block(32, 48, 3), Precision.INT8, pictures)).only({"x": pictures})
    assert np.corrcoef(rounded.ravel(), expected.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("make", [_vit, lambda folder: _resnet(folder, False)[0]])
def test_it_learns_on_its_states(make: Any, tmp_path: Path, prepare: Any, bars: Any) -> None:
    store = prepare(bars(80, 24), task="binary", weights=str(make(tmp_path / "net"))).store
    fitted: Any = list(Pretrained().fit(Data(store=store, clock=Clock(60.0), threads=1), 0))[-1]
    rows = store.split.test
    session = Session(fitted.graph())
    found = session({name: store.tensor(name)[rows] for name in session.inputs})["scores"]
    np.testing.assert_allclose(found, fitted.predict(store, rows), atol=1e-4)
    assert fitted.transfer["bodies"][0]["licence"] == "apache-2.0"


def test_what_is_not_read_is_refused_in_a_sentence(tmp_path: Path, prepare: Any, bars: Any) -> None:
    other = _written(tmp_path / "swin", "swin_tiny_patch4_window7_224", {"x": torch.zeros(2)})
    gated = _vit(tmp_path / "gated", **{"blocks.0.ls1.gamma": torch.ones(128)})  # type: ignore[arg-type]
    damaged = _vit(tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"no weights")
    lacking = _vit(tmp_path / "lacking")
    (lacking / "model.safetensors").unlink()
    for folder, said in (
        (other, "holds swin_tiny_patch4_window7_224, which is not read; these are: timm's resnet18"),
        (gated, "which is not read"), (damaged, "is damaged"), (lacking, "has no model.safetensors"),
    ):  # fmt: skip
        with pytest.raises(LeadlineError, match=said):
            prepare(bars(40, 24), task="binary", weights=str(folder))
    texts = pl.DataFrame({"text": ["a b", "c d"] * 20, "y": ["p", "q"] * 20})
    with pytest.raises(LeadlineError, match="which is not read"):
        prepare(texts, target="y", weights=str(other))


def test_that_it_cannot_be_trained_further_is_one_sentence(tmp_path: Path, prepare: Any, bars: Any) -> None:
    store = prepare(bars(40, 24), task="binary", weights=str(_vit(tmp_path / "net"))).store
    with pytest.raises(
        LeadlineError, match="cannot train vit_tiny_patch16_64 net further: only its states can be read"
    ):
        eligible_contenders(store, "finetuned")
    assert "finetuned" not in eligible_contenders(store, None)
