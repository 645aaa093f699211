"""The same work on Apache Spark, bucket by bucket: see `forecast.fleet.tables` (series at rest) and `forecast.fleet.stream`.

    from forecast import fleet
    scores = fleet.detect(frame, season=24, false_alarm_rate=1e-4)          # a Spark frame: unique_id, ds, y
    query = fleet.watch(spark, "rows/", "scores/", "checkpoint/", fleet.Watching(warmup=300, season=1))
Spark is an extra: pip install 'forecast[spark]', and a Java runtime of version 17 or newer.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forecast.fleet.step import Watching
    from forecast.fleet.stream import watch
    from forecast.fleet.tables import backtest, detect, predict

HOMES = dict.fromkeys(("backtest", "detect", "predict"), "forecast.fleet.tables")
HOMES |= {"watch": "forecast.fleet.stream", "Watching": "forecast.fleet.step"}
__all__ = ["Watching", "backtest", "detect", "predict", "watch"]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'forecast.fleet' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)
