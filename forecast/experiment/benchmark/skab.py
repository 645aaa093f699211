"""SKAB, 30 experiments with a pump: 400 calm rows of each, all other rows pooled as its leaderboard does."""

from pathlib import Path

from forecast.experiment import config as configs
from forecast.experiment.benchmark import detecting


def run(config: configs.Benchmark, out: Path) -> int:
    """The benchmark."""
    return detecting.run(config, out, "skab", lambda of, found: {}, kind="anomaly")
