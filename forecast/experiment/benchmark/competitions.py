"""M competitions: one cutoff before the official test rows, every series of every frequency, a failed one replaced by seasonal naive.

Figures of a frequency are those of `forecast compare`; those of a whole set weigh each frequency by its series (sMAPE over points by
its points), which pools them as the competition does. OWA is relative to our own Naive2 in the same run. Coverage is
that of 90 % intervals, also for the first, the middle and the last third of the leads. `benchmark.series` takes so many of each frequency,
drawn evenly over the file's order: models of a peer that need seconds a series are then seen on the series that ours are seen on.
"""

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from forecast.experiment import compare, data, tables
from forecast.experiment import config as configs
from forecast.experiment.backtest import Plan
from forecast.experiment.benchmark import Results, options, peers
from forecast.experiment.members import Member, labelled, member
from forecast.experiment.tracking import recording
from forecast.metrics import METRICS as KINDS
from forecast.metrics.pooling import by_lead
from forecast.metrics.relative import owa
from forecast.series import catalogue
from forecast.series.protocol import Dataset

METRICS = ("mase", "smape", "smape_points", "rmsse", "coverage", "msis")
KNOWN = ("naive2", "seasonal_naive", "theta", "ets", "kalman")
BASELINES = ("naive2", "seasonal_naive")
THIRDS = ("coverage_1", "coverage_2", "coverage_3")
WHOLE = "all"


@dataclass(frozen=True)
class Choice:
    """The keys of conf/benchmark/m4.yaml and m3.yaml."""

    sets: tuple[str, ...]
    peers: tuple[str, ...] = ()
    series: int = 0


def run(config: configs.Benchmark, out: Path, suite: str) -> int:
    """Every frequency in turn; finished ones are in results.csv, finished pieces of the current one in cells/."""
    torch.set_num_threads(1)
    members = _members(config)
    made = Results(out, suite)
    with recording(config.tracking, Path(config.out), f"benchmark {suite}", {"verb": "benchmark"}) as recorder:
        choice, others = options(Choice, config), []
        for name in choice.sets:
            for whole in catalogue.load(name, data.folders()):
                dataset = evenly(whole, choice.series)
                if not made.has(dataset.name, members[-1].label):
                    _one(dataset, members, config, out, made)
                others = [word for word in choice.peers if _peer(dataset, word, out, made)]
        pool(made, [*[one.label for one in members], *map(_named, others)])
        recorder.metrics(made.metrics())
        recorder.artefact(made.file)
    _show(made.frame)
    print(f"Table: {made.file}")
    return 0


def evenly(dataset: Dataset, series: int) -> Dataset:
    """So many series of a data set, evenly spread over its order; all where it has no more, or none is asked for."""
    if not 0 < series < len(dataset.panel):
        return dataset
    drawn = [k * len(dataset.panel) // series for k in range(series)]
    return replace(dataset, panel=dataset.panel.select(drawn))


def _members(config: configs.Benchmark) -> tuple[Member, ...]:
    """The models, the two baselines always among them and first."""
    asked = config.models or labelled([member(word) for word in KNOWN])
    spare = [member(word) for word in BASELINES if word not in {one.word for one in asked}]
    return (*spare, *asked)


def _one(dataset: Dataset, members: tuple[Member, ...], config: configs.Benchmark, out: Path, made: Results) -> None:
    """The comparison of one frequency, and its figures."""
    panel, horizon = dataset.panel, dataset.protocol.horizons[0]
    ends = dataset.protocol.cutoffs(panel, horizon)
    processes = config.processes or os.cpu_count() or 1
    plan = Plan(panel, ends, horizon, METRICS, time_cap=config.time_cap, processes=processes, seed=config.seed)
    done = compare.compare(plan, members, out / "cells" / dataset.name, config.trainer, failed="seasonal_naive")
    cost = tables.costs(done.cells).set_index("model")[["fit_cpu_s", "predict_cpu_s"]].sum(axis=1)
    for one in members:
        figures = {word: done.board.standings[word][one.label].value for word in METRICS}
        leads = by_lead(KINDS["coverage"], done.board.tallies["coverage"][one.label]).tensor_split(3)
        figures |= {word: float(part.mean()) for word, part in zip(THIRDS, leads, strict=True)}
        failed = sum(len(cell.failed) for cell in done.cells[one.label])
        size = {"series": len(panel), "points": len(panel) * horizon, "failed": failed, "cpu_s": float(cost[one.label])}
        made.add(dataset.name, one.label, **figures, **size)


def _peer(dataset: Dataset, word: str, out: Path, made: Results) -> bool:
    """The figures of one peer; whether there are any."""
    if not made.has(dataset.name, _named(word)):
        panel, horizon = dataset.panel, dataset.protocol.horizons[0]
        ends = dataset.protocol.cutoffs(panel, horizon)[0]
        found = peers.figures(word, panel, ends, horizon, out / "peers" / dataset.name)
        if found is None:
            return False
        made.add(dataset.name, _named(word), **found)
    return True


def _named(word: str) -> str:
    """A peer as the table calls it."""
    return f"statsforecast {word}"


def pool(made: Results, labels: list[str]) -> None:
    """The figures of all frequencies together, and OWA of each and of all."""
    wide = made.frame.pivot(index=["case", "subject"], columns="unit", values="value")
    cases = [case for case in dict.fromkeys(made.frame["case"]) if case != WHOLE]
    for label in labels:
        if not made.has(WHOLE, label):
            rows = wide.loc[[(case, label) for case in cases]]
            known = [word for word in (*METRICS, *THIRDS) if word in rows and rows[word].notna().any()]
            weights = {word: rows["points" if word == "smape_points" else "series"] for word in known}
            figures = {word: float((rows[word] * w).sum() / w.sum()) for word, w in weights.items()}
            made.add(
                WHOLE,
                label,
                **figures,
                **{word: float(rows[word].sum()) for word in ("series", "points", "failed", "cpu_s")},
            )
    wide = made.frame.pivot(index=["case", "subject"], columns="unit", values="value")
    for case in [*cases, WHOLE]:
        block = wide.loc[case]
        if "owa" not in block or block["owa"].isna().any():
            for label, value in owa(block["smape"].to_dict(), block["mase"].to_dict()).items():
                made.add(case, label, owa=value)


def _show(made: pd.DataFrame) -> None:
    """One block of rows for each frequency."""
    wide = made.pivot_table(index=["case", "subject"], columns="unit", values="value", sort=False)
    words = ["smape", "smape_points", "mase", "owa", "rmsse", "coverage", *THIRDS, "msis", "failed", "cpu_s"]
    view = Table(title="Official test rows")
    for word in ("data", "model", *words):
        view.add_column(word, justify="left" if word in ("data", "model") else "right")
    for case, block in wide.groupby(level="case", sort=False):
        for label, row in block.droplevel("case").iterrows():
            view.add_row(str(case), str(label), *(f"{row.get(word, math.nan):.4g}" for word in words))
        view.add_section()
    Console(width=None if os.isatty(1) else 140).print(view)
