"""Tests of equal accuracy against statsmodels and scipy, the rule of independent units, error rates in simulation."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.tsa.stattools import diebold_mariano_test
from torch import Tensor

from forecast.metrics import METRICS, Tally
from forecast.metrics.bootstrap import difference, draws, figures, interval
from forecast.metrics.independence import per_unit, units
from forecast.metrics.pooling import pooled
from forecast.metrics.relative import geometric_skill, ranks, skill, win_rate
from forecast.metrics.significance import benjamini_hochberg, critical_difference, diebold_mariano

MASE = METRICS["mase"]


def losses(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).square()


def tallied(values: Tensor) -> Tally:
    """Losses (S K) as a tally of one lead and channel."""
    return Tally(values[:, :, None, None], torch.ones_like(values)[:, :, None, None])


def test_units_are_series_or_blocks_as_long_as_the_horizon() -> None:
    assert (units(20, 3, 24, 1).axis, units(20, 3, 24, 1).count) == (0, 20)
    few = units(19, 50, 24, 6)
    assert (few.axis, few.block, few.count, few.first(50)) == (1, 4, 12, 2) and few.enough
    assert not units(1, 2785, 720, 1).enough and units(1, 2785, 96, 1).count == 29  # the windows of ETT, published.md
    assert draws(19, 7, 1, 1, 0) is None and draws(19, 8, 1, 1, 0) is not None
    assert units(3, 16, 4, 8).block == 1


def test_per_unit_averages_what_all_models_have() -> None:
    values = losses(2, 3, 10)
    values[0, 1, 9] = math.nan
    blocks = per_unit(values, units(3, 10, 4, 2))
    assert blocks.shape == (2, 5)
    assert torch.allclose(blocks[:, 0], values[:, :, :2].mean((1, 2)))
    shared = torch.cat([values[:, [0, 2], 8:].flatten(1), values[:, 1:2, 8]], 1).mean(1)
    assert torch.allclose(blocks[:, 4], shared)
    many = per_unit(losses(2, 25, 3), units(25, 3, 4, 2))
    assert torch.allclose(many, losses(2, 25, 3).mean(2))


@pytest.mark.parametrize("word", ["mase", "rmsse", "mae", "rmse", "wmape", "calibration"])
@pytest.mark.parametrize(("series", "cutoffs"), [(24, 2), (3, 20)])
def test_a_draw_is_the_figure_of_the_drawn_data(word: str, series: int, cutoffs: int) -> None:
    metric = METRICS[word]
    generator = torch.Generator().manual_seed(7)
    total, weight = (torch.rand(series, cutoffs, 4, 1, generator=generator, dtype=torch.float64) for _ in range(2))
    tally = Tally(total, weight if word == "wmape" else (weight > 0.2).double())
    tally = Tally(torch.where(tally.weight > 0, total, 0.0), tally.weight)
    plan = draws(series, cutoffs, 2, 1, seed=1, number=5)
    assert plan is not None
    for drawn, counts in zip(figures(metric, tally, plan), plan.counts, strict=True):
        picks = torch.repeat_interleave(torch.arange(len(counts)), counts.long())
        if plan.axis == 1:
            picks = (picks[:, None] * 2 + torch.arange(2)).flatten()
        again = Tally(*(part.index_select(plan.axis, picks) for part in tally))
        assert float(drawn) == pytest.approx(pooled(metric, again))


def test_the_interval_of_a_mean_is_the_textbook_one() -> None:
    values = losses(200, 1)
    plan = draws(200, 1, 1, 1, seed=0)
    assert plan is not None
    low, high = interval(figures(MASE, tallied(values), plan))
    half = 1.96 * float(values.std() / math.sqrt(200))
    assert low == pytest.approx(float(values.mean()) - half, rel=0.03)
    assert high == pytest.approx(float(values.mean()) + half, rel=0.03)


def verdict(mine: Tensor, theirs: Tensor, seed: int = 0) -> str:
    a, b = tallied(mine), tallied(theirs)
    return difference(MASE, a, b, draws(*mine.shape, 1, 1, seed), pooled(MASE, a), pooled(MASE, b)).word


def test_verdicts() -> None:
    theirs = 1 + losses(60, 2)
    assert verdict(theirs * 0.7, theirs) == "better" and verdict(theirs, theirs * 0.7) == "worse"
    assert verdict(theirs, theirs) == "cannot tell"
    few = difference(MASE, tallied(theirs[:4] * 0.1), tallied(theirs[:4]), draws(4, 2, 1, 1, 0), 0.1, 1.0)
    assert (
        few.word == "cannot tell"
        and few.skill == pytest.approx(0.9)
        and math.isnan(few.low)
        and math.isnan(few.gap_low)
    )


def test_interval_of_the_difference_is_paired() -> None:
    """A constant gain is certain, however much the losses themselves vary."""
    theirs = 1 + 10 * losses(30, 1)
    plan = draws(30, 1, 1, 1, 0)
    found = difference(
        MASE, tallied(theirs - 0.5), tallied(theirs), plan, float(theirs.mean()) - 0.5, float(theirs.mean())
    )
    assert (
        found.gap == pytest.approx(-0.5)
        and found.gap_low == pytest.approx(-0.5)
        and found.gap_high == pytest.approx(-0.5)
    )
    assert found.word == "better" and 0 < found.low < found.skill < found.high


def test_coverage_is_judged_by_its_nearness_to_the_nominal() -> None:
    metric = METRICS["coverage"]
    near, far = (torch.full((25, 4), share, dtype=torch.float64) for share in (0.92, 0.6))
    plan = draws(25, 4, 1, 1, 0)
    assert difference(metric, tallied(near), tallied(far), plan, 0.92, 0.6).word == "better"
    assert difference(METRICS["width"], tallied(near), tallied(far), plan, 0.92, 0.6).word == "cannot tell"  # no order


@pytest.mark.parametrize(("series", "cutoffs"), [(40, 1), (2, 60)])
def test_equal_models_are_rarely_told_apart(series: int, cutoffs: int) -> None:
    """Of equal models a 95 % interval should tell apart about 5 %; percentile intervals are a bit narrow."""
    told = sum(
        verdict(1 + losses(series, cutoffs, seed=2 * s), 1 + losses(series, cutoffs, seed=2 * s + 1)) != "cannot tell"
        for s in range(150)
    )
    assert told <= 0.12 * 150


def test_blocks_keep_what_overlaps_together() -> None:
    """Losses of overlapping outcomes move together: drawn one by one they look far more certain than they are."""
    noise = losses(1, 400, seed=5)[0]
    smooth = noise.unfold(0, 24, 1).mean(-1)[None]  # 377 cutoffs, step 1, horizon 24
    apart, together = draws(1, 377, 1, 1, 0), draws(1, 377, 24, 1, 0)
    assert apart is not None and together is not None and together.units.count == 15
    (a, b), (c, d) = (interval(figures(MASE, tallied(smooth), plan)) for plan in (apart, together))
    assert d - c > 2 * (b - a)


def test_diebold_mariano_as_statsmodels_from_losses_alone() -> None:
    mine, theirs = losses(3, 40, seed=1), losses(3, 40, seed=2) + 1
    found = diebold_mariano(mine, theirs, overlap=3)
    for s in range(3):
        whole = diebold_mariano_test(
            np.zeros(40), mine[s].sqrt().numpy(), theirs[s].sqrt().numpy(), harvey_adj=True, horizon=3
        )
        assert found.statistic[s] == pytest.approx(whole.statistic) and found.p[s] == pytest.approx(whole.pvalue)
    assert (found.statistic < 0).all()
    assert np.allclose(found.adjusted, multipletests(found.p, method="fdr_bh")[1])


def test_diebold_mariano_by_hand() -> None:
    mine, theirs = losses(1, 30, seed=3), losses(1, 30, seed=4)
    gap = (mine - theirs)[0].numpy()
    centred, lags, n = gap - gap.mean(), 4, 30  # ⌈30^⅓⌉ lags, Bartlett weights
    variance = (centred**2).mean() + 2 * sum(
        (1 - k / (lags + 1)) * (centred[k:] * centred[:-k]).sum() / n for k in range(1, lags + 1)
    )
    statistic = gap.mean() / math.sqrt(variance / n) * math.sqrt((n - 1) / n)
    found = diebold_mariano(mine, theirs)
    assert found.statistic[0] == pytest.approx(statistic) and found.p[0] == pytest.approx(
        2 * stats.t.sf(abs(statistic), n - 1)
    )


def test_diebold_mariano_says_nothing_where_nothing_can_be_told() -> None:
    mine, theirs = losses(4, 20, seed=5), losses(4, 20, seed=6)
    mine[0] = theirs[0]  # no difference
    mine[1] = theirs[1] + 1  # always the same difference
    mine[2, 5:] = math.nan
    found = diebold_mariano(mine, theirs, overlap=2)
    assert np.isnan(found.p[:3]).all() and np.isfinite(found.p[3]) and found.adjusted[3] == found.p[3]
    assert np.isnan(diebold_mariano(mine, theirs, overlap=3).p).all()


def test_benjamini_hochberg_leaves_missing_ones_out() -> None:
    p = np.array([0.001, np.nan, 0.02, 0.03, 0.8])
    seen = np.isfinite(p)
    assert np.allclose(benjamini_hochberg(p)[seen], multipletests(p[seen], method="fdr_bh")[1])
    assert np.isnan(benjamini_hochberg(p)[1]) and np.isnan(benjamini_hochberg(np.full(2, np.nan))).all()


def test_friedman_and_nemenyi() -> None:
    values = losses(4, 30, seed=9) + torch.tensor([0.0, 0.1, 0.2, 3.0])[:, None]
    values[1, :10] = values[0, :10]  # ties
    found = critical_difference(values)
    assert found.p == pytest.approx(stats.friedmanchisquare(*values.numpy()).pvalue)
    assert found.distance == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 30)), rel=1e-3)  # Demšar (2006), table 5
    assert torch.allclose(found.ranks, torch.from_numpy(stats.rankdata(values.numpy(), axis=0).mean(1)))
    assert all(3 not in group or group == (3,) for group in found.groups) and len(found.groups) == 2
    assert math.isnan(critical_difference(values[:, :7]).distance)


def test_ranks_and_win_rates() -> None:
    values = torch.tensor([[1.0, 5.0, 2.0, math.nan], [2.0, 5.0, 1.0, 1.0], [3.0, 1.0, 3.0, 2.0]], dtype=torch.float64)
    assert torch.equal(ranks(values)[:, 1], torch.tensor([2.5, 2.5, 1.0]).double()) and bool(
        ranks(values)[:, 3].isnan().all()
    )
    won = win_rate(values)
    assert float(won[0, 1]) == 0.5 and float(won[0, 2]) == pytest.approx(2 / 3)
    assert torch.allclose(won + won.T, torch.ones(3, 3).double())


def test_skill() -> None:
    assert skill({"a": 0.8, "b": 2.0}, "b") == {"a": 0.6, "b": 0.0}
    values = torch.tensor([[0.5, 200.0], [1.0, 100.0]], dtype=torch.float64)
    assert torch.allclose(geometric_skill(values, 1), torch.zeros(2).double())
    clipped = geometric_skill(torch.tensor([[1e-9, 1.0], [1.0, 1.0]], dtype=torch.float64), 1)
    assert float(clipped[0]) == pytest.approx(1 - 0.1)
