"""What is done with the series of one bucket, on any machine: a table in, a table out, no engine in sight.

Tables in: unique_id, ds, y. Everything that the series of a panel might find together (clock, season, cutoffs) is told or
counted from each series' own end, so that a bucket finds what the whole panel finds.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.experiment import api, backtest, monitoring
from forecast.experiment.members import Member, labelled, member
from forecast.experiment.tables import SHOWN
from forecast.experiment.work import Fitted
from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel
from forecast.series.read import read_frame
from forecast.series.split import cutoffs

Named = str | Mapping[str, Any]
FORECASTS = ("mean", *(f"q{level:g}" for level in SHOWN))
SCORES = ("value", "expected", "lower", "upper", "score", "p_value", "alarm", "kind")


@dataclass(frozen=True)
class Settings:
    """What is asked of every series."""

    season: int | tuple[int, ...] | None
    horizon: int = 1
    models: tuple[Named, ...] = ("kalman",)
    detector: Named = "standard"
    rate: float = 1e-3  # false alarms per row
    calm: float = 0.15  # below 1 a share, else rows
    gap: int = 5
    cutoffs: int = 5
    metrics: tuple[str, ...] = ("mase", "rmsse", "smape", "wql", "coverage")
    seed: int = 0
    read: Mapping[str, Any] = field(default_factory=dict)  # more options of read_frame, as clock="1h"

    def __post_init__(self) -> None:
        if self.season is None:
            raise InputError("fleet: pass season=24, or season=1 for none; found bucket by bucket it might not be one")

    def panel(self, table: pd.DataFrame) -> Panel:
        """The series of a table, in the order of their names."""
        torch.set_num_threads(1)
        ordered = table[["unique_id", "ds", "y"]].sort_values(["unique_id", "ds"], kind="stable", ignore_index=True)
        return read_frame(ordered, season=self.season, **self.read)


def predict(table: pd.DataFrame, asked: Settings) -> pd.DataFrame:
    """unique_id, ds, model, mean, q…: every series fitted on its rows, and forecast after them."""
    panel = asked.panel(table)
    made = []
    for one in labelled([member(model) for model in asked.models]):
        found = api.predict(_built(one, asked, panel), panel, asked.horizon)
        made.append(found.assign(model=one.label))
    return pd.concat(made, ignore_index=True)[["unique_id", "ds", "model", *FORECASTS]]


def detect(table: pd.DataFrame, asked: Settings) -> pd.DataFrame:
    """unique_id, ds and SCORES of the rows after the calm ones."""
    scores, _ = monitoring.detect(
        asked.panel(table),
        false_alarm_rate=asked.rate,
        model=asked.models[0],
        detector=asked.detector,
        calm=asked.calm,
        gap=asked.gap,
    )
    return scores[["unique_id", "ds", *SCORES]]


def backtests(table: pd.DataFrame, asked: Settings) -> pd.DataFrame:
    """unique_id, model, cutoff, metric, total, weight: sums over the leads, to be pooled as each metric is."""
    panel = asked.panel(table)
    ends = cutoffs(panel, asked.horizon, asked.cutoffs, by="end")
    plan = backtest.Plan(panel, ends, asked.horizon, asked.metrics, seed=asked.seed)
    members = labelled([member(model) for model in asked.models])
    with tempfile.TemporaryDirectory() as folder:
        cells = backtest.backtest(plan, members, Path(folder), _untrained)
    rows = [
        (panel.names[s], label, k, word, float(tally.total[s].sum()), float(tally.weight[s].sum()))
        for label, made in cells.items()
        for k, cell in enumerate(made)
        for word, tally in cell.tallies.items()
        for s in range(len(panel))
    ]
    return pd.DataFrame(rows, columns=["unique_id", "model", "cutoff", "metric", "total", "weight"])


def _built(one: Member, asked: Settings, panel: Panel) -> Forecaster:
    model = api.fit({"name": one.word, **one.parameters}, panel, asked.horizon, seed=asked.seed)
    if "trained" in model.traits:
        raise InputError(f"{one.word} has weights that all series share: `forecast train` it, and predict with the run")
    return model


def _untrained(one: Member, model: Forecaster, panel: Panel, ends: NDArray[np.int64]) -> Fitted:
    raise InputError(f"{one.word} has weights that all series share: compare it with `forecast compare`")
