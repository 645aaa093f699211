"""What every kind owes: law L7 in closed form, L6, L9, missing cells, any leading shape, CRPS, mean, affine."""

import math
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from forecast.distribution import Choice, Forecast, Gaussian, Quantiles, StudentT
from tests.distribution.kinds import ALL, CONTINUOUS, draw

every_kind = pytest.mark.parametrize("name", ALL)
every_continuous_kind = pytest.mark.parametrize("name", CONTINUOUS)
SHAPE = (3, 4, 2)


@every_continuous_kind
def test_cdf_undoes_the_quantile(name: str) -> None:
    forecast = CONTINUOUS[name](SHAPE)
    for level in (1e-12, 1e-4, 0.01, 0.1, 0.25, 0.5, 0.77, 0.95, 0.999, 1 - 1e-9):
        assert (forecast.cdf(forecast.quantile(level)) - level).abs().max() <= 1e-12
    level = torch.rand((5, *SHAPE), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (forecast.cdf(forecast.quantile(level)) - level).abs().max() <= 1e-12


@every_continuous_kind
def test_surprise_exceeds_x_with_probability_exp_minus_x(name: str) -> None:
    """The edges of {surprise > x}: below by the quantile, above by bisection; both tails hold e^-x / 2, to x = 40."""
    forecast = CONTINUOUS[name](SHAPE)
    for x in (0.1, 1.0, 5.0, 12.0, 25.0, 40.0):
        low = forecast.quantile(math.exp(-x) / 2)
        assert (forecast.surprise(low) / x - 1).abs().max() <= 1e-9
        high = edge_above(forecast, x)
        mass = forecast.log_tails(low)[0].exp() + forecast.log_tails(high)[1].exp()
        assert (mass / math.exp(-x) - 1).abs().max() <= 1e-8


def edge_above(forecast: Forecast, x: float) -> Tensor:
    """Where surprise reaches x above the median, by bisection on surprise itself."""
    low, high = forecast.median, forecast.median + 1e12
    for _ in range(200):
        middle = (low + high) / 2
        beyond = forecast.surprise(middle) > x
        low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
    return (low + high) / 2


@pytest.mark.parametrize("name", ["gaussian", "student", "quantiles"])
def test_upper_tail_mirrors_the_lower_one(name: str) -> None:
    forecast = CONTINUOUS[name](SHAPE)
    mirrored: Forecast
    match forecast:
        case Gaussian():
            mirrored = Gaussian(-forecast.mean, forecast.variance)
        case StudentT():
            mirrored = StudentT(-forecast.loc, forecast.scale, forecast.df)
        case Quantiles():
            mirrored = Quantiles(-forecast.values, tuple(1 - level for level in reversed(forecast.levels)))
    for x in (0.5, 5.0, 40.0):
        high = -mirrored.quantile(math.exp(-x) / 2)
        assert (forecast.surprise(high) / x - 1).abs().max() <= 1e-9


@every_continuous_kind
def test_surprise_grows_strictly_out_to_1e30(name: str) -> None:
    forecast = CONTINUOUS[name](SHAPE)
    reach = torch.tensor([0.01, 0.1, 1.0, 3.0, *[10.0**power for power in range(1, 31)]], dtype=torch.float64)
    signs = (1,) if name in ("log_normal", "box_cox") else (1, -1)  # bounded below
    for sign in signs:
        surprise = torch.stack([forecast.surprise(forecast.median + sign * r) for r in reach])
        assert bool(surprise.isfinite().all())
        assert bool((surprise.diff(dim=0) > 0).all())
    assert forecast.surprise(forecast.median).abs().max() <= 1e-12


@every_kind
def test_quantiles_do_not_cross_and_the_interval_is_central(name: str) -> None:
    forecast = ALL[name](SHAPE)
    assert bool((forecast.quantiles().diff(dim=-1) >= 0).all())
    low, high = forecast.interval(0.8)
    assert torch.allclose(low, forecast.quantile(0.1)) and torch.allclose(high, forecast.quantile(0.9))


@every_kind
def test_crps_is_the_integral_of_its_definition(name: str) -> None:
    forecast = ALL[name]((2, 2, 1))
    for y in (draw((2, 2, 1), 20) * 2 + 9, torch.full((2, 2, 1), 30.0, dtype=torch.float64)):
        y = y.round() if name == "count" else y
        levels = torch.linspace(-16, 16, 1001, dtype=torch.float64).sigmoid().reshape(-1, 1, 1, 1)
        far = y + torch.linspace(-1, 1, 3, dtype=torch.float64).reshape(-1, 1, 1, 1)
        x = torch.cat([forecast.quantile(levels), far]).sort(0).values
        middle = (x[1:] + x[:-1]) / 2
        integral = ((forecast.cdf(middle) - (middle >= y).double()).square() * x.diff(dim=0)).sum(0)
        assert torch.allclose(forecast.crps(y), integral, rtol=1e-3, atol=1e-5)


@every_kind
def test_mean_is_that_of_many_quantiles(name: str) -> None:
    forecast = ALL[name]((2, 1, 2))
    levels = (torch.arange(2_000, dtype=torch.float64).reshape(-1, 1, 1, 1) + 0.5) / 2_000
    sampled = forecast.quantile(levels.expand(-1, 2, 1, 2)).mean(0)
    allowed = 0.5 if name == "count" else 5e-3 * (forecast.quantile(0.99) - forecast.quantile(0.01))
    assert bool(((forecast.mean - sampled).abs() <= allowed).all())


@every_kind
def test_missing_parameters_answer_missing(name: str) -> None:
    whole = ALL[name](SHAPE)
    part = whole.parts()
    hole = [p.clone() for p in part]
    for p in hole:
        if p.is_floating_point():
            p[1] = math.nan
    forecast = whole.rebuild(*hole)
    y = whole.median + 1
    tails = forecast.log_tails(y)
    answers = [forecast.median, forecast.mean, forecast.quantile(0.1), forecast.cdf(y), *tails, forecast.crps(y)]
    answers += [forecast.surprise(y), forecast.joint_surprise(y), forecast.sample(3)[0]]
    for answer in answers:
        assert bool(answer[1].isnan().all()), answer
        assert bool(answer[0].isfinite().all() and answer[2].isfinite().all())


@every_kind
def test_missing_outcomes_answer_missing(name: str) -> None:
    forecast = ALL[name](SHAPE)
    y = forecast.median + 0.1
    y[0, 0] = math.nan
    y[1, 0, 0] = math.nan
    for answer in (forecast.cdf(y), forecast.surprise(y), forecast.crps(y)):
        assert torch.equal(answer.isnan(), y.isnan())
    assert torch.equal(forecast.joint_surprise(y).isnan(), y.isnan().all(-1))


@every_kind
def test_float32_in_float32_out(name: str) -> None:
    wide = ALL[name](SHAPE)
    forecast = wide.to(torch.float32)
    y = (wide.median + 0.5).round().float()
    narrow = (forecast.median, forecast.mean, forecast.quantile(0.03), forecast.crps(y), forecast.surprise(y))
    exact = (wide.median, wide.mean, wide.quantile(0.03), wide.crps(y.double()), wide.surprise(y.double()))
    for answer, truth in zip(narrow, exact, strict=True):
        assert answer.dtype == torch.float32
        assert torch.allclose(answer.double(), truth, rtol=2e-4, atol=2e-4)
    assert forecast.sample(2).dtype == torch.float32
    assert bool(forecast.surprise(y.float() + 1e30).isfinite().all())


@every_kind
@pytest.mark.parametrize("shape", [(4, 2), (1, 1, 1), (2, 3, 4, 2), (0, 4, 2)])
def test_any_leading_shape(name: str, shape: tuple[int, ...]) -> None:
    forecast = ALL[name](shape)
    y = forecast.median
    assert (
        forecast.shape
        == y.shape
        == forecast.mean.shape
        == forecast.crps(y).shape
        == forecast.surprise(y).shape
        == shape
    )
    assert forecast.sample(5).shape == (5, *shape)
    assert forecast.joint_surprise(y).shape == shape[:-1]
    assert forecast.quantiles((0.1, 0.9)).shape == (*shape, 2)


@every_kind
def test_taken_apart_and_put_together(name: str) -> None:
    forecast = ALL[name](SHAPE)
    y = forecast.median + 0.3
    close(forecast.at(1).surprise(y[:, 1:2]), forecast.surprise(y)[:, 1:2])
    close(forecast.at(-1).median, forecast.median[:, -1:])
    close(forecast.rows(torch.tensor([2, 0])).median, forecast.median[[2, 0]])
    back = forecast.rows(slice(0, 1)).join([forecast.rows(slice(1, 3))])
    close(back.crps(y), forecast.crps(y))
    close(forecast.stack([forecast], 1).at(2).median, forecast.median[:, None, 2:3].expand(-1, 2, -1, -1))


def close(one: Tensor, other: Tensor) -> None:
    """Equal but for the last bits, which the length of a batch may turn."""
    assert one.shape == other.shape and torch.allclose(one, other, rtol=1e-12, atol=1e-12)


@every_kind
def test_affine_moves_every_answer(name: str) -> None:
    forecast = ALL[name](SHAPE)
    loc, spread = torch.tensor([3.0, -2.0], dtype=torch.float64), torch.tensor([0.2, 7.0], dtype=torch.float64)
    moved = forecast.affine(loc, spread)
    y = (forecast.median + 0.7).round()
    z = loc + spread * y
    assert torch.allclose(moved.quantile(0.2), loc + spread * forecast.quantile(0.2))
    assert torch.allclose(moved.surprise(z), forecast.surprise(y), rtol=1e-6, atol=1e-9)
    assert torch.allclose(moved.joint_surprise(z), forecast.joint_surprise(y), rtol=1e-6, atol=1e-9)
    assert torch.allclose(
        moved.mean, loc + spread * forecast.mean, atol=spread.max() * 0.5 if name == "count" else 1e-6
    )
    assert torch.allclose(moved.crps(z), spread * forecast.crps(y), rtol=0.2 if name == "count" else 1e-5)


@every_kind
def test_samples_follow_the_distribution(name: str) -> None:
    forecast = ALL[name]((1, 2, 2))
    generator = torch.Generator().manual_seed(5)
    draws = forecast.sample(4_000, generator)
    for level in (0.1, 0.5, 0.9):
        value = forecast.quantile(level)
        share = (draws <= value).double().mean(0)
        expected = forecast.cdf(value)
        assert bool(((share - expected).abs() < 4 * math.sqrt(0.25 / 4_000)).all())


@every_continuous_kind
def test_surprise_of_samples_is_exponential(name: str) -> None:
    forecast = CONTINUOUS[name]((1, 4, 1))
    surprise = forecast.surprise(forecast.sample(4_000, torch.Generator().manual_seed(6))).flatten()
    for x in (0.5, 1.0, 3.0):
        p = math.exp(-x)
        assert abs(float((surprise > x).double().mean()) - p) < 4 * math.sqrt(p * (1 - p) / surprise.numel())


@pytest.mark.parametrize("size", [1e30, 1e-30, 0.0])
def test_finite_for_any_size(size: float) -> None:
    shape = (2, 3, 1)
    value = torch.full(shape, size, dtype=torch.float64)
    kinds: list[Forecast] = [
        Gaussian(value, value.square()),
        StudentT(value, value, torch.full_like(value, 4.0)),
        Quantiles(value[..., None].expand(*shape, 15) * torch.linspace(1, 2, 15, dtype=torch.float64)),
    ]
    for kind in [*kinds, Choice(value > 1, kinds[0], kinds[2])]:
        for y in (value, -value, value + 1, torch.full_like(value, 1e30)):
            answers = (
                kind.median,
                kind.mean,
                kind.quantile(0.001),
                kind.crps(y),
                kind.surprise(y),
                kind.joint_surprise(y),
            )
            for answer in answers:
                assert bool(answer.isfinite().all()), (kind, y, answer)


def test_asking_a_forecast_imports_nothing_slow() -> None:
    """torch.broadcast_shapes and its like pull in sympy: seconds in every worker process."""
    code = (
        "import sys, torch; from forecast.distribution import *; z = torch.zeros(2, 3, 1).double();"
        "f = Mixture((Gaussian(z, z + 1), StudentT(z, z + 1, z + 4)), torch.ones(2).double());"
        "f.crps(z), f.quantile(0.1), f.sample(2), f.surprise(z), Transformed(f, BoxCox(z, z)).mean;"
        "sys.exit('sympy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
