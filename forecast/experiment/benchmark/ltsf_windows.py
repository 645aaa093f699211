"""Test windows of the long-horizon tables: what a model says before each, and its errors, window by window, in files of the run.

Windows of validation rows are scored the same way, where these choose something.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from forecast.experiment.tables import save
from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel
from forecast.series.protocol import Protocol, training_scale
from forecast.types import Future, Parameters

CELLS = 2_000_000  # forecast cells held at once, each with all its quantiles


class Score(NamedTuple):
    """One cell of a long-horizon table."""

    mse: float
    mae: float
    square: Tensor  # (W): squared error of each window

    def figures(self) -> dict[str, float]:
        """What the table holds."""
        return {"mse": self.mse, "mae": self.mae, "windows": len(self.square)}


@dataclass(frozen=True)
class Kept:
    """Squared errors by window of the models of one set, so that a run that goes on can still set them side by side."""

    folder: Path
    name: str

    def keep(self, horizon: int, label: str, square: Tensor) -> None:
        """Write those of one model."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save(self.folder, {self._file(horizon, label).name: pd.DataFrame({"square": square.numpy()})})

    def found(self, horizon: int, label: str) -> Tensor | None:
        """Read them (W), or None where this run has none."""
        file = self._file(horizon, label)
        return torch.tensor(pd.read_parquet(file)["square"].to_numpy()) if file.exists() else None

    def _file(self, horizon: int, label: str) -> Path:
        return self.folder / f"{self.name}-{horizon}-{label}.parquet"


def evaluate(
    model: Forecaster, parameters: Parameters, panel: Panel, protocol: Protocol, horizon: int, test: bool = True
) -> Score:
    """Score all test windows (or all validation windows) of a panel of one series, channel by channel of equal weight."""
    borders = protocol.split.borders(panel.lengths)
    start, stop = (int(part[0]) for part in (borders[1:] if test else borders[:2]))
    windows = stop - start - horizon + 1
    _, spread = training_scale(panel, borders.train)
    values = panel.series(0)
    square, absolute = [], torch.zeros((), dtype=torch.float64)
    chunk = max(CELLS // (horizon * values.shape[1]), 1)
    with torch.no_grad():
        past = panel.past([start])
        state = model.warm_up(model.initial_state(parameters, past.static), past)
        for low in range(start, start + windows, chunk):
            high = min(low + chunk, start + windows)
            rows, ahead = panel.past([high], context=high - low), panel.future([high], horizon)
            forecast, state = model.trace(state, rows, Future(ahead.inputs, ahead.elapsed), horizon)
            actual = values[low : high + horizon - 1].unfold(0, horizon, 1).transpose(1, 2)
            error = (forecast.median[0] - actual) / spread[0]
            square.append(error.square().mean((1, 2)))
            absolute += error.abs().sum()
    each = torch.cat(square)
    return Score(float(each.mean()), float(absolute) / (windows * horizon * values.shape[1]), each)
