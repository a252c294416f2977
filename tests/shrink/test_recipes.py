"""The lines that run a file run, with every type that a file takes or gives and with any name, where a runtime is.

Nothing is installed for it: `LEADLINE_ORT_HEADERS` names a folder with ONNX Runtime's C++ headers (default: where a
system has them), `LEADLINE_NODE_MODULES` one with onnxruntime-node or onnxruntime-web.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import onnxruntime
import pytest
from onnx import TensorProto, helper

from leadline.graph.builder import IR_VERSION
from leadline.shrink.recipes import TYPES, Port, recipes

ODD = 'co$l"ou\\r \u00e9\u0001'
PLACES = ("/usr/include/onnxruntime", "/usr/local/include/onnxruntime", "/usr/include")
# NumPy's name, ONNX's number, operator, name and type of the output, what it gives of zeros
PORTS = (
    ("object", TensorProto.STRING, "Identity", "prediction", "object", ""),
    ("float64", TensorProto.DOUBLE, "Identity", "low", "float64", "0"),
    ("float32", TensorProto.FLOAT, "Cos", "p", "float32", "1"),
    ("int64", TensorProto.INT64, "Identity", "when", "int64", "0"),
    ("int32", TensorProto.INT32, "Identity", "ids", "int32", "0"),
    ("int16", TensorProto.INT16, "Identity", "sound", "int16", "0"),
    ("uint8", TensorProto.UINT8, "Cast", "set", "bool", "0"),
)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with model.onnx, which takes and gives each type, and the lines of each platform."""
    folder = tmp_path_factory.mktemp("recipes")
    nodes, takes, gives = [], [], []
    inputs, outputs = list[Port](), list[Port]()
    for dtype, number, operator, output, given, _ in PORTS:
        name, to = f"{ODD}{dtype}", TensorProto.BOOL if operator == "Cast" else number
        nodes.append(helper.make_node(operator, [name], [output], **({"to": to} if operator == "Cast" else {})))
        takes.append(helper.make_tensor_value_info(name, number, ["N", 2]))
        gives.append(helper.make_tensor_value_info(output, to, ["N", 2]))
        inputs.append((name, dtype, [1, 2]))
        outputs.append((output, given, [1, 2]))
    graph = helper.make_graph(nodes, "types", takes, gives)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=IR_VERSION)
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    return folder, {each.platform: each.code for each in recipes("model.onnx", inputs, outputs)}


def _ran(command: list[str], folder: Path, **variables: str) -> str:
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**os.environ, **variables})
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_lines_of_cpp_answer_a_row(lines: tuple[Path, dict[str, str]]) -> None:
    folder, codes = lines
    places = [os.environ.get("LEADLINE_ORT_HEADERS"), *PLACES]
    headers = next((place for place in places if place and Path(place, "onnxruntime_cxx_api.h").exists()), None)
    compiler = shutil.which("g++") or shutil.which("clang++")
    libraries = list(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*"))
    if headers is None or compiler is None or not libraries:
        pytest.skip("no compiler, or no headers or library of ONNX Runtime")
    (folder / "libonnxruntime.so.1").symlink_to(libraries[0])
    (folder / "main.cpp").write_text(codes["C++"], encoding="utf-8")
    flags = ["-std=c++17", "-Wall", "-Wextra", "-isystem", headers, "main.cpp", "libonnxruntime.so.1", "-Wl,-rpath,."]
    _ran([compiler, *flags, "-o", "main"], folder)
    shown = [line.split() for line in _ran(["./main"], folder).splitlines()]
    assert shown == [[output, *([value] * 2 if value else [])] for *_, output, _, value in PORTS]


@pytest.mark.parametrize("package", ["onnxruntime-node", "onnxruntime-web"])
def test_the_lines_of_javascript_answer_a_row(package: str, lines: tuple[Path, dict[str, str]]) -> None:
    folder, codes = lines
    modules, node = Path(os.environ.get("LEADLINE_NODE_MODULES", "node_modules")).resolve(), shutil.which("node")
    if node is None or not (modules / package).exists():
        pytest.skip(f"no Node, or no {package}")
    (folder / package).mkdir()
    (folder / package / "node_modules").symlink_to(modules)
    (folder / package / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    code = codes["Node, or a browser"].replace("onnxruntime-node", package)
    (folder / package / "main.mjs").write_text(code, encoding="utf-8")
    shown = _ran([node, "main.mjs"], folder / package)
    assert "low Float64Array(2) [ 0, 0 ]" in shown and "p Float32Array(2) [ 1, 1 ]" in shown
    assert "prediction [ '', '' ]" in shown and "when BigInt64Array(2) [ 0n, 0n ]" in shown


def test_what_swift_has_no_tensors_of_is_said_and_the_rest_is_written() -> None:
    outputs: list[Port] = [("prediction", "object", [1]), ("p", "float32", [1, 2])]
    for dtype, known in TYPES.items():
        last = recipes("model.onnx", [(ODD, dtype, [1])], outputs)[-1]
        assert last.tried == "not run" and (last.code == "") == (f"no tensors of {dtype}" in last.about)
        assert (known.swift is None) == (last.code == "")
    text = recipes("model.onnx", [("a\\(b)\u0001", "object", [1])], outputs)[-1].code
    assert '"a\\\\(b)\\u{1}": try ORTValue(tensorStringData:' in text
