"""UCR anomaly archive, 35 series with one anomaly each: is the highest score within 100 rows of it?"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np

from forecast.detect.discord import season
from forecast.experiment import config as configs
from forecast.experiment.benchmark import detecting, peers
from forecast.experiment.benchmark.detecting import Case, Subject, Told
from forecast.metrics.detection import Scores, located


def run(config: configs.Benchmark, out: Path) -> int:
    """The benchmark."""
    return detecting.run(config, out, "ucr", figures, peers=lambda of: stumpy(of, out))


def stumpy(of: list[Case], out: Path) -> Iterator[Subject]:
    """The matrix profile of patterns of one season, the season of the calm rows: it sees all rows, those to come too."""

    @cache
    def all_profiles() -> dict[str, Scores]:
        series = [case.panel.series(0)[:, 0].double() for case in of]
        sizes = [max(int(season(y[: case.calm, None])), 16) for y, case in zip(series, of, strict=True)]
        found = peers.profiles([y.numpy() for y in series], sizes, out)
        return {case.panel.names[0]: one for case, one in zip(of, found, strict=True)}

    def score(case: Case) -> Told:
        made = all_profiles()[case.panel.names[0]].copy()
        made[: case.calm] = np.nan
        return Told(made)

    if peers.there("stumpy"):
        yield "stumpy's matrix profile", score


def figures(of: list[Case], found: list[Told]) -> dict[str, float]:
    """Share of the series whose anomaly is found: where the pattern began that has the highest score."""
    hits = []
    for case, told in zip(of, found, strict=True):
        began = np.concatenate([told.score[told.began :], np.full(told.began, np.nan)])
        hits.append(located(began, case.spans[0][0], case.spans[0][1] + 1))
    return {"accuracy": float(np.mean(hits))}
