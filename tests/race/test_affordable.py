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
from leadline.race.affordable import FAIR, FIRST_LEAST, MARGIN, Affordable, first_share, least_first
from leadline.race.entry import ContenderRun

STORE: Any = SimpleNamespace(split=SimpleNamespace(test=np.arange(10)))


def _entries(*names: str) -> list[ContenderRun]:
    return [ContenderRun(name=name, family=PORTFOLIO[name].family, folder=Path(name)) for name in names]


def _times(
    monkeypatch: pytest.MonkeyPatch, needed: float, wanted: float = 0.0, usual: float = 60.0, most: float = 60.0,
    budget: float = 180.0,
) -> Affordable:  # fmt: skip
    monkeypatch.setattr(PORTFOLIO["pretrained"], "seconds_needed", lambda store: needed)
    monkeypatch.setattr(PORTFOLIO["pretrained"], "seconds_wanted", lambda store: max(needed, wanted))
    monkeypatch.setattr(PORTFOLIO["pretrained"], "answer_seconds", lambda store: 0.01)
    return Affordable(store=STORE, slow=1.0, budget=budget, given=1.0, usual=usual, most=most)


@pytest.mark.parametrize(("needed", "has"), [(20.0, 50.0), (60.0, 60.0), (75.0, 75.0)])
def test_it_has_what_it_needs_and_others_keep_half(needed: float, has: float, monkeypatch: pytest.MonkeyPatch) -> None:
    second = _entries("cnn", "pretrained")
    times = _times(monkeypatch, needed)
    assert not list(times.too_long([], second, 100.0))
    times.share([], second, 100.0)
    assert [entry.weight for entry in second] == pytest.approx([100.0 - has, has])


def test_the_budget_that_would_do_does(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, left = _entries("linear"), _entries("cnn", "pretrained"), 60.0
    times = _times(monkeypatch, 76.0)
    ((entry, why),) = times.too_long(first, second, 20.0)
    assert entry.name == "pretrained" and "it needs about 76 s here, where" in why
    budget = int(re.findall(r"--budget (\d+)s would do", why)[0])
    assert 180 < budget < 600
    after = left * budget / 180
    claimed = times.claimed(first, second)
    assert claimed <= after and not list(times.too_long(first, second, claimed + 0.01))
    assert list(times.too_long(first, second, 0.8 * claimed))


def test_it_names_the_budget_that_the_user_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which another part may go to --edge."""
    second, times = _entries("cnn", "pretrained"), _times(monkeypatch, 76.0)
    said = [next(iter(dataclasses.replace(times, given=given).too_long([], second, 30.0)))[1] for given in (1.0, 1.25)]
    alone, beside = (int(re.findall(r"--budget (\d+)s would do", why)[0]) for why in said)
    assert beside == pytest.approx(1.25 * alone, abs=10) and beside > alone


@pytest.mark.parametrize("needed", [3.0, 14.0, 30.0, 90.0])
def test_a_race_as_long_as_is_claimed_is_long_enough(needed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = _entries("linear"), _entries("cnn", "crnn", "pretrained")
    left = _times(monkeypatch, needed).claimed(first, second)
    share = 1.0 - FAIR * (1.0 - 1 / 3)
    assert (left - least_first(left)) * share == pytest.approx(MARGIN * needed)
    assert _times(monkeypatch, needed).claimed([], second) == pytest.approx(MARGIN * needed / share)
    assert _times(monkeypatch, 0.0).claimed(first, second) == 0.0 and FIRST_LEAST > 0


@pytest.mark.parametrize(("wanted", "has"), [(60.0, 60.0), (90.0, 75.0)])
def test_it_takes_what_it_wants_but_no_more_than_half_of_the_others(
    wanted: float, has: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = _entries("cnn", "pretrained")
    _times(monkeypatch, 20.0, wanted).share([], second, 100.0)
    assert [entry.weight for entry in second] == pytest.approx([100.0 - has, has])


def test_a_race_is_longer_for_what_is_wanted_up_to_half_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    second = _entries("cnn", "pretrained")
    alone, both = (_times(monkeypatch, 20.0, wanted).claimed([], second) for wanted in (0.0, 60.0))
    assert alone == both  # of races of which nothing is known
    times = _times(monkeypatch, 20.0, 60.0)
    assert alone < times.claimed([], second, 100.0) == 50.0
    assert times.claimed([], second, 10.0) == alone and times.claimed([], second, 1e3) == pytest.approx(3 * alone)


@pytest.mark.parametrize(("needed", "left", "most"), [(30.0, 60.0, 60.0), (40.0, 20.0, 70.0), (40.0, 20.0, 1e3)])
def test_one_that_measures_that_it_needs_more_has_it(
    needed: float, left: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, *queue = _entries("pretrained", "cnn")
    entry.needed_s = entry.wanted_s = needed
    race = _times(monkeypatch, 5.0).again(entry, queue, left, most)
    assert race is not None and left <= race <= most
    assert needed <= entry.weight and entry.weight + queue[0].weight == pytest.approx(race)
    assert race == left or entry.weight <= 1.2 * needed  # no more than that is taken from other races


@pytest.mark.parametrize("name", ["pretrained", "finetuned"])
def test_one_that_needs_more_than_there_is_does_not_begin_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, *queue = _entries(name, "cnn")
    entry.needed_s = entry.wanted_s = 60.0
    assert _times(monkeypatch, 5.0).again(entry, queue, 20.0, 70.0) is None


def test_one_that_no_race_has_time_for_keeps_nothing_from_one_that_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    both, alone = _entries("pretrained", "cnn", "finetuned"), _entries("pretrained", "cnn")
    monkeypatch.setattr(PORTFOLIO["finetuned"], "seconds_needed", lambda store: 200.0)
    times = _times(monkeypatch, 30.0)
    assert times.claimed([], both, 100.0) == times.claimed([], alone, 100.0) < times.claimed([], both, 300.0)


def test_the_budget_for_one_that_claims_nothing_gives_it_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is claimed beside it does not grow with the budget."""
    first, second = _entries("linear"), _entries("pretrained", "cnn", "finetuned")
    monkeypatch.setattr(PORTFOLIO["finetuned"], "seconds_needed", lambda store: 100.0)
    monkeypatch.setattr(PORTFOLIO["finetuned"], "answer_seconds", lambda store: 0.01)
    times = _times(monkeypatch, 30.0)
    ((entry, why),) = times.too_long(first, second, 60.0)
    budget = int(re.findall(r"--budget (\d+)s would do", why)[0])
    assert entry.name == "finetuned" and budget < 180 * 100 / 12
    assert not list(times.too_long(first, second, budget / 180 * 60.0))
    assert list(times.too_long(first, second, 0.85 * budget / 180 * 60.0))


@pytest.mark.parametrize(("needed", "first_s"), [(10.0, 30.0), (55.0, 100 - 1.1 * 55 / 0.75), (90.0, 16.0)])
def test_those_on_one_core_have_less_where_one_after_them_needs_it(
    needed: float, first_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _entries("linear"), _entries("pretrained", "cnn")
    times = _times(monkeypatch, needed)
    assert times.first_s(first, second, 100.0) == pytest.approx(first_s)
    assert first_share(100.0) == 30.0 and times.first_s(first, [], 100.0) == 100.0
    times.share(first, second, 100.0)
    assert sum(entry.weight for entry in second) == pytest.approx(100.0 - first_s)
    assert [entry.name for entry, _ in times.too_long(first, second, 100.0)] == (["pretrained"] if needed == 90 else [])


def test_what_an_earlier_go_kept_is_not_needed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that had begun stays where there is time for the rest of it, and is left out where there is not."""
    second = _entries("cnn", "pretrained")
    times = dataclasses.replace(_times(monkeypatch, 76.0), resumed=True)
    ((entry, why),) = times.too_long([], second, 40.0)
    assert entry.name == "pretrained" and why.endswith("are left for it after the run was killed")
    assert not list(dataclasses.replace(times, spared={"pretrained": 60.0}).too_long([], second, 40.0))
    assert list(dataclasses.replace(times, spared={"pretrained": 20.0}).too_long([], second, 40.0))
