"""Byte pairs of a published tokenizer from the raw spelling, by the operator of onnxruntime-extensions.

Enters: strings. Leaves: numbers of pieces (Sennrich et al. 2016, on bytes as in Radford et al. 2019). Whoever runs the
file needs the extensions' library, as for a language model of byte pairs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from leadline.kinds.text.piece_rows import Marks, piece_rows

SETTINGS = {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 10**9, "clean_up_tokenization_spaces": False}


@dataclass(frozen=True, kw_only=True, eq=False)
class BytePairs:
    """A tokenizer of byte pairs, as the `tokenizers` library writes it, without marks."""

    facts: str  # JSON
    count: int
    first: int  # what is added to the numbers of the model, so that no piece of a text is 0
    marks: Marks
    space: bool  # one is put before a text that begins with none

    def graph(self, column: str, length: int, dtype: Any, name: str) -> Any:
        """The graph: string [N] -> numbers of pieces [N, length]."""
        from leadline.graph.builder import Graph, onnx_type

        g = Graph(name)
        text = g.input(column, np.str_, ["N"])
        if self.space:
            has = g.op("RegexFullMatch", text, pattern="(?s: .*)")
            text = g.op("Where", has, text, g.op("StringConcat", g.const(np.array([" "], object)), text))
        ids, there = g.op(
            "HfJsonTokenizer", text, domain="ai.onnx.contrib", outputs=2, tokenizer_vocab=self.facts,
            tokenizer_config=json.dumps(SETTINGS),
        )  # fmt: skip
        ids = g.op("Add", ids, g.const(np.int64(self.first)))
        emitted = g.op("Greater", there, g.const(np.int64(0)))
        # A column of nothing: of empty texts there is none.
        ids, emitted = (
            g.op("Pad", each, g.const(np.array([0, 0, 0, 1], np.int64)), g.const(fill))
            for each, fill in ((ids, np.int64(0)), (emitted, np.bool_(False)))
        )
        made = piece_rows(g, emitted, ids, length, self.marks)
        g.output(name, g.op("Cast", made, to=onnx_type(dtype)), dtype, ["N", length])
        return g.model()
