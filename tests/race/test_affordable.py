"""Who has the seconds that it needs, and what one that claims them takes from others."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from leadline.contenders.portfolio import PORTFOLIO
from leadline.race.affordable import FAIR, FIRST_LEAST, MARGIN, Affordable, first_share
from leadline.race.entry import ContenderRun

STORE: Any = SimpleNamespace(split=SimpleNamespace(test=np.arange(10)))


def _entries(*names: str) -> list[ContenderRun]:
    return [ContenderRun(name=name, family=PORTFOLIO[name].family, folder=Path(name)) for name in names]


def _times(monkeypatch: pytest.MonkeyPatch, needed: float, budget: float = 180.0) -> Affordable:
    monkeypatch.setattr(PORTFOLIO["pretrained"], "seconds_needed", lambda store: needed)
    monkeypatch.setattr(PORTFOLIO["pretrained"], "answer_seconds", lambda store: 0.01)
    return Affordable(store=STORE, slow=1.0, budget=budget, given=1.0)


@pytest.mark.parametrize(("needed", "has"), [(20.0, 50.0), (60.0, 60.0), (75.0, 75.0)])
def test_it_has_what_it_needs_and_others_keep_half(needed: float, has: float, monkeypatch: pytest.MonkeyPatch) -> None:
    second = _entries("cnn", "pretrained")
    times = _times(monkeypatch, needed)
    assert not list(times.too_long([], second, 100.0, 100.0))
    times.share([], second, 100.0)
    assert [entry.weight for entry in second] == pytest.approx([100.0 - has, has])


def test_the_budget_that_would_do_does(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, left = _entries("linear"), _entries("cnn", "pretrained"), 60.0
    times = _times(monkeypatch, 76.0)
    ((entry, why),) = times.too_long(first, second, 20.0, left)
    assert entry.name == "pretrained" and "it needs about 76 s here, where" in why
    budget = int(re.findall(r"--budget (\d+)s would do", why)[0])
    assert 180 < budget < 600
    after = left * budget / 180
    claimed = times.claimed(first, second)
    assert claimed <= after and not list(times.too_long(first, second, claimed + 0.01, after))
    assert list(times.too_long(first, second, 0.8 * claimed, after))


def test_it_names_the_budget_that_the_user_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which another part may go to --edge."""
    second, times = _entries("cnn", "pretrained"), _times(monkeypatch, 76.0)
    said = [
        next(iter(dataclasses.replace(times, given=given).too_long([], second, 30.0, 60.0)))[1] for given in (1.0, 1.25)
    ]
    alone, beside = (int(re.findall(r"--budget (\d+)s would do", why)[0]) for why in said)
    assert beside == pytest.approx(1.25 * alone, abs=10) and beside > alone


@pytest.mark.parametrize("needed", [3.0, 14.0, 30.0, 90.0])
def test_a_race_as_long_as_is_claimed_is_long_enough(needed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _entries("linear"), _entries("cnn", "crnn", "pretrained")
    left = _times(monkeypatch, needed).claimed(first, second)
    share = 1.0 - FAIR * (1.0 - 1 / 3)
    assert (left - first_share(left)) * share == pytest.approx(MARGIN * needed)
    assert _times(monkeypatch, needed).claimed([], second) == pytest.approx(MARGIN * needed / share)
    assert _times(monkeypatch, 0.0).claimed(first, second) == 0.0 and FIRST_LEAST > 0


def test_what_an_earlier_go_kept_is_not_needed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that had begun stays where there is time for the rest of it, and is left out where there is not."""
    second = _entries("cnn", "pretrained")
    times = dataclasses.replace(_times(monkeypatch, 76.0), resumed=True)
    ((entry, why),) = times.too_long([], second, 40.0, 40.0)
    assert entry.name == "pretrained" and why.endswith("are left for it after the run was killed")
    assert not list(dataclasses.replace(times, spared={"pretrained": 60.0}).too_long([], second, 40.0, 40.0))
    assert list(dataclasses.replace(times, spared={"pretrained": 20.0}).too_long([], second, 40.0, 40.0))
