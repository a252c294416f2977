"""Networks of the package transformers from a folder: none is looked up, no pickle is opened, no weight is noise."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from leadline.kinds.body_folder import CONFIG, WEIGHTS, FolderError
from leadline.kinds.transformers_folder import OFFLINE, Network, model_type, network

transformers = pytest.importorskip("transformers")

IDS = torch.tensor([[0, 5, 9, 2]])
SIZES = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": 66,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A RoBERTa with a head, as one that was trained on masked words, in a process that has no network."""

    def closed(*words: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", closed)
    monkeypatch.setattr(socket, "getaddrinfo", closed)
    torch.manual_seed(0)
    transformers.RobertaForMaskedLM(transformers.RobertaConfig(**SIZES)).save_pretrained(tmp_path)
    return tmp_path


def _states(found: Network) -> Tensor:
    return found.tried(lambda: found.module(input_ids=IDS).last_hidden_state)


def _weights(change: Callable[[dict[str, Tensor]], Any]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        weights = load_file(folder / WEIGHTS)
        change(weights)
        save_file(weights, folder / WEIGHTS, {"format": "pt"})

    return changed


def _config(**facts: Any) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        path = folder / CONFIG
        path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))

    return changed


def test_the_encoder_is_read_without_a_word(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Its pooler is in no file of a masked language model: it is not asked for."""
    expected = transformers.RobertaForMaskedLM.from_pretrained(folder).roberta.eval()(input_ids=IDS).last_hidden_state
    capfd.readouterr()
    caplog.clear()
    monkeypatch.setenv(OFFLINE, "0")
    level = logging.getLogger("transformers").level
    assert model_type(folder) == "roberta"
    found = network(folder)
    assert found.reads == "input_ids" and "pooler.dense.weight" in found.missing and not found.module.training
    torch.testing.assert_close(_states(found), expected.detach())
    assert capfd.readouterr() == ("", "") and not caplog.records
    assert os.environ[OFFLINE] == "0" and logging.getLogger("transformers").level == level
    assert transformers.utils.logging.is_progress_bar_enabled()


def test_of_a_model_that_also_writes_the_half_that_reads_is_taken(tmp_path: Path) -> None:
    sizes = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_decoder_layers": 1,
             "num_heads": 2}  # fmt: skip
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes)).eval()
    model.save_pretrained(tmp_path)
    torch.testing.assert_close(_states(network(tmp_path)), model.encoder(input_ids=IDS).last_hidden_state.detach())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_weights(lambda each: each.pop("roberta.encoder.layer.1.output.dense.weight")),
         "has no encoder.layer.1.output.dense.weight in its weights, which the model needs; download"),
        (_weights(lambda each: each.pop("roberta.embeddings.word_embeddings.weight")), "embeddings.word_embeddings"),
        (_config(num_hidden_layers=1), "encoder.layer.1.attention.output.LayerNorm.bias in its weights, a layer more"),
        (_config(num_hidden_layers=3), "has no encoder.layer.2."),
        (_config(intermediate_size=32), "intermediate.dense.bias of shape [24], where the model needs [32] by its"),
        (_config(hidden_act="no such"), "cannot be read by transformers"),
    ],
)  # fmt: skip
def test_weights_that_are_not_of_the_configuration_are_one_sentence(
    change: Callable[[Path], Any], says: str, folder: Path
) -> None:
    change(folder)
    with pytest.raises(FolderError) as caught:
        _states(network(folder))
    assert says in str(caught.value) and "\n" not in str(caught.value) and str(caught.value).endswith(".")


class Opened:
    """A pickle of it says that it was opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was opened",)


def test_a_pickle_is_never_opened(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Opened()))
    with pytest.raises(FolderError, match=r"has no model.safetensors, only pytorch_model.bin, which may run code"):
        model_type(folder)
    with pytest.raises(FolderError, match=r"cannot be read by transformers"):
        network(folder)


def test_code_in_a_folder_is_never_run(folder: Path) -> None:
    (folder / "own.py").write_text("raise SystemExit('code was run')\n")
    _config(model_type="own", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"})(folder)
    with pytest.raises(FolderError, match=r"cannot be read by transformers"):
        network(folder)


def test_without_the_package_a_sentence_has_the_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *more: None if name == "transformers" else find(name, *more)
    )
    with pytest.raises(
        FolderError, match=r"'roberta', which the package .* reads; install it: pip install transformers\.$"
    ):
        model_type(folder)
