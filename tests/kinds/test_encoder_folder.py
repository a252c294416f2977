"""Encoders of texts that the package transformers reads: their pieces, their states, and a whole run without it."""

from __future__ import annotations

import copy
import importlib.util
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import leadline as ll
from leadline.contenders import finetuned
from leadline.contenders.finetuned import Finetuned
from leadline.core.contender import Clock, Data, Progress
from leadline.core.kind import View
from leadline.core.pretrained import Precision
from leadline.core.tensors import Block
from leadline.graph.runtime import Session
from leadline.kinds import trainable
from leadline.kinds.text.by_row import piece_type
from leadline.kinds.text.byte_pairs import BytePairs
from leadline.kinds.text.encoder_folder import EncoderFolder
from leadline.kinds.text.pretrained import text_body_in
from leadline.kinds.text.tokenizer_folder import read_pieces, same_pieces
from leadline.kinds.weights import verify
from leadline.system.errors import LeadlineError

transformers = pytest.importorskip("transformers")

WORDS = ["the", "prize", "lunch", "is", "free", "tomorrow", "meeting", "win", "cash", "now", "see", "you", "at", "noon"]
TEXTS = np.array(["free cash prize now", "see you at lunch, tomorrow!", "", "win win win " * 60], object)
WIDTH, LAYERS, POSITIONS = 16, 2, 48
COMMON = {
    "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 24,
    "max_position_embeddings": POSITIONS,
}  # fmt: skip
FROM_2 = {**COMMON, "max_position_embeddings": POSITIONS + 2, "pad_token_id": 1}  # positions begin behind the padding
# Of each model: its configuration, and how it cuts texts.
MODELS: dict[str, tuple[str, dict[str, Any], str]] = {
    "distilbert": ("DistilBertConfig", {"dim": WIDTH, "n_layers": LAYERS, "n_heads": 2, "hidden_dim": 24,
                                        "max_position_embeddings": POSITIONS}, "wordpiece"),
    "roberta": ("RobertaConfig", FROM_2, "bytes"),
    "electra": ("ElectraConfig", {**COMMON, "embedding_size": 8}, "wordpiece"),
    "mpnet": ("MPNetConfig", FROM_2, "mpnet"),
    "albert": ("AlbertConfig", {**COMMON, "embedding_size": 8, "pad_token_id": 0}, "albert"),
    "deberta-v2": ("DebertaV2Config", {
        **COMMON, "relative_attention": True, "position_buckets": 8, "share_att_key": True,
        "pos_att_type": ["c2p", "p2c"], "norm_rel_ebd": "layer_norm", "position_biased_input": False,
    }, "deberta"),
    "xlm-roberta": ("XLMRobertaConfig", FROM_2, "xlmr"),
    "modernbert": ("ModernBertConfig", {**COMMON, "pad_token_id": 3, "local_attention": 8}, "composed"),
    "t5": ("T5Config", {"d_model": WIDTH, "d_kv": 8, "d_ff": 24, "num_layers": LAYERS, "num_decoder_layers": 1,
                        "num_heads": 2}, "t5"),
    "bert": ("BertConfig", {**COMMON, "hidden_act": "gelu_new"}, "wordpiece"),
    "gpt2": ("GPT2Config", {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": 2, "n_positions": POSITIONS}, "gpt2"),
}  # fmt: skip
BERTS, ROBERTAS = ("[CLS]", "[SEP]"), ("<s>", "</s>")
MARKS = {**dict.fromkeys(("wordpiece", "albert", "deberta"), BERTS), "t5": ("", "</s>"), "gpt2": ("", "")}
FIRST = {**dict.fromkeys(("mpnet", "bytes", "composed", "xlmr"), ["<s>", "<pad>", "</s>"]), "t5": ["<pad>", "</s>"],
         "gpt2": []}  # fmt: skip
QUOTES = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
SPACES = normalizers.Replace(Regex(" {2,}"), " ")
LINES = normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " ")
UNIGRAMS: dict[str, tuple[Any, Any]] = {
    "albert": ([*QUOTES, normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()], True),
    "deberta": ([LINES, normalizers.NFC(), normalizers.Strip(left=False, right=True)], False),
    "xlmr": ([normalizers.NFKC()], True),
    "t5": ([normalizers.NFKC(), normalizers.Strip(left=False, right=True), SPACES], False),
}  # fmt: skip


@cache
def tokenizer_of(kind: str) -> Tokenizer:
    """A tokenizer as models of this sort have it, trained on a few words."""
    corpus = [
        " ".join(WORDS[n:] + WORDS[:n]) + f" {n}, the long-lasting caf\u00e9's ``prize'' winner!" for n in range(14)
    ]
    first = FIRST.get(kind, ["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    special: dict[str, Any] = {"special_tokens": first, "show_progress": False}
    if kind in UNIGRAMS:
        steps, apart = UNIGRAMS[kind]
        unknown = "[UNK]" if "[UNK]" in first else "<unk>"
        special["special_tokens"] = first if unknown in first else [*first, unknown]
        made = Tokenizer(models.Unigram())
        made.normalizer = normalizers.Sequence(steps)
        space = pre_tokenizers.Metaspace()
        made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), space]) if apart else space
        trainer: Any = trainers.UnigramTrainer(vocab_size=200, unk_token=unknown, **special)
    elif kind in ("bytes", "composed", "gpt2"):
        made = Tokenizer(models.BPE())
        made.normalizer = normalizers.NFC() if kind == "composed" else None
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **special)
    else:
        made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        special["special_tokens"] = first if "[UNK]" in first else [*first, "[UNK]"]
        trainer = trainers.WordPieceTrainer(vocab_size=150, **special)
    made.train_from_iterator(corpus, trainer)
    begin, end = MARKS.get(kind, ROBERTAS)
    marks = [(mark, made.token_to_id(mark)) for mark in (begin, end) if mark]
    if marks:
        made.post_processor = processors.TemplateProcessing(single=f"{begin} $A {end}".strip(), special_tokens=marks)
    return made


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """folder_of(model): a folder with one of noise, as hubs have it."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            config, facts, kind = MODELS[name]
            folder, tokenizer = tmp_path_factory.mktemp(name) / "some", tokenizer_of(kind)
            torch.manual_seed(0)
            sizes = {"vocab_size": tokenizer.get_vocab_size(), **facts}
            model = transformers.AutoModel.from_config(getattr(transformers, config)(**sizes))
            for weight in model.parameters():  # norms and biases are not all one
                weight.data += 0.1 * torch.randn_like(weight)
            model.save_pretrained(folder)
            tokenizer.save(str(folder / "tokenizer.json"))
            made[name] = folder
        return made[name]

    return make


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*words: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", closed)
    monkeypatch.setattr(socket, "getaddrinfo", closed)


def _expected(folder: Path, rows: list[list[int]]) -> np.ndarray:
    """States of rows of pieces by the module alone; a row without any has the first one."""
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    model = model.get_encoder() if model.config.is_encoder_decoder else model
    found = []
    for row in rows:
        with torch.no_grad():
            states = model(input_ids=torch.tensor([row or [0]]), output_hidden_states=True).hidden_states
        found.append(torch.cat([*(state[0].mean(dim=0) for state in states), states[-1][0].amax(dim=0)]).numpy())
    return np.stack(found)


@pytest.mark.parametrize("name", sorted(MODELS, key=lambda name: MODELS[name][2]))
def test_a_graph_gives_what_the_module_gives(name: str, folder_of: Callable[[str], Path]) -> None:
    folder = folder_of(name)
    verify(str(folder))
    encoder = EncoderFolder.read(folder)
    assert encoder is not None and encoder.width == WIDTH and encoder.layers == LAYERS
    same_pieces(encoder.reader, folder, 40, _odd())
    length = min(POSITIONS, encoder.positions)
    pieces = Session(encoder.reader.graph("text", length, piece_type(encoder.pieces), "x")).only({"text": TEXTS})
    library = Tokenizer.from_file(str(folder / "tokenizer.json"))
    library.enable_truncation(length)
    rows = [library.encode(text).ids for text in TEXTS]
    assert [(row[row > 0] - encoder.reader.first).tolist() for row in pieces.astype(int)] == [
        row or [0] for row in rows
    ]
    assert [layer.name for layer in encoder.pooled] == ["embeddings", "layer 1", "layer 2", "layer 2, maximum"]
    states = {}
    for precision in Precision:
        session = Session(encoder.graph("x", length, precision))
        states[precision] = session.only({"x": pieces})
        # What a row gives does not depend on its batch.
        alone = [session.only({"x": pieces[row : row + 1]}) for row in range(len(pieces))]
        np.testing.assert_array_equal(np.concatenate(alone), states[precision])
    exact, rounded = states[Precision.FLOAT32], states[Precision.INT8]
    np.testing.assert_allclose(exact, _expected(folder, rows), atol=1e-4)
    assert np.abs(rounded - exact).max() > 0 and np.corrcoef(rounded.ravel(), exact.ravel())[0, 1] > 0.98


# Of each model whether hidden states are kept: of a shared layer, and where the first one says something to all, not.
TRAINED = {"distilbert": 1, "roberta": 1, "deberta-v2": 1, "modernbert": 1, "gpt2": 1, "t5": 0, "albert": 0}


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("name", TRAINED)
def test_it_is_trained_further(
    name: str, narrow: bool, folder_of: Callable[[str], Path], trains: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainable, "MOST_TRAINED", 0 if narrow else 10**9)
    monkeypatch.setattr(trainable, "_MADE", {})
    folder = folder_of(name)
    body = text_body_in(folder)
    encoder = EncoderFolder.read(folder)
    assert body is not None and encoder is not None
    draw, dtype = np.random.default_rng(0), np.dtype(piece_type(encoder.pieces))
    rows = np.zeros((6, 12), dtype)
    for row in rows:
        length = draw.integers(2, 13)
        row[:length] = draw.integers(1 + encoder.reader.first, encoder.pieces, length)
    block = Block(
        name="x", kind="text", columns=("x",), decode={}, shape=(12,), dtype=dtype.name, settings={},
        forms={View.PIECES: ((12,), dtype.name)},
    )  # fmt: skip
    net = trains(body, folder, block, f"x.{View.PIECES}", rows)
    assert net.cut == TRAINED[name] and ("(LoRA)" in net.said) == narrow
    rounded = Session(net.graph(block, Precision.INT8, rows)).only({f"x.{View.PIECES}": rows})
    with torch.no_grad():
        x = torch.from_numpy(rows.astype(np.int64))
        exact = net.upper(net.lower(x, 0), x, 0).numpy()
    assert np.corrcoef(rounded.ravel(), exact.ravel())[0, 1] > 0.98


def _odd() -> tuple[str, ...]:
    """Texts at random, of what tokenizers treat apart."""
    draw = np.random.default_rng(0)
    signs = [
        *"the prize lunch free cafe's \u00e9\u0301\u00fc,.!?'`\"\t\n\u00a0\u3000\u4e2d\u0e01\U0001f642",
        "  ",
        "``",
    ]
    return tuple("".join(draw.choice(signs, draw.integers(1, 40))) for _ in range(200))


def test_the_graph_is_written_once(folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Other processes then need neither the package nor its seconds; another model's graph is another one."""
    folder = folder_of("roberta")
    encoder = EncoderFolder.read(folder)
    assert encoder is not None
    first = [encoder.row(precision).SerializeToString() for precision in Precision]
    monkeypatch.setattr("leadline.kinds.text.encoder_folder.network", lambda *words, **more: pytest.fail("read again"))
    monkeypatch.setattr("leadline.graph.int8_weights.to_int8_weights", lambda *words: pytest.fail("computed again"))
    assert [encoder.row(precision).SerializeToString() for precision in Precision] == first
    other = EncoderFolder.read(folder_of("xlm-roberta"))
    assert other is not None and other.row(Precision.FLOAT32).SerializeToString() not in first
    assert "body" in {entry.what for entry in ll.cache.list()}


def _tokenizer(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        facts = json.loads((folder / "tokenizer.json").read_text())
        change(facts)
        (folder / "tokenizer.json").write_text(json.dumps(facts))

    return changed


def _config(**facts: Any) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))

    return changed


SPLIT = {"type": "Split", "pattern": {"Regex": "x"}, "behavior": "Isolated", "invert": False}
PREPEND = {"type": "Prepend", "prepend": "x"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            _tokenizer(lambda facts: facts["model"].update(type="WordLevel")),
            "has a tokenizer of type 'WordLevel', where",
        ),
        (_tokenizer(lambda facts: facts.update(pre_tokenizer=SPLIT)), "whose pre_tokenizer (Split) cannot be written"),
        (_tokenizer(lambda facts: facts.update(normalizer=PREPEND)), "whose normalizer (Prepend) cannot be written"),
        (_tokenizer(lambda facts: facts["model"].update(byte_fallback=True)), "whose model (BPE) cannot be written"),
        (_tokenizer(lambda facts: facts.pop("model")), "has a tokenizer.json that cannot be read (KeyError: 'model')"),
        (
            lambda folder: (folder / "tokenizer.json").write_text("{"),
            "has a tokenizer.json that cannot be read as JSON",
        ),
        (
            lambda folder: (folder / "tokenizer.json").unlink(),
            "has no tokenizer.json, nor other files of a tokenizer; download",
        ),
        (_config(vocab_size=300), "and embeddings of 300; take the tokenizer that came with the weights"),
        (_config(model_type="no such"), "cannot be read by transformers"),
        (_config(num_hidden_layers=0), "num_hidden_layers 0, where a whole number"),
        (_config(num_hidden_layers=1), "in its weights, a layer more than its config.json says"),
        (_config(num_hidden_layers=3), "in its weights, which the model needs"),
    ],
)
def test_a_folder_that_cannot_be_read_is_one_sentence(
    change: Callable[[Path], Any], says: str, folder_of: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(folder_of("roberta"), tmp_path / "some"))
    change(folder)
    with pytest.raises(LeadlineError) as caught:
        verify(str(folder))
    said = str(caught.value)
    assert said.startswith(f"--weights {folder} ") and says in said and said.endswith(".") and "\n" not in said


def test_a_tokenizer_that_the_graph_does_not_follow_is_refused(folder_of: Callable[[str], Path]) -> None:
    folder = folder_of("roberta")
    reader = read_pieces(folder)
    assert isinstance(reader, BytePairs)
    with pytest.raises(LeadlineError, match="has a tokenizer that cuts .* in another way than the file would"):
        same_pieces(replace(reader, merges=reader.merges[:-9]), folder, 40)


WITHOUT = """
import socket, sys
def closed(*words):
    raise AssertionError("a socket was opened")
socket.socket.connect = socket.getaddrinfo = closed
for name in ("torch", "transformers", "tokenizers", "huggingface_hub", "onnxruntime_extensions"):
    sys.modules[name] = None
import leadline as ll
print(ll.Model(sys.argv[1]).predict(sys.argv[2])["prediction"].to_list())
"""


def test_a_run_ships_a_file_that_needs_no_package_of_the_model(
    folder_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuned, "START", 0.0)  # however slow the machine is
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(WORDS, 6)) for _ in range(160)]
    rows = pl.DataFrame({"text": texts, "label": ["spam" if "cash" in text else "ham" for text in texts]})
    rows.write_csv(tmp_path / "rows.csv")
    run = ll.fit(
        tmp_path / "rows.csv", target="label", weights=str(folder_of("roberta")), only="pretrained,finetuned",
        budget="60s", repeats=1, out=tmp_path / "runs",
    )  # fmt: skip
    found = {each["name"]: each for each in run.result["contenders"]}
    for name in ("pretrained", "finetuned"):
        (body,) = found[name]["transfer"]["bodies"]
        assert body["name"] == "roberta some" and body["licence"] == "unknown" and found[name]["score"] > 0.9
        assert ("tuned" in found[name]["transfer"]) == (name == "finetuned")
    page = (run.folder / "report.html").read_text()
    assert "which stay as they are" in page and f"{LAYERS} of its layers trained further" in page
    texts = ["cash now", "see you", "free cash at noon", "", "the meeting is tomorrow, at lunch"]
    pl.DataFrame({"text": texts}).write_csv(tmp_path / "new.csv")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(run.folder / "model.onnx"), str(tmp_path / "new.csv")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == str(run.model.predict(tmp_path / "new.csv")["prediction"].to_list()), done.stderr
    assert "spam" in done.stdout and "ham" in done.stdout


def test_where_no_states_can_be_kept_all_layers_learn_from_the_first_step_on(
    folder_of: Callable[[str], Path], prepare: Any, messages: Any
) -> None:
    store = prepare(messages(160), target="label", weights=str(folder_of("t5"))).store
    clock, states, plans = Clock(60.0), [], []
    for item in Finetuned().fit(Data(store=store, clock=clock, threads=1), 0):
        if isinstance(item, Progress):
            plans += [item.facts["cut"]] if item.note == "plan" else []
            states += [] if item.state is None else [(clock.place, copy.deepcopy(item.state()))]
    fitted: Any = item
    assert plans == [0] and fitted.transfer["tuned"] == LAYERS and any("all layers" in each for each in fitted.describe)
    rows = store.split.test
    session = Session(fitted.graph())
    found = session.only({name: np.asarray(store.tensor(name)[rows]) for name in session.inputs})
    np.testing.assert_allclose(found, fitted.predict(store, rows), atol=1e-4)
    for place, state in ((0, None), states[-1]):  # replayed, and resumed
        again = Finetuned().fit(
            Data(store=store, clock=Clock(60.0, readings=clock.readings, place=place), threads=1), 0, state
        )
        assert list(again)[-1].digest() == fitted.digest()  # type: ignore[union-attr]


def test_older_files_of_a_tokenizer_are_read_by_the_package(
    folder_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As folders from before tokenizer.json have them: a list of pieces, and the pairs that become one."""
    folder = Path(shutil.copytree(folder_of("roberta"), tmp_path / "some"))
    before = read_pieces(folder)
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(map(" ".join, model["merges"])) + "\n")
    after = read_pieces(folder)
    assert isinstance(before, BytePairs) and isinstance(after, BytePairs)
    assert (after.pieces, after.merges, after.marks) == (before.pieces, before.merges, before.marks)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "sentencepiece" else sys)
    (folder / "spm.model").write_bytes(b"")
    with pytest.raises(LeadlineError, match=r"install what is missing: pip install sentencepiece\.$"):
        read_pieces(folder)
