"""Baselines behind the contract: Holt-Winters against statsmodels, an autoencoder against what it was shown."""

import numpy as np
import pytest
import torch
from statsmodels.tsa.api import ETSModel

from forecast.detect.autoencoder import Autoencoder, _drawn, _windows
from forecast.detect.detector import Detector
from forecast.detect.holt_winters import HoltWinters
from forecast.kernels.smoothing import holt_winters
from tests.detect.calm import noise, of


@pytest.mark.parametrize("season", [1, 7])
def test_the_recursion_is_that_of_statsmodels(season: int) -> None:
    y = np.random.default_rng(0).normal(size=60).cumsum()
    alpha, beta, gamma = 0.4, 0.2, 0.3
    model = ETSModel(
        y, trend="add", seasonal="add" if season > 1 else None, seasonal_periods=season if season > 1 else None
    )
    seasonal = np.arange(season, dtype=float) if season > 1 else np.zeros(0)
    names = dict(zip(model.param_names, [0.0] * len(model.param_names), strict=True))
    names |= {"smoothing_level": alpha, "smoothing_trend": alpha * beta, "initial_level": 0.5, "initial_trend": 0.1}
    if season > 1:
        names["smoothing_seasonal"] = gamma * (1 - alpha)
        names |= {
            f"initial_seasonal.{i}": value for i, value in enumerate(seasonal[::-1])
        }  # that of the first row last
    expected = model.smooth([names[name] for name in model.param_names]).fittedvalues
    ring = np.zeros((1, 1, 10))
    ring[0, 0, :season] = seasonal if season > 1 else 0.0
    residual = np.empty((1, 60, 1))
    weights, moving = np.array([[[alpha, beta, gamma]]]), np.array([[[0.5, 0.1]]])
    holt_winters(y[None, :, None], weights, np.array([season]), moving, ring, np.array([0]), residual)
    assert np.allclose(y - residual[0, :, 0], expected, atol=1e-9)


def test_a_missing_reading_moves_nothing_but_time() -> None:
    y = np.array([1.0, np.nan, 2.0])[None, :, None]
    residual, moving = np.empty_like(y), np.array([[[1.0, 0.5]]])
    holt_winters(y, np.full((1, 1, 3), 0.5), np.array([1]), moving, np.zeros((1, 1, 1)), np.array([0]), residual)
    assert residual[0, 0, 0] == -0.5 and np.isnan(residual[0, 1, 0])
    level, trend = 1.0 + 0.5 - 0.25, 0.5 - 0.125
    assert residual[0, 2, 0] == pytest.approx(2.0 - (level + trend) - trend)


def test_a_season_is_learned() -> None:
    generator = torch.Generator().manual_seed(1)
    time = torch.arange(1500, dtype=torch.float64)
    values = (5 * torch.sin(2 * torch.pi * time / 24) + torch.randn(1500, generator=generator, dtype=torch.float64))[
        None, :, None
    ]
    values[:, 1300] -= 8  # usual at another hour
    share = {}
    for season in (24, 1):
        detector = HoltWinters(rate=1e-3, season=season)
        state = detector.initial_state(detector.calibrate(of(values[:, :1200])))
        state, _ = detector.follow(state, of(values[:, :1200]))
        verdict = detector.follow(state, of(values[:, 1200:]))[1]
        share[season] = float(verdict.score[0, 100])
        assert float(verdict.alarm.double().mean()) < 0.05
    assert share[24] > max(share[1], 0.5) + 0.02, share


def test_windows_that_were_shown_are_drawn_better_than_others() -> None:
    time = torch.arange(2000, dtype=torch.float64)
    calm = torch.sin(2 * torch.pi * time / 16)[None, :, None] + 0.1 * noise(1, 2000, 2).row.values
    odd = torch.sin(2 * torch.pi * time / 5)[None, :, None]
    detector = Autoencoder(rate=1e-3)
    law = detector.calibrate(of(calm))
    error = [
        float((_drawn(law.fitted, x) - x).square().mean())
        for x in (_windows(v[:, 1500:1600], 16)[0] for v in (calm, odd))
    ]
    assert error[1] > 5 * error[0]
    state, _ = detector.follow(detector.initial_state(law), of(calm))
    assert float(detector.follow(state, of(calm[:, :400]))[1].alarm.double().mean()) < 0.05
    assert bool(detector.follow(state, of(odd[:, :60]))[1].alarm[0, 20:].all())


@pytest.mark.parametrize("detector", [HoltWinters(rate=1e-2, season=1), Autoencoder(rate=1e-2)])
def test_the_rate_on_clean_rows_is_near_the_one_asked_for(detector: Detector) -> None:
    evidence = noise(8, 3000, 5)
    state, _ = detector.follow(detector.initial_state(detector.calibrate(evidence)), evidence)
    alarm = detector.follow(state, noise(8, 4000, 6))[1].alarm
    assert 0.004 < float(alarm.double().mean()) < 0.02


def test_company_changes_no_verdict() -> None:
    evidence = noise(3, 600, 8)
    for detector in (HoltWinters(rate=1e-3, season=1), Autoencoder(rate=1e-3, steps=50)):
        whole = detector.follow(detector.initial_state(detector.calibrate(evidence)), evidence)[1]
        one = of(evidence.row.values[1:2])
        alone = detector.follow(detector.initial_state(detector.calibrate(one)), one)[1]
        assert torch.allclose(whole.score[1:2], alone.score, atol=1e-6)
