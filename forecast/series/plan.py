"""What is planned: the inputs of rows to come, from a table with a time column, the inputs by name and, for several series, an id."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from forecast.errors import InputError
from forecast.series.panel import Panel

TIMES = ("ds", "timestamp", "time", "date", "datetime")
IDS = ("unique_id", "item_id", "id", "series")


def planned(panel: Panel, path: Path) -> Panel:
    """The panel with its own inputs known as far as the table goes; rows the panel has already are replaced (what-if)."""
    table = _read(path)
    columns = {name.lower(): name for name in table.columns}
    time = next((columns[name] for name in TIMES if name in columns), None)
    if time is None:
        raise InputError(f"{path}: no time column; call it ds")
    own = panel.known.names[: panel.known.own.shape[1]]
    absent = [name for name in own if name not in table.columns]
    if not own or absent:
        what = (
            f"it lacks {', '.join(map(repr, absent))}"
            if own
            else "the model's data has no inputs of its own; name them with data.inputs"
        )
        raise InputError(f"{path}: {what}")
    key = next((columns[name] for name in IDS if name in columns), None)
    if key is None and len(panel) > 1:
        raise InputError(f"{path}: {len(panel)} series and no column that names them; call it unique_id")
    pieces = [
        _extended(panel, s, table if key is None else table[table[key].astype(str) == name], time, own, path)
        for s, name in enumerate(panel.names)
    ]
    first = torch.tensor([0, *np.cumsum([len(piece) for piece in pieces])], dtype=torch.int64)
    return replace(panel, known=replace(panel.known, own=torch.cat(pieces), own_first=first))


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, index_col=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a table ({str(error).splitlines()[0]})") from error


def _extended(
    panel: Panel, series: int, rows: pd.DataFrame, time: str, own: tuple[str, ...], path: Path
) -> torch.Tensor:
    """Own inputs of a series: those of its rows, then the planned ones in order; the first absent time ends them."""
    low, high = (
        (int(x) for x in panel.known.own_first[series : series + 2]) if panel.known.own_first is not None else (0, 0)
    )
    known, length = panel.known.own[low:high], int(panel.lengths[series])
    stamps = (
        rows[time]
        if panel.clock.kind == "integer"
        else pd.to_datetime(rows[time], utc=panel.clock.timezone is not None)
    )
    values = pd.DataFrame(rows[list(own)].to_numpy(np.float64), index=pd.Index(stamps))
    if values.index.has_duplicates:
        raise InputError(
            f"{path}: series {panel.names[series]!r} has {values.index[values.index.duplicated()][0]} twice; keep one row of it"
        )
    times = panel.times(series).append(panel.times(series, max(len(values), 1)))
    if isinstance(times, pd.DatetimeIndex) and times.tz is not None:
        times = times.tz_convert("UTC")
    found = values.reindex(times).to_numpy()
    whole = np.full((len(times), len(own)), np.nan)
    whole[: min(len(known), len(times))] = known[: len(times)].numpy()
    whole = np.where(np.isnan(found), whole, found)
    unknown = np.flatnonzero(np.isnan(whole[length:]).any(1))
    return torch.from_numpy(whole[: length + int(unknown[0])] if len(unknown) else whole)
