"""Server Machine Dataset, five machines of 38 metrics, without point adjustment; whose blame hits a metric that the label names."""

from pathlib import Path

import numpy as np

from forecast.experiment import config as configs
from forecast.experiment.benchmark import detecting
from forecast.experiment.benchmark.detecting import Case, Told
from forecast.metrics.detection import named

MOST = 3  # channels that carry most of the blame


def run(config: configs.Benchmark, out: Path) -> int:
    """The benchmark."""
    return detecting.run(config, out, "smd", figures, kind="anomaly")


def figures(of: list[Case], found: list[Told]) -> dict[str, float]:
    """Share of the events one of whose named metrics is among the three most blamed, and that of three drawn at random."""
    hits, chances = [], []
    for case, told in zip(of, found, strict=True):
        if told.blame is None:
            return {}
        for span, channels in zip(case.spans, case.concerned, strict=True):
            if channels:
                hit, chance = named(told.score, told.blame, span, channels, MOST)
                hits.append(hit)
                chances.append(chance)
    return {"blame_top3": float(np.mean(hits)), "blame_top3_random": float(np.mean(chances))}
