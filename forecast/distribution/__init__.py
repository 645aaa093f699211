"""Forecasts: predictive distributions of the next rows."""

from forecast.distribution.bounded import Bounded
from forecast.distribution.choice import Choice
from forecast.distribution.forecast import LEVELS, Forecast
from forecast.distribution.gaussian import Gaussian
from forecast.distribution.mixture import Mixture
from forecast.distribution.quantiles import Quantiles
from forecast.distribution.student import StudentT
from forecast.distribution.transformed import Affine, BoxCox, Transform, Transformed

__all__ = [
    "LEVELS",
    "Affine",
    "Bounded",
    "BoxCox",
    "Choice",
    "Forecast",
    "Gaussian",
    "Mixture",
    "Quantiles",
    "StudentT",
    "Transform",
    "Transformed",
]
