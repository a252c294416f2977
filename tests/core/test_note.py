"""A note is a sentence to people, and a code to logic."""

from __future__ import annotations

import copy
import json
import pickle

from leadline.core.note import CUT, Note, code_of, noted


def test_a_note_is_a_string_to_all_who_show_it_and_keeps_its_code() -> None:
    note = Note(CUT, "stopped at the time limit")
    assert f"{note}." == "stopped at the time limit." and json.dumps([note]) == '["stopped at the time limit"]'
    for same in (copy.deepcopy(note), pickle.loads(pickle.dumps(note)), noted(code_of(note), f"{note}")):
        assert same == note and code_of(same) == CUT
    assert code_of("stopped at the time limit") is None and code_of(None) is None and code_of(noted(None, "x")) is None
