"""The alert record: one JSON object, schema 1; fields are only ever added.

    id · schema · state (open, update, closed) · revision · severity · sensor · group · incident · kind · start · end · cause · onset · detected_at ·
    delay_s · score · p_value · actual · expected · lower · upper · deviation_abs · deviation_sigma · direction · contributions ·
    n_points · n_alarms · model · muted · text
`kind` is what the detector raised the alarm for, `cause` the kind of change that makes the rows up to this alert likeliest and `onset` its first row
(`forecast.watch.recent`), both null as long as it may be one thing or another; the last word is that of the closed alert.
It is made of event time alone: the same event gives the same bytes, whenever it is found.
"""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from forecast.watch.events import Change, Point, behind

SCHEMA = 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOG2 = math.log(2)


class About(NamedTuple):
    """What an alert says beside the event itself."""

    id: str
    sensor: str
    group: str
    incident: str
    model: str
    muted: bool


def record(change: Change, about: About) -> dict[str, Any]:
    """The alert of a change of an event."""
    event, peak = change.event, change.event.peak
    end = event.end if change.state == "closed" else None
    deviation = _number(peak.value - peak.expected)
    cause, onset = behind(change)
    return {
        "id": about.id,
        "schema": SCHEMA,
        "state": change.state,
        "revision": event.revision,
        "severity": event.severity,
        "sensor": about.sensor,
        "group": about.group,
        "incident": about.incident,
        "kind": event.kind,
        "start": iso(event.start),
        "end": None if end is None else iso(end),
        "cause": cause,
        "onset": None if onset is None else iso(onset),
        "detected_at": iso(event.detected),
        "delay_s": (event.detected - event.start) / 1e6,
        "peak_at": iso(peak.time),
        "score": _number(peak.score),
        "p_value": _number(math.exp(-peak.surprise)) if peak.surprise == peak.surprise else None,
        "actual": _number(peak.value),
        "expected": _number(peak.expected),
        "lower": _number(peak.lower),
        "upper": _number(peak.upper),
        "deviation_abs": deviation,
        "deviation_sigma": _sigma(peak),
        "direction": None if deviation is None else "up" if deviation > 0 else "down" if deviation < 0 else "none",
        "contributions": [{"sensor": about.sensor, "share": 1.0, "signed_sigma": _sigma(peak)}],
        "n_points": event.points,
        "n_alarms": event.alarms,
        "model": about.model,
        "muted": about.muted,
        "text": text(change, about),
    }


def body(alert: dict[str, Any]) -> bytes:
    """The alert as sinks get it."""
    return json.dumps(alert, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def text(change: Change, about: About) -> str:
    """One sentence of at most 160 characters."""
    event, peak = change.event, change.event.peak
    since = f"since {iso(event.start)}" if change.state != "closed" else f"{iso(event.start)} to {iso(event.end)}, over"
    band = (
        f", expected {peak.expected:.5g} ({peak.lower:.5g} to {peak.upper:.5g})" if math.isfinite(peak.expected) else ""
    )
    reading = f" {peak.value:.5g}" if math.isfinite(peak.value) else ""
    said = f"{about.sensor}{reading}{band} {since}; {behind(change)[0] or event.kind or 'anomaly'}, {event.severity}"
    return said if len(said) <= 160 else said[:159] + "…"


def iso(stamp: int) -> str:
    """A moment in UTC."""
    moment = EPOCH + timedelta(microseconds=stamp)
    return moment.isoformat(
        timespec="microseconds" if stamp % 1000 else "milliseconds" if stamp % 1_000_000 else "seconds"
    )


def _sigma(peak: Point) -> float | None:
    """How many standard deviations of a normal law the surprise is worth, signed."""
    if peak.surprise != peak.surprise:
        return None
    size = math.sqrt(max(2 * peak.surprise, 0.0))
    for _ in range(
        4
    ):  # of  2 Q(z) = e^-surprise,  by Newton on the logarithm of the tail, with Q's asymptote where it underflows
        size -= _gap(size, peak.surprise)
        size = max(size, 0.0)
    return _number(math.copysign(size, peak.value - peak.expected))


def _gap(z: float, surprise: float) -> float:
    if z < 1e-9:
        return 0.0
    tail = math.erfc(z / math.sqrt(2)) if z < 30 else 0.0
    if tail > 0:
        slope = math.sqrt(2 / math.pi) * math.exp(-z * z / 2) / tail
        return (-math.log(tail) - surprise) / slope
    log = z * z / 2 + math.log(z) + math.log(math.pi / 2) / 2 + math.log1p(1 / (z * z))
    return (log - surprise) / (z + 1 / z)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
