"""What may be given to predict where a model reads media: a folder, one file, an archive, a manifest."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from leadline.system.errors import ModelError
from leadline.tasks import Binary
from leadline.use.predict import predict


def _model(**inputs: str) -> Any:
    """A model that answers 'yes' where the first file is there, and has no answer where it is not."""

    def answer(frame: pl.DataFrame, root: Path, watch: Any) -> tuple[dict[str, np.ndarray], dict[int, str]]:
        there = [(root / cell).is_file() for cell in frame[next(iter(inputs))]]
        chances = np.array([[0.75, 0.25] if found else [np.nan, np.nan] for found in there], np.float32)
        bad = {i: "no such file" for i, found in enumerate(there) if not found}
        prediction = np.array(["yes" if found else None for found in there], object)
        return {"prediction": prediction, "probabilities": chances, "set": chances > 0.5}, bad

    contract = {"inputs": {name: {"kind": kind, "decode": {}} for name, kind in inputs.items()}}
    task = Binary(target="y", classes=("yes", "no"), metric="accuracy")
    return SimpleNamespace(contract=contract, classes=["yes", "no"], task=task, answer=answer)


def _clips(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"sound")
    return folder


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return _clips(tmp_path / "clips", "2.wav", "1.OGG", ".hidden.wav", "notes.txt", "cover.png")


def _zipped(folder: Path, below: str) -> Path:
    path = folder.with_name(f"{folder.name}{below.replace('/', '')}.zip")
    with zipfile.ZipFile(path, "w") as packed:
        for file in folder.rglob("*.*"):
            packed.write(file, f"{below}{file.relative_to(folder).as_posix()}")
    return path


def test_a_folder_of_clips_and_one_clip(clips: Path, tmp_path: Path) -> None:
    answers = predict(_model(sound="audio"), clips, cache=tmp_path / "cache")
    assert answers.columns == ["prediction", "p_yes", "p_no", "set", "sound"]
    assert answers["set"].to_list() == ["yes"] * len(answers)
    assert answers["sound"].to_list() == ["1.OGG", "2.wav"] and answers["prediction"].to_list() == ["yes"] * 2
    assert predict(_model(sound="audio"), clips / "2.wav", cache=tmp_path / "cache")["sound"].to_list() == ["2.wav"]
    assert predict(_model(photo="image"), str(clips), cache=tmp_path / "cache")["photo"].to_list() == ["cover.png"]


@pytest.mark.parametrize("below", ["", "all of them/"])
def test_an_archive_of_clips(below: str, clips: Path, tmp_path: Path) -> None:
    answers = predict(_model(path="audio"), _zipped(clips, below), cache=tmp_path / "cache")
    assert answers["path"].to_list() == ["1.OGG", "2.wav"] and answers["prediction"].to_list() == ["yes"] * 2


def test_class_folders_packed_or_not(tmp_path: Path) -> None:
    folder = _clips(tmp_path / "pets", "cat/1.wav", "dog/2.wav")
    for source in (folder, _zipped(folder, "")):
        for name in ("audio", "path"):  # a model that was trained from a table calls its input otherwise
            answers = predict(_model(**{name: "audio"}), source, cache=tmp_path / "cache")
            assert answers[name].to_list() == ["cat/1.wav", "dog/2.wav"] and answers["prediction"].null_count() == 0


def test_a_manifest_has_an_answer_for_every_row_in_its_order(clips: Path, tmp_path: Path) -> None:
    pl.DataFrame({"path": ["2.wav", "gone.wav", "1.OGG"]}).write_csv(clips / "manifest.csv")
    with pytest.warns(UserWarning, match=r"Row 2 has no answer: no such file\."):
        answers = predict(_model(path="audio"), clips / "manifest.csv", cache=tmp_path / "cache")
    assert answers["path"].to_list() == ["2.wav", "gone.wav", "1.OGG"]
    assert answers["prediction"].to_list() == ["yes", None, "yes"] and answers["p_no"].to_list() == [0.25, None, 0.25]


def test_a_model_of_media_and_more_needs_a_table(clips: Path, tmp_path: Path) -> None:
    pl.DataFrame({"path": ["2.wav"], "age": [3]}).write_csv(clips / "manifest.csv")
    both = _model(path="audio", age="number")
    assert predict(both, clips, cache=tmp_path / "cache").columns == ["prediction", "p_yes", "p_no", "set", "path"]
    with pytest.raises(ModelError, match="clips lacks column 'who', which the model reads; it has path, age"):
        predict(_model(path="audio", who="category"), clips, cache=tmp_path / "cache")


def test_loose_clips_say_which_column_the_model_lacks(tmp_path: Path) -> None:
    loose = _clips(tmp_path / "loose", "1.wav", "2.wav")
    with pytest.raises(ModelError, match=r"loose lacks column 'speaker', which the model reads; it has path; add"):
        predict(_model(path="audio", speaker="category"), loose, cache=tmp_path / "cache")


def test_a_table_beside_the_clips_brings_the_other_columns(tmp_path: Path) -> None:
    beside = _clips(tmp_path / "beside", "1.wav", "2.wav")
    (beside / "manifest.csv").write_text("path,speaker,label\n1.wav,ann,yes\n2.wav,bob,no\n1.wav,ann,yes\n")
    answers = predict(_model(path="audio", speaker="category"), beside, cache=tmp_path / "cache")
    assert len(answers) == 3 and set(answers["prediction"]) == {"yes"}


@pytest.mark.parametrize("cells", [[["a"], ["b"]], [b"\xff", b"a"]])
def test_cells_that_hold_more_than_a_value_are_refused(cells: list[Any], tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"column 'town' of data holds .*, which cannot be read as category; write its"
    ):
        predict(_model(town="category"), pl.DataFrame({"town": cells}), cache=tmp_path / "cache")
