"""forecast: time-series forecasting and streaming anomaly detection on state-space models.

    import forecast as fc
    panel = fc.read_csv("pump.csv")
    table = fc.compare(panel, models=["seasonal_naive", "ets", "ridge"], horizon=24)
    model = fc.fit("ridge", panel, horizon=24)
    forecasts = fc.predict(model, panel)

The names below are imported when they are first asked for: `import forecast` itself costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forecast.experiment.api import compare, fit, load, predict
    from forecast.series.read import read_csv, read_frame

__all__ = ["__version__", "compare", "fit", "load", "predict", "read_csv", "read_frame"]

HOMES = {"read_csv": "forecast.series.read", "read_frame": "forecast.series.read"}
HOMES |= dict.fromkeys(("compare", "fit", "load", "predict"), "forecast.experiment.api")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("forecast")
    if name not in HOMES:
        raise AttributeError(f"module 'forecast' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
