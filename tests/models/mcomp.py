"""The M competitions' series as one batch, and their two error measures."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from forecast.models.forecaster import Forecaster
from forecast.types import Future, Past


class Competition(NamedTuple):
    past: Past
    actual: Tensor  # (S H)
    scale: Tensor  # (S): mean absolute seasonal difference
    names: list[str]


def competition(table: pd.DataFrame, season: int) -> Competition:
    parts = {split: rows.groupby("unique_id").y.apply(np.asarray) for split, rows in table.groupby("split")}
    train, test = parts["train"], parts["test"]
    longest = max(map(len, train))
    values = np.stack([np.r_[np.full(longest - len(y), np.nan), y] for y in train])
    scale = np.array([np.abs(y[season:] - y[:-season]).mean() for y in train])
    past = Past.of(torch.from_numpy(values)[:, :, None])
    return Competition(past, torch.from_numpy(np.stack(test.to_list())), torch.from_numpy(scale), list(train.index))


def m4(folder: Path, word: str, season: int) -> Competition:
    return competition(pd.read_csv(folder / "m4" / f"m4_{word}.csv.gz"), season)


def m3(folder: Path, period: str, season: int) -> Competition:
    table, info = (pd.read_csv(folder / "mcomp" / name) for name in ("m3_half.csv.gz", "m3_half_info.csv"))
    return competition(table[table.unique_id.isin(info[info.period == period].unique_id)], season)


def medians(model: Forecaster, data: Competition) -> Tensor:
    """Point forecasts (S H)."""
    horizon = data.actual.shape[1]
    state = model.warm_up(model.initial_state(model.estimate(data.past), data.past.static), data.past)
    return model.predict(state, Future.of(data.past, horizon)).median[..., 0]


def smape(data: Competition, forecast: Tensor) -> Tensor:
    """200 |y - f| / (|y| + |f|) of each cell (S H)."""
    return 200 * (data.actual - forecast).abs() / (data.actual.abs() + forecast.abs())


def mase(data: Competition, forecast: Tensor) -> Tensor:
    """Mean absolute error over the scale (S)."""
    return (data.actual - forecast).abs().mean(1) / data.scale
