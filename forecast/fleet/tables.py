"""Series at rest on Spark: fit and predict, detect, backtest, over hash buckets of series (`applyInPandas`).

A bucket is one task and has to fit into the memory of one worker. The series of a bucket are worked on together, and none
changes another's numbers by more than the rounding of an estimate, so that they are those of one machine to 1e-5.
Functions travel to Spark's own workers the way Spark sends them; `forecast` has to be installed there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from forecast.errors import InputError
from forecast.fleet import work
from forecast.fleet.engine import BUCKETS, plain, with_bucket
from forecast.fleet.work import FORECASTS, SCORES, Named, Settings

NEEDED = ("unique_id", "ds", "y")


def predict(
    frame: Any, model: Named = "kalman", *, horizon: int, season: Any, buckets: int = BUCKETS, **read: Any
) -> Any:
    """unique_id, ds, model, mean, q0.05 … q0.95 of the rows after every series' end, as a Spark frame."""
    asked = Settings(season, horizon, (model,), read=read)
    columns = ["model string", *(f"`{name}` double" for name in FORECASTS)]
    return _apply(frame, work.predict, asked, buckets, columns)


def detect(
    frame: Any,
    model: Named = "kalman",
    *,
    season: Any,
    false_alarm_rate: float,
    detector: Named = "standard",
    calm: float = 0.15,
    buckets: int = BUCKETS,
    **read: Any,
) -> Any:
    """unique_id, ds, value, expected, lower, upper, score, p_value, alarm, kind of the rows after the calm ones."""
    asked = Settings(season, 1, (model,), detector, false_alarm_rate, calm, read=read)
    kinds = {"alarm": "boolean", "kind": "string"}
    return _apply(frame, work.detect, asked, buckets, [f"{name} {kinds.get(name, 'double')}" for name in SCORES])


def backtest(
    frame: Any,
    models: Sequence[Named],
    *,
    horizon: int,
    season: Any,
    cutoffs: int = 5,
    metrics: Sequence[str] = Settings.metrics,
    buckets: int = BUCKETS,
    **read: Any,
) -> Any:
    """unique_id, model, cutoff (oldest first), metric, total, weight: sums over the leads."""
    asked = Settings(season, horizon, tuple(models), cutoffs=cutoffs, metrics=tuple(metrics), read=read)
    columns = ["model string", "cutoff int", "metric string", "total double", "weight double"]
    return _apply(frame, work.backtests, asked, buckets, columns, timed=False)


def _apply(
    frame: Any,
    function: Callable[[pd.DataFrame, Settings], pd.DataFrame],
    asked: Settings,
    buckets: int,
    columns: Sequence[str],
    timed: bool = True,
) -> Any:
    types: Mapping[str, str] = dict(frame.dtypes)
    absent = [name for name in NEEDED if name not in types]
    if absent:
        raise InputError(
            f"the frame has no column {absent[0]}: it has {', '.join(types)}, and needs {', '.join(NEEDED)}"
        )
    first = [f"unique_id {types['unique_id']}", *([f"ds {types['ds']}"] if timed else [])]

    def bucket(table: pd.DataFrame) -> pd.DataFrame:
        return plain(function(table, asked))

    grouped = with_bucket(frame.select(*NEEDED), "unique_id", buckets).groupBy("bucket")
    return grouped.applyInPandas(bucket, schema=", ".join([*first, *columns]))
