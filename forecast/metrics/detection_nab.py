"""The score of the Numenta Anomaly Benchmark (v1.1): early hits in a window count, every false alarm costs.

    σ(x) = 2/(1 + e^{5x}) - 1, -1 beyond x = 3
    first alarm in a window at row i of its rows l … r:   tp · σ(-(r - i + 1)/(r - l + 1)) / σ(-1), the best of the window counts once
    alarm after a window (before any: -fp):               fp · σ((i - r)/(r - l))
    window without an alarm:                              -fn
Rows of the probation (the first 15 %, at most 750) never count. The corpus' score is (Σ - null)/(perfect - null) · 100.
*Official*: the threshold that is best for the corpus, which uses the labels. *Honest*: one that was fixed before.
Source: Lavin & Ahmad (2015), ICMLA; numenta/NAB, nab/sweeper.py and nab/scorer.py.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast.metrics.detection import Scores

Windows = Sequence[tuple[int, int]]  # first and last row of each


class Profile(NamedTuple):
    """Weights of an application."""

    tp: float
    fp: float
    fn: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "low_fp": Profile(1.0, 0.22, 1.0),
    "low_fn": Profile(1.0, 0.11, 2.0),
}


def probation(rows: int) -> int:
    """Rows of a file that are for learning alone."""
    return min(int(0.15 * rows), 750)


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scaled sigmoid."""
    return np.where(x > 3.0, -1.0, 2 / (1 + np.exp(5 * np.minimum(x, 3.0))) - 1)


class Sheet(NamedTuple):
    """One file: what an alarm on each scorable row is worth, and the window it lies in (-1: none)."""

    worth: Scores
    window: NDArray[np.int64]
    row: NDArray[np.int64]


def sheet(rows: int, windows: Windows, profile: Profile) -> Sheet:
    """The worth of an alarm on each row behind the probation."""
    row = np.arange(probation(rows), rows)
    worth, window = np.full(len(row), -profile.fp), np.full(len(row), -1)
    for k, (low, high) in enumerate(windows):
        inside, after = (row >= low) & (row <= high), row > high
        width = high - low + 1
        worth[inside] = profile.tp * sigmoid(-(high - row[inside] + 1) / width) / float(sigmoid(np.array(-1.0)))
        worth[after] = profile.fp * sigmoid((row[after] - high) / max(width - 1, 1))
        window[inside] = k
    return Sheet(worth, window, row)


def curve(scores: Sequence[Scores], windows: Sequence[Windows], profile: Profile) -> tuple[Scores, Scores]:
    """Thresholds from the highest on (the first one above every score), and the corpus' score at each of them."""
    sheets = [sheet(len(s), w, profile) for s, w in zip(scores, windows, strict=True)]
    value = np.concatenate([np.nan_to_num(s[part.row], nan=-np.inf) for s, part in zip(scores, sheets, strict=True)])
    first = np.cumsum([0, *(len(w) for w in windows)])
    window = np.concatenate([np.where(p.window < 0, -1, p.window + f) for p, f in zip(sheets, first[:-1], strict=True)])
    worth = np.concatenate([part.worth for part in sheets])
    order = np.argsort(-value, kind="stable")
    best = np.full(first[-1], -profile.fn)
    gain = worth[order].copy()
    for place in np.flatnonzero(window[order] >= 0):
        k = window[order[place]]
        gain[place] = max(gain[place] - best[k], 0.0)
        best[k] += gain[place]
    ordered = value[order]
    last = np.flatnonzero(ordered != np.append(ordered[1:], np.nan))
    counted = len(np.unique(window[window >= 0]))
    total = gain.cumsum()[last] - profile.fn * counted
    null, perfect = -profile.fn * counted, profile.tp * counted
    return np.append(np.inf, ordered[last]), 100 * (np.append(null, total) - null) / (perfect - null)


def official(scores: Sequence[Scores], windows: Sequence[Windows], profile: Profile) -> tuple[float, float]:
    """The best score and its threshold: the labels choose it."""
    threshold, value = curve(scores, windows, profile)
    best = int(value.argmax())
    return float(value[best]), float(threshold[best])


def honest(scores: Sequence[Scores], windows: Sequence[Windows], profile: Profile, threshold: float) -> float:
    """The score at a threshold that was fixed before any label was read."""
    thresholds, value = curve(scores, windows, profile)
    return float(value[np.flatnonzero(thresholds >= threshold)[-1]])
