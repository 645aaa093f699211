"""Test windows of the long-horizon tables: what a model says before each, and its errors, window by window, in files of the run.

Windows of validation rows are scored the same way, where these choose something.
"""

from collections.abc import Iterable
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

CELLS = 150_000  # forecast cells held at once, each with all its quantiles: more of them leave the processor's caches


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
    return evaluate_all(model, parameters, panel, protocol, (horizon,), test)[horizon]


def evaluate_all(
    model: Forecaster, parameters: Parameters, panel: Panel, protocol: Protocol, horizons: Iterable[int], test: bool = True
) -> dict[int, Score]:
    """The same for several horizons of a model that forecasts any, in one pass: a window is traced once, at the longest horizon it has room for."""
    borders = protocol.split.borders(panel.lengths)
    start, stop = (int(part[0]) for part in (borders[1:] if test else borders[:2]))
    _, spread = training_scale(panel, borders.train)
    values, down = panel.series(0), sorted(horizons, reverse=True)
    square = {horizon: torch.empty(stop - start - horizon + 1, dtype=torch.float64) for horizon in down}
    absolute = dict.fromkeys(down, 0.0)
    with torch.no_grad():
        past = panel.past([start])
        state = model.warm_up(model.initial_state(parameters, past.static), past)
        low = start
        for longest in down:
            chunk = max(CELLS // (longest * values.shape[1]), 1)
            while low <= stop - longest:
                high = min(low + chunk, stop - longest + 1)
                rows, ahead = panel.past([high], context=high - low), panel.future([high], longest)
                forecast, state = model.trace(state, rows, Future(ahead.inputs, ahead.elapsed), longest)
                actual = values[low : high + longest - 1].unfold(0, longest, 1).transpose(1, 2)
                error = (forecast.median[0] - actual) / spread[0]
                for horizon in (h for h in down if h <= longest):
                    square[horizon][low - start : high - start] = error[:, :horizon].square().mean((1, 2))
                    absolute[horizon] += float(error[:, :horizon].abs().sum())
                low = high
    return {
        horizon: Score(float(each.mean()), absolute[horizon] / (len(each) * horizon * values.shape[1]), each)
        for horizon, each in square.items()
    }
