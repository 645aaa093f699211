"""Numenta Anomaly Benchmark, the 42 files at hand, 69 windows: official (the threshold that the labels like best) and honest scores."""

from pathlib import Path

import numpy as np

from forecast.experiment import config as configs
from forecast.experiment.benchmark import detecting
from forecast.experiment.benchmark.detecting import Case, Told
from forecast.metrics.detection_nab import PROFILES, honest, official


def run(config: configs.Benchmark, out: Path) -> int:
    """The benchmark."""
    return detecting.run(config, out, "nab", figures)


def figures(of: list[Case], found: list[Told]) -> dict[str, float]:
    """Three profiles, each at the best threshold for the corpus and at ours."""
    scores, windows = [np.nan_to_num(told.score) for told in found], [case.spans for case in of]
    made = {}
    for name, profile in PROFILES.items():
        made[f"{name}_official"] = official(scores, windows, profile)[0]
        made[f"{name}_honest"] = honest(scores, windows, profile, 0.5)
    return made
