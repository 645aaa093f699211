"""Tests of the hypothesis that models forecast equally well.

Diebold-Mariano: the mean loss difference over cutoffs by its long-run standard error, with the small-sample
correction of Harvey, Leybourne & Newbold (1997), against Student's t; over many series the false discovery rate is
held by Benjamini & Hochberg (1995). Friedman: ranks of M models in N independent units, and Nemenyi's critical
difference of their means, q_{0.05, M} √(M(M+1)/(6N)) (Demšar 2006, J. Mach. Learn. Res. 7).
Shapes: losses (S K) of one model: series, cutoffs in their order; (M N) of models in units of `independence.per_unit`.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from forecast.metrics.independence import BLOCKS
from forecast.metrics.relative import ranks

SAME = 1e-9  # differences that vary less than this part of the losses do not vary


class DieboldMariano(NamedTuple):
    """Per series: negative statistics where the first model has the smaller loss; NaN where nothing can be told."""

    statistic: NDArray[np.float64]  # (S)
    p: NDArray[np.float64]  # (S), two-sided
    adjusted: NDArray[np.float64]  # (S), for all series together


class CriticalDifference(NamedTuple):
    """Mean ranks of M models, and how far apart two of them must be."""

    ranks: Tensor  # (M)
    p: float  # Friedman's test that all models are equal
    distance: float  # at the level asked for
    groups: tuple[tuple[int, ...], ...]  # largest sets of models (best first) that cannot be told apart


def diebold_mariano(mine: Tensor, theirs: Tensor, overlap: int = 1) -> DieboldMariano:
    """Test every series of losses (S K); `overlap`: cutoffs whose outcomes share rows, ⌈horizon / step⌉.

    NaN where fewer than 8 cutoffs without overlap are left, or where the difference never changes.
    """
    pairs = zip(mine.numpy(), theirs.numpy(), strict=True)
    tests = np.array([_one_series(a, b, overlap) for a, b in pairs]).reshape(-1, 2)
    return DieboldMariano(tests[:, 0], tests[:, 1], benjamini_hochberg(tests[:, 1]))


def _one_series(mine: NDArray[np.float64], theirs: NDArray[np.float64], overlap: int) -> tuple[float, float]:
    seen = np.isfinite(mine) & np.isfinite(theirs)
    gap = (mine - theirs)[seen]
    if len(gap) < BLOCKS * overlap or np.ptp(gap) <= SAME * np.abs(mine[seen]).max():
        return math.nan, math.nan
    from statsmodels.tsa.stattools import diebold_mariano_test

    result = diebold_mariano_test(
        np.zeros_like(gap), mine[seen], theirs[seen], criterion=lambda _, loss: loss, harvey_adj=True, horizon=overlap
    )
    return float(result.statistic), float(result.pvalue)


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """P values adjusted for the false discovery rate; missing ones stay so and do not count."""
    adjusted, seen = np.full_like(p, np.nan), np.isfinite(p)
    if seen.any():
        from scipy import stats

        adjusted[seen] = stats.false_discovery_control(p[seen])
    return adjusted


def critical_difference(losses: Tensor, level: float = 0.05) -> CriticalDifference:
    """Friedman's test and Nemenyi's distance from losses (M N) in N independent units."""
    ranked = ranks(losses)
    ranked = ranked[:, ranked.isfinite().all(0)]
    models, count = ranked.shape
    mean = ranked.mean(1)
    if count < BLOCKS or models < 2:
        return CriticalDifference(mean, math.nan, math.nan, (tuple(mean.argsort().tolist()),))
    from scipy import stats

    spread = ranked.var(0, correction=1).sum()  # Σ of the variance of each unit's ranks: less where there are ties
    statistic = float(count * count * (mean - (models + 1) / 2).square().sum() / spread) if spread > 0 else 0.0
    q = float(stats.studentized_range.ppf(1 - level, models, np.inf)) / math.sqrt(2)
    distance = q * math.sqrt(models * (models + 1) / (6 * count))
    return CriticalDifference(mean, float(stats.chi2.sf(statistic, models - 1)), distance, _groups(mean, distance))


def _groups(mean: Tensor, distance: float) -> tuple[tuple[int, ...], ...]:
    """Largest runs of models in order of rank whose ends are no further apart than `distance`."""
    order = mean.argsort().tolist()
    found: list[tuple[int, ...]] = []
    reach = 0
    for start, best in enumerate(order):
        end = max(i for i, model in enumerate(order) if float(mean[model] - mean[best]) <= distance) + 1
        if end > reach:
            found.append(tuple(order[start:end]))
            reach = end
    return tuple(found)
