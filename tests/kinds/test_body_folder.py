"""Weights in one file or in several, and the licence on a model's card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from leadline.core.pretrained import Precision
from leadline.graph.runtime import Session
from leadline.kinds import KINDS
from leadline.kinds.body_folder import INDEX, WEIGHTS, header, licence, values
from leadline.kinds.text.bert import encoder
from leadline.kinds.weights import find_body, verify
from leadline.system.errors import LeadlineError

FILES = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
PIECES = np.array([[2, 7, 3, 0]], np.uint16)


@pytest.fixture
def sharded(tiny_bert: Path, tmp_path: Path) -> Path:
    """The same weights in two files, as large models have them."""
    folder = Path(shutil.copytree(tiny_bert, tmp_path / "bert"))
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    files = {name: FILES[place % 2] for place, name in enumerate(sorted(weights))}
    for file in FILES:
        save_file({name: value for name, value in weights.items() if files[name] == file}, folder / file)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": files}))
    return folder


def _index(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        facts = json.loads((folder / INDEX).read_text())
        change(facts)
        (folder / INDEX).write_text(json.dumps(facts))

    return changed


def _all_in(file: object) -> Callable[[Path], None]:
    return _index(lambda facts: facts.update(weight_map=dict.fromkeys(facts["weight_map"], file)))


def test_weights_in_several_files_are_read(sharded: Path, tiny_bert: Path) -> None:
    verify(str(sharded))
    read = values(header(sharded))
    for name, expected in load_file(tiny_bert / WEIGHTS).items():
        np.testing.assert_array_equal(read[name], expected.numpy())
    states = [Session(encoder("x", 4, path, Precision.FLOAT32)).only({"x": PIECES}) for path in (sharded, tiny_bert)]
    np.testing.assert_array_equal(*states)
    found = find_body(KINDS["text"], str(sharded))
    assert found is not None and found.body.bytes == sum((sharded / file).stat().st_size for file in FILES)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / FILES[1]).unlink(), f"has no {FILES[1]}, which its {INDEX} names; download"),
        (_all_in(FILES[0]), f"is in {FILES[0]}, which does not hold it; download"),
        (_all_in(f"../{FILES[0]}"), "where a *.safetensors of the same folder was expected"),
        (_all_in(f"/tmp/{FILES[0]}"), "where a *.safetensors of the same folder was expected"),
        (_all_in("pytorch_model.bin"), "names 'pytorch_model.bin', where a *.safetensors"),
        (_all_in(3), "without a weight_map that says"),
        (_index(lambda facts: facts.update(weight_map={})), "without a weight_map that says"),
        (_index(lambda facts: facts.pop("weight_map")), "without a weight_map that says"),
        (lambda folder: (folder / INDEX).write_text("[]"), f"has a {INDEX} that holds a list"),
        (lambda folder: (folder / INDEX).write_text("{"), f"has a {INDEX} that cannot be read as JSON"),
        (lambda folder: (folder / FILES[0]).write_bytes(b"x"), f"has a {FILES[0]} that is damaged (it ends within"),
    ],
)
def test_files_that_do_not_agree_are_one_sentence(change: Callable[[Path], Any], says: str, sharded: Path) -> None:
    change(sharded)
    with pytest.raises(LeadlineError) as caught:
        verify(str(sharded))
    said = str(caught.value)
    assert said.startswith(f"--weights {sharded} ") and says in said and said.endswith(".")


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlicense: apache-2.0\ntags: [x]\n---\nText\n", "apache-2.0"),
        ("---\ntags: [x]\n---\nlicense: mit\n", "unknown"),
        ("license: mit\n", "unknown"),
        ("---\nlicense: mit\n", "unknown"),
        ("---\nlicense: [mit]\n---\n", "unknown"),
        ("---\n: : [\n---\n", "unknown"),
        (None, "unknown"),
    ],
)
def test_the_licence_is_what_the_card_says(card: str | None, expected: str, tmp_path: Path) -> None:
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert licence(tmp_path) == expected
