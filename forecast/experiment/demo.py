"""`forecast demo`, which `make run` calls: a comparison whose defaults are in conf/demo.yaml."""

from pathlib import Path

from forecast.experiment import compare
from forecast.experiment.config import Demo


def run(config: Demo, out: Path) -> int:
    """The verb."""
    return compare.run(config, out)
