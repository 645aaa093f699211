"""The detector of patterns: against windows compared one by one, what it finds, what it does not see."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.detect.discord import Discord, season
from forecast.detect.evidence import KINDS, Verdict
from forecast.errors import InputError
from tests.detect.calm import of, walk


def judged(values: Tensor, calm: int, detector: Discord) -> Verdict:
    """Verdicts on the rows after the calm ones."""
    state = detector.initial_state(detector.calibrate(of(values[:, :calm])))
    state, _ = detector.follow(state, of(values[:, :calm]))
    return detector.follow(state, of(values[:, calm:]))[1]


def beats(rows: int, seed: int) -> Tensor:
    """(1 T 1): waves of 48 rows with overtones and noise, their size and level wandering."""
    t = torch.arange(rows, dtype=torch.float64)
    phase = 2 * math.pi * t / 48
    wave = torch.sin(phase) + 0.6 * torch.sin(2 * phase + 1)
    noise = torch.randn(rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return ((1 + 0.3 * torch.sin(t / 700)) * wave + torch.cos(t / 900) + 0.05 * noise)[None, :, None]


def nearest(y: NDArray[np.float64], size: int, memory: int, least: NDArray[np.float64]) -> NDArray[np.float64]:
    """d of the windows (T C) that end at each row, one window with another."""
    made = np.zeros(len(y))
    for t in range(2 * size - 1, len(y)):
        here = y[t - size + 1 : t + 1]
        unlike = []
        for lag in range(size, min(memory, t - size + 2)):
            there = y[t - lag - size + 1 : t - lag + 1]
            apart = ((here - here.mean(0)) - (there - there.mean(0))) ** 2
            unlike.append(np.mean(apart.mean(0) / ((here.std(0) + least) * (there.std(0) + least))))
        made[t] = math.sqrt(min(unlike))
    return made


def test_the_statistic_is_that_of_windows_compared_one_by_one() -> None:
    values = walk(1, 260, 3, channels=2)
    detector = Discord(lengths=(8, 20), memory=120, quality=False)
    state = detector.initial_state(detector.calibrate(of(values)))
    after, statistic = detector._statistic(state, values)
    calm = state.guarding.calibration
    y = ((values - calm.loc[:, None]) / calm.spread[:, None])[0].numpy()
    windows = [np.lib.stride_tricks.sliding_window_view(y, n, 0)[:: max(n // 8, 1)].std(-1) for n in (8, 20)]
    least = [0.25 * np.quantile(each, 0.5, axis=0, method="lower") for each in windows]
    assert state.least[0].numpy() == pytest.approx(np.array(least), rel=1e-12)
    short, long = nearest(y, 8, 120, least[0]), nearest(y, 20, 120, least[1])
    expected = (long[40:] + short[28 : len(y) - 12]) / 2
    assert statistic[0, 40:].numpy() == pytest.approx(expected, abs=1e-7)
    assert bool(statistic[0, :39].isnan().all())
    assert detector.began(after).tolist() == [19]


def test_a_size_that_never_was_counts_and_noise_alone_does_not() -> None:
    values = beats(4000, 1)
    values[0, 1000:1399] = values[0, 1000] + 0.05 * walk(1, 400, 4)[0].diff(dim=0)
    detector = Discord(lengths=(24, 48), quality=False)
    state = detector.initial_state(detector.calibrate(of(values[:, :1500])))
    swollen, still = values.clone(), values.clone()
    swollen[0, 3000:3300] = values[0, 3000] + 6 * (values[0, 3000:3300] - values[0, 3000])
    still[0, 3000:3300] = values[0, 3000] + 0.05 * walk(1, 301, 5)[0].diff(dim=0)
    usual, larger, quiet = (detector._statistic(state, one)[1][0, 3048:3100].max() for one in (values, swollen, still))
    assert larger > 2 * usual and larger > 2 * quiet


def test_a_pattern_without_its_wave_is_found_though_level_and_size_wander() -> None:
    values = beats(4000, 1)
    values[0, 3000:3048, 0] = values[0, 2995, 0] + 0.5 * (values[0, 3000:3048, 0].flip(0) - values[0, 3048, 0])
    detector = Discord(rate=1e-3, quality=False)
    verdict = judged(values, 1500, detector)
    peak = int(verdict.score[0].argmax())
    began = int(detector.began(detector.initial_state(detector.calibrate(of(values[:, :1500]))))[0])
    assert abs(1500 + peak - began - 3000) < 100
    assert bool(verdict.alarm[0, peak]) and KINDS[int(verdict.kind[0, peak])] == "unseen pattern"
    assert int(verdict.alarm[0, :1500].sum()) < 15


def test_the_season_is_read_from_the_calm_rows() -> None:
    assert season(beats(1500, 2)[0]) == pytest.approx(48, abs=1)
    assert season(torch.full((500, 1), 3.0, dtype=torch.float64)) == 32


def test_missing_rows_move_nothing() -> None:
    values = beats(2000, 3)
    holes = values.clone()
    holes[:, 1700:1710] = torch.nan
    without = torch.cat([values[:, :1700], values[:, 1710:]], 1)
    detector = Discord(quality=False)
    score, shorter = judged(holes, 1000, detector).score[0], judged(without, 1000, detector).score[0]
    assert torch.equal(torch.cat([score[:700], score[710:]]), shorter)


def test_settings_that_make_no_sense_are_told() -> None:
    with pytest.raises(InputError, match="memory=10"):
        Discord(memory=10)
