"""With little time fewer students are trained, each long enough, and a sentence says how much would be enough."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from leadline.shrink.distill import students

NAMES = ("pruned/2", "lean/2", "student/2", "student/4", "student/8")


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> Any:
    """taught(seconds, needed, names): the students that were trained, with the seconds of each, and the notes."""

    def made(seconds: float, needed: float, names: tuple[str, ...] = NAMES[1:]) -> tuple[dict[str, float], list[str]]:
        now, trained, notes = [0.0], dict[str, float](), list[str]()

        class Clock:
            def __init__(self, given: float) -> None:
                self.end = now[0] + given

            def left(self) -> float:
                return self.end - now[0]

        class Run:
            smaller = True

            def __init__(self, design: Any, lesson: Any, clock: Clock, seed: int) -> None:
                self.design, self.share, self.end = design, clock.left(), clock.end

            def fit(self, state: None) -> Iterator[Any]:
                now[0] += 0.05 * self.share
                yield "prepared"
                now[0] = self.end
                trained[self.design.name] = self.share
                yield SimpleNamespace(undertrained=False, graph=lambda: None, params=1)

            @property
            def hurried(self) -> bool:
                return self.share < needed

            def enough_s(self) -> float:
                return needed

        plan = {name: SimpleNamespace(name=name, cut=name.startswith("pruned"), describe="") for name in names}
        monkeypatch.setattr("leadline.shrink.distill.Clock", Clock)
        monkeypatch.setattr("leadline.shrink.distill.StudentRun", Run)
        monkeypatch.setattr("leadline.shrink.distill.designs", lambda *_: plan)
        nothing: Any = None
        assert [each.name for each in students(nothing, "cnn", nothing, seconds, 0, notes)] == list(trained)
        return trained, notes

    return made


def test_all_are_trained_where_there_is_time(taught: Any) -> None:
    trained, notes = taught(40.0, 5.0)
    assert list(trained) == list(NAMES[1:]) and not notes


@pytest.mark.parametrize(("seconds", "count"), [(30.0, 3), (20.0, 2), (11.0, 1)])
def test_with_less_time_fewer_are_trained_long_enough(taught: Any, seconds: float, count: int) -> None:
    trained, notes = taught(seconds, 9.0)
    assert list(trained) == list(NAMES[1 : 1 + count]) and min(trained.values()) >= 9.0
    (note,) = notes
    assert all((name in note) == (name not in trained) for name in NAMES[1:])
    again, more = taught(float(re.findall(r"--distill (\d+)s", note)[0]), 9.0)
    assert len(again) == 4 and not more


def test_with_time_for_none_the_note_says_how_much_is_enough(taught: Any) -> None:
    trained, notes = taught(4.0, 9.0)
    assert not trained and "4 s for all students are too little time" in notes[0] and "--distill 40s" in notes[0]


def test_what_is_cut_out_of_the_model_is_trained_however_short_the_time(taught: Any) -> None:
    trained, notes = taught(4.0, 9.0, NAMES)
    assert list(trained) == ["pruned/2"] and trained["pruned/2"] > 3 and "lean/2" in notes[0]
