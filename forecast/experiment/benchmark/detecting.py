"""What the benchmarks of detection share: one protocol for every detector.

The rows before the border of a data set's protocol say what is normal; the model is estimated and every threshold set on
them alone, at a rate that is the same for all files and was fixed before any label was read. The rows after them are
scored one by one, each from the past alone, and all figures are of those rows (`forecast.experiment.judging`).
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from forecast.detect.baselines import BASELINES, scores
from forecast.errors import InputError
from forecast.experiment import config as configs
from forecast.experiment import data
from forecast.experiment.benchmark import Results, options
from forecast.experiment.detection import days_of, follow, ready, rows_per_day
from forecast.experiment.detectors import build
from forecast.experiment.judging import Scored, judge
from forecast.experiment.members import Member, member
from forecast.experiment.tracking import recording
from forecast.experiment.weights import built
from forecast.metrics import detection as metrics
from forecast.series import catalogue
from forecast.series.panel import Panel

LEVEL = {"name": "kalman", "trend": "none", "season": 1}  # a level under noise; its moves are what is watched


@dataclass(frozen=True)
class Choice:
    """The keys of conf/benchmark/<name>.yaml."""

    detectors: tuple[str, ...]
    baselines: tuple[str, ...]
    rate: float


class Case(NamedTuple):
    """One series with its labels."""

    panel: Panel  # of this series alone
    label: metrics.Flags  # (T)
    spans: list[tuple[int, int]]  # first and last row of each labelled span
    concerned: list[tuple[int, ...]]  # channels that each span names
    calm: int


class Told(NamedTuple):
    """What a detector says of a case; NaN on the calm rows."""

    score: metrics.Scores  # (T)
    blame: metrics.Scores | None = None  # (T C)
    began: int = 0  # rows before a score that began of which it speaks


Pooled = Callable[[list[Case], list[Told]], Mapping[str, float]]
Subject = tuple[str, Callable[[Case], Told]]


def run(
    config: configs.Benchmark,
    out: Path,
    name: str,
    more: Pooled,
    kind: str | None = None,
    peers: Callable[[list[Case]], Iterator[Subject]] = lambda of: iter(()),
) -> int:
    """Every detector and baseline over every series, in a table."""
    torch.set_num_threads(1)
    chosen = options(Choice, config)
    made, of = Results(out, name), list(cases(name, kind))
    every = [*ours(chosen, config.models or (member(LEVEL),)), *baselines(chosen, config.seed), *peers(of)]
    with recording(config.tracking, Path(config.out), f"benchmark {name}", {"verb": "benchmark"}) as recorder:
        for label, score in every:
            if made.has(name, label):
                continue
            started = _cpu_seconds()
            found = [score(case) for case in of]
            cpu_s = _cpu_seconds() - started
            made.add(name, label, **more(of, found), **pooled(of, found, config.seed), cpu_s=cpu_s)
        recorder.metrics(made.metrics())
        recorder.artefact(made.file)
    show(made.frame)
    print(f"Table: {made.file}")
    return 0


def _cpu_seconds() -> float:
    """Of this process and of those that it waited for: peers run alone."""
    return sum(os.times()[:4])


def cases(name: str, kind: str | None) -> Iterator[Case]:
    """Every series of a data set, with the labels of one kind."""
    for dataset in catalogue.load(name, data.folders(), raw=True):
        if dataset.labels is None or "anomaly-free" in dataset.name:
            continue
        labels = dataset.labels if kind is None else dataset.labels.of_kind(kind)
        for s in range(len(dataset.panel)):
            one = dataset.panel.select([s])
            within = labels.within(one)
            spans = [(low, high - 1) for _, _, low, high in within.spans(one)]
            concerned = [tuple(one.channels.index(word) for word in words) for words in within.channels]
            yield Case(one, within.rows(one).numpy(), spans, concerned, int(dataset.borders.train[s]))


def ours(chosen: Choice, models: tuple[Member, ...]) -> Iterator[Subject]:
    """Our detectors on each model; rows before the border have no score."""
    for word in chosen.detectors:
        for one in models:

            def score(case: Case, word: str = word, one: Member = one) -> Told:
                calm = np.array([case.calm])
                model = built(one, case.panel, 1, calm)
                detector = build({"name": word, "quality": False}, chosen.rate, _season(case.panel))
                monitor = ready(model, detector, case.panel, calm)
                began = int(detector.began(monitor.machines.detector)[0])
                _, seen = next(follow(monitor, case.panel, calm))
                score, blame = (
                    _behind(leaf[0].numpy(), case.calm) for leaf in (seen.verdict.score, seen.verdict.blame)
                )
                return Told(score, blame, began)

            yield f"{word} on {one.label}", score


def _season(panel: Panel) -> int:
    """Rows of the season, of a day where the panel states none; 1 on a clock without days."""
    day = rows_per_day(panel)
    return panel.season if panel.season > 1 or day != day else round(day)


def baselines(chosen: Choice, seed: int) -> Iterator[Subject]:
    """Scores that a few lines give."""
    for word in chosen.baselines:
        if word not in BASELINES:
            raise InputError(f"benchmark.baselines: unknown {word!r}; choose from {', '.join(BASELINES)}")

        def score(case: Case, word: str = word) -> Told:
            bare = BASELINES[word](case.panel.series(0).numpy(), case.calm, seed)
            made = bare if word == "always" else scores(bare, case.calm, chosen.rate)
            made[: case.calm] = np.nan
            return Told(made)

        yield word, score


def _behind(told: metrics.Scores, calm: int) -> metrics.Scores:
    return np.concatenate([np.full((calm, *told.shape[1:]), np.nan), told])


def pooled(of: list[Case], found: list[Told], seed: int) -> dict[str, float]:
    """The figures of the rows behind the border."""
    scored = [
        Scored(told.score[case.calm :], case.label[case.calm :], days_of(case.panel, 0, case.calm))
        for case, told in zip(of, found, strict=True)
    ]
    return judge(scored, seed)


def show(frame: pd.DataFrame) -> None:
    """One row for each figure, one column for each subject."""
    wide = frame.pivot_table(index="unit", columns="subject", values="value", sort=False)
    view = Table("", *(str(column) for column in wide.columns))
    for unit, row in wide.iterrows():
        view.add_row(str(unit), *(f"{value:.3g}" for value in row))
    Console(width=200).print(view)
