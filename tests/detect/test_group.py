"""The detector of many channels as one: against its definition by NumPy, its rate, what it finds and whom it blames."""

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.detect.evidence import KINDS, Verdict
from forecast.detect.group import Group
from forecast.errors import InputError
from forecast.kernels import group as kernel
from tests.detect.calm import of

CHANNELS = 6


def plant(rows: int, seed: int) -> Tensor:
    """(1 T C): two directions in six channels of unlike units, noise, one channel that stands still."""
    generator = torch.Generator().manual_seed(seed)
    loads = torch.randn(2, CHANNELS, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    inner = torch.randn(rows, 2, generator=generator, dtype=torch.float64)
    noise = torch.randn(rows, CHANNELS, generator=generator, dtype=torch.float64)
    values = (inner @ loads + 0.2 * noise) * torch.tensor([1.0, 1e3, 1e-3, 5.0, 1.0, 0.0], dtype=torch.float64)
    return values[None] + 7


def judged(values: Tensor, calm: int, detector: Group) -> Verdict:
    """Verdicts on the rows after the calm ones."""
    state = detector.initial_state(detector.calibrate(of(values[:, :calm])))
    state, _ = detector.follow(state, of(values[:, :calm]))
    return detector.follow(state, of(values[:, calm:]))[1]


def test_energies_and_moving_means_are_those_of_the_definition() -> None:
    values = plant(300, 0)
    values[0, 40, 2] = torch.nan
    detector = Group(scales=(5, 20), shrink=0.2, reference=50, quality=False)
    calibration = detector.calibrate(of(values))
    loc, spread, centre, precision = (leaf[0].numpy() for leaf in calibration.units)
    y = values[0].numpy()
    r = (y - loc) / spread
    slow, x = np.zeros(CHANNELS), np.zeros_like(r)
    for t, row in enumerate(r):
        d = row - slow
        x[t] = np.where(np.isnan(row), 0.0, np.sign(d) * np.log1p(np.abs(d) / kernel.BEND) - centre)
        slow = slow + 2 / 51 * np.nan_to_num(np.clip(row, -3, 3) - slow)
    v = x[np.arange(300) != 40]
    covariance = x.T @ x / 300
    ridge = 0.2 * np.trace(covariance) / CHANNELS * np.eye(CHANNELS)
    assert precision == pytest.approx(np.linalg.inv(covariance + ridge), rel=1e-8)
    assert np.abs(v.mean(0)).max() < 0.01
    energy = ((x @ precision) * x).sum(1)
    level = 0.0
    for e in energy:
        level += 2 / 6 * (e - level)
    state, _ = detector.follow(detector.initial_state(calibration), of(values))
    assert float(state.level[0, 0]) == pytest.approx(level, rel=1e-9)
    assert state.slow[0].numpy() == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize("calm", [400, 4000])
def test_the_rate_on_clean_rows_is_near_the_one_asked_for(calm: int) -> None:
    alarm = torch.cat([judged(plant(calm + 20_000, s), calm, Group(rate=0.01, quality=False)).alarm for s in range(6)])
    assert 0.3 < float(alarm.double().mean()) / 0.01 < 2.5


def test_a_broken_correlation_is_found_and_blamed() -> None:
    values = plant(4000, 1)
    values[0, 3500:3540, 1] = values[0, 500:540, 1]  # ordinary readings at the wrong time
    verdict = judged(values, 3000, Group(rate=1e-3, quality=False))
    assert bool(verdict.alarm[0, 500:540].any()) and int(verdict.alarm[0, :500].sum()) <= 5
    peak = 500 + int(verdict.score[0, 500:540].argmax())
    assert int(verdict.blame[0, peak].argmax()) == 1
    assert torch.allclose(verdict.blame.sum(-1), torch.ones_like(verdict.score))
    assert KINDS[int(verdict.kind[0, peak])] in ("spike", "correlation broken")


def test_a_channel_that_stood_still_owns_no_row() -> None:
    values = plant(4000, 2)
    values[0, 3200, 5] += 1e6
    values[0, 3600:3620, :4] += 12 * values[0, :3000, :4].std(0)
    verdict = judged(values, 3000, Group(rate=1e-3, quality=False))
    assert bool(verdict.alarm[0, 200]) and int(verdict.blame[0, 200].argmax()) == 5
    assert float(verdict.score[0, 600:620].max()) > 0.6 * float(verdict.score[0, 200:204].max())


def test_missing_rows_are_no_anomaly_and_move_nothing() -> None:
    values = plant(3500, 3)
    holes = values.clone()
    holes[:, 3200:3210] = torch.nan
    without = torch.cat([values[:, :3200], values[:, 3210:]], 1)
    detector = Group(quality=False)
    score, shorter = judged(holes, 3000, detector).score[0], judged(without, 3000, detector).score[0]
    assert bool((score[200:210] == 0).all())
    assert torch.equal(torch.cat([score[:200], score[210:]]), shorter)


def test_settings_that_make_no_sense_are_told() -> None:
    with pytest.raises(InputError, match="shrink=0"):
        Group(shrink=0.0)
