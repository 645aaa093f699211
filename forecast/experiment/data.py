"""Where data comes from: the catalogue's folders, and what a configuration's `data` names."""

import os
from pathlib import Path

from forecast.series import catalogue


def cache() -> Path:
    """The folder that `forecast fetch` fills."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "forecast"


def folders() -> tuple[Path, ...]:
    """Where data sets are looked for beside the package's own: FORECAST_DATA, then the cache."""
    given = os.environ.get("FORECAST_DATA")
    return (*([Path(given)] if given else []), cache())


def names() -> list[str]:
    """The data sets of the catalogue."""
    return list(catalogue.catalogue())
