"""`forecast benchmark=NAME`: a published protocol, or a measurement, one module of this folder each.

A benchmark is `forecast/experiment/benchmark/<name>.py` with a `run(config, out) -> exit code`, and its options are the keys of
conf/benchmark/<name>.yaml, which `options` checks against a frozen dataclass of that module.
"""

import importlib
from pathlib import Path
from typing import TypeVar

from forecast.experiment import config as configs

Options = TypeVar("Options")


def run(config: configs.Benchmark, out: Path) -> int:
    """The verb."""
    code: int = importlib.import_module(f"{__name__}.{config.benchmark['name']}").run(config, out)
    return code


def options(kind: type[Options], config: configs.Benchmark) -> Options:
    """The keys of the chosen benchmark, each of the type that its dataclass says."""
    chosen = {key: value for key, value in config.benchmark.items() if key != "name"}
    found: Options = configs.complete(kind, chosen, "benchmark.")
    return found
