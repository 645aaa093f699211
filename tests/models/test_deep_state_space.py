"""One network for all series: it learns to emit what maximum likelihood would find for each."""

import torch
from torch import Tensor

from forecast.models.deep_state_space import DeepStateSpace, described
from forecast.models.kalman import Kalman
from forecast.models.units import units
from forecast.ssm.kalman import loglik
from forecast.types import Past


def simulated(count: int, seed: int) -> Tensor:
    """Levels that hardly move under noise, and levels that walk without any: (count 150 1)."""
    generator = torch.Generator().manual_seed(seed)
    walk = torch.randn(count, 150, 1, generator=generator, dtype=torch.float64).cumsum(1)
    noise = torch.randn(count, 150, 1, generator=generator, dtype=torch.float64)
    smooth = torch.arange(count)[:, None, None] % 2 == 0
    return torch.where(smooth, 0.05 * walk + noise, walk + 0.05 * noise)


def likelihood(model: Kalman, values: Tensor) -> Tensor:
    """Per row (B), in units of each series."""
    series = values[..., 0]
    loc, spread = units(series)
    scaled = (series - loc[:, None]) / spread[:, None]
    theta = model.estimate(Past.of(values)).theta[:, 0]
    belief = model.model.start(len(scaled), scaled, theta)
    return loglik(model.program, model.model.coefficients(theta), belief, scaled[..., None]) / scaled.shape[1]


def test_it_learns_what_maximum_likelihood_finds() -> None:
    torch.manual_seed(0)
    model, exact = DeepStateSpace(trend="none", width=16), Kalman(trend="none")
    train, test = simulated(64, 1), simulated(40, 2)
    with torch.no_grad():
        before, best = likelihood(model, test), likelihood(exact, test)
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        adam.zero_grad()
        model.training_loss(Past.of(train), 0).backward()
        adam.step()
    with torch.no_grad():
        after = likelihood(model, test)
    assert float((best - before).mean()) > 0.1
    assert float((best - after).mean()) < 0.02


def test_what_a_series_is_like_does_not_know_its_units_or_its_padding() -> None:
    values = simulated(6, 3)[..., 0]
    values[:, 40:45] = torch.nan

    def seen(rows: Tensor) -> Tensor:
        loc, spread = units(rows)
        return described((rows - loc[:, None]) / spread[:, None], 7)

    plain = seen(values)
    assert bool(plain.isfinite().all())
    torch.testing.assert_close(plain, seen(values * 1e6 - 40.0), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(plain, seen(torch.cat([values[:, :20] * torch.nan, values], 1)), rtol=1e-12, atol=1e-12)
