"""forecast: time-series forecasting and streaming anomaly detection on state-space models.

    import forecast as fc
    panel = fc.read_csv("pump.csv")

The names below are imported when they are first asked for: `import forecast` itself costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forecast.series.read import read_csv, read_frame

__all__ = ["__version__", "read_csv", "read_frame"]

HOMES = {"read_csv": "forecast.series.read", "read_frame": "forecast.series.read"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("forecast")
    if name not in HOMES:
        raise AttributeError(f"module 'forecast' has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
