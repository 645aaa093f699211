"""What forecasts start from: the blend against a least-squares problem with every column laid out, and series that ask for different starts."""

import torch
from torch import Tensor

from forecast.layers.scale import Units, whole_spread
from forecast.models import closed_form, origin
from forecast.models.chosen_rows import rows_of
from forecast.models.seasonal_lti import SeasonalLTI
from forecast.types import Future, Past

SEASON, LONGER, HORIZON, ROWS = 4, 28, 6, 400


def panel(each: int = 4, rows: int = ROWS, seed: int = 0) -> Tensor:
    """Series whose course is that of the week, and series whose course wanders from day to day, which say nothing of a week ago."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(rows)
    week = 3 * torch.randn(each, LONGER, generator=generator, dtype=torch.float64)
    walk = torch.randn(each, rows // SEASON + 1, SEASON, generator=generator, dtype=torch.float64).cumsum(1).flatten(1)
    noise = 0.3 * torch.randn(2 * each, rows, generator=generator, dtype=torch.float64)
    return (torch.cat([week[:, time % LONGER], walk[:, :rows]]) + noise)[..., None]


def model() -> SeasonalLTI:
    return SeasonalLTI(horizon=HORIZON, seasons=(SEASON, LONGER))


def test_the_blend_is_that_of_columns_laid_out() -> None:
    one, values = model(), panel()
    values[0, 150:170] = torch.nan
    past, apart = Past.of(values), torch.full((8,), 80)
    origin.fit(one, [(past, apart)])
    state = one.initial_state((), past.static)
    track = one.track(state, past)
    units, moments = one.scale.run(track.distance, past.elapsed, state.moments)
    chosen = rows_of(one, past, apart, whole_spread(moments))
    there = Units(*(part[:, chosen.places, None] for part in units))
    profile, c, g = one.remembered(there, track, chosen.places + 1, HORIZON)
    weight, train, held = chosen.weights(there, chosen.places)
    target = (past.values.unfold(1, HORIZON, 1)[:, chosen.places + 1].mT - profile - there.loc) / there.spread
    columns = (c / there.spread[..., None]).clamp(-16, 16)[..., None] * g[:, :, None, :, None]
    for i, leads in enumerate((slice(None, SEASON), slice(SEASON, None))):
        parts = []
        for each in (weight * train, chosen.validated(weight) * held):
            x, z = columns[:, :, leads].flatten(0, 3).flatten(1), target[:, :, leads].clamp(-16, 16).flatten()
            w = each[:, :, None].expand(target[:, :, leads].shape).flatten()
            kept = ~z.isnan() & (w > 0)
            parts.append((x[kept], z[kept], w[kept]))
        (x, z, w), (x2, z2, w2) = parts
        size = (w[:, None] * x * x).sum(0).sqrt()
        tried = [torch.zeros_like(size)]
        for penalty in origin.PENALTIES:
            rows = torch.cat([w.sqrt()[:, None] * x / size, penalty**0.5 * torch.eye(len(size), dtype=x.dtype)])
            found = torch.linalg.lstsq(rows, torch.cat([w.sqrt() * z, torch.zeros_like(size)])[:, None]).solution[:, 0]
            tried.append(found / size)
        best = min(tried, key=lambda b: float((w2 * (z2 - x2 @ b).square()).sum()))
        said, wanted = x2 @ one.blend[i].flatten(), x2 @ best
        assert torch.allclose(said, wanted, atol=1e-6 * float(wanted.abs().max()))


def test_one_blend_starts_some_series_from_the_week_and_others_from_yesterday() -> None:
    one, values = model(), panel(rows=ROWS + HORIZON)
    past, actual = Past.of(values[:, :ROWS]), values[:, ROWS:]
    plain = model()
    for each in (one, plain):
        if each is plain:
            each.prepare = lambda pasts: None  # type: ignore[method-assign]
        closed_form.fit(each, [(past, torch.full((8,), 80))])
    with torch.no_grad():
        error = {}
        for name, each in (("blended", one), ("plain", plain)):
            made = each.predict(each.warm_up(each.initial_state((), past.static), past), Future.of(past, HORIZON))
            error[name] = (made.median - actual).abs().mean((1, 2))
    assert float(error["blended"][:4].mean()) < 0.5 < float(error["plain"][:4].mean())
    assert float(error["blended"][4:].mean()) < 1.2 * float(error["plain"][4:].mean())


def test_a_season_alone_and_no_rows_leave_nothing_undone() -> None:
    for seasons in ((), (SEASON,), (SEASON, 4000)):
        one = SeasonalLTI(horizon=HORIZON, seasons=seasons)
        assert one.profile.longer == one.profile.season
        origin.fit(one, [])
        assert not bool(one.blend.any())
        closed_form.fit(one, [(Past.of(panel()), torch.full((8,), 80))])
        assert bool(one.blend.isfinite().all())
