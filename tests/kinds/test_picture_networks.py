"""Bodies of pictures by the package transformers: the graph against the network itself, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import leadline as ll
from leadline.contenders.finetuned import Finetuned
from leadline.core.contender import Clock, Data
from leadline.core.pretrained import Precision, PretrainedBody
from leadline.core.tensors import Block
from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.kinds.body_folder import CONFIG, WEIGHTS, FolderError
from leadline.kinds.image.preparation import prepared
from leadline.kinds.weights import verify
from leadline.system.errors import LeadlineError

transformers = pytest.importorskip("transformers")

PREPARED = "preprocessor_config.json"
MEAN, DEVIATION = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
LAYERS = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
STAGES = {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 1, 1]}
# Of each architecture: its sizes, and which of its hidden states are read.
NETWORKS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "vit": ({**LAYERS, "image_size": 32, "patch_size": 8}, (1, 2, 3, 4)),
    "dinov2": ({**LAYERS, "image_size": 56, "patch_size": 14}, (1, 2, 3, 4)),
    "dinov2_with_registers": ({**LAYERS, "image_size": 28, "patch_size": 14}, (1, 2, 3, 4)),
    "clip": ({"vision_config": {**LAYERS, "image_size": 32, "patch_size": 8},
              "text_config": {**LAYERS, "num_hidden_layers": 1}}, (1, 2, 3, 4)),
    "swin": ({"embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 2, 4], "window_size": 4, "image_size": 64},
             (1, 2, 3)),
    "convnext": (STAGES, (1, 2, 3, 4)),
    "resnet": ({**STAGES, "embedding_size": 8}, (1, 2, 3, 4)),
}  # fmt: skip
FREE = ("convnext", "resnet")  # read pictures of any size


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """folder(architecture): one with a network of chance, and how it wants pictures."""

    def make(architecture: str, **more: Any) -> Path:
        path = tmp_path_factory.mktemp("model") / architecture
        torch.manual_seed(0)
        sizes = {**NETWORKS[architecture][0], **more}
        model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(architecture, **sizes))
        model.save_pretrained(path)
        side = sizes.get("vision_config", sizes).get("image_size", 64)
        facts = {"size": {"height": side, "width": side}, "image_mean": MEAN, "image_std": DEVIATION, "resample": 3}
        (path / PREPARED).write_text(json.dumps(facts))
        (path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A network of chance\n")
        return path

    return make


def _body(folder: Path) -> PretrainedBody:
    body = KINDS["image"].body_in(folder)
    assert body is not None
    return body


def _block(height: int, width: int, channels: int) -> Block:
    facts: dict[str, Any] = {"height": height, "width": width, "channels": channels}
    return Block(
        name="x", kind="image", columns=("x",), decode={}, shape=(height, width, channels), dtype="uint8", forms={},
        settings=facts,
    )  # fmt: skip


def _pictures(*shape: int) -> np.ndarray:
    """Smooth ones: float32 [rows, 9, 9, channels] made larger."""
    rows, height, width, channels = shape
    x = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (rows, channels, 9, 9)))
    x = F.interpolate(x, (height, width), mode="bilinear").round().clip(0, 255)
    return np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy().astype(np.uint8))


def _expected(folder: Path, pictures: np.ndarray, sides: tuple[int, int], chosen: tuple[int, ...]) -> np.ndarray:
    """By the network itself, with pictures as the package's own preparation would have them."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().expand(-1, 3, -1, -1)
    x = F.interpolate(x, sides, mode="bicubic", antialias=True, align_corners=False) / 255
    x = (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        said = getattr(model, "vision_model", model)(pixel_values=x, output_hidden_states=True)
    hidden = [said.hidden_states[number] for number in chosen]
    means = [each.mean(1) if each.ndim == 3 else each.mean((2, 3)) for each in hidden]
    return torch.cat([*means, said.pooler_output.flatten(1)], dim=1).numpy()


@pytest.mark.parametrize("architecture", list(NETWORKS))
def test_the_graph_gives_what_the_network_gives(architecture: str, folder: Callable[..., Path]) -> None:
    path, (sizes, chosen) = folder(architecture), NETWORKS[architecture]
    body, channels = _body(path), 1 if architecture == "vit" else 3
    assert body.name == path.name == architecture and body.licence == "apache-2.0"
    pictures = _pictures(3, 48, 40, channels)
    side = sizes.get("vision_config", sizes).get("image_size", 64)
    sides = (64, 53) if architecture in FREE else (side, side)
    session = Session(body.graph(path, _block(48, 40, channels), Precision.FLOAT32, None))
    found = session.only({"x": pictures})
    expected = _expected(path, pictures, sides, chosen)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(1.0, float(np.abs(expected).max())))
    assert found.shape == (3, sum(layer.width for layer in body.layers)) and found.std(axis=0).max() > 1e-3
    np.testing.assert_allclose(session.only({"x": pictures[1:2]}), found[1:2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", ["vit", "swin", "convnext", "resnet"])
def test_it_is_trained_further(architecture: str, folder: Callable[..., Path], trains: Any) -> None:
    path, pictures = folder(architecture), _pictures(5, 48, 40, 3)
    net = trains(_body(path), path, _block(48, 40, 3), "x", pictures)
    assert net.cut == len(NETWORKS[architecture][1]) // 2
    assert net.width < sum(layer.width for layer in _body(path).layers)


def test_a_contender_trains_it_on_pictures_that_vary(
    folder: Callable[..., Path], prepare: Any, bars: Any
) -> None:  # fmt: skip
    store = prepare(bars(60, 24), task="binary", weights=str(folder("vit"))).store
    fitted: Any = list(Finetuned().fit(Data(store=store, clock=Clock(float("inf")), threads=1, epochs=1), 0))[-1]
    assert fitted.transfer["tuned"] == 4
    assert any("mirrored left to right" in each for each in fitted.describe)
    rows, session = store.split.test, Session(fitted.graph())
    found = session({name: store.tensor(name)[rows] for name in session.inputs})["scores"]
    np.testing.assert_allclose(found, fitted.predict(store, rows), atol=1e-4)


def test_int8_is_offered_where_it_keeps_the_states(folder: Callable[..., Path]) -> None:
    body, pictures = _body(path := folder("resnet")), _pictures(24, 48, 48, 3)
    assert body.precisions == (Precision.INT8, Precision.FLOAT32)
    one, other = (
        Session(body.graph(path, _block(48, 48, 3), precision, pictures)).only({"x": pictures})
        for precision in body.precisions
    )
    spread = [np.corrcoef(a, b)[0, 1] for a, b in zip(one.T, other.T, strict=True) if b.std() > 1e-3]
    assert np.median(spread) > 0.98
    assert _body(folder("convnext")).precisions == (Precision.FLOAT32,)


def test_a_pooler_without_weights_is_not_read(folder: Callable[..., Path], tmp_path: Path) -> None:
    """A network that was trained to classify has none: its class token is read in its place."""
    config = transformers.AutoConfig.for_model("vit", **NETWORKS["vit"][0])
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    assert [layer.name for layer in _body(tmp_path).layers] == [*(f"block {n}" for n in range(1, 5)), "class token"]
    verify(str(tmp_path))
    assert _body(folder("vit")).layers[-1].name == "pooled"


def _weights(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    from safetensors.torch import load_file, save_file

    def changed(path: Path) -> None:
        weights = load_file(path / WEIGHTS)
        change(weights)
        save_file(weights, path / WEIGHTS, {"format": "pt"})

    return changed


def _facts(file: str, **facts: Any) -> Callable[[Path], None]:
    def changed(path: Path) -> None:
        (path / file).write_text(json.dumps({**json.loads((path / file).read_text()), **facts}))

    return changed


def _nan(weights: dict[str, Tensor]) -> None:
    weights["encoder.stages.2.layers.0.pwconv1.weight"][3, 1] = torch.nan


@pytest.mark.parametrize(
    ("architecture", "change", "says"),
    [
        ("vit", _facts(PREPARED, size={"height": 40, "width": 40}), "cannot be read by transformers"),
        ("vit", _facts(PREPARED, size="large"), "with a size of 'large', where a height and a width in pixels were"),
        ("vit", _facts(PREPARED, image_mean=[0.5]), "image_mean [0.5], where three numbers were expected"),
        ("vit", _facts(PREPARED, image_std=[0.5, 0, 1]), "where numbers above 0 were expected"),
        ("vit", _facts(PREPARED, rescale_factor="no"), "rescale_factor 'no', where a number above 0 was expected"),
        ("vit", _facts(CONFIG, num_channels=1), "a network for pictures of 1 channels, where 3 were expected"),
        ("vit", _weights(lambda each: each.pop("embeddings.cls_token")), "has no embeddings.cls_token in its weights"),
        ("vit", _facts(CONFIG, num_hidden_layers=3), "in its weights, a layer more than its config.json says"),
        ("vit", _facts(CONFIG, model_type="vitamin"), "of type 'vitamin', which is no model that transformers"),
        ("convnext", _weights(_nan), "not finite"),
        ("resnet", _weights(lambda each: each.pop("embedder.embedder.normalization.running_var")), "running_var"),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_used_is_one_sentence(
    architecture: str, change: Callable[[Path], None], says: str, folder: Callable[..., Path]
) -> None:
    change(path := folder(architecture))
    with pytest.raises(LeadlineError) as caught:
        verify(str(path))
    said = str(caught.value)
    assert said.startswith(f"--weights {path} ") and says in said and said.endswith(".") and "\n" not in said


def test_a_network_that_draws_lots_is_refused(tmp_path: Path) -> None:
    """A masked autoencoder hides other parts of a picture each time."""
    sizes = {**NETWORKS["vit"][0], "decoder_num_hidden_layers": 1, "decoder_hidden_size": 16}
    transformers.ViTMAEModel(transformers.ViTMAEConfig(**sizes)).save_pretrained(tmp_path)
    with pytest.raises(LeadlineError, match="depends on chance, or on the rows beside it"):
        verify(str(tmp_path))


def test_without_the_package_a_sentence_has_the_command(
    folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, find = folder("swin"), importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *more: None if name == "transformers" else find(name, *more)
    )
    with pytest.raises(FolderError, match=r"^holds a model of type 'swin', .* install it: pip install transformers\.$"):
        KINDS["image"].body_in(path)


def test_how_pictures_are_prepared_is_read_in_all_its_spellings(tmp_path: Path) -> None:
    def said(**facts: Any) -> Any:
        (tmp_path / PREPARED).write_text(json.dumps(facts))
        return prepared(tmp_path, {"image_size": 30})

    assert said().sides == (30, 30) and said(size=40).sides == (40, 40) and not said().cubic
    assert said(size={"shortest_edge": 50}).sides == (50, 50) and said(size=[20, 10]).sides == (20, 10)
    cropped = {"size": {"shortest_edge": 50}, "crop_size": {"height": 44, "width": 44}}
    assert said(**cropped).sides == (44, 44) and said(**cropped, do_center_crop=False).sides == (50, 50)
    assert said(do_normalize=False).deviation == (1.0, 1.0, 1.0) and said(do_flip_channel_order=True).blue_first
    np.testing.assert_allclose(said(rescale_factor=1 / 127.5, image_mean=[1, 1, 1]).mean, 0.5)
    (tmp_path / PREPARED).unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": {"size": 60, "resample": 3}}))
    assert prepared(tmp_path, {}).sides == (60, 60) and prepared(tmp_path, {}).cubic


ALONE = """
import sys
for name in ("torch", "transformers", "timm", "huggingface_hub"):
    sys.modules[name] = None
import numpy as np
import leadline as ll
print(",".join(map(str, ll.Model(sys.argv[1]).predict(np.load(sys.argv[2]))["prediction"].to_list())))
"""


def test_a_whole_run_ships_a_file_that_needs_neither_torch_nor_the_package(
    folder: Callable[..., Path], bars: Any, tmp_path: Path
) -> None:
    path, (images, labels) = folder("convnext"), bars(120, 24)
    run = ll.fit(
        (images, labels), task="binary", weights=str(path), only="pretrained", budget=40, repeats=1,
        out=tmp_path / "run",
    )  # fmt: skip
    (found,) = [each for each in run.result["contenders"] if each["name"] == "pretrained"]
    assert found["status"] in ("finished", "cut"), found["why"]
    (body,) = found["transfer"]["bodies"]
    assert (body["name"], body["licence"], body["precision"]) == (path.name, "apache-2.0", "float32")
    assert run.result["shipped"]["parity"]["decisions_differ"] == 0
    page = (run.folder / "report.html").read_text()
    assert "which stay as they are" in page and "block 4" in page
    np.save(tmp_path / "new.npy", images[:20])
    file = run.folder / "model.onnx"
    command = [sys.executable, "-c", ALONE, str(file), str(tmp_path / "new.npy")]
    done = subprocess.run(command, capture_output=True, text=True)
    expected = ll.Model(file).predict(images[:20])["prediction"].to_list()
    assert done.stdout.strip().split(",") == [str(each) for each in expected], done.stderr
    assert np.mean([str(a) == str(b) for a, b in zip(expected, labels, strict=False)]) > 0.8
