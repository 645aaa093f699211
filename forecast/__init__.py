"""forecast: time-series forecasting and streaming anomaly detection on state-space models.

    import forecast as fc
    panel = fc.read_csv("pump.csv")
    table = fc.compare(panel, models=["seasonal_naive", "ets", "ridge"], horizon=24)
    model = fc.fit("ridge", panel, horizon=24)
    forecasts = fc.predict(model, panel)
    scores, events = fc.detect(panel, false_alarms_per_day=0.1)
    monitor = fc.Monitor("kalman", panel, false_alarms_per_day=0.1)  # then monitor.observe(row)

The names below are imported when they are first asked for: `import forecast` itself costs nothing.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forecast.experiment.api import compare, fit, load, predict
    from forecast.experiment.monitoring import Monitor, detect
    from forecast.series.read import read_csv, read_frame

__all__ = ["Monitor", "__version__", "compare", "detect", "fit", "load", "predict", "read_csv", "read_frame"]

HOMES = {"read_csv": "forecast.series.read", "read_frame": "forecast.series.read"}
HOMES |= dict.fromkeys(("compare", "fit", "load", "predict"), "forecast.experiment.api")
HOMES |= dict.fromkeys(("Monitor", "detect"), "forecast.experiment.monitoring")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("forecast")
    if name not in HOMES:
        raise AttributeError(f"module 'forecast' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)


class _Public(ModuleType):
    """This module; its `detect` stays the function when the package of that name is imported."""

    @property
    def detect(self) -> Any:
        return __getattr__("detect")

    @detect.setter
    def detect(self, package: ModuleType) -> None:
        """What the import system sets: the package is found in sys.modules all the same."""


sys.modules[__name__].__class__ = _Public


def __dir__() -> list[str]:
    return __all__
