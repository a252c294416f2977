"""From repeats to a verdict: which difference is taken, and by which method its size is known.

Enters: repeats (`race/resample.py`), and what is known of the first one's contenders. Leaves: a `Verdict`, and how
contenders of one family stand to each other. Two repeats on folds or more are weighed by folds (`few_folds.py`), three
seeds or more by the bootstrap with the noise between them, and less than that by the bootstrap of the first repeat.

Two choices are made by valid, and they are not the same. In each repeat its own valid rows choose who answers its test
rows: nothing has seen them, so that difference is a fair one. What is shipped, of each family and of both, is chosen by
the valid rows of all repeats, since those of one are few: the cheapest that lies within one standard error of the best.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from leadline.contenders.families import CLASSICAL, DEEP
from leadline.core.records import ChosenContender, Measure, Side, SidePair, ThreeSides, Unit, Verdict, Within
from leadline.metrics.metrics import Metric
from leadline.stats.advice import PLAIN, Advice
from leadline.stats.choice import Choice
from leadline.stats.few_folds import FEWEST_FOLDS, Fold, fold_of, folds_gap, spread
from leadline.stats.intervals import FEWEST_SEEDS, LEVEL, Gap, Outlook, rows_gap
from leadline.stats.repeat import Repeat
from leadline.stats.sequential import level, looks
from leadline.stats.sides import SIDES, pair_answer, three_sides
from leadline.stats.verdict import FamilyBest, Trial, cheaper, judge, region_of, within

FEWEST_GROUPS = 2  # in the test, to be resampled: one says nothing about how groups differ

Pick = Callable[[Repeat], str | None]  # the contender of a repeat that stands for something


@dataclass(frozen=True, kw_only=True)
class Known:
    """Facts of a contender from the first repeat, besides its answers."""

    family: str
    cost: float  # microseconds a row
    undertrained: bool
    size: float = 0.0  # bytes of what it learned
    pretrained: bool = False

    @property
    def side(self) -> Side:
        """Which of the three sides of a run it is on."""
        if self.family == CLASSICAL:
            return Side.CLASSICAL
        return Side.PRETRAINED if self.pretrained else Side.SCRATCH


@dataclass(frozen=True, kw_only=True)
class Scales:
    """Weighs repeats."""

    known: Mapping[str, Known]
    metric: Metric
    seed: int
    folds: int  # 1: the repeats share their test rows
    rows: int  # of all parts together
    group: np.ndarray | None = None  # what each row of the table belongs to, where rows of one group go together
    advice: Advice = PLAIN

    def verdict(self, repeats: Sequence[Repeat], at: float = LEVEL) -> Verdict:
        """The verdict on the best of each family, of each repeat by its own valid rows; and what is shipped."""
        deep, classical = self._best(repeats, DEEP), self._best(repeats, CLASSICAL)
        weighed = self._weigh(repeats, self._pick(self._of(DEEP)), self._pick(self._of(CLASSICAL)))
        if weighed is None:
            return judge(deep, classical, None, self.metric, Trial(rows=len(repeats[0].truth)), self.advice)
        gap, by, count = weighed
        tested = self.rows if by == "folds" else len(repeats[0].truth)
        over = self._over_folds(repeats[0], gap) if by == "rows" else partial(gap.after, 1.0)
        pair = [rival.name for rival in (deep, classical) if rival is not None]
        trial = Trial(
            rows=tested, by=by, repeats=count, level=at, repeat_s=float(np.mean([r.seconds for r in repeats])),
            over=over, chosen=self.chosen(repeats, pair),
        )  # fmt: skip
        return judge(deep, classical, gap, self.metric, trial, self.advice)

    def within(self, repeats: Sequence[Repeat]) -> list[Within]:
        """The chosen one of each family against each other one of it."""
        found = []
        for family in (DEEP, CLASSICAL):
            best = self.chosen(repeats, self._of(family))
            for other, known in self.known.items():
                if best is None or known.family != family or other == best.name:
                    continue
                weighed = self._weigh(repeats, _named(best.name), _named(other))
                if weighed is not None:
                    found.append(within(family, best.name, other, repeats[0].scores[other], weighed[0], self.metric))
        return found

    def three_sides(self, repeats: Sequence[Repeat]) -> ThreeSides | None:
        """How classical, deep from scratch and pretrained stand to each other; None where a side is missing."""
        pairs = []
        for first, second in SIDES:
            names = [self._on(side) for side in (first, second)]
            weighed = self._weigh(repeats, self._pick(names[0]), self._pick(names[1]))
            chosen = [self.chosen(repeats, each) for each in names]
            if weighed is None or chosen[0] is None or chosen[1] is None:
                return None
            pair = (chosen[0].name, chosen[1].name)
            short = [self.known[name].undertrained for name in pair]
            low, high = weighed[0].interval()
            answer = pair_answer(low, high, region_of(self.metric, repeats[0].scores[pair[1]]), (short[0], short[1]))
            pairs.append(
                SidePair(
                    first=first, second=second, contenders=pair, gap=weighed[0].size, low=low,
                    high=high, answer=answer,
                )
            )  # fmt: skip
        return three_sides(pairs, self.metric)

    def until_sure(self, repeats: Sequence[Repeat], ended: bool) -> Verdict | None:
        """The verdict of a look, where it is time for one; None else, or where it would leave the question open.

        `ended`: there will be no further repeat, so this look is the last.
        """
        at = looks(len(repeats)) if len(repeats) >= FEWEST_SEEDS else []
        if ended:
            taken = len([after for after in at if after < len(repeats)])
            return self.verdict(repeats, level(taken + 1, last=True))
        if len(repeats) not in at:
            return None
        made = self.verdict(repeats, level(at.index(len(repeats)) + 1))
        return made if made.answer != "unsure" else None

    def choices(self, repeats: Sequence[Repeat]) -> list[ChosenContender]:
        """Who stands for each family, and for each side of the deep one."""
        names = {CLASSICAL: self._of(CLASSICAL), DEEP: self._of(DEEP)}
        names |= {side: self._on(side) for side in (Side.SCRATCH, Side.PRETRAINED)}
        found = {of: self.chosen(repeats, each) for of, each in names.items()}
        return [
            ChosenContender(of=of, contender=choice.name, by=choice.by)
            for of, choice in found.items()
            if choice is not None
        ]

    def _pick(self, names: Sequence[str]) -> Pick:
        """The best of these by a repeat's own valid rows."""

        def picked(one: Repeat) -> str | None:
            choice = one.best_of(names, self.metric)
            return None if choice is None else choice.name

        return picked

    def chosen(self, repeats: Sequence[Repeat], names: Sequence[str]) -> Choice | None:
        """Of these contenders the one to ship; one that finished in the first repeat alone is none.

        Of one repeat it is the best on its valid rows, and the first where there are none. Of more it is the cheapest
        whose valid score, over the repeats that all of them finished, lies within one standard error of the best: of
        the difference in the same repeats, with folds correlated as in the verdict. Near-equal contenders are many
        where rows are few.
        """
        able = [name for name in names if name in repeats[0].valid and sum(name in one.valid for one in repeats) > 1]
        shared = [one for one in repeats if all(name in one.valid for name in able)]
        if not able or len(shared) < 2 or any(math.isnan(shared[0].valid[name]) for name in able):
            return repeats[0].best_of(names, self.metric)
        valid = {name: self.metric.sign * np.array([one.valid[name] for one in shared]) for name in able}
        best = max(able, key=lambda name: float(valid[name].mean()))
        share = len(repeats[0].truth) / self.rows if self.folds > 1 else 0.0
        near = {}
        for name in able:
            behind = valid[best] - valid[name]
            error = math.sqrt((1 / len(shared) + share / (1 - share)) * behind.var(ddof=1))
            if behind.mean() <= error:
                near[name] = self.known[name]
        least = cheaper(list(near.values()))
        by = Measure.COST if len(near) > 1 else Measure.METRIC
        return Choice(name=next(name for name, known in near.items() if known is least), by=by)

    def _of(self, family: str) -> list[str]:
        return [name for name, known in self.known.items() if known.family == family]

    def _on(self, side: Side) -> list[str]:
        return [name for name, known in self.known.items() if known.side == side]

    def _best(self, repeats: Sequence[Repeat], family: str) -> FamilyBest | None:
        choice = self.chosen(repeats, self._of(family))
        if choice is None:
            return None
        known, pick = self.known[choice.name], self._pick(self._of(family))
        picked = [(one, its) for one in repeats if (its := pick(one)) is not None]
        if len(picked) < (FEWEST_FOLDS if self.folds > 1 else FEWEST_SEEDS):
            picked = picked[:1]
        return FamilyBest(
            name=choice.name, cost=known.cost, size=known.size, undertrained=known.undertrained,
            score=float(np.mean([one.scores[its] for one, its in picked])),
        )  # fmt: skip

    def _weigh(self, repeats: Sequence[Repeat], first: Pick, second: Pick) -> tuple[Gap, Unit, int] | None:
        """(difference, by what, of how many repeats); None where the first repeat lacks one of the two."""
        pairs = [(one, first(one), second(one)) for one in repeats]
        both = [(one, a, b) for one, a, b in pairs if a in one.answers and b in one.answers]
        if not both or both[0][0] is not repeats[0]:
            return None
        if self.folds > 1 and len(both) >= FEWEST_FOLDS:
            held = [self._fold(one, a, b) for one, a, b in both if a and b]
            return folds_gap(held, self._share(repeats[0]), shares=self.metric.share), "folds", len(both)
        if self.folds > 1 or len(both) < FEWEST_SEEDS:
            both = both[:1]
        sides = [[one.answers[pair[side]] for one, *pair in both if pair[side]] for side in (0, 1)]
        group = self._groups(repeats[0])
        if group is not None and len(np.unique(group)) < FEWEST_GROUPS:
            group = None
        gap = rows_gap(repeats[0].truth, sides[0], sides[1], self.metric, self.seed, group)
        return gap, "seeds" if len(both) > 1 else "rows", len(both)

    def _fold(self, one: Repeat, first: str, second: str) -> Fold:
        return fold_of(one.truth, one.answers[first], one.answers[second], self.metric, self._groups(one))

    def _groups(self, one: Repeat) -> np.ndarray | None:
        return None if self.group is None else self.group[one.rows]

    def _share(self, first: Repeat) -> float:
        return len(first.truth) / self.rows

    def _over_folds(self, first: Repeat, gap: Gap) -> Callable[[int], Outlook] | None:
        """The result of so many folds, as far as one fold can predict it; None where there are no folds."""
        pair = [self._pick(self._of(family))(first) for family in (DEEP, CLASSICAL)]
        if self.folds == 1 or pair[0] is None or pair[1] is None:
            return None
        made = spread([self._fold(first, pair[0], pair[1])], self._share(first), self.metric.share)
        return None if made is None else lambda count: made.more(folds=count).outlook(gap.size)


def _named(name: str) -> Pick:
    return lambda one: name if name in one.answers else None
