"""One spelling of a word: texts are lowered before they are looked up, so that a table needs no capitals.

A vocabulary lists each word as it is, capitalised and in capitals, which is two thirds of its bytes. ONNX lowers
strings by a locale, and "C" is the one that exists everywhere: it lowers A to Z and leaves all other letters alone. So
words are folded by that rule, and what has other capitals keeps its spellings. Enters: a graph whose tokens are looked
up. Leaves: the same answers to every spelling that it knew; an odd one, such as gReat, is known from now on.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

__all__ = ["lowered"]

LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
WORTHWHILE = 0.8  # share of the spellings that are left, above which all stay


def lowered(model: onnx.ModelProto) -> None:
    """Lower the texts of tables of words, and leave out spellings with capitals; the graph is changed in place."""
    from onnx import helper

    graph = model.graph
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        table = _table(graph, node)
        found = {} if table is None else _folded(table)
        if table is not None and found:
            out = f"{node.output[0]}.lower"
            nodes.append(helper.make_node("StringNormalizer", [node.input[0]], [out], name=out,
                                          case_change_action="LOWER", is_case_sensitive=1, locale="C"))  # fmt: skip
            node.input[0] = out
            for each in table.attribute:
                if each.name == "keys_strings":
                    each.strings[:] = [word.encode() for word in found]
                elif each.name == "values_int64s":
                    each.ints[:] = list(found.values())
        nodes.append(node)
    copies = [node.__class__.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _table(graph: onnx.GraphProto, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """The node that looks up the tokens which a node makes; None where it makes none, or something else reads them."""
    if node.op_type != "Tokenizer":
        return None
    readers = [each for each in graph.node if node.output[0] in each.input]
    kept = any(value.name == node.output[0] for value in graph.output)
    return readers[0] if len(readers) == 1 and readers[0].op_type == "LabelEncoder" and not kept else None


def _folded(table: onnx.NodeProto) -> dict[str, int]:
    """{word: number} with one spelling a word; {} where two spellings differ in number, or few are left out."""
    from onnx import helper

    settings = {each.name: helper.get_attribute_value(each) for each in table.attribute}
    if not {"keys_strings", "values_int64s"} <= set(settings):
        return {}
    words = [word.decode() for word in settings["keys_strings"]]
    found: dict[str, int] = {}
    for word, number in zip(words, settings["values_int64s"], strict=True):
        if found.setdefault(word.translate(LOWER), number) != number:
            return {}
    return found if len(found) < WORTHWHILE * len(words) else {}
