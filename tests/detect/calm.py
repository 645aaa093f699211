"""Simulated rows: a random walk under noise, with and without what is to be found."""

import torch
from torch import Tensor

from forecast.detect.evidence import Evidence, evidence_of
from forecast.distribution import Gaussian
from forecast.types import Past


def walk(sensors: int, rows: int, seed: int, heavy: bool = False, channels: int = 1) -> Tensor:
    """(B T C): level of variance 0.02 a row under noise of variance 1, normal or Student's t with 4 degrees of freedom."""
    generator = torch.Generator().manual_seed(seed)
    shape = sensors, rows, channels
    steps = torch.randn(shape, generator=generator, dtype=torch.float64) * 0.02**0.5
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    if heavy:
        square = torch.randn((4, *shape), generator=generator, dtype=torch.float64).square().mean(0)
        noise = noise / square.sqrt() / 2**0.5
    return steps.cumsum(1) + noise


def noise(sensors: int, rows: int, seed: int, channels: int = 1) -> Evidence:
    """Evidence of white noise under its own distribution."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(sensors, rows, channels, generator=generator, dtype=torch.float64)
    return of(values)


def of(values: Tensor) -> Evidence:
    """Evidence of values under the standard normal distribution."""
    return evidence_of(Gaussian(torch.zeros_like(values), torch.ones_like(values)), Past.of(values))
