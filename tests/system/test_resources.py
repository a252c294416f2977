"""What the machine says of itself."""

import os

import pytest

from leadline.system import resources


@pytest.mark.parametrize(("load", "expected"), [(0.1, 1.0), (4.0, 2.0), (90.0, 4.0)])
def test_a_busy_machine_is_told_by_its_load(load: float, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "cores", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    assert resources.busy() == expected


def test_where_the_system_does_not_say_the_machine_is_taken_for_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "getloadavg")
    assert resources.busy() == 1.0
