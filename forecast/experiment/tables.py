"""The tables of a comparison: what every cell forecast, what happened, what it cost, who failed.

One row per series, channel, cutoff and lead; `unique_id` is the series' name, or series/channel where there are
several channels.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.distribution import LEVELS
from forecast.experiment.backtest import Plan
from forecast.experiment.cells import Cell
from forecast.series.panel import Panel

SHOWN = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
HISTORY = 2000  # rows of the past kept beside the forecasts for the pictures
Cells = Mapping[str, Sequence[Cell]]


def identities(panel: Panel) -> list[list[str]]:
    """`unique_id` of every series (S) and channel (C)."""
    if len(panel.channels) == 1:
        return [[name] for name in panel.names]
    return [[channel if len(panel) == 1 else f"{name}/{channel}" for channel in panel.channels] for name in panel.names]


def targets(panel: Panel) -> list[int]:
    """Channels that are scored."""
    return [int(c) for c in panel.target.nonzero().flatten()]


def _blocks(plan: Plan) -> Iterator[tuple[int, int, int, str, pd.Index]]:
    """(cutoff, series, channel, unique_id, times of the leads) of everything that is scored."""
    names = identities(plan.panel)
    for k, ends in enumerate(plan.ends):
        for s, end in enumerate(ends):
            if end < 0:
                continue
            times = plan.panel.times(s)
            ahead = times[end : end + plan.horizon]
            if len(ahead) < plan.horizon:
                ahead = ahead.append(plan.panel.times(s, plan.horizon - len(ahead)))
            for c in targets(plan.panel):
                yield k, s, c, names[s][c], ahead


def forecasts(plan: Plan, cells: Cells) -> pd.DataFrame:
    """unique_id, ds, model, mean, q0.05 … q0.95, cutoff, lead, y."""
    columns = [LEVELS.index(level) for level in SHOWN]
    blocks = list(_blocks(plan))
    frames = []
    for model, made in cells.items():
        stacked = {
            "mean": [made[k].mean[s, :, c] for k, s, c, _, _ in blocks],
            "y": [made[k].actual[s, :, c] for k, s, c, _, _ in blocks],
        }
        quantiles = np.concatenate([made[k].quantiles[s, :, c][:, columns].numpy() for k, s, c, _, _ in blocks])
        frame = pd.DataFrame(quantiles, columns=[f"q{level}" for level in SHOWN])
        frame.insert(0, "mean", np.concatenate(stacked["mean"]))
        frame["y"] = np.concatenate(stacked["y"])
        frames.append(_keyed(plan, blocks, frame, model))
    return pd.concat(frames, ignore_index=True)


def _keyed(
    plan: Plan, blocks: list[tuple[int, int, int, str, pd.Index]], frame: pd.DataFrame, model: str
) -> pd.DataFrame:
    h = plan.horizon
    frame.insert(0, "unique_id", np.repeat([block[3] for block in blocks], h))
    frame.insert(1, "ds", np.concatenate([block[4].to_numpy() for block in blocks]))
    frame.insert(2, "model", model)
    frame["cutoff"] = np.repeat([block[4][0] for block in blocks], h)
    frame["lead"] = np.tile(np.arange(1, h + 1), len(blocks))
    return frame


def history(plan: Plan) -> pd.DataFrame:
    """unique_id, ds, y: the last rows of every series."""
    names = identities(plan.panel)
    frames = []
    for s in range(len(plan.panel)):
        values, times = plan.panel.series(s).numpy()[-HISTORY:], plan.panel.times(s)[-HISTORY:]
        frames += [
            pd.DataFrame({"unique_id": names[s][c], "ds": times, "y": values[:, c]}) for c in targets(plan.panel)
        ]
    return pd.concat(frames, ignore_index=True)


def failures(plan: Plan, cells: Cells) -> pd.DataFrame:
    """model, unique_id, cutoff, reason."""
    rows = []
    for model, made in cells.items():
        for k, cell in enumerate(made):
            rows += [
                (model, plan.panel.names[s], plan.panel.times(s)[plan.ends[k, s]], reason)
                for s, reason in cell.failed.items()
            ]
    return pd.DataFrame(rows, columns=["model", "unique_id", "cutoff", "reason"])


def costs(cells: Cells) -> pd.DataFrame:
    """model, fit_cpu_s, predict_cpu_s, peak_mb, parameters."""
    rows: list[dict[str, Any]] = []
    for model, made in cells.items():
        every = [cell.cost for cell in made]
        rows.append(
            {
                "model": model,
                "fit_cpu_s": sum(c.fit_cpu_s for c in every),
                "predict_cpu_s": sum(c.predict_cpu_s for c in every),
                "peak_mb": max(c.peak_mb for c in every),
                "parameters": max(c.parameters for c in every),
            }
        )
    return pd.DataFrame(rows)


def save(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Each table in one step: Parquet where the name ends so, else CSV whose text cells no spreadsheet takes for a formula."""
    for name, table in tables.items():
        part = folder / f".{name}.part"
        if name.endswith(".parquet"):
            table.to_parquet(part, index=False)
        else:
            table.map(_harmless).to_csv(part, index=False)
        os.replace(part, folder / name)


def _harmless(cell: object) -> object:
    """Text that begins like a formula gets an apostrophe (OWASP: CSV injection)."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell
