"""The M3 competition, on the series at hand: see `competitions`."""

from pathlib import Path

from forecast.experiment import config as configs
from forecast.experiment.benchmark import competitions


def run(config: configs.Benchmark, out: Path) -> int:
    """The benchmark."""
    return competitions.run(config, out, "m3")
