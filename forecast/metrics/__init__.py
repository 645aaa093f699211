"""Metrics: an Outcome becomes a Tally, tallies are pooled."""

from forecast.metrics.outcome import Outcome, Tally
from forecast.metrics.registry import METRICS, Metric
from forecast.metrics.scale import naive_errors

__all__ = ["METRICS", "Metric", "Outcome", "Tally", "naive_errors"]
