"""Word pieces against the `tokenizers` library, and BERT as a graph against PyTorch."""

from __future__ import annotations

import importlib.util
import json
import runpy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from leadline.contenders.states import readers
from leadline.core.pretrained import Precision
from leadline.graph.digest import content_digest
from leadline.graph.runtime import Session
from leadline.kinds.text.bert import encoder
from leadline.kinds.text.bert_folder import Shape
from leadline.kinds.text.pretrained import BODIES, fit_pieces, text_body_in
from leadline.kinds.text.wordpiece import Vocabulary, tokenizer
from leadline.system.errors import LeadlineError

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
LONG = 128  # pieces
ODD = (
    "", "  ", "\t\n", "Caf\u00e9 NA\u00cfVE \u0130stanbul", "\u4e2d\u6587\U00020000 ok", "\ud55c\uad6d\uc5b4 \uac00",
    "a\u200bb\ue000c", "x" * 100, "x" * 101, "won't!?\u2019s", "[CLS] [SEP]", "## ##ing #", "\U0001f600",
    "e\u0301\u0302", "\u00ad\u0007", "\uffff", "\ufb01 \u1e9e \u00df", "tomorrow's winning prize",
)  # fmt: skip


class Peer:
    """The library's own tokenizer, and the graph, on one vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.library = Tokenizer(WordPiece(vocabulary.pieces, unk_token="[UNK]", max_input_chars_per_word=100))
        self.library.normalizer = BertNormalizer(lowercase=vocabulary.lowercase, strip_accents=vocabulary.accents)
        self.library.pre_tokenizer = BertPreTokenizer()
        self.marks = vocabulary.pieces["[CLS]"], vocabulary.pieces["[SEP]"]
        self.graph = Session(tokenizer("text", vocabulary, LONG))

    def differ(self, texts: list[str]) -> list[str]:
        """The texts of which the two make other pieces."""
        first, last = self.marks
        expected = [[first, *found.ids[: LONG - 2], last] for found in self.library.encode_batch(texts)]
        found: list[list[int]] = []
        for start in range(0, len(texts), 512):
            made = self.graph.only({"text": np.array(texts[start : start + 512], object)})
            found += [row[row > 0].tolist() for row in made]
        return [text for text, one, two in zip(texts, expected, found, strict=True) if one != two]


@pytest.fixture(scope="module")
def tiny(tiny_bert: Path) -> Peer:
    return Peer(Vocabulary.read(tiny_bert))


@pytest.fixture(scope="module")
def minilm() -> Peer:
    folder = BODIES[0].find()
    if folder is None:
        pytest.skip("the body is not installed")
    return Peer(Vocabulary.read(folder))


def test_odd_texts_have_the_same_pieces(tiny: Peer) -> None:
    assert tiny.differ(list(ODD)) == []
    assert all(tiny.differ([text]) == [] for text in ODD)  # alone, too


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_has_the_same_pieces(tiny: Peer, text: str) -> None:
    text = text.replace("\0", " ")
    assert tiny.differ([text]) == []


@pytest.mark.parametrize(("lowercase", "accents"), [(False, None), (False, True), (True, False)])
def test_case_and_accents_are_kept_where_the_model_keeps_them(
    tiny_bert: Path, lowercase: bool, accents: bool | None
) -> None:
    pieces = {**Vocabulary.read(tiny_bert).pieces, "A": 500, "##\u00e9": 501, "\u00e9": 502}
    marks = Vocabulary.read(tiny_bert).marks
    peer = Peer(Vocabulary(pieces=pieces, lowercase=lowercase, accents=accents, marks=marks))
    assert peer.differ([*ODD, "Aa \u00c9\u00e9 A\u00e9"]) == []


def test_a_vocabulary_is_made_once_and_anew_when_its_file_has_changed(tiny_bert: Path, tmp_path: Path) -> None:
    words = (tiny_bert / "vocab.txt").read_text()
    (tmp_path / "vocab.txt").write_text(words)
    first = Vocabulary.read(tmp_path)
    assert Vocabulary.read(tmp_path) is first  # the table of its characters takes a second
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert not Vocabulary.read(tmp_path).lowercase
    (tmp_path / "vocab.txt").write_text(words + "\nanemone")
    assert "anemone" in Vocabulary.read(tmp_path).pieces and "anemone" not in first.pieces


def test_characters_of_all_planes_have_the_same_pieces(minilm: Peer) -> None:
    rng = np.random.default_rng(0)
    codes = np.concatenate([np.arange(1, 0xD800), np.arange(0xE000, 0x110000)])
    common = codes[codes < 0x3000]

    def text() -> str:
        mixed = rng.choice(common, 20).tolist() + rng.choice(codes, 4).tolist() + [ord(c) for c in "abc de,. "]
        return "".join(chr(code) for code in rng.permutation(mixed))

    assert minilm.differ([*ODD, *(text() for _ in range(2_000))]) == []


@pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not here")
def test_texts_of_data_sets_have_the_same_pieces(minilm: Peer) -> None:
    frames = [
        pl.read_csv(DATA / "rt-polarity" / "test.csv")["text"],
        pl.read_csv(DATA / "sst2" / "dev.tsv", separator="\t", quote_char=None)["sentence"],
        pl.read_csv(DATA / "ag-news" / "test.csv")["text"],
        pl.Series((DATA / "sms-spam" / "SMSSpamCollection").read_text().splitlines()),
        pl.read_ndjson(DATA / "snips" / "test.jsonl")["text"],
    ]
    assert minilm.differ(pl.concat(frames).to_list()) == []


def _rows(count: int, longest: int, pieces: int) -> np.ndarray:
    """Numbers of pieces of unequal rows, one of which is as short as a row can be."""
    rng = np.random.default_rng(0)
    rows = np.zeros((count, longest), np.uint16)
    for row, length in zip(rows, [2, longest, *rng.integers(3, longest, count - 2)], strict=True):
        row[:length] = rng.integers(1, pieces, length)
    return rows


def _peer(folder: Path) -> Any:
    return runpy.run_path(str(ROOT / "benchmarks" / "peers" / "torch_bert.py"))["Bert"](folder)


def test_the_graph_gives_the_states_that_pytorch_gives(tiny_bert: Path) -> None:
    rows = _rows(12, 40, len(Vocabulary.read(tiny_bert).pieces))
    states = Session(encoder("x", 40, tiny_bert, Precision.FLOAT32)).only({"x": rows})
    assert states.shape == (12, sum(layer.width for layer in Shape.read(tiny_bert).pooled)) == (12, 4 * 32)
    np.testing.assert_allclose(states, _peer(tiny_bert)(rows), atol=2e-5)


def test_the_installed_body_gives_the_states_that_pytorch_gives(minilm: Peer) -> None:
    folder = BODIES[0].find()
    assert folder is not None and text_body_in(folder).layers == BODIES[0].layers  # type: ignore[union-attr]
    rows = minilm.graph.only({"text": np.array(["A fine film.", "no"], object)}).astype(np.uint16)
    exact = Session(encoder("x", LONG, folder, Precision.FLOAT32)).only({"x": rows})
    np.testing.assert_allclose(exact, _peer(folder)(rows[:, :16]), atol=2e-4)
    small = Session(encoder("x", LONG, folder, Precision.INT8)).only({"x": rows})
    assert (np.sum(small * exact, axis=1) / np.linalg.norm(small, axis=1) / np.linalg.norm(exact, axis=1) > 0.99).all()


@pytest.mark.parametrize("precision", list(Precision))
def test_the_states_of_a_row_are_the_same_in_any_batch(tiny_bert: Path, precision: Precision) -> None:
    rows = _rows(9, 40, 60)
    session = Session(encoder("x", 40, tiny_bert, precision))
    together = session.only({"x": rows})
    for place in range(len(rows)):
        np.testing.assert_array_equal(session.only({"x": rows[place : place + 1]})[0], together[place])


def test_the_digest_of_a_graph_is_that_of_its_arithmetic(tiny_bert: Path) -> None:
    whole = [encoder(name, length, tiny_bert, Precision.FLOAT32) for name, length in (("x", 40), ("y.pieces", 64))]
    small = encoder("x", 40, tiny_bert, Precision.INT8)
    assert content_digest(whole[0]) == content_digest(whole[1]) != content_digest(small)


def test_the_view_is_as_wide_as_texts_need(tiny_bert: Path) -> None:
    short, long = (np.array(["win " * count] * 5, object) for count in (3, 300))
    assert fit_pieces(short, "text", tiny_bert).shape == (16,) and fit_pieces(long, "text", tiny_bert).shape == (64,)


@pytest.mark.parametrize("facts", [{"model_type": "roberta"}, {"hidden_act": "relu"}])
def test_without_the_package_another_model_is_one_sentence(
    facts: dict[str, str], tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A BERT of another kind is one that the package reads too."""
    folder = Path(shutil.copytree(tiny_bert, tmp_path / "bert"))
    config = {**json.loads((folder / "config.json").read_text()), **facts}
    (folder / "config.json").write_text(json.dumps(config))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "transformers" else find(name))
    says = f"a model of type '{config['model_type']}', which the package .* reads; install it: pip install transformers"
    with pytest.raises(LeadlineError, match=says):
        text_body_in(folder)


@pytest.mark.parametrize(
    ("name", "held", "says"),
    [
        ("config.json", b"{", "cannot be read as JSON"), ("config.json", b"[1]", "holds a list, where an object"),
        ("config.json", b'{"vocab_size": 9, "hidden_size": 4}', "says no num_hidden_layers; take the one that came"),
        ("model.safetensors", b"no weights", "is damaged"), ("tokenizer_config.json", b"{", "cannot be read as JSON"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_refused_in_a_sentence(
    tiny_bert: Path, tmp_path: Path, name: str, held: bytes, says: str, prepare: Any, messages: Any
) -> None:
    folder = shutil.copytree(tiny_bert, tmp_path / "damaged")
    (folder / name).write_bytes(held)
    with pytest.raises(LeadlineError, match=says):
        store = prepare(messages(60), target="label", weights=str(folder)).store
        readers(store)[0].graph(store, Precision.FLOAT32)


def test_the_small_package_has_the_same_weights_in_int8() -> None:
    whole, small = (body.find() for body in BODIES)
    if whole is None or small is None:
        pytest.skip("the bodies are not installed")
    assert Vocabulary.read(whole).pieces == Vocabulary.read(small).pieces
    rows = _rows(4, 20, 30_000)
    exact, rounded = (Session(encoder("x", 20, each, Precision.FLOAT32)).only({"x": rows}) for each in (whole, small))
    assert (
        np.sum(exact * rounded, axis=1) / np.linalg.norm(exact, axis=1) / np.linalg.norm(rounded, axis=1) > 0.99
    ).all()
