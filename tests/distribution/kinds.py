"""One instance of every kind of forecast, of any shape and precision."""

from collections.abc import Callable

import torch
from torch import Tensor

from forecast.distribution import (
    LEVELS,
    Affine,
    Bounded,
    BoxCox,
    Choice,
    Forecast,
    Gaussian,
    Mixture,
    Quantiles,
    StudentT,
    Transformed,
)

Shape = tuple[int, ...]


def draw(shape: Shape, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(shape: Shape, seed: int = 0) -> Gaussian:
    return Gaussian(10 + draw(shape, seed), draw(shape, seed + 1).exp())


def joint(shape: Shape) -> Gaussian:
    root = draw((*shape, shape[-1]), 2)
    covariance = root @ root.mT + 0.1 * torch.eye(shape[-1], dtype=root.dtype)
    return Gaussian(10 + draw(shape), covariance.diagonal(dim1=-2, dim2=-1), covariance)


def student(shape: Shape) -> StudentT:
    return StudentT(10 + draw(shape, 3), draw(shape, 4).exp(), 2.5 + 8 * draw(shape, 5).square())


def quantiles(shape: Shape) -> Quantiles:
    return Quantiles(10 + draw((*shape, len(LEVELS)), 6))


def log_normal(shape: Shape) -> Transformed:
    zero = torch.zeros(shape, dtype=torch.float64)
    return Transformed(Gaussian(1 + 0.1 * draw(shape, 7), 0.05 * draw(shape, 8).exp()), BoxCox(zero, zero + 0.5))


def box_cox(shape: Shape) -> Transformed:
    power = 0.3 + 0.1 * draw(shape, 9)
    return Transformed(Gaussian(9 + 0.1 * draw(shape, 7), 0.1 * draw(shape, 8).exp()), BoxCox(power, 0 * power))


def shifted(shape: Shape) -> Transformed:
    return Transformed(student(shape), Affine(5 + draw(shape, 10), draw(shape, 11).exp()))


def bounded(shape: Shape) -> Bounded:
    return Bounded(gaussian(shape), minimum=9.5, maximum=12.0)


def count(shape: Shape) -> Bounded:
    return Bounded(Gaussian(1 + draw(shape).exp(), draw(shape, 1).exp()), minimum=0.0, integer=True)


def mixture(shape: Shape) -> Mixture:
    return Mixture((gaussian(shape), student(shape), quantiles(shape)), torch.tensor([0.5, 0.3, 0.2]).double())


def choice(shape: Shape) -> Choice:
    return Choice(draw(shape, 12) > 0, gaussian(shape), quantiles(shape))


CONTINUOUS: dict[str, Callable[[Shape], Forecast]] = {
    f.__name__: f for f in (gaussian, joint, student, quantiles, log_normal, box_cox, shifted, mixture, choice)
}
ALL: dict[str, Callable[[Shape], Forecast]] = CONTINUOUS | {f.__name__: f for f in (bounded, count)}
