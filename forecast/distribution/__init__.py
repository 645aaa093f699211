"""Forecasts: predictive distributions of the next rows."""

from forecast.distribution.forecast import LEVELS, Forecast
from forecast.distribution.gaussian import Gaussian
from forecast.distribution.quantiles import Quantiles
from forecast.distribution.student import StudentT

__all__ = ["LEVELS", "Forecast", "Gaussian", "Quantiles", "StudentT"]
