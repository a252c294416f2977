"""Folders with a BERT, as hubs have them: what is spelled in another way is read, what is broken is one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from leadline.core.kind import View
from leadline.core.pretrained import Precision
from leadline.graph.runtime import Session
from leadline.kinds.text.bert import encoder, weights_of
from leadline.kinds.text.pretrained import fit_pieces
from leadline.kinds.text.trainable import TrainableBert
from leadline.kinds.text.wordpiece import Vocabulary
from leadline.kinds.weights import verify
from leadline.system.errors import LeadlineError

TEXTS = np.array(["the lunch, the free lunch!", "win", "x"], object)
WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tiny_bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bert, tmp_path / "bert"))


def _states(folder: Path, texts: np.ndarray = TEXTS) -> np.ndarray:
    """From the raw string on."""
    view = fit_pieces(texts, "text", folder)
    pieces = Session(view.graph).only({"text": texts})
    return Session(encoder(View.PIECES, view.shape[0], folder, Precision.FLOAT32)).only({View.PIECES: pieces})


def _changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


def _renamed(folder: Path, name: Callable[[str], str]) -> None:
    save_file({name(key): value for key, value in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)


def _config(**facts: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))

    return change


def test_norms_of_earlier_names_are_read(folder: Path) -> None:
    """As the published bert-base-uncased has them, with what other heads add."""
    before = _states(folder)
    norms = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    _renamed(folder, lambda key: "bert." + next((key.replace(a, b) for a, b in norms.items() if a in key), key))
    _changed(folder, lambda weights: weights.update({"cls.predictions.bias": torch.zeros(3)}))
    _changed(folder, lambda weights: weights.update({"bert.embeddings.position_ids": torch.arange(64)[None]}))
    verify(str(folder))
    np.testing.assert_array_equal(_states(folder), before)
    assert TrainableBert(folder).depth == 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_of_half_the_bits_are_read(dtype: torch.dtype, folder: Path) -> None:
    rounded = {name: value.to(dtype) for name, value in load_file(folder / WEIGHTS).items()}
    save_file({name: value.float() for name, value in rounded.items()}, folder / WEIGHTS)
    expected = _states(folder)
    save_file(rounded, folder / WEIGHTS)
    verify(str(folder))
    np.testing.assert_array_equal(_states(folder), expected)
    assert all(value.dtype == np.float32 for value in TrainableBert(folder)._weights.values())


def test_a_vocabulary_whose_first_line_is_a_piece_gives_the_same_states(folder: Path) -> None:
    """The lines and the rows of the table in another order: no piece ends a text."""
    before = _states(folder)
    lines = (folder / "vocab.txt").read_text().split("\n")[:-1]
    order = [lines.index("the"), *(place for place in range(len(lines)) if lines[place] != "the")]
    (folder / "vocab.txt").write_text("\n".join(lines[place] for place in order) + "\n")
    name = "embeddings.word_embeddings.weight"
    _changed(folder, lambda weights: weights.update({name: weights[name][order].clone()}))
    verify(str(folder))
    np.testing.assert_array_equal(_states(folder), before)
    assert Vocabulary.read(folder).pieces["the"] == 1 and len(weights_of(folder)[name]) == len(lines) + 1
    rows = torch.tensor([[4, 1, 5]])  # the second is the first line
    assert TrainableBert(folder).lengths(rows.numpy()).tolist() == [3]


def test_a_table_that_is_filled_up_is_read(folder: Path) -> None:
    before, name = _states(folder), "embeddings.word_embeddings.weight"
    rows = -(-len(load_file(folder / WEIGHTS)[name]) // 8) * 8 + 8
    _changed(
        folder, lambda weights: weights.update({name: torch.cat([weights[name], torch.ones(rows, 32)])[:rows].clone()})
    )
    _config(vocab_size=rows)(folder)
    verify(str(folder))
    np.testing.assert_array_equal(_states(folder), before)


def _vocabulary(change: Callable[[str], str], encoding: str = "utf-8") -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        path = folder / "vocab.txt"
        path.write_text(change(path.read_text()), encoding=encoding)

    return changed


def test_a_tokenizer_without_a_list_of_pieces_is_read(folder: Path) -> None:
    """As folders of later years have it."""
    before, vocabulary = _states(folder), Vocabulary.read(folder)
    library = Tokenizer(WordPiece(vocabulary.pieces, unk_token="[UNK]", max_input_chars_per_word=100))
    library.normalizer, library.pre_tokenizer = BertNormalizer(), BertPreTokenizer()
    marks = [(mark, vocabulary.pieces[mark]) for mark in ("[CLS]", "[SEP]")]
    library.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    library.save(str(folder / "tokenizer.json"))
    (folder / "vocab.txt").unlink()
    verify(str(folder))
    np.testing.assert_array_equal(_states(folder), before)


def _cut(folder: Path) -> None:
    held = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(held[: len(held) // 2])


def _set(name: str, value: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    return lambda folder: _changed(folder, lambda weights: weights.update({name: value(weights[name])}))


DENSE = "encoder.layer.1.output.dense.weight"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_vocabulary(lambda words: words.replace("[UNK]", "x").replace("[SEP]", "y")), "without [UNK], [SEP], which"),
        (_vocabulary(lambda words: ""), "has a vocab.txt without [UNK], [CLS], [SEP]"),
        (_vocabulary(lambda words: words + "\u00e9t\u00e9", "latin-1"), "has a vocab.txt that is not in UTF-8"),
        (_vocabulary(lambda words: words + "one more\n"), "pieces and embeddings of"),
        (_vocabulary(lambda words: "\n".join(words.split("\n")[:-9])), "pieces and embeddings of"),
        (_config(num_hidden_layers="two"), "num_hidden_layers 'two', where a whole number"),
        (_config(num_hidden_layers=None), "num_hidden_layers None, where a whole number"),
        (_config(num_hidden_layers=1), "num_hidden_layers 1, and its model.safetensors has 2 layers"),
        (_config(num_hidden_layers=3), "num_hidden_layers 3, and its model.safetensors has 2 layers"),
        (_config(num_attention_heads=0), "num_attention_heads 0, where a whole number"),
        (_config(num_attention_heads=5), "5 attention heads, which do not divide its width 32"),
        (_config(hidden_size=64), "where a BERT of 2 layers needs"),
        (_config(max_position_embeddings=512), "needs [512, 32] by its config.json"),
        (_config(layer_norm_eps="tiny"), "layer_norm_eps 'tiny', where a small number was expected"),
        (_config(intermediate_size=7), "has encoder.layer.0.intermediate.dense.weight of shape [64, 32], where"),
        (lambda folder: (folder / "vocab.txt").unlink(), "has no vocab.txt or tokenizer.json; a text body is a folder"),
        (lambda folder: _changed(folder, lambda weights: weights.pop(DENSE)), f"has no {DENSE} in its model"),
        (_set(DENSE, lambda weight: weight.to(torch.int32)), f"has its {DENSE} as I32, where one of"),
        (_set(DENSE, lambda weight: weight * torch.nan), f"has weights in {DENSE} that are not finite"),
        (_set("embeddings.LayerNorm.weight", lambda weight: weight * 1e30), "of made-up rows is not finite"),
        (_cut, "has a model.safetensors that is damaged (it ends before its "),
        (lambda folder: (folder / WEIGHTS).write_bytes(b""), "is damaged (it ends within its header)"),
        (lambda folder: (folder / "tokenizer_config.json").write_text('{"do_lower_case": "no"}'), "do_lower_case 'no'"),
    ],
)
def test_a_folder_that_does_not_agree_with_itself_is_one_sentence(
    change: Callable[[Path], Any], says: str, folder: Path
) -> None:
    verify(str(folder))
    change(folder)
    with pytest.raises(LeadlineError) as caught:
        verify(str(folder))
    said = str(caught.value)
    assert said.startswith(f"--weights {folder} ") and says in said and said.endswith(".")


def test_whatever_a_library_says_of_weights_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: Any) -> None:
        raise RuntimeError("no such kernel\nat line 1")

    monkeypatch.setenv("LEADLINE_CACHE", str(folder.parent / "cache"))  # which knows nothing of the folder
    monkeypatch.setattr("leadline.kinds.text.pretrained.graph_of", fail)
    with pytest.raises(LeadlineError, match=r"--weights .*bert cannot be used: RuntimeError: no such kernel\.$"):
        verify(str(folder))
