"""Intervals of differences over overlapping windows: against blocks by hand, and what they cover where the truth is known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.metrics import overlap

HORIZON = 20


def windows(count: int, seed: int, memory: float = 0.8) -> Tensor:
    """Means (W) over overlapping windows of autocorrelated rows whose mean is 0."""
    rows = np.random.default_rng(seed).standard_normal(count + HORIZON + 100)
    for t in range(1, len(rows)):
        rows[t] += memory * rows[t - 1]
    return torch.from_numpy(rows[100:]).unfold(0, HORIZON, 1).mean(1)[:count]


def test_a_draw_is_the_mean_of_whole_blocks_taken_around_the_end() -> None:
    """Every drawn figure is among the means of all pairs of circular blocks, by NumPy."""
    laid = torch.stack([windows(40, 0), torch.nn.functional.pad(windows(35, 1), (0, 5), value=math.nan)])
    drawn = overlap._drawn(laid, 20, 0, 50)
    one = [laid.numpy().take(range(s, s + 20), axis=1, mode="wrap") for s in range(40)]
    pairs = [np.nanmean(np.concatenate([a, b], 1), 1).mean() for a in one for b in one]
    assert np.abs(drawn.numpy()[:, None] - np.array(pairs)).min(1).max() < 1e-12


@pytest.mark.parametrize("horizons", [2, 3, 6, 16, 29])
def test_intervals_cover_the_true_difference(horizons: int) -> None:
    """95 % intervals of 150 series: at least 88 % hold the truth, whether two blocks fit or fourteen."""
    made = [overlap.gap([windows(horizons * HORIZON, seed)], HORIZON, seed, 300) for seed in range(150)]
    assert np.mean([each.low <= 0 <= each.high for each in made]) >= 0.88


def test_a_clear_difference_is_told_and_a_single_block_tells_nothing() -> None:
    shifted = windows(400, 0) + 3
    found = overlap.gap([shifted, shifted[:-100]], HORIZON)
    assert found.low > 0 and found.gap == pytest.approx(float(shifted.mean() + shifted[:-100].mean()) / 2)
    assert (found.block, found.blocks) == (40, 10)
    short = overlap.gap([shifted[:30]], HORIZON)
    assert math.isnan(short.low) and short.blocks == 1 and short.gap == pytest.approx(float(shifted[:30].mean()))


def test_blocks_of_windows_are_wider_than_windows_taken_as_independent() -> None:
    d = windows(600, 4)
    found = overlap.gap([d], HORIZON)
    naive = 2 * 1.96 * float(d.std()) / math.sqrt(len(d))
    assert found.high - found.low > 3 * naive
