"""UCR anomaly archive, 35 series with one anomaly each: is the highest score within 100 rows of it?"""

from pathlib import Path

import numpy as np

from forecast.experiment import config as configs
from forecast.experiment.benchmark import detecting
from forecast.experiment.benchmark.detecting import Case, Told
from forecast.metrics.detection import located


def run(config: configs.Benchmark, out: Path) -> int:
    """The benchmark."""
    return detecting.run(config, out, "ucr", figures)


def figures(of: list[Case], found: list[Told]) -> dict[str, float]:
    """Share of the series whose anomaly is found: where the pattern began that has the highest score."""
    hits = []
    for case, told in zip(of, found, strict=True):
        began = np.concatenate([told.score[told.began :], np.full(told.began, np.nan)])
        hits.append(located(began, case.spans[0][0], case.spans[0][1] + 1))
    return {"accuracy": float(np.mean(hits))}
