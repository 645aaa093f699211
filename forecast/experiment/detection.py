"""Detection on a panel: a budget turned into a rate, a monitor made ready on calm rows, the rows after them followed.

    monitor = ready(model, detector, panel, calm)         # estimated, warmed up, calibrated on the first `calm` rows
    found = detect(monitor, panel, calm, gap)             # scores and events of the rows after them
A budget is stated as false alarms per day of one series; on a clock that has no days it is stated as a rate per row.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from forecast.detect.detector import Detector
from forecast.detect.events import BETWEEN, events
from forecast.detect.evidence import KINDS
from forecast.detect.monitor import Monitor, Seen
from forecast.errors import InputError
from forecast.experiment.tables import identities, targets
from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel
from forecast.types import take

DAY = 86_400e6  # microseconds
USUAL_PER_DAY, USUAL_RATE = 0.1, 1e-3
INTERVAL = 0.95


@dataclass(frozen=True)
class Found:
    """What was found."""

    rate: float  # nominal, per row
    scores: pd.DataFrame  # unique_id, ds, value, expected, lower, upper, score, p_value, alarm, kind, blame
    events: pd.DataFrame  # unique_id, start, end, peak, severity, kind, top_channels, score
    rows: int  # scored: rows with a reading and a forecast
    alarmed: int
    days: float  # of all series together; NaN on an integer clock
    rows_of: Mapping[int, NDArray[np.float64]]  # series → score of every row after its calm ones

    @property
    def measured(self) -> float:
        """Share of the scored rows with an alarm."""
        return self.alarmed / self.rows if self.rows else float("nan")


def rows_per_day(panel: Panel) -> float:
    """Rows of one series in a day; NaN on an integer clock."""
    if panel.clock.kind == "integer":
        return float("nan")
    if panel.clock.kind == "irregular":
        return DAY / panel.clock.unit
    longest = int(panel.lengths.argmax())
    stamps = panel.times(longest).asi8 if len(panel) else np.zeros(0)  # type: ignore[attr-defined]
    return DAY * (len(stamps) - 1) / float(stamps[-1] - stamps[0]) if len(stamps) > 1 else 1.0


def rate_of(panel: Panel, per_day: float | None, rate: float | None) -> float:
    """The false-alarm rate per row that a budget means on the panel's clock."""
    if per_day is not None and rate is not None:
        raise InputError(f"false_alarms_per_day={per_day} and false_alarm_rate={rate}: give one of them")
    daily = rows_per_day(panel)
    if per_day is not None and daily != daily:
        raise InputError("false_alarms_per_day: the rows are numbered and have no days; pass false_alarm_rate=0.001")
    if rate is None:
        rate = USUAL_RATE if daily != daily else (USUAL_PER_DAY if per_day is None else per_day) / daily
    if not 0 < rate < 0.5:
        row = f"{daily:.4g} rows a day" if daily == daily else "numbered rows"
        raise InputError(f"a rate of {rate:.3g} false alarms per row ({row}) is not between 0 and 0.5; ask for fewer")
    return rate


def calm_rows(panel: Panel, calm: float) -> NDArray[np.int64]:
    """Rows of each series (S) that say what is normal: a share below 1, else a number."""
    if calm <= 0:
        raise InputError(f"calm={calm}: give a share below 1, or a number of rows")
    lengths = panel.lengths.numpy()
    rows = np.ceil(lengths * calm) if calm < 1 else np.full(len(lengths), calm)
    return np.minimum(rows, lengths).astype(np.int64)


def ready(model: Forecaster, detector: Detector, panel: Panel, calm: NDArray[np.int64]) -> Monitor:
    """A monitor of all series, made from their first `calm` rows."""
    return Monitor.ready(model, detector, panel.past(calm.tolist()))


def detect(monitor: Monitor, panel: Panel, calm: NDArray[np.int64], gap: int) -> Found:
    """Scores and events of the rows after the calm ones."""
    names = identities(panel)
    scores, found, rows, alarmed, days, rows_of = [], [], 0, 0, 0.0, {}
    for s, seen in follow(monitor, panel, calm):
        times = panel.times(s)[calm[s] :]
        scores.append(_scores(seen, times, names[s], targets(panel), monitor.detector.rate))
        found.append(_events(seen, times, panel.names[s], panel.channels, gap))
        scored = seen.evidence.joint[0].isfinite()
        rows += int(scored.sum())
        alarmed += int((seen.verdict.alarm[0] & scored).sum())
        days += days_of(panel, s, int(calm[s]))
        rows_of[s] = seen.verdict.score[0].numpy()
    if not scores:
        raise InputError("no rows after the calm ones; pass calm=0.3 for the first 30 % or fewer")
    every = pd.concat([frame for frame in found if len(frame)] or found[:1], ignore_index=True)
    return Found(monitor.detector.rate, pd.concat(scores, ignore_index=True), every, rows, alarmed, days, rows_of)


def days_of(panel: Panel, series: int, calm: int) -> float:
    """Days that the rows behind the calm ones span; NaN on an integer clock."""
    if panel.clock.kind == "integer":
        return float("nan")
    times = panel.times(series)
    return float((times[-1] - times[calm]).total_seconds() / 86400) if len(times) > calm else 0.0


def follow(monitor: Monitor, panel: Panel, calm: NDArray[np.int64]) -> Iterator[tuple[int, Seen]]:
    """Every series with rows after its calm ones, and what was seen of them."""
    for s, length in enumerate(panel.lengths.tolist()):
        if length <= calm[s]:
            continue
        one = Monitor(monitor.model, monitor.detector, take(monitor.machines, torch.tensor([s])))
        yield s, one.follow(panel.past([length], [s], context=length - int(calm[s])))


def _scores(seen: Seen, times: pd.Index, names: list[str], channels: list[int], rate: float) -> pd.DataFrame:
    """One row for each reading; the score is that of the row, the blame the channel's share in it."""
    lower, upper = seen.forecast.interval(INTERVAL)
    score = seen.verdict.score[0]
    p_value = (score / (1 - score).clamp(min=1e-300) * np.log(rate)).exp()
    kinds = np.array(KINDS)[seen.verdict.kind[0].numpy()]
    row: dict[str, Any] = {"score": score.numpy(), "p_value": p_value.numpy(), "alarm": seen.verdict.alarm[0].numpy()}
    row["kind"] = np.where(row["alarm"], kinds, "")
    frames = []
    for c in channels:
        values = {"value": seen.evidence.row.values, "expected": seen.evidence.expected, "lower": lower, "upper": upper}
        reading = {word: leaf[0, :, c].numpy() for word, leaf in values.items()}
        blame = seen.verdict.blame[0, :, c].numpy()
        frames.append(pd.DataFrame({"unique_id": names[c], "ds": times, **reading, **row, "blame": blame}))
    return pd.concat(frames, ignore_index=True)


def _events(seen: Seen, times: pd.Index, name: str, channels: tuple[str, ...], gap: int) -> pd.DataFrame:
    one = type(seen.verdict)(*(leaf[0] for leaf in seen.verdict))
    found = events(one, gap)
    columns: Mapping[str, Any] = {
        "unique_id": [name] * len(found),
        "start": times[[e.start for e in found]],
        "end": times[[e.end for e in found]],
        "peak": times[[e.peak for e in found]],
        "severity": [e.severity for e in found],
        "kind": [e.kind for e in found],
        "top_channels": [BETWEEN.join(channels[c] for c in e.channels) for e in found],
        "score": [e.score for e in found],
    }
    return pd.DataFrame(columns)
