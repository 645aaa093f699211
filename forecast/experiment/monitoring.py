"""Detection from Python: events and scores of a panel in memory, and a monitor for the rows that are still to come."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.detect import monitor
from forecast.experiment.detection import MEMORY, calm_rows, discovery_of, rate_of, ready
from forecast.experiment.detection import detect as detected
from forecast.experiment.detectors import build
from forecast.experiment.maintained import learnable, windows_of
from forecast.experiment.members import member
from forecast.experiment.weights import together
from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel

Named = str | Mapping[str, Any]
Models = Named | Forecaster | Sequence[str | Mapping[str, Any]]


def detect(
    panel: Panel,
    false_alarms_per_day: float | None = None,
    *,
    false_alarms_per_fleet_day: float | None = None,
    false_alarm_rate: float | None = None,
    false_discovery_rate: float | None = None,
    model: Models = "kalman",
    detector: Named = "standard",
    calm: float = 0.15,
    gap: int = 5,
    maintenance: Sequence[Any] = (),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of the rows after the calm ones, and events, with a budget of false alarms a day of each series, of all, or a row,
    or a share of false ones among all alarms.

    `maintenance` holds windows ({"sensor": "pump*", "start": …, "end": …}) or files of them, see `forecast.series.maintenance`.
    """
    rate = rate_of(panel, false_alarms_per_day, false_alarm_rate, false_alarms_per_fleet_day, false_discovery_rate)
    rows, windows = calm_rows(panel, calm), windows_of(panel, maintenance)
    own = _built(model, learnable(panel, windows), rows)
    monitor = ready(own, build(detector, rate, panel.season), panel, rows, windows)
    found = detected(monitor, panel, rows, gap, windows, discovery_of(false_discovery_rate, MEMORY))
    return found.scores, found.events


class Monitor(monitor.Monitor):
    """A monitor that has learned from a panel what is normal; `observe` takes the rows after it."""

    def __init__(
        self,
        model: Models,
        panel: Panel,
        false_alarms_per_day: float | None = None,
        *,
        false_alarm_rate: float | None = None,
        detector: Named = "standard",
    ) -> None:
        rate = rate_of(panel, false_alarms_per_day, false_alarm_rate)
        rows = panel.lengths.numpy()
        made = ready(_built(model, panel, rows), build(detector, rate, panel.season), panel, rows)
        super().__init__(made.model, made.detector, made.machines)


def _built(model: Models, panel: Panel, calm: NDArray[np.int64]) -> Forecaster:
    """A forecaster as it is given; of a word or of several, weights trained on the calm rows."""
    if isinstance(model, Forecaster):
        return model
    words = [model] if isinstance(model, (str, Mapping)) else model
    return together([member(word) for word in words], panel, calm)
