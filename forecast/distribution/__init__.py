"""Forecasts: predictive distributions of the next rows."""

from forecast.distribution.forecast import LEVELS, Forecast

__all__ = ["LEVELS", "Forecast"]
