"""Server Machine Dataset, five machines of 38 metrics, without point adjustment."""

from pathlib import Path

from forecast.experiment import config as configs
from forecast.experiment.benchmark import detecting


def run(config: configs.Benchmark, out: Path) -> int:
    """The benchmark."""
    return detecting.run(config, out, "smd", lambda of, found: {}, kind="anomaly")
