"""The certificate in a shipped file: it holds, it is run again, and a changed file is refused in one sentence."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from leadline.cli.commands import main
from leadline.contenders.portfolio import PORTFOLIO
from leadline.core.contender import Clock, Data
from leadline.graph.digest import graph_digest, with_certificate
from leadline.ship.assemble import assemble
from leadline.ship.certificate import certify, record
from leadline.ship.parity import check
from leadline.system.errors import ModelError
from leadline.use.model import Model

TAGS = pl.DataFrame({"a": np.arange(240) % 7 * 0.5, "y": [["u"], ["v"], ["u", "v"], []] * 60})
OF = "the trained contender"


class Shipped:
    """A source, and a file with its certificate."""

    def __init__(self, source: Any, target: str | None, prepare: Any, path: Path) -> None:
        self.source, self.path = source[0] if isinstance(source, tuple) else source, path
        made = prepare(source, **({} if target is None else {"target": target}))
        fitted: Any = list(PORTFOLIO["linear"].fit(Data(store=made.store, clock=Clock(20.0), threads=1), 0))[-1]
        self.bare = assemble(made.store, fitted.graph().SerializeToString(), {"versions": {"numpy": "0.9"}})
        path.write_bytes(self.bare)
        rows, scores = made.store.split.test, fitted.predict(made.store, made.store.split.test)
        parity = check(Model(path), made.table, made.store, scores)
        certify(path, record(Model(path), made.table, rows, scores, parity, OF))

    def certify(self, **changes: Any) -> None:
        """The file, with a certificate that states something else."""
        self.path.write_bytes(with_certificate(self.bare, json.dumps({**Model(self.path).certificate, **changes})))


@pytest.fixture
def ship(mixed: Any, messages: Any, bars: Any, prepare: Any, tmp_path: Path) -> Callable[[str], Shipped]:
    sources: dict[str, tuple[Callable[[], Any], str | None]] = {
        "binary": (lambda: mixed(300), "y"), "regression": (lambda: mixed(300, "regression"), "y"),
        "multilabel": (lambda: TAGS, "y"), "texts": (lambda: messages(240), "label"), "pictures": (bars, None),
    }  # fmt: skip

    def make(name: str) -> Shipped:
        source, target = sources[name]
        return Shipped(source(), target, prepare, tmp_path / "model.onnx")

    return make


@pytest.mark.parametrize("name", ["binary", "regression", "multilabel", "texts", "pictures"])
def test_certified_rows_are_in_the_source_and_answered_as_recorded(name: str, ship: Callable[[str], Shipped]) -> None:
    made = ship(name)
    found = Model(made.path).verify(made.source)
    certificate = found.certificate
    assert certificate is not None and certificate["rows"] >= 20
    assert found.rows == len(certificate["certified_rows"]) > 0
    assert found.max_difference <= certificate["tolerance"] and found.decisions_differ == 0
    assert "numpy 0.9, here" in str(found)
    assert graph_digest(made.path.read_bytes()) == graph_digest(made.bare) == certificate["graph"]
    answers = np.frombuffer(base64.b64decode(certificate["answers"]), "<f8" if name == "regression" else "<f4") + 0.3
    made.certify(answers=base64.b64encode(answers.tobytes()).decode())
    with pytest.raises(ModelError, match=r"differently here than where it was made \(numpy 0\.9, here .* is allowed"):
        Model(made.path).verify(made.source)


@pytest.mark.parametrize("name", ["binary", "pictures"])
def test_media_in_many_calls_are_answered_as_in_one(
    name: str, ship: Callable[[str], Shipped], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ship(name)
    together = Model(made.path).predict(made.source)
    monkeypatch.setattr("leadline.use.model.ROOM", 1)
    assert_frame_equal(together, Model(made.path).predict(made.source))


def test_a_source_without_certified_rows_and_another_graph_are_errors(ship: Any, mixed: Any) -> None:
    made = ship("binary")
    with pytest.raises(ModelError, match="none of the 32 rows"):
        Model(made.path).verify(mixed(20, seed=9))
    made.certify(graph="0" * 64)
    with pytest.raises(ModelError, match="is not the one that its certificate is about"):
        Model(made.path).verify()


def test_a_file_without_a_certificate_opens_and_says_what_it_cannot_show(ship: Any) -> None:
    made = ship("binary")
    made.path.write_bytes(made.bare)
    found = Model(made.path).verify(made.source)
    assert found.certificate is None and "is not recorded" in str(found)


@pytest.mark.parametrize("change", ["flip", "drop", "add"])
def test_one_changed_byte_anywhere_is_one_sentence(change: str, ship: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made = ship("binary")
    data = made.path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(data), 12).tolist():
        new = {"flip": bytes([data[place] ^ 4]), "drop": b"", "add": data[place : place + 1] * 2}[change]
        made.path.write_bytes(data[:place] + new + data[place + 1 :])
        assert main(["verify", str(made.path)]) == 2, place
        said = capsys.readouterr()
        assert said.out == "" and said.err.count("\n") == 1 and "is damaged" in said.err, (place, said.err)


def test_the_command_needs_neither_torch_nor_onnx(ship: Any) -> None:
    made = ship("binary")
    table = made.path.with_name("table.csv")
    made.source.write_csv(table)
    code = (
        "import sys; from leadline.cli.commands import main; code = main(sys.argv[1:]);"
        "print({'torch', 'onnx', 'lightgbm'} & set(sys.modules)); sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", code, "verify", made.path, table], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "compared with the trained contender" in ran.stdout and ran.stdout.endswith("set()\n")
    assert "here: 32 of 32 certified rows" in ran.stdout
