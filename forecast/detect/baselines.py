"""Simple scores of values to stand beside ours in every table: none of them sees more than the calm rows and the past.

    always, random      what no detector may fall below
    ewma                |y - moving mean| / moving deviation, both of the rows before, α = 0.1 and 0.01; the largest channel
    isolation_forest    fitted to calm windows of 16 rows (one channel) or to calm rows (several)
    pca                 T² of the components that hold 90 % of the calm variance, plus Q of the rest, each over its calm mean
A bare statistic (T) becomes a score by the tail of its calm rows, as ours do. Sources: Roberts (1959), Technometrics 1(3); Liu et al.
(2008), ICDM; Jackson & Mudholkar (1979), Technometrics 21(3).
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest

from forecast.detect import tail
from forecast.kernels.tails import nats_of

Array = NDArray[np.float64]
Baseline = Callable[[Array, int, int], Array]  # values (T C), calm rows, seed → statistic (T)
WINDOW = 16


def always(values: Array, calm: int, seed: int) -> Array:
    """The same for every row."""
    return np.ones(len(values))


def random(values: Array, calm: int, seed: int) -> Array:
    """Uniform noise."""
    return np.random.default_rng(seed).random(len(values))


def ewma(values: Array, calm: int, seed: int) -> Array:
    """Deviation from a moving mean."""
    mean, variance = np.nanmean(values[: max(calm // 10, 2)], 0), np.nanvar(values[:calm], 0) + 1e-12
    made = np.zeros(len(values))
    for t, row in enumerate(values):
        off = np.where(np.isnan(row), 0.0, row - mean)
        made[t] = (np.abs(off) / np.sqrt(variance)).max()
        mean, variance = mean + 0.1 * off, variance + 0.01 * (off * off - variance) + 1e-15
    return made


def isolation_forest(values: Array, calm: int, seed: int) -> Array:
    """How few random cuts set a window (one channel) or a row (several) apart."""
    x = _points(values)
    forest = IsolationForest(random_state=seed).fit(x[:calm])
    made: Array = -forest.score_samples(x)
    return made


def pca(values: Array, calm: int, seed: int) -> Array:
    """T² + Q."""
    x = _points(values)
    spread = x[:calm].std(0)
    x = (x - x[:calm].mean(0)) / np.where(spread > 0, spread, 1.0)
    fitted = PCA(0.9, svd_solver="full").fit(x[:calm])
    parts = fitted.transform(x)
    inside = (parts**2 / np.maximum(fitted.explained_variance_, 1e-12)).sum(1)
    rest = ((x - fitted.inverse_transform(parts)) ** 2).sum(1)
    made: Array = inside / max(inside[:calm].mean(), 1e-12) + rest / max(rest[:calm].mean(), 1e-12)
    return made


def _points(values: Array) -> Array:
    """Rows (T C) without gaps; of one channel the windows that end at each row (T WINDOW)."""
    x = _filled(values)
    if x.shape[1] > 1:
        return x
    padded = np.concatenate([np.repeat(x[:1, 0], WINDOW - 1), x[:, 0]])
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW)


def _filled(values: Array) -> Array:
    """Missing readings as the last one before them."""
    seen = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))[:, None]), 0)
    return np.nan_to_num(np.take_along_axis(values, seen, 0))


BASELINES: dict[str, Baseline] = {f.__name__: f for f in (always, random, ewma, isolation_forest, pca)}


def scores(statistic: Array, calm: int, rate: float) -> Array:
    """Scores of a bare statistic by the tail of its calm rows."""
    lanes = torch.from_numpy(statistic[None, :calm].copy())
    own = tail.fit(lanes, tail.exponential(1))[0].numpy()
    e: Array = nats_of(statistic, own)
    return e / (e - np.log(rate))
