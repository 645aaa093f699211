"""AIOps KPI, eight curves: the first half of each is for training."""

from pathlib import Path

from forecast.experiment import config as configs
from forecast.experiment.benchmark import detecting


def run(config: configs.Benchmark, out: Path) -> int:
    """The benchmark."""
    return detecting.run(config, out, "kpi", lambda of, found: {}, kind="anomaly")
