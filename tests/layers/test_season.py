"""The seasonal profile against its recursion written row by row, and what its gate says of series whose days repeat or do not."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.kernels.scan_season import BOUND, TRUSTED
from forecast.layers.season import SeasonalProfile

SEASON, GAIN, HALF = 4, 0.3, 20.0
PROFILE = SeasonalProfile(SEASON, GAIN, HALF)


def series(rows: int = 90, seed: int = 0) -> Tensor:
    generator = np.random.default_rng(seed)
    values = 5 + 3 * np.sin(np.arange(rows) * 2 * math.pi / SEASON) + generator.standard_normal(rows)
    values[generator.random(rows) < 0.15] = math.nan
    values[60] = 200.0
    return torch.from_numpy(values)[None, :, None]


def start(batch: int = 1) -> Tensor:
    return PROFILE.initial(batch, 1, torch.device("cpu"))


def test_distances_origins_and_gate_are_those_of_the_recursion_by_hand() -> None:
    values = series()
    track = PROFILE.run(values, torch.ones(1, 90), start())
    phase: list[float] = [math.nan] * SEASON
    before: list[float] = [math.nan] * SEASON
    weight = cross = square = 0.0
    last, fade = math.nan, 0.5 ** (1 / HALF)
    for t, y in enumerate(values[0, :, 0].tolist()):
        k = t % SEASON
        x = y - phase[k]
        assert track.distance[0, t, 0].item() == pytest.approx(x, nan_ok=True)
        if weight >= TRUSTED and not math.isnan(x):
            x = min(max(x, -BOUND * math.sqrt(square / weight)), BOUND * math.sqrt(square / weight))
        if not math.isnan(x) and not math.isnan(before[k]):
            weight, square, cross = fade * weight + 1, fade * square + x * x, fade * cross + x * before[k]
        if not math.isnan(y):
            phase[k], last = y if math.isnan(phase[k]) else phase[k] + GAIN * x, y
        before[k] = x
        assert track.gate[0, t, 0].item() == pytest.approx(max(-1.0, min(1.0, cross / square)) if square else 0.0)
        wanted = [phase[(t + 1 + h) % SEASON] for h in range(6)]
        origins = track.origins(torch.tensor([t + 1]), 6)[0, 0, :, 0]
        assert origins.tolist() == pytest.approx([last if math.isnan(p) else p for p in wanted], nan_ok=True)


def test_one_row_is_a_run_of_one_row() -> None:
    """Bit for bit, channel by channel, and the profile before is left alone."""
    values = torch.stack([series(90, seed)[0, :, 0] for seed in range(6)]).view(3, 2, 90)
    elapsed = torch.tensor([1.0, 0.0, 2.5])
    profile = PROFILE.run(values[..., :-1].mT, torch.ones(3, 89), PROFILE.initial(3, 2, torch.device("cpu"))).profile
    before, row = profile.clone(), values[..., -1].clone()
    row[1] = math.nan
    track = PROFILE.run(row[:, None], elapsed[:, None], profile)
    made = PROFILE.one(row, elapsed, profile)
    for a, b in zip(made, (track.distance[:, 0], track.gate[:, 0], track.profile), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(profile, before, rtol=0, atol=0, equal_nan=True)


def test_chunks_give_the_same_bits_as_the_whole() -> None:
    values, elapsed = series(), torch.ones(1, 90)
    whole = PROFILE.run(values, elapsed, start())
    first = PROFILE.run(values[:, :37], elapsed[:, :37], start())
    second = PROFILE.run(values[:, 37:], elapsed[:, 37:], first.profile)
    assert torch.equal(whole.profile, second.profile)
    assert torch.equal(torch.cat([first.gate, second.gate], 1), whole.gate)
    after = torch.arange(54)
    assert torch.equal(second.origins(after, 9), whole.origins(after + 37, 9))


def test_the_gate_tells_days_that_grow_from_days_that_vary() -> None:
    time = torch.arange(400, dtype=torch.float64)
    shape = torch.sin(time * 2 * math.pi / SEASON)
    noise = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grows, varies = (1 + time / 100) * shape + 0.01 * noise, shape + noise
    values = torch.stack([grows, varies])[..., None]
    gate = PROFILE.run(values, torch.ones(2, 400), start(2)).gate[:, -1, 0]
    assert float(gate[0]) > 0.9 and abs(float(gate[1])) < 0.4
