"""Bodies in timm folders: the graph against PyTorch's own layers, and what is refused."""

from __future__ import annotations

import importlib.util
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
from leadline.kinds.body_folder import Stored
from leadline.kinds.image.timm_config import SIZES, TimmFolder
from leadline.kinds.image.timm_config import _transformer as expected_of
from leadline.kinds.image.timm_folder import timm_in
from leadline.kinds.weights import verify
from leadline.race.entry import eligible_contenders
from leadline.system.errors import LeadlineError

MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


@pytest.fixture(autouse=True)
def without_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read here is read without the package."""
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None if name == "timm" else find(name, *more))


def _written(folder: Path, architecture: str, weights: dict[str, Tensor], side: int = 64, **facts: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    cfg = {"input_size": [3, side, side], "mean": MEAN, "std": DEVIATION, "license": "apache-2.0"}
    facts = {"architecture": architecture, "num_classes": 7, "pretrained_cfg": cfg, **facts}
    (folder / "config.json").write_text(json.dumps(facts))
    save_file({name: value.detach().contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    return folder


def _random(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=draw) * (shape[0] if len(shape) == 1 else np.prod(shape[1:])) ** -0.5
            for name, shape in shapes.items()}  # fmt: skip


def _vit(
    folder: Path, width: int = 128, blocks: int = 4, patch: int = 16, side: int = 64, heads: int = 2, **more: Any
) -> Path:  # fmt: skip
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
    return _written(
        folder, f"vit_tiny_patch{patch}_64", {**_random(shapes), **more}, side, model_args={"num_heads": heads}
    )


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


@pytest.mark.parametrize(("channels", "heads"), [(1, 2), (3, 8)])
def test_a_vision_transformer_gives_what_torch_gives(channels: int, heads: int, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = _vit(tmp_path / "vit", heads=heads)
    weights = load_file(folder / "model.safetensors")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 40, channels)).astype(np.uint8)
    x = F.conv2d(_pixels(pictures, (64, 64)), weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], 16)
    x = torch.cat([weights["cls_token"].expand(3, -1, -1), x.flatten(2).transpose(1, 2)], dim=1) + weights["pos_embed"]
    means = []
    for number in range(4):
        layer = nn.TransformerEncoderLayer(128, heads, 512, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True)
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
    return _written(folder, "resnet26.bt_in1k" if deep else "resnet18", net.state_dict(), 160), net.eval()


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
        (other, "holds swin_tiny_patch4_window7_224, which the package timm reads: pip install timm; without it these"),
        (gated, "holds vit_tiny_patch16_64 with blocks.0.ls1.gamma, which the package timm reads"),
        (damaged, "is damaged"), (lacking, "has no model.safetensors"),
    ):  # fmt: skip
        with pytest.raises(LeadlineError, match=said):
            prepare(bars(40, 24), task="binary", weights=str(folder))
    texts = pl.DataFrame({"text": ["a b", "c d"] * 20, "y": ["p", "q"] * 20})
    assert prepare(texts, target="y", weights=str(other)).store.rows == 40  # it is of a kind that no column has


def test_that_it_cannot_be_trained_further_is_one_sentence(tmp_path: Path, prepare: Any, bars: Any) -> None:
    store = prepare(bars(40, 24), task="binary", weights=str(_vit(tmp_path / "net"))).store
    with pytest.raises(
        LeadlineError, match="cannot train vit_tiny_patch16_64 net further: only its states can be read"
    ):
        eligible_contenders(store, "finetuned")
    assert "finetuned" not in eligible_contenders(store, None)


@pytest.mark.parametrize("size", list(SIZES))
def test_the_heads_of_a_published_size_are_known(size: str, tmp_path: Path) -> None:
    """As timm builds them: 64 wide up to large; huge, giant and gigantic have 16."""
    heads = {"tiny": 3, "small": 6, "base": 12, "large": 16, "huge": 16, "giant": 16, "gigantic": 16}
    folder = _sized(tmp_path, f"vit_{size}_patch16_64.some_tag", SIZES[size][0])
    found = TimmFolder.read(folder)
    assert found is not None and found.heads == heads[size]
    with pytest.raises(LeadlineError, match=f"of width 320, where {SIZES[size][0]} was expected"):
        TimmFolder.read(_sized(tmp_path, f"deit_{size}_patch16_64", 320))
    with pytest.raises(LeadlineError, match="which the package timm reads"):
        timm_in(_sized(tmp_path, "vit_little_patch16_64", 320))


def _sized(folder: Path, architecture: str, width: int) -> Path:
    """A folder with a transformer of one block, whose weights are a hole in the file."""
    _written(folder, architecture, {"x": torch.zeros(1)})
    shapes: dict[str, tuple[int, ...]] = {"cls_token": (1, 1, width), "blocks.0.mlp.fc1.weight": (4 * width, width)}
    stored = {name: Stored(file=folder, dtype="F32", shape=shape, start=0) for name, shape in shapes.items()}
    header: dict[str, Any] = {}
    end = 0
    for name, shape in expected_of(stored, 16, 64).items():
        begin, end = end, end + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    held = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(held).to_bytes(8, "little") + held)
        file.truncate(8 + len(held) + end)
    return folder


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_of_other_types_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = _vit(tmp_path / "vit")
    rounded = {name: value.to(dtype) for name, value in load_file(folder / "model.safetensors").items()}
    save_file(rounded, folder / "model.safetensors")
    found = TimmFolder.read(folder)
    assert found is not None
    for name, value in found.weights().items():
        np.testing.assert_array_equal(value, rounded[name].float().numpy())
    verify(str(folder))


def _cfg(folder: Path, **changes: Any) -> None:
    facts = json.loads((folder / "config.json").read_text())
    facts["pretrained_cfg"] |= changes
    (folder / "config.json").write_text(json.dumps(facts))


def _without(name: str) -> Any:
    return lambda folder: _changed(folder, lambda weights: weights.pop(name))


def _changed(folder: Path, change: Any) -> None:
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def _cut(folder: Path) -> None:
    held = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(held[: len(held) // 2])


def _listed(folder: Path) -> None:
    facts = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**facts, "pretrained_cfg": [1, 2]}))


def _grey(weights: dict[str, Tensor]) -> None:
    weights["patch_embed.proj.weight"] = weights["patch_embed.proj.weight"].sum(1, keepdim=True)


def _nan(weights: dict[str, Tensor]) -> None:
    weights["blocks.3.attn.proj.weight"][5, 7] = torch.nan


def _large(weights: dict[str, Tensor]) -> None:
    weights["norm.weight"] *= 1e6


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: _cfg(folder, input_size=[224]), "input_size [224], where three numbers were expected"),
        (lambda folder: _cfg(folder, input_size=[1, 64, 64]), "where three channels and whole sides were expected"),
        (lambda folder: _cfg(folder, input_size=[3, 64, 96]), "pictures of 64 x 96 pixels, where squares"),
        (
            lambda folder: _cfg(folder, input_size=[3, 128, 128]),
            "has pos_embed of shape [1, 17, 128], where vit_tiny_pa",
        ),
        (lambda folder: _cfg(folder, mean="imagenet"), "mean 'imagenet', where three numbers were expected"),
        (lambda folder: _cfg(folder, std=[0.1, 0, 0.1]), "where numbers above 0 were expected"),
        (_listed, "has a config.json with a list as pretrained_cfg, where an object was expected"),
        (_without("blocks.2.attn.qkv.weight"), "has no blocks.2.attn.qkv.weight in its model.safetensors"),
        (_without("cls_token"), "without a class token, which the package timm reads"),
        (lambda folder: _changed(folder, _grey), "has patch_embed.proj.weight of shape [128, 1, 16, 16]"),
        (lambda folder: _changed(folder, _nan), "has weights in blocks.3.attn.proj.weight that are not finite"),
        (lambda folder: _changed(folder, _large), "cannot be used: what its body says of made-up rows is not finite"),
        (_cut, "has a model.safetensors that is damaged (it ends before its "),
    ],
)
def test_a_folder_that_does_not_agree_with_itself_is_one_sentence(change: Any, says: str, tmp_path: Path) -> None:
    folder = _vit(tmp_path / "vit")
    verify(str(folder))
    change(folder)
    with pytest.raises(LeadlineError) as caught:
        verify(str(folder))
    said = str(caught.value)
    assert said.startswith(f"--weights {folder} ") and says in said and said.endswith(".")


def test_a_resnet_under_the_name_of_another_is_one_sentence(tmp_path: Path) -> None:
    folder, _ = _resnet(tmp_path / "net", False)
    verify(str(folder))
    facts = json.loads((folder / "config.json").read_text())
    for name, says in (
        ("resnet50", r"has layer1.0.conv1.weight of shape \[8, 16, 3, 3\], where resnet50 needs \[8, 16, 1, 1\]"),
        ("resnet34", "has no layer1.2.conv1.weight in its model.safetensors, which resnet34 needs"),
        ("vit_tiny_patch16_64", "without a class token, which the package timm reads"),
    ):
        (folder / "config.json").write_text(json.dumps({**facts, "architecture": name}))
        with pytest.raises(LeadlineError, match=says):
            verify(str(folder))
