"""A shipped file is read as it was written, or refused in one sentence, wherever it was damaged."""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from leadline.cli.commands import main
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.graph.digest import DIGEST
from leadline.ship.assemble import assemble
from leadline.system.errors import ModelError
from leadline.use.model import Model


@pytest.fixture(scope="module")
def whole(mixed: Any, prepare: Any) -> bytes:
    """The bytes of a shipped file, made twice."""
    made = prepare(mixed(), target="y")
    fitted: Any = list(PORTFOLIO["baseline"].fit(Data(store=made.store, clock=Clock(20.0), threads=1), 0))[-1]
    first, second = (assemble(made.store, fitted.graph().SerializeToString(), {}) for _ in range(2))
    assert first == second
    return first


def _first_version(whole: bytes) -> bytes:
    """The file as Leadline wrote it before there were digests."""
    return whole[: whole.rindex(DIGEST.encode()) - 4].replace(b'{"version": 2,', b'{"version": 1,')


def _changed(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGES = {
    "the first byte": lambda data: _changed(data, 0),
    "the header": lambda data: _changed(data, 5),
    "a weight": lambda data: _changed(data, len(data) // 2),
    "the name of a class": lambda data: data.replace(b'"yes"', b'"yet"'),
    "a cell's separator": lambda data: data.replace(b'"decode": {}', b'"decode": []'),
    "the version": lambda data: data.replace(b'{"version": 2,', b'{"version": 1,'),
    "the version, and an added byte": lambda data: data.replace(b'{"version": 2,', b'{"version": 1,') + b"\0",
    "the name of the digest": lambda data: _changed(data, data.rindex(DIGEST.encode())),
    "the length of the digest": lambda data: _changed(data, len(data) - 65),
    "a digit of the digest": lambda data: _changed(data, len(data) - 1),
    "a digit as a capital": lambda data: data[:-64] + data[-64:].upper(),
    "a missing byte": lambda data: data[:-200] + data[-199:],
    "a missing last byte": lambda data: data[:-1],
    "a missing digest": lambda data: data[: data.rindex(DIGEST.encode()) - 4],
    "half of it": lambda data: data[: len(data) // 2],
    "all but its beginning": lambda data: data[:12],
    "an added byte": lambda data: data + b"\0",
    "an added field": lambda data: data + b"\x32\x01x",  # doc_string, which a parser takes
    "itself once more": lambda data: data + data,
    "another's end": lambda data: data[:1_000] + data,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_wherever_it_is(name: str, whole: bytes, tmp_path: Path) -> None:
    data = DAMAGES[name](whole)
    assert data != whole
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(
        ModelError, match=r"model\.onnx is damaged \(.*\); copy it again from where it was made, or fit"
    ):
        Model(tmp_path / "model.onnx")


def test_any_runtime_takes_the_file(whole: bytes, mixed: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(whole)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path)
    model = Model(path)
    feeds = model.feeds(mixed(5), None)
    plain = dict(zip([output.name for output in session.get_outputs()], session.run(None, feeds), strict=True))
    np.testing.assert_array_equal(plain["probabilities"], model.answer(mixed(5), None)[0]["probabilities"])
    # And it is checked without Leadline in a line.
    digest = session.get_modelmeta().custom_metadata_map[DIGEST]
    assert digest == whole[-64:].decode() == blake2b(whole[:-64], digest_size=32).hexdigest()


def test_the_command_line_refuses_in_one_line(whole: bytes, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "model.onnx").write_bytes(_changed(whole, len(whole) // 2))
    for command in (["predict", str(tmp_path), "digits"], ["generate", str(tmp_path)]):
        assert main(command) == 2
        said = capsys.readouterr()
        assert re.fullmatch(r"leadline: \S*model\.onnx is damaged \(its bytes are not those .*\); copy .*\n", said.err)
        assert said.out == ""


def test_files_of_the_first_version_open_and_say_what_they_lack(
    whole: bytes, mixed: Any, tmp_path: Path, capsys: Any
) -> None:
    path = tmp_path / "old.onnx"
    path.write_bytes(_first_version(whole))
    with pytest.warns(UserWarning, match=r"old\.onnx has no digest, .*: whether it is damaged cannot be checked"):
        model = Model(path)
    assert len(model.predict(mixed(5))) == 5
    mixed(5).write_csv(tmp_path / "new.csv")
    assert main(["predict", str(path), str(tmp_path / "new.csv")]) == 0
    assert capsys.readouterr().err.count("cannot be checked") == 1


@pytest.mark.parametrize(
    ("found", "put"),
    [(b'"outputs": {', b'"outputs" {'), (b'"inputs": {', b'"imputs": {'), (b'"kind": "number"', b'"kind": "numbed"')],
)
def test_a_contract_that_cannot_be_read_is_a_sentence(found: bytes, put: bytes, whole: bytes, tmp_path: Path) -> None:
    data = _first_version(whole)
    assert found in data
    put = put.ljust(len(found))
    (tmp_path / "old.onnx").write_bytes(data.replace(found, put))
    with pytest.raises(
        ModelError, match=r"old\.onnx is damaged \(its contract cannot be read\); copy it again, or fit"
    ):
        Model(tmp_path / "old.onnx")


def test_what_the_runtime_says_of_an_old_file_is_a_sentence(whole: bytes, mixed: Any, tmp_path: Path) -> None:
    data = _first_version(whole).replace(b'"prediction": "prediction"', b'"prediction": "predictive"')
    (tmp_path / "old.onnx").write_bytes(data)
    with pytest.warns(UserWarning, match="no digest"):
        model = Model(tmp_path / "old.onnx")
    with pytest.raises(
        ModelError, match=r"ONNX Runtime cannot run .*old\.onnx on these rows \(.*predictive.*\); where it"
    ):
        model.predict(mixed(5))
