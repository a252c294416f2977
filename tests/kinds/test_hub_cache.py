"""Models by name from the local cache of the hub's tools: paths alone are read."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from leadline.kinds import KINDS
from leadline.kinds.hub_cache import called, hub_folder
from leadline.kinds.weights import VARIABLE, find_body, verify
from leadline.system.errors import LeadlineError

VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, in a process that has no network."""

    def closed(*words: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", closed)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub"


def _kept(hub: Path, tiny_bert: Path, model: str, revision: str) -> Path:
    """A model as the hub's tools keep it: its files are links to blobs."""
    folder = hub / model / "snapshots" / revision
    blobs = hub / model / "blobs"
    folder.mkdir(parents=True)
    blobs.mkdir(exist_ok=True)
    for file in tiny_bert.iterdir():
        shutil.copy(file, blobs / f"{revision}-{file.name}")
        (folder / file.name).symlink_to(f"../../blobs/{revision}-{file.name}")
    return folder


def _found(name: str) -> Path:
    found = find_body(KINDS["text"], name)
    assert found is not None
    return found.folder


def test_a_model_is_read_by_its_name(hub: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _kept(hub, tiny_bert, "models--some--tiny", "0a1b")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: mit\n---\n# Tiny\n")
    verify("some/tiny")
    found = find_body(KINDS["text"], "some/tiny")
    assert found is not None and found.folder == folder.resolve()
    assert found.body.name == "bert some/tiny" and found.body.licence == "mit"
    monkeypatch.setenv(VARIABLE, "some/tiny")
    assert find_body(KINDS["text"], None) is not None
    _kept(hub, tiny_bert, "models--plain", "1")
    assert _found("plain").name == "1"


def test_of_several_snapshots_the_main_one_is_read_else_the_newest(hub: Path, tiny_bert: Path) -> None:
    old, new = (_kept(hub, tiny_bert, "models--some--tiny", revision) for revision in ("old", "new"))
    os.utime(old, (1, 1))
    assert _found("some/tiny") == new.resolve()
    refs = hub / "models--some--tiny" / "refs"
    refs.mkdir()
    (refs / "main").write_text("old\n")
    assert _found("some/tiny") == old.resolve()
    for gone in ("removed", "../../models--other", ""):
        (refs / "main").write_text(gone)
        assert _found("some/tiny") == new.resolve()


def test_an_existing_folder_goes_first(hub: Path, tiny_bert: Path, tmp_path: Path) -> None:
    _kept(hub, tiny_bert, "models--some--tiny", "1")
    own = Path(shutil.copytree(tiny_bert, tmp_path / "some" / "tiny"))
    assert _found("some/tiny") == own.resolve()


def test_a_name_that_is_not_there_says_what_was_looked_for_and_where(hub: Path, tmp_path: Path) -> None:
    (hub / "models--empty" / "snapshots").mkdir(parents=True)
    for name in ("some/tiny", "empty"):
        with pytest.raises(LeadlineError) as caught:
            verify(name)
        assert str(caught.value) == (
            f"--weights {name} is no folder, and no model of that name is in the local cache of Hugging Face models "
            f"({hub}); give a folder with the weights of a pretrained body, or download the model first."
        )
    for path in ("./some", "a/b/c", str(tmp_path / "nowhere"), "../x"):
        with pytest.raises(LeadlineError, match="is no folder; give one with the weights"):
            verify(path)


def test_the_cache_is_where_the_hubs_tools_keep_it(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_CACHE")
    assert hub_folder() == Path("~/.cache/huggingface/hub").expanduser()
    for variable, inside in (("XDG_CACHE_HOME", "huggingface/hub"), ("HF_HOME", "hub"), ("HF_HUB_CACHE", "")):
        monkeypatch.setenv(variable, str(hub / variable))
        assert hub_folder() == hub / variable / inside


def test_an_architecture_is_named_once(tmp_path: Path) -> None:
    assert called("roberta", tmp_path / "roberta") == "roberta"
    assert called("roberta", tmp_path / "RoBERTa-base") == "RoBERTa-base"
    assert called("bert", tmp_path / "mine") == "bert mine"
