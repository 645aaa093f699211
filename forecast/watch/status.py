"""How things stand in a state folder: the state of every sensor, and false alarms against what was asked for.

    NEW  known, no row taken yet · WARMING  until `eta` · ACTIVE  scored · SILENT  others go on, it does not · DEGRADED  more than a fifth
    of its last 512 to 1,024 rows were alarms: its model does not fit any more · MUTED  its alerts are kept and not sent
The first of SILENT, MUTED, DEGRADED that holds is shown. Time is event time: `now` is the newest time of the stream. The budget
is asked for per sensor and day. Events that were labelled real or expected are no false alarms; those without a label may
be, so that the observed rate is a range. Kinds that are apart from the budget (missing, frozen, silent …) are counted apart.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np

from forecast.watch.alerts import iso
from forecast.watch.book import apart
from forecast.watch.events import Mute
from forecast.watch.moments import NONE
from forecast.watch.readings import counted
from forecast.watch.store import Reader
from forecast.watch.strain import APART, too_many
from forecast.watch.warmup import SIZE, Head, Warming, step_of

DAY = 86_400e6  # microseconds
STATES = ("NEW", "WARMING", "ACTIVE", "DEGRADED", "SILENT", "MUTED")
STRICTER = (1.0, 0.3, 0.1, 0.03, 0.01)  # rates of a preview, as a share of the one in use


class Sensor(NamedTuple):
    """One sensor."""

    name: str
    state: str
    last: int | None  # newest time
    rows: int
    alarms: int
    days: float  # scored so far
    budget: float  # false alarms asked for in these days
    eta: int | None  # when its warm-up will come to its end, if rows keep coming


class Gauge(NamedTuple):
    """False alarms of a sensor-day: asked for, and seen."""

    asked: float
    days: float  # sensor-days scored
    events: int  # that the budget covers
    false: int  # labelled so
    real: int
    expected: int
    apart: int  # events that the budget does not cover
    share: float | None = None  # false ones among all alarms that were asked for, in place of a budget

    @property
    def unlabelled(self) -> int:
        """Events that nobody has judged."""
        return self.events - self.false - self.real - self.expected

    @property
    def least(self) -> float:
        """Observed, if no unlabelled event is false."""
        return self.false / self.days if self.days else math.nan

    @property
    def most(self) -> float:
        """Observed, if all of them are."""
        return (self.false + self.unlabelled) / self.days if self.days else math.nan


class Asked(NamedTuple):
    """What a watch was asked for, as it noted it in its store."""

    per_day: float | None  # false alarms of a sensor
    per_row: float | None
    mutes: tuple[Mute, ...]  # of its configuration and by command
    now: int  # newest time of the stream
    share: float | None = None  # false ones among all alarms, in place of both

    @classmethod
    def of(cls, reader: Reader) -> Self:
        """As the store has it."""
        watch = json.loads(reader.fact("watch") or b"{}")
        mutes = [Mute(*row) for row in watch.get("mutes", [])]
        per_day, per_row = watch.get("budget", (None, None))
        return cls(per_day, per_row, (*mutes, *reader.mutes()), watch.get("stream", NONE), watch.get("share"))

    def alarms(self, days: float, step: float) -> float:
        """False alarms asked for in so many days of a sensor with rows so far apart, microseconds."""
        return self.per_day * days if self.per_day is not None else (self.per_row or 0.0) * days * DAY / step


def sensors_of(reader: Reader) -> list[Sensor]:
    """Every sensor, in the order of their names."""
    asked = Asked.of(reader)
    return sorted(_sensor(name, record, asked) for _, name, record in reader.sensors())


def _sensor(name: str, record: bytes, asked: Asked) -> Sensor:
    part = apart(record, name)
    head = Head.of(part.own)
    last = None if part.newest == NONE else part.newest
    if not head.number:
        warming = Warming.of(head.goal, part.own[SIZE:])
        eta = None
        if warming.times:
            eta = warming.times[-1] + int((head.goal - len(warming.times)) * step_of(np.array(warming.times)))
        return Sensor(name, "WARMING" if warming.times else "NEW", last, part.rows, part.alarms, 0.0, 0.0, eta)
    days = max(head.last - head.since, 0) / DAY
    budget = asked.alarms(days, head.step)
    state = "ACTIVE"
    if too_many(head.goal, asked.alarms(head.step / DAY, head.step)):
        state = "DEGRADED"
    if any(mute.kind == "*" and mute.holds(name, "", asked.now) for mute in asked.mutes):
        state = "MUTED"
    return Sensor(name, "SILENT" if part.silent else state, last, part.rows, part.alarms, days, budget, None)


def last_alerts(reader: Reader) -> dict[str, dict[str, Any]]:
    """The newest alert of every event."""
    alerts = (json.loads(body) for _, body in reader.alerts())
    return {alert["id"]: alert for alert in alerts}


def gauge(sensors: list[Sensor], alerts: Mapping[str, Any], labels: Mapping[str, str]) -> Gauge:
    """Events against the budget."""
    covered = [alert for alert in alerts.values() if alert["kind"] not in APART]
    counts = Counter(labels.get(alert["id"], "") for alert in covered)
    days, budget = sum(sensor.days for sensor in sensors), sum(sensor.budget for sensor in sensors)
    asked = budget / days if days else math.nan
    judged = counts["false"], counts["real"], counts["expected"]
    return Gauge(asked, days, len(covered), *judged, len(alerts) - len(covered))


def preview(rate: float, alerts: Mapping[str, Any], labels: Mapping[str, str]) -> list[tuple[float, Counter[str]]]:
    """Stricter budgets, as a share of the one in use, and which events would be left: score = e / (e − log rate)."""
    scores = [
        (labels.get(alert["id"], "unlabelled"), alert["score"])
        for alert in alerts.values()
        if alert["score"] is not None and alert["kind"] not in APART
    ]
    out = []
    for share in STRICTER:
        least = math.log(rate * share) / (
            math.log(rate * share) + math.log(rate)
        )  # today's score of tomorrow's boundary
        out.append((share, Counter(label for label, score in scores if score >= least)))
    return out


def text(sensors: list[Sensor], found: Gauge, stricter: list[tuple[float, Counter[str]]], most: int = 40) -> str:
    """What a person reads: those in trouble first."""
    counts = Counter(sensor.state for sensor in sensors)
    lines = [f"{counted(len(sensors), 'sensors')}: " + ", ".join(f"{counts[s]:,} {s}" for s in STATES if counts[s])]
    order = {state: n for n, state in enumerate(("SILENT", "DEGRADED", "MUTED", "WARMING", "NEW", "ACTIVE"))}
    for sensor in sorted(sensors, key=lambda one: (order[one.state], one.name))[:most]:
        eta = "" if sensor.eta is None else f"  ready about {iso(sensor.eta)}"
        last = "never" if sensor.last is None else iso(sensor.last)
        lines.append(
            f"  {sensor.state:8} {sensor.name}  last {last}  {counted(sensor.rows, 'rows')}  "
            f"{counted(sensor.alarms, 'alarms')}{eta}"
        )
    if len(sensors) > most:
        lines.append(f"  … and {len(sensors) - most:,} more: sensors.csv")
    seen = f"{found.least:.3g} to {found.most:.3g} seen in {found.days:,.1f} sensor-days"
    asked = (
        f"{found.asked:.3g} asked for" if found.share is None else f"at most {found.share:.3g} of all alarms asked for"
    )
    lines.append(f"false alarms a sensor-day: {asked}, {seen}")
    lines.append(
        f"  {counted(found.events, 'events')}: {found.false:,} false, {found.real:,} real, {found.expected:,} expected, "
        f"{found.unlabelled:,} without a label; {found.apart:,} apart from the budget (missing, frozen, silent …)"
    )
    if found.false + found.real + found.expected and found.share is None:
        lines.append("  with a budget of   false  real  expected  without a label   would be left")
        for share, left in stricter:
            told = [left[word] for word in ("false", "real", "expected", "unlabelled")]
            lines.append(f"  {share * found.asked:12.3g}  {told[0]:10,} {told[1]:5,} {told[2]:9,} {told[3]:16,}")
    return "\n".join(lines)
