"""The difference of two methods from a few folds, by their rows and by what real races say of training noise.

Enters: of each fold the difference, and how much its test rows alone would spread it. Leaves: a `Gap`.

Three folds tell next to nothing of how folds differ (Student's t with two degrees), but each has dozens of rows that
both contenders answered. What the rows leave open is the noise of training: let it be k times the variance W that the
test rows of one fold give to its difference. Then differences of J folds scatter with variance W (1 + k), and their
mean is off by

    W (max(1 / J, share) + k / J + SHARED k), and by no more than W (1 + k) (1 / J + share / (1 - share))

where `share` of the rows is tested on, so that after 1 / share folds the same rows come again, and SHARED k is the part
that folds have in common, whose train rows overlap; the bound is Nadeau and Bengio's (2003). Of k real races know much
before the first fold is seen: a prior on its root (a half-Cauchy, Gelman 2006) is learned from them by
benchmarks/evidence_prior.py, and the scatter of the folds at hand corrects it. The interval is that of the mixture over
k, each a Student's t with as many degrees as rows bear W.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from leadline.metrics.metrics import Metric
from leadline.stats.intervals import RESAMPLES, Gap, Outlook, possible, slope, units

# Learned by benchmarks/evidence_prior.py from races of 25 pairs of learners on six data sets at 60 to 3,000 rows, set
# on the safe side of what they show; the sets that docs/evidence.md reports on are others.
SCALE = 0.3  # of the half-Cauchy prior on the root of k: every second pair is under 0.09, every tenth over 3.6
SHARED = 1.0  # of k: the part of training noise that folds of the same rows have in common

FEWEST_FOLDS = 2
FEWEST_UNITS = 10  # rows, or groups, of all folds; fewer tell nothing of how they scatter
NOISE = np.concatenate([[0.0], np.geomspace(3e-3, 3e3, 20)])  # values of k
STEPS = 100  # at which the distribution is worked out


@dataclass(frozen=True, kw_only=True)
class Fold:
    """What one fold says: first minus second, above zero is better for the first."""

    gap: float
    rows: int  # tested on
    units: int  # rows, or groups of rows, that are independent
    variance: float  # of the gap, by the test rows alone
    fourth: float  # sum of the fourth powers of what each unit adds to the gap


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How far the mean of some folds may be from the truth; says it also of more rows, and of more folds."""

    rows: float  # W: variance of one fold's gap by its test rows
    unseen: float  # the part of W that stands for rows that were not seen (Bonett and Price 2012)
    scatter: float | None  # variance of the gaps over W; None: of one fold, which has none
    degrees: float  # of W
    share: float  # of the rows that a fold is tested on
    folds: int

    def more(self, times: float = 1.0, folds: int | None = None) -> Spread:
        """With so many times the rows in all, or over so many folds."""
        seen = (self.rows - self.unseen) / times + self.unseen / times**2
        folds = folds or self.folds
        distinct = min(folds, 1 / self.share) / min(self.folds, 1 / self.share)
        return replace(
            self, rows=seen, unseen=self.unseen / times**2, degrees=self.degrees * times * distinct, folds=folds
        )

    def weights(self) -> np.ndarray:
        """How likely each `NOISE` is, after the scatter of these folds."""
        edges = np.sqrt(np.concatenate([[0.0, NOISE[1] / 10], np.sqrt(NOISE[1:-1] * NOISE[2:]), [np.inf]]))
        prior = np.diff(2 / np.pi * np.arctan(edges / SCALE))
        if self.scatter is None:
            return np.asarray(prior)
        seen = -(self.folds - 1) / 2 * (np.log1p(NOISE) + self.scatter / (1 + NOISE))
        after = prior * np.exp(seen - seen.max())
        return np.asarray(after / after.sum())

    def variances(self) -> np.ndarray:
        """Of the mean of the folds, for each `NOISE`."""
        once, common = 1 / self.folds, self.share / (1 - self.share)
        ours = max(once, self.share) + NOISE * (once + SHARED)
        return np.asarray(self.rows * np.minimum(ours, (once + common) * (1 + NOISE)))

    def outlook(self, size: float) -> Outlook:
        """What other such folds would state: they scatter with the noise of training that is likeliest."""
        noise = float(NOISE[np.searchsorted(np.cumsum(self.weights()), 0.5)])
        error = math.sqrt(float(np.interp(noise, NOISE, self.variances())))
        return Outlook(size + replace(self, scatter=1 + noise).draws(), error)

    def draws(self) -> np.ndarray:
        """Equally likely distances of the truth from the mean, rising [RESAMPLES]."""
        from scipy.special import stdtr

        sizes, weights = np.sqrt(self.variances()), self.weights()
        far = np.concatenate([[0.0], np.geomspace(1e-3 * sizes[0], 1e3 * sizes[-1], STEPS)])
        below = stdtr(self.degrees, far[:, None] / sizes) @ weights
        upper = np.interp((np.arange(RESAMPLES // 2) + 0.5) / RESAMPLES + 0.5, below, far)
        return np.concatenate([-upper[::-1], upper])


def fold_of(
    truth: np.ndarray, first: np.ndarray, second: np.ndarray, metric: Metric, group: np.ndarray | None = None
) -> Fold:
    """The difference between two answers to the test rows of a fold; `group` [n]: what each row belongs to."""
    (a, of_a), (b, of_b) = (metric.influence(truth, answers) for answers in (first, second))
    moves = slope(metric, a) * of_a - slope(metric, b) * of_b
    parts = units(moves[:, None], group, None)[:, 0]
    many = len(parts)
    ends = metric.finish(np.array([a, b]))
    return Fold(
        gap=metric.sign * float(ends[0] - ends[1]), rows=len(truth), units=many,
        variance=float((parts**2).sum()) * many / max(1, many - 1), fourth=float((parts**4).sum()),
    )  # fmt: skip


def spread(folds: Sequence[Fold], share: float, shares: bool) -> Spread | None:
    """How the mean of these folds is spread; None where their rows are too few to tell.

    Args:
        share: of the rows that a fold is tested on.
        shares: the metric lies in [0, 1]. Then two rows more are counted, one that each contender alone has right
            (Bonett and Price 2012): that no row of fifty parted them does not say that none will.
    """
    if sum(fold.units for fold in folds) < FEWEST_UNITS or any(fold.units < 2 for fold in folds):
        return None
    count, each = len(folds), float(np.mean([fold.rows for fold in folds]))
    square, fourth = sum(fold.variance for fold in folds), sum(fold.fourth for fold in folds)
    within, unseen = square / count, 0.0
    if shares:
        seen = each * min(count, 1 / share)
        within, unseen = within * seen / (seen + 2), 2 / ((seen + 2) * each)
        square, fourth = square + 2 / each**2, fourth + 2 / each**4
    if within + unseen <= 0:
        return None
    again = max(1.0, count * share)  # how often a row was tested on
    # As many degrees as units bear the variance; of a share none outweighs others, and the two not seen count too.
    degrees = square**2 / fourth / again + (2 if shares else -1)
    return Spread(
        rows=within + unseen, unseen=unseen, degrees=max(1.0, degrees), share=share, folds=count,
        scatter=float(np.var([fold.gap for fold in folds], ddof=1)) / (within + unseen) if count > 1 else None,
    )  # fmt: skip


def folds_gap(folds: Sequence[Fold], share: float, *, shares: bool) -> Gap:
    """The difference between two methods from at least two folds, of which each is tested on this share of the rows."""
    made, mean = spread(folds, share, shares), float(np.mean([fold.gap for fold in folds]))
    if made is None:
        each = float(np.mean([fold.rows for fold in folds]))
        least = 2 / (each * (each * min(len(folds), 1 / share) + 2)) if shares else 0.0
        return correlated_t([fold.gap for fold in folds], share, shares=shares, least=least)

    def more(times: float, count: int | None) -> Outlook:
        return made.more(times, count).outlook(mean)

    return Gap(size=mean, draws=possible(mean + made.draws(), shares), of="method", more=more)


def correlated_t(gaps: Sequence[float], share: float, *, shares: bool = False, least: float = 0.0) -> Gap:
    """The same from the differences alone, where nothing is known of rows (Nadeau and Bengio 2003).

    Args:
        gaps: one a fold, at least two; above zero is better for the first.
        share: of the rows that a fold is tested on; the correlation between folds.
        shares: the difference is one of shares, which is 1 at most.
        least: variance of one fold's difference at the least: few folds may agree by chance.
    """
    from scipy.special import stdtrit

    values = np.asarray(gaps, np.float64)
    count, mean = len(values), float(values.mean())
    error = math.sqrt((1 / count + share / (1 - share)) * max(least, float(values.var(ddof=1))))
    draws = mean + error * stdtrit(count - 1, (np.arange(RESAMPLES) + 0.5) / RESAMPLES)
    return Gap(size=mean, draws=possible(draws, shares), of="method")
