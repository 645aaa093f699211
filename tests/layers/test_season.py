"""The seasonal profile against its recursion written row by row, and what its gate says of series whose days repeat or do not."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.kernels.scan_season import BOUND, TRUSTED, WIDE
from forecast.layers.season import SeasonalProfile

SEASON, LONGER, GAIN, HALF = 4, 12, 0.3, 20.0
PROFILE = SeasonalProfile(SEASON, LONGER, GAIN, HALF)


def series(rows: int = 90, seed: int = 0) -> Tensor:
    generator = np.random.default_rng(seed)
    values = 5 + 3 * np.sin(np.arange(rows) * 2 * math.pi / SEASON) + generator.standard_normal(rows)
    values[generator.random(rows) < 0.15] = math.nan
    values[60] = 200.0
    return torch.from_numpy(values)[None, :, None]


def start(batch: int = 1) -> Tensor:
    return PROFILE.initial(batch, 1, torch.device("cpu"))


def test_distances_origins_gates_and_what_is_recalled_are_those_of_the_recursion_by_hand() -> None:
    values = series()
    track = PROFILE.run(values, torch.ones(1, 90), start())
    phase: list[float] = [math.nan] * SEASON
    before: list[float] = [math.nan] * SEASON
    v: list[float] = [math.nan] * 2 * LONGER
    weight = cross = square = met = longed = far = near = 0.0
    last, fade = math.nan, 0.5 ** (1 / HALF)
    for t, y in enumerate(values[0, :, 0].tolist()):
        k, long_ago = t % SEASON, v[t + LONGER]
        x, c, apart = y - phase[k], long_ago - phase[k], abs(y - long_ago)
        assert track.distance[0, t, 0].item() == pytest.approx(x, nan_ok=True)
        if weight >= TRUSTED and not math.isnan(x):
            reach = BOUND * math.sqrt(square / weight)
            x, c, apart = held(x, reach), held(c, WIDE * reach), held(apart, reach)
        if not math.isnan(x) and not math.isnan(before[k]):
            weight, square, cross = fade * weight + 1, fade * square + x * x, fade * cross + x * before[k]
        if not math.isnan(x + c):
            met, longed, far, near = fade * met + x * c, fade * longed + c * c, fade * far + apart, fade * near + abs(x)
        if not math.isnan(y):
            phase[k], last = y if math.isnan(phase[k]) else phase[k] + GAIN * x, y
        before[k] = x
        v.append(long_ago if math.isnan(y) else y)
        rho, kappa = (a / b if b else 0.0 for a, b in ((cross, square), (met, longed)))
        omega = math.log(far / near) if near else 0.0
        wanted = [max(-1.0, min(1.0, rho)), max(-1.0, min(1.5, kappa)), max(-1.0, min(2.0, omega))]
        assert track.gate[0, t + 1, 0].tolist() == pytest.approx(wanted)
        after, profile = torch.tensor([t + 1]), [phase[(t + 1 + h) % SEASON] for h in range(15)]
        origins = track.origins(after, 15)
        profile = [last if math.isnan(p) else p for p in profile]
        assert origins[0, 0, :, 0].tolist() == pytest.approx(profile, nan_ok=True)
        recalled = track.recalled(after, 15, origins)[0, 0, :, 0]
        for h, p in enumerate(profile):
            end, newest, weekly = len(v), h % SEASON - SEASON, h % LONGER - LONGER
            a = first(v[end + newest], p)
            b = first(v[end + weekly], a)
            older = first(v[end + weekly - LONGER], b), first(v[end + newest - LONGER], a)
            assert recalled[h].tolist() == pytest.approx([each - p for each in (a, b, *older)], nan_ok=True)


def held(x: float, reach: float) -> float:
    return min(max(x, -reach), reach)


def first(x: float, instead: float) -> float:
    return instead if math.isnan(x) else x


def test_one_row_is_a_run_of_one_row() -> None:
    """Bit for bit, channel by channel, and the profile before is left alone."""
    values = torch.stack([series(90, seed)[0, :, 0] for seed in range(6)]).view(3, 2, 90)
    elapsed = torch.tensor([1.0, 0.0, 2.5])
    profile = PROFILE.run(values[..., :-1].mT, torch.ones(3, 89), PROFILE.initial(3, 2, torch.device("cpu"))).profile
    before, row = profile.clone(), values[..., -1].clone()
    row[1] = math.nan
    track = PROFILE.run(row[:, None], elapsed[:, None], profile)
    made = PROFILE.one(row, elapsed, profile)
    for a, b in zip(made, (track.distance[:, 0], track.gate[:, 1, :, 0], track.profile), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(profile, before, rtol=0, atol=0, equal_nan=True)


def test_chunks_give_the_same_bits_as_the_whole() -> None:
    values, elapsed = series(), torch.ones(1, 90)
    whole = PROFILE.run(values, elapsed, start())
    first = PROFILE.run(values[:, :37], elapsed[:, :37], start())
    second = PROFILE.run(values[:, 37:], elapsed[:, 37:], first.profile)
    assert torch.equal(whole.profile, second.profile)
    assert torch.equal(torch.cat([first.gate, second.gate[:, 1:]], 1), whole.gate)
    assert torch.equal(first.gate[:, -1], second.gate[:, 0])
    after = torch.arange(54)
    some, same = second.origins(after, 29), whole.origins(after + 37, 29)
    assert torch.equal(some, same)
    assert torch.equal(second.recalled(after, 29, some), whole.recalled(after + 37, 29, same))


def test_the_gate_tells_days_that_grow_from_days_that_vary() -> None:
    time = torch.arange(400, dtype=torch.float64)
    shape = torch.sin(time * 2 * math.pi / SEASON)
    noise = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grows, varies = (1 + time / 100) * shape + 0.01 * noise, shape + noise
    values = torch.stack([grows, varies])[..., None]
    gate = PROFILE.run(values, torch.ones(2, 400), start(2)).gate[:, -1, 0, 0]
    assert float(gate[0]) > 0.9 and abs(float(gate[1])) < 0.4


def test_two_gates_tell_series_that_follow_the_longer_season_from_those_that_follow_the_shorter() -> None:
    time = torch.arange(600)
    generator = torch.Generator().manual_seed(0)
    course = 3 * torch.randn(LONGER, generator=generator, dtype=torch.float64)
    noise = 0.3 * torch.randn(2, 600, generator=generator, dtype=torch.float64)
    values = (torch.stack([course[time % LONGER], course[time % SEASON]]) + noise)[..., None]
    track = PROFILE.run(values, torch.ones(2, 600), start(2))
    _, follows, off = track.gate[:, -1, 0].unbind(1)
    assert float(follows[0]) > 0.8 and float(off[0]) < -0.5
    assert float(follows[1]) < 0.6 and float(off[1]) > -0.1
