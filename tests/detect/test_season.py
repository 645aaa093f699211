"""The detector of seasons: against its definition by NumPy, its rate, what anomalies among calm rows change, what it names."""

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.detect.evidence import KINDS, Verdict
from forecast.detect.growth import bend_of, bent
from forecast.detect.season import Seasonal
from forecast.errors import InputError
from forecast.kernels import season as kernel
from tests.detect.calm import of

DAY = 96


def days(rows: int, seed: int) -> Tensor:
    """(1 T 1): days of 96 rows under noise that is larger in their second half."""
    t = torch.arange(rows, dtype=torch.float64)
    noise = torch.randn(rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    larger = torch.where(t % DAY < DAY / 2, 0.1, 0.3)
    return (3 * torch.sin(2 * torch.pi * t / DAY) + larger * noise)[None, :, None]


def judged(values: Tensor, calm: int, detector: Seasonal) -> Verdict:
    """Verdicts on the rows after the calm ones."""
    state = detector.initial_state(detector.calibrate(of(values[:, :calm])))
    state, _ = detector.follow(state, of(values[:, :calm]))
    return detector.follow(state, of(values[:, calm:]))[1]


def test_statistics_are_those_of_the_definition() -> None:
    values = days(900, 0)
    values[0, 500] = torch.nan
    detector = Seasonal(season=DAY, quality=False)
    law = detector.calibrate(of(values))
    after, statistic, part = detector._statistics(detector.initial_state(law), values)
    r = ((values - law.guarding.loc[:, None]) / law.guarding.spread[:, None])[0, :, 0].numpy()
    unit = law.unit[0, 0].numpy()
    five = fifteen = week_five = week_fifteen = thirty = sudden = restless = 0.0
    for t, x in enumerate(r):
        p = t % DAY * kernel.PARTS // DAY
        assert int(part[0, t]) == p
        before = [r[t - k * DAY] for k in range(1, 8) if t - k * DAY >= 0 and np.isfinite(r[t - k * DAY])]
        if not np.isfinite(x):
            assert bool(statistic[0, t].isnan().all())
            continue
        d = x - (np.median(before) if before else 0.0)
        w = x - r[t - 7 * DAY] if t >= 7 * DAY and np.isfinite(r[t - 7 * DAY]) else d
        sudden += (min(abs(d - five), abs(d)) / unit[kernel.JUMP, p] - sudden) * 2 / 5
        restless += (min(abs(x - thirty), abs(d)) / unit[kernel.UNREST, p] - restless) * 2 / 16
        week_five, week_fifteen = week_five + (w - week_five) / 3, week_fifteen + (w - week_fifteen) / 8
        five, fifteen, thirty = five + (d - five) / 3, fifteen + (d - fifteen) / 8, thirty + (x - thirty) * 2 / 31
        off, late = min(abs(five), abs(week_five)), min(abs(fifteen), abs(week_fifteen))
        expected = [off / unit[kernel.OFF, p], late / unit[kernel.LATE, p], sudden, restless]
        assert statistic[0, t, 0].numpy() == pytest.approx(expected, rel=1e-9)
    assert int(after.rows[0]) == 900


def test_a_day_without_its_wave_is_a_broken_season_for_as_long_as_it_lasts() -> None:
    values = days(3000, 1)
    values[0, 2400:2448, 0] -= 3 * torch.sin(2 * torch.pi * torch.arange(48, dtype=torch.float64) / DAY)
    verdict = judged(values, 1500, Seasonal(season=DAY, rate=1e-3, quality=False))
    alarm = verdict.alarm[0]
    assert float(alarm[905:945].double().mean()) > 0.8
    assert int(alarm[:900].sum()) <= 10
    assert KINDS[int(verdict.kind[0, 925])] == "season broken"


def test_anomalies_among_the_calm_rows_move_no_threshold() -> None:
    values = days(3000, 2)
    spoilt = values.clone()
    for start in (500, 1100):
        spoilt[0, start : start + 20] += 4
    values[0, 2400:2420] += 2
    spoilt[0, 2400:2420] += 2
    for one in (values, spoilt):
        verdict = judged(one, 1500, Seasonal(season=DAY, rate=1e-3, quality=False))
        assert float(verdict.alarm[0, 905:920].double().mean()) > 0.9


@pytest.mark.parametrize("rate", [1e-2, 1e-3])
def test_the_rate_on_clean_rows_is_of_the_order_asked_for(rate: float) -> None:
    alarm = torch.cat(
        [judged(days(22_000, s), 2000, Seasonal(season=DAY, rate=rate, quality=False)).alarm for s in range(6)]
    )
    found = float(alarm.double().mean())
    print(f"asked for {rate:g}, found {found:.3g}")
    assert found < 3 * rate


def test_settings_that_make_no_sense_are_told() -> None:
    with pytest.raises(InputError, match="season=0"):
        Seasonal(season=0)


def visits(rows: int, seed: int) -> Tensor:
    """(1 T 1): days of a few and of many, with noise in proportion."""
    t = torch.arange(rows, dtype=torch.float64)
    noise = torch.randn(rows, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (torch.exp(2 * torch.sin(2 * torch.pi * t / DAY) + 0.3 * noise))[None, :, None]


def test_where_noise_grows_with_the_level_the_logarithm_counts() -> None:
    grown, even = visits(3000, 4), days(3000, 4)
    season = torch.tensor([DAY])
    assert bool(bend_of(grown, season).bend.isfinite().all()) and bool(bend_of(even, season).bend.isinf().all())
    values = grown.clone()
    values[0, 2405:2425] *= 0.15
    for one in (values, 1e3 * values - 7):  # nothing depends on unit and origin
        verdict = judged(one, 1500, Seasonal(season=DAY, rate=1e-3, quality=False))
        assert float(verdict.alarm[0, 910:925].double().mean()) > 0.8
        assert int(verdict.alarm[0, :900].sum()) <= 10


def test_the_bend_is_that_of_its_formula_and_missing_readings_stay_missing() -> None:
    r = visits(1000, 5)
    r[0, 7] = torch.nan
    by = bend_of(r, torch.tensor([DAY]))
    y = r[0, :, 0].numpy()
    low = np.nanquantile(y, 0.005)
    known = np.sort(y[np.isfinite(y)])
    bend = 0.02 * (known[(len(known) - 1) // 2] - low)
    expected = np.sign(y - low) * np.log1p(np.abs(y - low) / bend)
    assert bent(r, by)[0, :, 0].numpy() == pytest.approx(expected - np.nanmean(expected), nan_ok=True)
