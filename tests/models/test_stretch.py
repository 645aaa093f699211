"""Intervals that are too narrow cover again after they were stretched on validation rows; those that cover are left nearly alone."""

import pytest
import torch

from forecast.models import closed_form, stretch
from forecast.models.lti import LTIForecaster
from forecast.types import Past

HORIZON = 6


def windows(seed: int, count: int = 60) -> list[Past]:
    """A cycle with skewed noise."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(120.0, dtype=torch.float64)
    noise = torch.empty(count, 120, dtype=torch.float64).exponential_(generator=generator)
    return [Past.of((torch.sin(2 * torch.pi * time / 12) + 0.5 * noise)[..., None])]


def coverage(model: LTIForecaster, batches: list[Past]) -> tuple[float, float]:
    """Shares below the quantiles 0.05 and 0.95."""
    low, high = (model.head.levels.index(level) for level in (0.05, 0.95))
    with torch.no_grad():
        q, target, seen, _ = model.compared(batches[0], 120)
    return tuple(float((target <= q[..., k])[seen].double().mean()) for k in (low, high))  # type: ignore[return-value]


@pytest.fixture
def model() -> LTIForecaster:
    made = LTIForecaster(horizon=HORIZON, seasons=(12,))
    (past,) = windows(0)
    closed_form.fit(made, [(past, torch.full((60,), 30))])
    return made


@pytest.mark.parametrize("narrow", [0.3, 1.0, 1.8])
def test_shares_below_quantiles_are_their_levels_again(model: LTIForecaster, narrow: float) -> None:
    gaps = torch.nn.functional.softplus(model.head.offset) * narrow
    model.head.offset.copy_(torch.log(torch.expm1(gaps)))
    before = coverage(model, windows(1))
    stretch.fit(model, windows(1))
    low, high = coverage(model, windows(2))
    assert low == pytest.approx(0.05, abs=0.055) and high == pytest.approx(0.95, abs=0.055)
    if narrow < 1:
        assert before[1] - before[0] < high - low - 0.1


def test_a_few_outcomes_change_nothing(model: LTIForecaster) -> None:
    (past,) = windows(1, 20)
    stretch.fit(model, [past])
    assert model.head.stretch.tolist() == [1.0, 1.0]
