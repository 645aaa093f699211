"""A member on the bench: the data it is tried on and the ways it is run."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.distribution import Forecast
from forecast.models.forecaster import Forecaster
from forecast.types import Future, Parameters, Past, State, leaves, tree_map

HORIZON = 4


class Bench(NamedTuple):
    """A model with the past that its parameters were estimated on."""

    model: Forecaster
    past: Past
    parameters: Parameters

    def start(self) -> State:
        return self.model.initial_state(self.parameters, self.past.static)


def horizon(model: Forecaster) -> int:
    return min(HORIZON, getattr(model, "horizon", HORIZON))


def past_of(
    model: Forecaster,
    batch: int = 3,
    rows: int = 72,
    seed: int = 0,
    gaps: float = 0.1,
    dtype: torch.dtype = torch.float64,
) -> Past:
    """Positive seasonal series with noise and a share of gaps, shaped for the model."""
    generator = torch.Generator().manual_seed(seed)
    channels, season = getattr(model, "channels", 1), max(getattr(model, "season", 4), 2)
    time = torch.arange(rows, dtype=torch.float64)[None, :, None]
    level = 20 + 10 * torch.rand(batch, 1, channels, generator=generator, dtype=torch.float64)
    phase = 2 * math.pi * torch.rand(batch, 1, channels, generator=generator, dtype=torch.float64)
    noise = torch.randn(batch, rows, channels, generator=generator, dtype=torch.float64)
    walk = 0.1 * torch.randn(batch, rows, channels, generator=generator, dtype=torch.float64).cumsum(1)
    values = level + 3 * torch.sin(2 * math.pi * time / season + phase) + noise + walk
    values = torch.where(torch.rand(values.shape, generator=generator) < gaps, torch.nan, values)
    values[:, 0] = level[:, 0]
    inputs = torch.randn(batch, rows, getattr(model, "inputs", 0), generator=generator, dtype=torch.float64)
    static = torch.randn(batch, getattr(model, "static", 0), generator=generator, dtype=torch.float64)
    return Past(*(part.to(dtype) for part in Past.of(values, inputs, None, static)))


def bench(kind: type[Forecaster], **options: object) -> Bench:
    """A member's example with parameters estimated on its own past."""
    torch.manual_seed(0)
    model = kind.example()
    _say_something(model)
    model.eval()
    past = past_of(model, **options)  # type: ignore[arg-type]
    with torch.no_grad():
        return Bench(model, past, model.estimate(past))


def _say_something(model: Forecaster) -> None:
    """Weights that start at 0 are drawn: a law says nothing of a path that is multiplied by 0."""
    for weight in model.state_dict().values():
        if weight.is_floating_point() and not bool(weight.any()):
            weight.normal_(0.0, 0.1)


def future_of(model: Forecaster, past: Past, seed: int = 9) -> Future:
    generator = torch.Generator().manual_seed(seed)
    lead = horizon(model)
    inputs = torch.randn(past.values.shape[0], lead, past.inputs.shape[2], generator=generator, dtype=torch.float64)
    return Future.of(past, lead, inputs.to(past.values.dtype))


def numbers(forecast: Forecast) -> Tensor:
    """What a forecast says, as one tensor: (… H C Q)."""
    return forecast.quantiles((0.025, 0.1, 0.5, 0.9, 0.975))


def spread(past: Past) -> float:
    """The scale that errors are measured on: the largest standard deviation of a series and channel."""
    seen = past.values.nan_to_num(nan=0.0)
    return max(float(seen.std()), 1e-12)


def difference(a: Tensor, b: Tensor) -> float:
    """Largest absolute difference; infinite where one is missing and the other is not."""
    assert a.shape == b.shape, (a.shape, b.shape)
    if not a.dtype.is_floating_point:
        return float((a != b).any()) * math.inf if bool((a != b).any()) else 0.0
    if bool((a.isnan() != b.isnan()).any()):
        return math.inf
    gap = torch.where((a == b) | a.isnan(), torch.zeros_like(a), (a - b).abs())
    return float(gap.max()) if gap.numel() else 0.0


def apart(a: State, b: State) -> float:
    """Largest relative difference between two states, leaf by leaf on the leaf's own scale."""
    worst = 0.0
    for x, y in zip(leaves(a), leaves(b), strict=True):
        scale = (
            max(float(x[x.isfinite()].abs().max()), 1.0)
            if x.dtype.is_floating_point and bool(x.isfinite().any())
            else 1.0
        )
        worst = max(worst, difference(x, y) / scale)
    return worst


def frozen(state: State) -> State:
    """A deep copy."""
    return tree_map(lambda leaf: leaf.clone(), state)


def weights_are_32(model: Forecaster) -> bool:
    return any(weight.dtype == torch.float32 for weight in model.state_dict().values())
