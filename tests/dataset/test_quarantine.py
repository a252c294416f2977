"""What is said of rows and of ends of sounds that are set aside."""

from __future__ import annotations

from typing import Any

import pytest

from leadline.dataset.quarantine import notes_of
from leadline.kinds.audio import kind as audio


def test_it_is_said_where_long_sounds_are_heard_in_part(
    tones: Any, prepare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert notes_of(prepare(tones(40)).store) == []
    monkeypatch.setattr(audio, "SHORTEST", 0.4)
    monkeypatch.setattr(audio, "HEARD", 0.0)
    (said,) = notes_of(prepare(tones(40, seed=1)).store)
    assert said == "Clips in 'sound' longer than 0.4 s are cut to their loudest 0.4 s; a larger --budget keeps more."
