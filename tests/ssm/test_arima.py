"""SARIMA programs: likelihood, forecasts and components of statsmodels at the same parameters, gaps included."""

import math
import warnings

import numpy as np
import pytest
import torch
from statsmodels.tsa.statespace.sarimax import SARIMAX

from forecast.ssm.arima import Arima, stationary
from forecast.ssm.kalman import advance, ahead, loglik

CASES = [
    ((0, 1, 1), (0, 1, 1), 12), ((1, 1, 1), (0, 1, 1), 4), ((2, 1, 0), (1, 0, 0), 4), ((0, 2, 2), (0, 0, 0), 1), ((2, 0, 1), (1, 1, 1), 6),
    ((3, 1, 2), (0, 0, 0), 1), ((0, 1, 0), (0, 1, 0), 7), ((1, 2, 1), (1, 1, 2), 3), ((0, 0, 3), (2, 1, 0), 4), ((1, 0, 0), (0, 1, 0), 12),
]  # fmt: skip


def series(seed: int, rows: int = 90) -> np.ndarray:
    random = np.random.default_rng(seed)
    y = 10 + random.normal(size=rows).cumsum() + 3 * np.sin(np.arange(rows) * math.pi / 2)
    y[[20, 21, 22, 47, 55]] = math.nan
    return y


@pytest.mark.parametrize("engine", ["numba", "torch"])
@pytest.mark.parametrize(("order", "seasonal", "period"), CASES)
def test_statsmodels_at_the_same_parameters(
    order: tuple[int, int, int], seasonal: tuple[int, int, int], period: int, engine: str
) -> None:
    model = Arima(order, seasonal, period)
    generator = torch.Generator().manual_seed(sum(order) + period)
    theta = 0.7 * torch.randn(1, model.parameters, generator=generator, dtype=torch.float64)
    y = series(period)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = SARIMAX(
            y, order=order, seasonal_order=(*seasonal, period if any(seasonal) else 0), use_exact_diffuse=True
        )
    made = _statsmodels_numbers(model, theta)
    result = reference.filter(made)
    values = torch.tensor(y)[None, :, None]
    belief = model.start(1, values[..., 0], theta)
    found = loglik(model.program, model.coefficients(theta), belief, values, engine=engine)
    assert float(found[0]) == pytest.approx(result.llf, rel=1e-8)
    done = advance(model.program, model.coefficients(theta), belief, values, engine=engine)
    mean, variance = ahead(model.program, model.coefficients(theta), done.belief, 15, engine=engine)
    expected = result.get_forecast(15)
    np.testing.assert_allclose(mean[0, :, 0], expected.predicted_mean, rtol=1e-7)
    np.testing.assert_allclose(variance[0, :, 0].sqrt(), expected.se_mean, rtol=1e-7)


def _statsmodels_numbers(model: Arima, theta: torch.Tensor) -> np.ndarray:
    """AR, MA, seasonal AR, seasonal MA, variance, as SARIMAX takes them."""
    p, q, P, Q = model.order[0], model.order[2], model.seasonal[0], model.seasonal[2]
    ar, seasonal_ar, ma, seasonal_ma = theta[:, 1:].split([p, P, q, Q], 1)
    parts = [stationary(ar), -stationary(ma), stationary(seasonal_ar), -stationary(seasonal_ma), theta[:, :1].exp()]
    made: np.ndarray = torch.cat(parts, 1)[0].numpy()
    return made


def test_score() -> None:
    """Through the stationary start, the doubling and the products of polynomials."""
    model = Arima((1, 1, 2), (1, 1, 1), 4)
    theta = torch.tensor([[-0.3, 0.5, -0.4, 0.2, 0.7, 0.3]], dtype=torch.float64, requires_grad=True)
    values = torch.tensor(series(3))[None, :, None]

    def value(at: torch.Tensor) -> torch.Tensor:
        return loglik(model.program, model.coefficients(at), model.start(1, values[..., 0], at), values)

    (slope,) = torch.autograd.grad(value(theta).sum(), theta)
    with torch.no_grad():
        for k in range(model.parameters):
            step = torch.zeros_like(theta)
            step[0, k] = 1e-5
            difference = float((value(theta + step) - value(theta - step)).sum()) / 2e-5
            assert float(slope[0, k]) == pytest.approx(difference, rel=1e-5, abs=1e-6)


def test_a_mean_where_there_is_no_difference() -> None:
    """A diffuse mean: statsmodels' constant regressor in the state."""
    model = Arima((1, 0, 1))
    theta = torch.tensor([[0.1, 0.6, -0.3]], dtype=torch.float64)
    y = series(8, 60)
    reference = SARIMAX(y, exog=np.ones(60), order=(1, 0, 1), mle_regression=False, use_exact_diffuse=True)
    made = _statsmodels_numbers(model, theta)
    values = torch.tensor(y)[None, :, None]
    found = loglik(model.program, model.coefficients(theta), model.start(1, values[..., 0], theta), values)
    assert float(found[0]) == pytest.approx(reference.filter(made).llf, rel=1e-8)
