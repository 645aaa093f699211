"""Simulated rows: a random walk under noise, with and without what is to be found."""

import numpy as np
import torch
from scipy.signal import fftconvolve
from scipy.stats import norm, t
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


def most_found(rate: float, size: float, heavy: bool) -> float:
    """The most spikes of `size` (in deviations of the noise) on `walk` that alarms on single rows can find at a false-alarm rate.

    Of alarms that go on where the deviation grows: |y - expected| above the quantile of 1 - rate, expected the exact filter's. Its
    error is normal with the variance P of the predicted level, P² = 0.02 (P + 1), under the noise itself.
    """
    step = 1 / 500
    x = np.arange(-30_000, 30_001) * step
    predicted = (0.02 + (0.02**2 + 4 * 0.02) ** 0.5) / 2
    noise_law = t.pdf(x * 2**0.5, 4) * 2**0.5 if heavy else norm.pdf(x)
    law = fftconvolve(noise_law, norm.pdf(x, scale=predicted**0.5), mode="same").clip(min=0)
    below = law.cumsum() / law.sum()
    bound = x[np.searchsorted(below, 1 - rate / 2)]
    return float(1 - np.interp(bound - size, x, below) + np.interp(-bound - size, x, below))
