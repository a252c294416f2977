"""Which body a kind has: a folder takes the place of its own kind's alone, and a sentence says where it is not used."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from leadline.kinds import KINDS
from leadline.kinds.weights import INSTALL, VARIABLE, find_body, lacking, unused, verify
from leadline.system.errors import LeadlineError


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A body of images is installed, none of texts, and the variable says nothing."""
    monkeypatch.delenv(VARIABLE, raising=False)
    for kind, path in (("image", tmp_path), ("text", None)):
        bodies = tuple(replace(body, find=lambda path=path: path) for body in KINDS[kind].pretrained)
        monkeypatch.setattr(type(KINDS[kind]), "pretrained", bodies)
    return tmp_path


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_folder_takes_the_place_of_its_own_kind_alone(
    by_variable: bool, installed: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_variable:
        monkeypatch.setenv(VARIABLE, str(tiny_bert))
    weights = None if by_variable else str(tiny_bert)
    said = f"{VARIABLE}={tiny_bert}" if by_variable else f"--weights {tiny_bert}"
    text, image = (find_body(KINDS[kind], weights) for kind in ("text", "image"))
    assert text is not None and text.folder == tiny_bert
    assert image is not None and image.folder == installed and image.body.name == "EfficientNet-Lite0"
    assert find_body(KINDS["number"], weights) is None
    assert unused(["text", "image"], weights) == unused(["text"], weights) == []
    message = f"{said} is not used: its body reads no column of these kinds, only text."
    assert unused(["image", "number"], weights) == unused(["number"], weights) == [message]
    assert lacking(["text", "image"], weights) is None


def test_without_any_folder_the_installed_one_reads(installed: Path, tiny_bert: Path) -> None:
    assert find_body(KINDS["text"], None) is None and lacking(["text"], None) == INSTALL
    assert find_body(KINDS["image"], None) is not None and lacking(["image", "number"], None) is None
    assert unused(["text"], None) == []
    verify(None)


def test_none_leaves_every_body_out(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_body(KINDS["image"], "none") is None and unused(["image"], "none") == []
    monkeypatch.setenv(VARIABLE, "none")
    assert find_body(KINDS["image"], None) is None and unused(["image"], None) == []
    assert lacking(["text"], None) is None
    verify(None)


def test_what_is_wrong_names_the_variable_where_it_is_the_variable(
    installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(LeadlineError, match=f"^{VARIABLE}=.*nowhere is no folder; give one with the weights"):
        verify(None)
    (tmp_path / "config.json").write_text('{"model_type": "vit", "hidden_size": 8}')
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(LeadlineError, match=f"^{VARIABLE}=.* but a model of type 'vit'; a body is a folder with"):
        find_body(KINDS["image"], None)


def test_a_folder_whose_kind_no_column_has_is_not_opened(
    installed: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its configuration says what it reads: what it would take to open it does not matter."""
    monkeypatch.setattr(type(KINDS["text"]), "body_in", lambda self, folder: pytest.fail("it was opened"))
    weights = str(tiny_bert)
    assert not verify(weights, 1e-9, kinds=["image", "number"])
    assert unused(["image"], weights) and not unused(["text"], weights)
    image = find_body(KINDS["image"], weights)
    assert image is not None and image.folder == installed
    with pytest.raises(pytest.fail.Exception, match="it was opened"):
        verify(weights, kinds=["text"])


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (None, "holds no body that can be used: it has no config.json; a body is"),
        ("{}", "holds no body that can be used; a body is"),
        ('{"name": "shop", "port": 80}', "its config.json is of no model, it says 'name' and 'port'; a body is"),
        ('{"vocab_size": 9, "lr": 0.1}', "its config.json is of no model, it says 'vocab_size' and 'lr'; a body is"),
        ('{"image_size": 9}', "its config.json is of no model, it says 'image_size'; a body is"),
        ('{"model_type": "shop"}', "but a model of type 'shop'; a body is"),
        ("[1]", "has a config.json that holds a list"),
    ],
)
def test_what_is_no_model_is_named(config: str | None, says: str, tmp_path: Path) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    for kinds in (None, ["text"], ["number"]):
        with pytest.raises(LeadlineError, match=re.escape(says)):
            verify(str(tmp_path), kinds=kinds)
    with pytest.raises(LeadlineError, match=re.escape(says)):
        unused(["number"], str(tmp_path))


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("reads", ["vocab_size", "image_size", "conv_stride"])
def test_a_type_that_no_package_knows_is_named_before_what_it_lacks(reads: str, weights: bool, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "shop", reads: 9}))
    if weights:
        save_file({"a": np.zeros(3, np.float32)}, tmp_path / "model.safetensors")
    with pytest.raises(LeadlineError, match="of type 'shop', which is no model that transformers .* knows; give the"):
        verify(str(tmp_path))
