"""The tables of a fitted structural model: its components, its residuals and its parameters, of the first few series.

components.parquet  unique_id, ds, component, value, low, high (90 %), on the scale that parameters.csv says; of many rows the last
residuals.parquet   unique_id, ds, y, innovation, observation, level (see `forecast.models.decomposition`)
parameters.csv      unique_id, what, value
"""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from forecast.experiment.tables import identities
from forecast.models.decomposition import Components, plain
from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel
from forecast.types import Parameters, take

logger = logging.getLogger("forecast")
SHOWN, LANES, ROWS = 4, 12, 20_000  # series, channels in all, and rows of the longest, that are explained
NORMAL = 1.6448536269514722


def explained(model: Forecaster, parameters: Parameters, panel: Panel) -> dict[str, pd.DataFrame]:
    """The tables by file name; none where the model has no components, or the rows are too many."""
    count = min(SHOWN, len(panel))
    if "trained" in model.traits or not count:
        return {}
    ends = panel.lengths.clone()
    past = take(panel.past(ends.tolist()), slice(0, count))
    if past.values.shape[1] > ROWS:
        logger.info("components are left out: a series has %s rows, more than %s", f"{past.values.shape[1]:,}", f"{ROWS:,}")
        return {}
    with torch.no_grad():
        found = model.components(take(parameters, slice(0, count)), past)
    names = [name for row in identities(panel)[:count] for name in row]
    tables: dict[str, list[pd.DataFrame]] = {"components.parquet": [], "residuals.parquet": [], "parameters.csv": []}
    for lane, one in enumerate(found[:LANES]):
        if one.names:
            s, c = divmod(lane, len(panel.channels))
            for file, table in _tables(
                names[lane], panel.times(s), panel.series(s)[:, c].numpy(), one, panel.known.names
            ).items():
                tables[file].append(table)
    return {file: pd.concat(parts, ignore_index=True) for file, parts in tables.items() if parts}


def _tables(
    name: str, times: pd.Index, y: np.ndarray, one: Components, inputs: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Those of one channel of one series."""
    of, rows = len(times), min(len(times), len(one.mean))
    times, y = times[-rows:], y[-rows:]
    mean, width = one.mean[-rows:].numpy(), NORMAL * one.deviation[-rows:].numpy()
    component = np.repeat(one.names, rows)
    long = pd.DataFrame({"unique_id": name, "ds": np.tile(times.to_numpy(), len(one.names)), "component": component})
    long["value"], long["low"], long["high"] = (part.T.ravel() for part in (mean, mean - width, mean + width))
    residuals = pd.DataFrame({"unique_id": name, "ds": times, "y": y})
    for word in ("innovation", "observation", "level"):
        residuals[word] = getattr(one, word)[-rows:].numpy()
    said = [*one.facts, *_effects(one, inputs), ("scale", one.scale or "as observed")]
    if rows < of:
        said.append(("rows", f"the last {rows:,} of {of:,}"))
    facts = pd.DataFrame([(name, what, value) for what, value in said], columns=["unique_id", "what", "value"])
    return {"components.parquet": long, "residuals.parquet": residuals, "parameters.csv": facts}


def _effects(one: Components, inputs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What one unit of each input adds, with its 90 % interval."""
    if one.effects is not None:
        for name, (effect, deviation) in zip(inputs, one.effects.tolist(), strict=False):
            low, high = effect - NORMAL * deviation, effect + NORMAL * deviation
            yield f"one unit of {name} adds", f"{plain(effect)} ({plain(low)} to {plain(high)})"
