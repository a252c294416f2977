"""The lines that run a file, in Python and in Node; the tests run the first, `benchmarks/shrink.py node` the second."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

__all__ = ["node_recipe", "python_recipe"]

ARRAYS = {  # NumPy's name of a type: JavaScript's array; 'object' is strings
    "float64": "Float64Array", "float32": "Float32Array", "uint8": "Uint8Array", "int16": "Int16Array",
    "int64": "BigInt64Array", "int32": "Int32Array",
}  # fmt: skip


def python_recipe(model: str) -> str:
    """Five lines of Python that answer rows with a file."""
    return (
        "import leadline as ll\n\n"
        f"model = ll.Model({model!r})\n"
        "print(model.verify())\n"
        'print(model.predict("rows.csv"))\n'
    )


def node_recipe(model: str, inputs: Sequence[Any], package: str = "onnxruntime-node") -> str:
    """JavaScript that answers one row of zeros with a file.

    Args:
        inputs: (name, type, shape) of each input of the file.
        package: onnxruntime-node, or onnxruntime-web.
    """
    lines = []
    for name, dtype, shape in inputs:
        count = 1
        for length in shape:
            count *= length
        values = f"new {ARRAYS[dtype]}({count})" if dtype in ARRAYS else json.dumps([""] * count)
        kind = dtype if dtype in ARRAYS else "string"
        lines.append(f"  {json.dumps(name)}: new ort.Tensor({json.dumps(kind)}, {values}, {json.dumps(shape)}),\n")
    return (
        f'import * as ort from "{package}";\n\n'
        f"const model = await ort.InferenceSession.create({json.dumps(model)});\n"
        f"const row = {{\n{''.join(lines)}}};\n"
        "const answer = await model.run(row);\n"
        "for (const name in answer) console.log(name, answer[name].data);\n"
    )
