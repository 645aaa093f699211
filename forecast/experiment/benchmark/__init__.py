"""`forecast benchmark=NAME`: a published protocol, or a measurement, one module of this folder each.

A benchmark is `forecast/experiment/benchmark/<name>.py` with a `run(config, out) -> exit code`, and its options are the keys of
conf/benchmark/<name>.yaml, which `options` checks against a frozen dataclass of that module. What it finds goes to results.csv
(suite, case, subject, value, unit), through `Results`, figure by figure.
"""

import importlib
from pathlib import Path
from typing import TypeVar

import pandas as pd

from forecast.experiment import config as configs
from forecast.experiment.tables import save

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


class Results:
    """results.csv of a run folder: kept after every case, and read back where a run goes on."""

    def __init__(self, folder: Path, suite: str) -> None:
        self.file, self.suite = folder / "results.csv", suite
        kept = pd.read_csv(self.file, keep_default_na=False) if self.file.exists() else pd.DataFrame()
        self.rows: list[tuple[str, str, str, float, str]] = list(kept.itertuples(index=False, name=None))

    def has(self, case: str, subject: str) -> bool:
        """Whether this was measured already."""
        return any(row[1:3] == (case, subject) for row in self.rows)

    def add(self, case: str, subject: str, **values: float) -> None:
        """Figures of one subject in one case, each by its unit."""
        self.rows += [(self.suite, case, subject, float(value), unit) for unit, value in values.items()]
        save(self.file.parent, {self.file.name: self.frame})

    @property
    def frame(self) -> pd.DataFrame:
        """All figures so far."""
        return pd.DataFrame(self.rows, columns=["suite", "case", "subject", "value", "unit"])

    def metrics(self) -> dict[str, float]:
        """The figures by a name that MLflow takes."""
        named = {f"{unit}.{case}.{subject}": value for _, case, subject, value, unit in self.rows}
        return {
            "".join(c if c.isalnum() or c in "_-. /" else "_" for c in name): value for name, value in named.items()
        }
