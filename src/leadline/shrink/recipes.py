"""The lines that run a file: Python, Node and the browser, C++, Android, iOS.

Enters: the path of a file, and what it takes and gives of one row. Leaves: a `Recipe` a platform, which says on which
runtime it was tried. The tests run the Python, and where a runtime is at hand also the JavaScript and the C++.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Port", "Recipe", "recipes"]

Port = tuple[str, str, list[int]]  # name, NumPy's name of the type, and shape of an input or output; 'object' is text
TEXT = "object"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to run a file on one platform."""

    platform: str
    tried: str  # on which runtime, or that it was not run
    about: str
    code: str


class _Type(NamedTuple):
    """A type of tensors in each language; Swift's binding has no tensors of some."""

    script: str
    cpp: str
    kotlin: str  # {0} elements
    swift: tuple[str, str, int] | None  # of the binding, of the language, bytes


TYPES = {
    "float64": _Type("Float64Array", "double", "DoubleBuffer.wrap(DoubleArray({0}))", None),
    "float32": _Type("Float32Array", "float", "FloatBuffer.wrap(FloatArray({0}))", ("float", "Float", 4)),
    "int64": _Type("BigInt64Array", "int64_t", "LongBuffer.wrap(LongArray({0}))", ("int64", "Int64", 8)),
    "int32": _Type("Int32Array", "int32_t", "IntBuffer.wrap(IntArray({0}))", ("int32", "Int32", 4)),
    "int16": _Type("Int16Array", "int16_t", "ShortBuffer.wrap(ShortArray({0}))", None),
    "uint8": _Type("Uint8Array", "uint8_t", "ByteBuffer.allocateDirect({0})", ("uInt8", "UInt8", 1)),
    "bool": _Type("Uint8Array", "bool", "ByteBuffer.allocateDirect({0})", None),
}


def recipes(model: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> list[Recipe]:
    """The lines of every platform.

    Args:
        model: the path of the file.
        inputs, outputs: of one row.
    """
    return [
        Recipe(
            platform="Python", tried="run with ONNX Runtime 1.32", code=_python(model),
            about="It reads rows as they come, and refuses a changed file. The others take decoded values: put those "
            "of a row in place of zeros and empty texts.",
        ),
        Recipe(
            platform="Node, or a browser", tried="run with onnxruntime-node 1.30 and, in Node, onnxruntime-web 1.30",
            about="In a browser the first line imports onnxruntime-web.", code=_script(model, inputs),
        ),
        Recipe(
            platform="C++", tried="run with ONNX Runtime 1.32 on Linux, compiled as C++17 with headers of 1.29",
            about="Link it with onnxruntime.", code=_cpp(model, inputs, outputs),
        ),
        Recipe(
            platform="Android", tried="compiled against onnxruntime-android 1.29, not run",
            about="The file lies among the assets of the app.", code=_kotlin(inputs),
        ),
        _swift(inputs, outputs),
    ]  # fmt: skip


def _quoted(text: str, control: str, also: str = "") -> str:
    """A literal of text.

    Args:
        control: how the language writes a character by its number.
        also: what it has to be escaped beside quotes and backslashes.
    """
    found = (
        f"\\{c}" if c in f'"\\{also}' else c if c.isprintable() or ord(c) > 127 else control.format(ord(c))
        for c in text
    )
    return f'"{"".join(found)}"'


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))


def _python(model: str) -> str:
    return (
        "import leadline as ll\n\n"
        f"model = ll.Model({model!r})\n"
        "print(model.verify())\n"
        'print(model.predict("rows.csv"))\n'
    )


def _script(model: str, inputs: Sequence[Port]) -> str:
    def text(value: str) -> str:
        return _quoted(value, "\\u{:04x}")

    def tensor(dtype: str, shape: Sequence[int]) -> str:
        count = math.prod(shape)
        values = f"Array({count}).fill('')" if dtype == TEXT else f"new {TYPES[dtype].script}({count})"
        return f"new ort.Tensor({text('string' if dtype == TEXT else dtype)}, {values}, [{_listed(shape)}])"

    lines = "".join(f"  {text(name)}: {tensor(dtype, shape)},\n" for name, dtype, shape in inputs)
    return (
        'import * as ort from "onnxruntime-node";\n\n'
        f"const model = await ort.InferenceSession.create({text(model)});\n"
        f"const row = {{\n{lines}}};\n"
        "const answer = await model.run(row);\n"
        "for (const name in answer) console.log(name, answer[name].data);\n"
    )


def _cpp(model: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> str:
    def text(value: str) -> str:
        return _quoted(value, "\\{:03o}")

    def values(dtype: str, count: int) -> str:
        return (
            f'std::vector<const char*>({count}, "")' if dtype == TEXT else f"std::vector<{TYPES[dtype].cpp}>({count})"
        )

    def element(place: int, dtype: str) -> str:
        if dtype == TEXT:
            return f"answer[{place}].GetStringTensorElement(i)"
        return f"answer[{place}].GetTensorData<{TYPES[dtype].cpp}>()[i]"

    row = "".join(
        f"  put({text(name)}, {values(dtype, math.prod(shape))}, {{{_listed(shape)}}});\n"
        for name, dtype, shape in inputs
    )
    shown = "".join(
        f"  show({place}, [&](size_t i) {{ return {element(place, dtype)}; }});\n"
        for place, (_, dtype, _) in enumerate(outputs)
    )
    return (
        "#include <onnxruntime_cxx_api.h>\n\n"
        "#include <algorithm>\n#include <iostream>\n#include <type_traits>\n#include <vector>\n\n"
        "int main() {\n"
        "  Ort::Env env;\n"
        "  Ort::AllocatorWithDefaultOptions memory;\n"
        f"  Ort::Session model(env, ORT_TSTR({text(model)}), Ort::SessionOptions());\n"
        f"  std::vector<const char*> names, outputs{{{_listed([text(name) for name, _, _ in outputs])}}};\n"
        "  std::vector<Ort::Value> row;\n"
        "  auto put = [&](const char* name, auto values, std::vector<int64_t> shape) {\n"
        "    using T = typename decltype(values)::value_type;\n"
        "    names.push_back(name);\n"
        "    if constexpr (std::is_same_v<T, const char*>) {\n"
        "      auto type = ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING;\n"
        "      row.push_back(Ort::Value::CreateTensor(memory, shape.data(), shape.size(), type));\n"
        "      row.back().FillStringTensor(values.data(), values.size());\n"
        "    } else {\n"
        "      row.push_back(Ort::Value::CreateTensor<T>(memory, shape.data(), shape.size()));\n"
        "      std::copy(values.begin(), values.end(), row.back().template GetTensorMutableData<T>());\n"
        "    }\n"
        "  };\n"
        f"{row}"
        "  auto answer = model.Run(Ort::RunOptions(), names.data(), row.data(), row.size(), outputs.data(), "
        "outputs.size());\n"
        "  auto show = [&](size_t k, auto value) {\n"
        "    std::cout << outputs[k];\n"
        "    size_t count = answer[k].GetTensorTypeAndShapeInfo().GetElementCount();\n"
        "    for (size_t i = 0; i < count; i++) std::cout << ' ' << value(i);\n"
        "    std::cout << '\\n';\n"
        "  };\n"
        f"{shown}"
        "}\n"
    )


def _kotlin(inputs: Sequence[Port]) -> str:
    def tensor(dtype: str, shape: Sequence[int]) -> str:
        count = math.prod(shape)
        values = f'Array({count}) {{ "" }}' if dtype == TEXT else TYPES[dtype].kotlin.format(count)
        kind = f", OnnxJavaType.{dtype.upper()}" if dtype in ("uint8", "bool") else ""
        return f"OnnxTensor.createTensor(env, {values}, longArrayOf({_listed(shape)}){kind})"

    def text(value: str) -> str:
        return _quoted(value, "\\u{:04x}", "$")

    lines = ",\n".join(f"        {text(name)} to {tensor(dtype, shape)}" for name, dtype, shape in inputs)
    return (
        "import ai.onnxruntime.*\nimport java.nio.*\n\n"
        'fun answer(file: ByteArray) { // in an activity: answer(assets.open("model.onnx").readBytes())\n'
        "    val env = OrtEnvironment.getEnvironment()\n"
        "    val model = env.createSession(file)\n"
        f"    val row = mapOf(\n{lines}\n    )\n"
        "    for ((name, value) in model.run(row)) {\n"
        '        println(name + " " + java.util.Arrays.deepToString(arrayOf(value.value)))\n'
        "    }\n"
        "}\n"
    )


def _swift(inputs: Sequence[Port], outputs: Sequence[Port]) -> Recipe:
    def text(value: str) -> str:
        return _quoted(value, "\\u{{{:x}}}")

    lacks = sorted({dtype for _, dtype, _ in (*inputs, *outputs) if dtype != TEXT and TYPES[dtype].swift is None})
    if lacks:
        return Recipe(
            platform="iOS", tried="not run", code="",
            about=f"The Swift binding of ONNX Runtime has no tensors of {' and '.join(lacks)}, which the file takes or "
            "gives: call the lines of C++ from Objective-C++, with the package onnxruntime-c.",
        )  # fmt: skip

    def tensor(dtype: str, shape: Sequence[int]) -> str:
        count, kind = math.prod(shape), None if dtype == TEXT else TYPES[dtype].swift
        if kind is None:
            return f'try ORTValue(tensorStringData: Array(repeating: "", count: {count}), shape: [{_listed(shape)}])'
        values = f"NSMutableData(length: {count * kind[2]})!"
        return f"try ORTValue(tensorData: {values}, elementType: .{kind[0]}, shape: [{_listed(shape)}])"

    def shown(name: str, dtype: str) -> str:
        value, kind = f"answer[{text(name)}]!", None if dtype == TEXT else TYPES[dtype].swift
        if kind is None:
            return f"print(try {value}.tensorStringData())\n"
        read = f"Array($0.bindMemory(to: {kind[1]}.self))"
        return f"print(try ({value}.tensorData() as Data).withUnsafeBytes {{ {read} }})\n"

    row = "".join(f"  {text(name)}: {tensor(dtype, shape)},\n" for name, dtype, shape in inputs)
    return Recipe(
        platform="iOS", tried="not run", about="The file lies in the bundle of the app.",
        code="import Foundation\nimport OnnxRuntimeBindings\n\n"
        'let path = Bundle.main.path(forResource: "model", ofType: "onnx")!\n'
        "let env = try ORTEnv(loggingLevel: .warning)\n"
        "let model = try ORTSession(env: env, modelPath: path, sessionOptions: nil)\n"
        f"let row: [String: ORTValue] = [\n{row}]\n"
        f"let names: Set<String> = [{_listed([text(name) for name, _, _ in outputs])}]\n"
        "let answer = try model.run(withInputs: row, outputNames: names, runOptions: nil)\n"
        + "".join(shown(name, dtype) for name, dtype, _ in outputs),
    )  # fmt: skip
