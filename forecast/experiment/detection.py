"""Detection on a panel: a budget turned into a rate, a monitor made ready on calm rows, the rows after them followed.

    monitor = ready(model, detector, panel, calm)         # estimated, warmed up, calibrated on the first `calm` rows
    found = detect(monitor, panel, calm, gap)             # scores and events of the rows after them
A budget is stated as false alarms per day of one series, or of all series together; on a clock that has no days as a rate per row.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from forecast.detect.change import Change, Traced
from forecast.detect.detector import Detector
from forecast.detect.discovery import Discovery, nats_of
from forecast.detect.events import BETWEEN, events
from forecast.detect.evidence import KINDS, Verdict
from forecast.detect.monitor import Monitor, Seen
from forecast.errors import InputError
from forecast.experiment import discoveries, maintained
from forecast.experiment.tables import identities, targets
from forecast.models.forecaster import Forecaster
from forecast.series.maintenance import NONE, Maintenance
from forecast.series.panel import Panel
from forecast.types import take

DAY = 86_400e6  # microseconds
USUAL_PER_DAY, USUAL_RATE = 0.1, 1e-3
INTERVAL = 0.95
MEMORY = 10_000.0  # rows of the clock over which false discoveries are counted


@dataclass(frozen=True)
class Found:
    """What was found."""

    rate: float  # nominal, per row
    scores: pd.DataFrame  # unique_id, ds, value, expected, lower, upper, score, p_value, alarm, kind, blame
    events: pd.DataFrame  # unique_id, start, end, peak, severity, kind, top_channels, score, onset
    rows: int  # scored: rows with a reading and a forecast
    alarmed: int
    days: float  # of all series together; NaN on an integer clock
    rows_of: Mapping[int, NDArray[np.float64]]  # series → score of every row after its calm ones
    muted: int = 0  # further rows, in windows of maintenance whose alarms are not told
    muted_alarms: int = 0  # of these

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


def rate_of(
    panel: Panel,
    per_day: float | None,
    rate: float | None,
    per_fleet_day: float | None = None,
    discovery: float | None = None,
) -> float:
    """The false-alarm rate per row that a budget means on the panel's clock; that of a fleet is shared by the series.

    With a share of false discoveries it is the usual one, for data in trouble alone.
    """
    only_one(
        false_alarms_per_day=per_day,
        false_alarms_per_fleet_day=per_fleet_day,
        false_alarm_rate=rate,
        false_discovery_rate=discovery,
    )
    daily, word = rows_per_day(panel), "false_alarms_per_day"
    if per_fleet_day is not None:
        per_day, word = per_fleet_day / max(len(panel), 1), "false_alarms_per_fleet_day"
    if per_day is not None and daily != daily:
        raise InputError(f"{word}: the rows are numbered and have no days; pass false_alarm_rate=0.001")
    if rate is None:
        rate = USUAL_RATE if daily != daily else (USUAL_PER_DAY if per_day is None else per_day) / daily
    if not 0 < rate < 0.5:
        row = f"{daily:.4g} rows a day" if daily == daily else "numbered rows"
        raise InputError(f"a rate of {rate:.3g} false alarms per row ({row}) is not between 0 and 0.5; ask for fewer")
    return rate


def discovery_of(rate: float | None, memory: float) -> Discovery | None:
    """The control of false discoveries that is asked for."""
    return None if rate is None else Discovery(rate, memory)


def only_one(**budgets: float | None) -> None:
    """A budget is stated once."""
    given = [f"{word}={value}" for word, value in budgets.items() if value is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)}: give one of them")


def calm_rows(panel: Panel, calm: float) -> NDArray[np.int64]:
    """Rows of each series (S) that say what is normal: a share below 1, else a number."""
    if calm <= 0:
        raise InputError(f"calm={calm}: give a share below 1, or a number of rows")
    lengths = panel.lengths.numpy()
    rows = np.ceil(lengths * calm) if calm < 1 else np.full(len(lengths), calm)
    return np.minimum(rows, lengths).astype(np.int64)


def ready(
    model: Forecaster, detector: Detector, panel: Panel, calm: NDArray[np.int64], windows: Maintenance = NONE
) -> Monitor:
    """A monitor of all series, made from their first `calm` rows."""
    return Monitor.ready(model, detector, maintained.calm_past(panel, calm, windows))


def detect(
    monitor: Monitor,
    panel: Panel,
    calm: NDArray[np.int64],
    gap: int,
    windows: Maintenance = NONE,
    discovery: Discovery | None = None,
) -> Found:
    """Scores and events of the rows after the calm ones; what falls into windows of maintenance is no event."""
    names, rate = identities(panel), monitor.detector.rate
    scores, found, count, days, rows_of = [], [], Counter[str](), 0.0, {}
    every: Iterable[tuple[int, Seen]] = follow(monitor, panel, calm, windows)
    verdicts: dict[int, Verdict] = {}
    if discovery is not None:
        every = list(every)
        verdicts = discoveries.verdicts(panel, calm, every, windows, discovery, rate)
    for s, seen in every:
        times = panel.times(s)[calm[s] :]
        told = torch.from_numpy(maintained.told_rows(panel, s, windows)[calm[s] :])
        verdict = verdicts.get(s, seen.verdict)
        frame = _scores(seen, verdict, times, names[s], targets(panel), rate)
        if windows:
            frame["muted"] = np.tile(~told.numpy(), len(targets(panel)))
        scores.append(frame)
        silenced = seen._replace(verdict=verdict._replace(alarm=verdict.alarm & told))
        found.append(_events(silenced, times, panel.names[s], panel.channels, gap))
        scored, alarm = seen.evidence.joint[0].isfinite(), verdict.alarm[0]
        for word, rows in (("rows", scored & told), ("muted", scored & ~told)):
            count[word] += int(rows.sum())
            count[f"{word} alarmed"] += int((rows & alarm).sum())
        days += days_of(panel, s, int(calm[s]))
        rows_of[s] = verdict.score[0].numpy()
    if not scores:
        raise InputError("no rows after the calm ones; pass calm=0.3 for the first 30 % or fewer")
    told_of = pd.concat([frame for frame in found if len(frame)] or found[:1], ignore_index=True)
    table = pd.concat(scores, ignore_index=True)
    numbers = count["rows"], count["rows alarmed"], days, rows_of, count["muted"], count["muted alarmed"]
    return Found(rate, table, told_of, *numbers)


def days_of(panel: Panel, series: int, calm: int) -> float:
    """Days that the rows behind the calm ones span; NaN on an integer clock."""
    if panel.clock.kind == "integer":
        return float("nan")
    times = panel.times(series)
    return float((times[-1] - times[calm]).total_seconds() / 86400) if len(times) > calm else 0.0


def follow(
    monitor: Monitor, panel: Panel, calm: NDArray[np.int64], windows: Maintenance = NONE
) -> Iterator[tuple[int, Seen]]:
    """Every series with rows after its calm ones, and what was seen of them."""
    for s, length in enumerate(panel.lengths.tolist()):
        if length > calm[s]:
            one = Monitor(monitor.model, monitor.detector, take(monitor.machines, torch.tensor([s])))
            yield s, maintained.followed(one, panel, s, int(calm[s]), windows)


def _scores(
    seen: Seen, verdict: Verdict, times: pd.Index, names: list[str], channels: list[int], rate: float
) -> pd.DataFrame:
    """One row for each reading; the score is that of the row, the blame the channel's share in it."""
    lower, upper = seen.forecast.interval(INTERVAL)
    score, p_value = verdict.score[0], (-nats_of(seen.verdict.score[0], rate)).exp()
    kinds = np.array(KINDS)[seen.verdict.kind[0].numpy()]
    row: dict[str, Any] = {"score": score.numpy(), "p_value": p_value.numpy(), "alarm": verdict.alarm[0].numpy()}
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
    change = Change()
    _, traced = change.follow(change.initial_state(1, len(channels)), seen)
    found = events(one, gap, Traced(*(leaf[0] for leaf in traced)))
    columns: Mapping[str, Any] = {
        "unique_id": [name] * len(found),
        "start": times[[e.start for e in found]],
        "end": times[[e.end for e in found]],
        "peak": times[[e.peak for e in found]],
        "severity": [e.severity for e in found],
        "kind": [e.kind for e in found],
        "top_channels": [BETWEEN.join(channels[c] for c in e.channels) for e in found],
        "score": [e.score for e in found],
        "onset": times[[e.onset for e in found]],
    }
    return pd.DataFrame(columns)
