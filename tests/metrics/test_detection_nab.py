"""The NAB score: bounds, sums written out, and the published figures of a detector that is simple enough to be written here."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from forecast.metrics import detection_nab as nab
from forecast.metrics.detection import Scores
from forecast.series import catalogue

PUBLISHED = {
    "standard": 30.56,
    "low_fp": 16.37,
    "low_fn": 37.28,
}  # NAB's own scorer on its stored windowedGaussian scores, 42 files


def by_hand(score: Scores, windows: nab.Windows, profile: nab.Profile, threshold: float) -> float:
    """One file, alarm by alarm."""

    def sigmoid(x: float) -> float:
        return -1.0 if x > 3 else 2 / (1 + math.exp(5 * x)) - 1

    total, best = 0.0, [-profile.fn] * len(windows)
    for i in range(nab.probation(len(score)), len(score)):
        if score[i] < threshold:
            continue
        inside = [k for k, (low, high) in enumerate(windows) if low <= i <= high]
        before = [high for _, high in windows if high < i]
        if inside:
            low, high = windows[inside[0]]
            worth = profile.tp * sigmoid(-(high - i + 1) / (high - low + 1)) / sigmoid(-1)
            best[inside[0]] = max(best[inside[0]], worth)
        elif before:
            low = next(low for low, high in windows if high == max(before))
            total += profile.fp * sigmoid((i - max(before)) / (max(before) - low))
        else:
            total -= profile.fp
    null = -profile.fn * len(windows)
    return 100 * (total + sum(best) - null) / (profile.tp * len(windows) - null)


@pytest.mark.parametrize("profile", list(nab.PROFILES))
def test_the_curve_is_the_sum_at_every_threshold(profile: str) -> None:
    generator = np.random.default_rng(3)
    score, windows = np.round(generator.random(400), 2), [(100, 140), (300, 330)]
    for threshold in np.unique(score):
        found = nab.honest([score], [windows], nab.PROFILES[profile], threshold)
        assert found == pytest.approx(by_hand(score, windows, nab.PROFILES[profile], threshold))
    best, at = nab.official([score], [windows], nab.PROFILES[profile])
    assert best == pytest.approx(nab.honest([score], [windows], nab.PROFILES[profile], at))


def test_nothing_is_0_and_the_first_row_of_every_window_alone_is_100() -> None:
    windows = [[(100, 140)], [(200, 230), (300, 310)]]
    none, perfect = [np.zeros(400), np.zeros(400)], [np.zeros(400), np.zeros(400)]
    perfect[0][100] = perfect[1][200] = perfect[1][300] = 1
    standard = nab.PROFILES["standard"]
    assert nab.honest(none, windows, standard, 0.5) == 0
    assert nab.honest(perfect, windows, standard, 0.5) == pytest.approx(100)


def windowed_gaussian(values: Scores) -> Scores:
    """NAB's windowedGaussian: 1 - tail probability under the mean and deviation of 6,400 rows that move on by 100."""
    window: list[float] = []
    buffer: list[float] = []
    mean, deviation, made = 0.0, 1.0, np.zeros(len(values))
    for i, value in enumerate(values):
        if window:
            made[i] = 1 - 0.5 * math.erfc(abs(value - mean) / deviation / math.sqrt(2))
        if len(window) < 6400:
            window.append(value)
        else:
            buffer.append(value)
            if len(buffer) < 100:
                continue
            window, buffer = window[100:] + buffer, []
        mean, deviation = float(np.mean(window)), float(np.std(window)) or 1e-6
    return made


@pytest.mark.slow
def test_the_published_figures_of_windowed_gaussian() -> None:
    if "FORECAST_DATA" not in os.environ:
        pytest.skip("FORECAST_DATA is not set")
    data = catalogue.load("nab", (Path(os.environ["FORECAST_DATA"]),), raw=True)[0]
    windows: list[list[tuple[int, int]]] = [[] for _ in data.panel.names]
    assert data.labels is not None
    for _, s, low, high in data.labels.spans(data.panel):
        windows[s].append((low, high - 1))
    # the stored scores are text of 12 digits, which makes ties of the many that are almost 1
    scores = [np.round(windowed_gaussian(data.panel.series(s)[:, 0].numpy()), 12) for s in range(len(data.panel))]
    for name, profile in nab.PROFILES.items():
        assert nab.official(scores, windows, profile)[0] == pytest.approx(PUBLISHED[name], abs=0.01)
