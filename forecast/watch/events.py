"""From verdicts to events, as pure functions of one sensor's points in order.

An event opens when k of the last m points were alarms, and begins at the first of these alarms. It closes after q quiet points, and
ends at its last alarm. One that opens again within `merge` after it closed goes on as the same event. A point without a
score (missing, warming up) changes nothing. Times are microseconds of event time: nothing here looks at a clock.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from forecast.errors import InputError
from forecast.watch.moments import NONE, one_moment
from forecast.watch.recent import Found
from forecast.watch.strain import APART

SECOND = 1_000_000


@dataclass(frozen=True)
class Rule:
    """When points become an event, and when an event is worth a message."""

    k: int = 1  # alarms …
    m: int = 1  # … among so many points open an event
    quiet: int = 5  # points without an alarm close it
    merge: float = 0.0  # seconds within which it opens again as the same one
    wait: float = 0.0  # seconds it has to last before it is told
    interval: float = 300.0  # seconds at least between two messages about it
    repeat: float = 14_400.0  # seconds after which an open one is told again
    critical: float = 0.95  # peak score from which an event is critical
    major: float = 0.8
    minor: float = 0.65
    silent: int = 20  # rows of a sensor that fail to come while others' do make an alert; 0: they do not

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.m or self.quiet < 1:
            raise InputError(
                f"events: k={self.k} of m={self.m} points, quiet={self.quiet}: 1 ≤ k ≤ m, and quiet at least 1"
            )

    def severity(self, score: float) -> str:
        """The tier of a peak score."""
        tiers = (("critical", self.critical), ("major", self.major), ("minor", self.minor))
        return next((name for name, least in tiers if score >= least), "warning")


class Point(NamedTuple):
    """One scored reading."""

    time: int
    value: float
    score: float
    alarm: bool
    expected: float
    lower: float
    upper: float
    surprise: float
    kind: str


class Event(NamedTuple):
    """A range of alarms of one sensor."""

    start: int
    end: int  # its last alarm
    detected: int  # the point at which it opened
    kind: str
    peak: Point
    alarms: int
    points: int
    told: int  # 0 before the first message, else when the last one was due
    severity: str  # as last told
    revision: int
    cause: str = ""  # the likeliest change behind it so far, by the rows up to here; "": none is clear
    onset: int = 0  # time of the row with which that began
    nats: float = 0.0  # by which it is likelier than none
    lead: float = 0.0  # and than one of another kind
    said: str = ""  # the cause as last told


LONGEST = 48  # points of an event that say what lies behind it; later ones say what has happened since
PLAIN = APART | {
    "correlation broken",
    "unseen pattern",
    "season broken",
}  # kinds that no single sensor's innovations explain
LEAD = 3.0  # nats from which a change is told before an event is over


def behind(change: "Change") -> tuple[str | None, int | None]:
    """Kind and beginning of what lies behind an event: None as long as it may be one thing or another; at its end its own kind where no change shows."""
    event, over = change.event, change.state == "closed"
    if event.cause and (over or event.lead >= LEAD):
        return event.cause, event.onset
    return (event.kind, event.start) if over or event.kind in PLAIN else (None, None)


class Memory(NamedTuple):
    """What a sensor with recent alarms has to remember; sensors without have none."""

    recent: tuple[tuple[int, Point], ...]  # alarms among the last m points, with the points since
    quiet: int
    event: Event | None
    closed: Event | None  # the last one, as long as it may open again


class Change(NamedTuple):
    """Something to tell: an event in its state open, update or closed."""

    state: str
    event: Event


class Told(NamedTuple):
    """Something to tell, and after which row."""

    order: int
    time: int
    who: int
    change: Change


NOTHING = Memory((), 0, None, None)


def step(memory: Memory | None, point: Point, rule: Rule) -> tuple[Memory | None, list[Change]]:
    """The memory after one more point, and what there is to tell."""
    if point.score != point.score:
        return memory, []
    before = memory or NOTHING
    recent = tuple((age + 1, p) for age, p in before.recent if age + 1 < rule.m)
    if point.alarm:
        recent = (*recent, (0, point))
    if before.event is None:
        after, told = _closed(before._replace(recent=recent), point, rule)
    else:
        after, told = _open(before._replace(recent=recent), before.event, point, rule)
    return (None if after == NOTHING else after), told


def _closed(memory: Memory, point: Point, rule: Rule) -> tuple[Memory, list[Change]]:
    """No event is open: it may open now, or an old one may go on."""
    last = memory.closed
    if last is not None and point.time > last.end + rule.merge * SECOND:
        memory, last = memory._replace(closed=None), None
    if not point.alarm or len(memory.recent) < rule.k:
        return memory, []
    alarms = [p for _, p in memory.recent]
    peak = max(alarms, key=lambda p: p.score)
    if last is None:
        event = Event(alarms[0].time, point.time, point.time, peak.kind, peak, len(alarms), len(alarms), 0, "", 0)
    else:
        event = _on(last, point)._replace(peak=max(last.peak, peak, key=lambda p: p.score))
    return _tell(memory._replace(event=event, closed=None, quiet=0), event, point, rule)


def _open(memory: Memory, event: Event, point: Point, rule: Rule) -> tuple[Memory, list[Change]]:
    """An event is open: it goes on, or closes."""
    if point.alarm:
        return _tell(memory._replace(event=None, quiet=0), _on(event, point), point, rule)
    quiet, event = memory.quiet + 1, event._replace(points=event.points + 1)
    if quiet < rule.quiet:
        return _tell(memory._replace(quiet=quiet), event, point, rule)
    told = [Change("closed", event._replace(revision=event.revision + 1))] if event.told else []
    kept = event._replace(revision=event.revision + len(told))
    return Memory(memory.recent, 0, None, kept if rule.merge > 0 else None), told


def _on(event: Event, alarm: Point) -> Event:
    return event._replace(
        end=alarm.time,
        peak=max(event.peak, alarm, key=lambda p: p.score),
        alarms=event.alarms + 1,
        points=event.points + 1,
    )


def _tell(memory: Memory, event: Event, point: Point, rule: Rule) -> tuple[Memory, list[Change]]:
    """Whether there is something new to say about an open event."""
    severity = rule.severity(event.peak.score)
    if event.told == 0:
        due = point.time >= event.detected + rule.wait * SECOND
    else:
        since = point.time - event.told
        news = severity != event.severity or _explained(event)
        due = (news and since >= rule.interval * SECOND) or since >= rule.repeat * SECOND
    if not due:
        return memory._replace(event=event), []
    state = "update" if event.told else "open"
    said = event.cause if event.lead >= LEAD else event.said
    event = event._replace(told=point.time, severity=severity, revision=event.revision + 1, said=said)
    return memory._replace(event=event), [Change(state, event)]


def asks(memory: Memory | None, changes: list[Change]) -> bool:
    """Whether the last point says something of an event's cause: while it is open, and with its end."""
    event = changes[0].event if changes else memory.event if memory is not None else None
    return event is not None and event.points <= LONGEST and event.kind not in PLAIN


def learnt(memory: Memory | None, changes: list[Change], found: Found | None) -> tuple[Memory | None, list[Change]]:
    """The same with what the last point says of the cause, where that is clearer than what was known."""

    def of(event: Event | None) -> Event | None:
        if event is None or found is None or found.nats <= event.nats:
            return event
        return event._replace(cause=found.kind, onset=found.onset, nats=found.nats, lead=found.lead)

    after = None if memory is None else memory._replace(event=of(memory.event), closed=of(memory.closed))
    return after, [change._replace(event=of(change.event) or change.event) for change in changes]


def _explained(event: Event) -> bool:
    """Whether an event goes on whose cause is known by now and was not told."""
    return event.points > LONGEST and event.lead >= LEAD and event.cause != event.said


def identity(sensor: str, model: str, event: Event) -> str:
    """The id of an event: the same whenever it is found again."""
    return hashlib.sha256(f"{sensor}\0{model}\0{event.start}\0{event.kind}".encode()).hexdigest()[:24]


def plain(memory: Memory) -> Any:
    """As JSON holds it."""
    return memory


def restored(content: Any) -> Memory:
    """What `plain` gave, read back from JSON."""

    def event(row: Any) -> Event | None:
        return None if row is None else Event(*row)._replace(peak=Point(*row[4]))

    recent, quiet, open_, closed = content
    return Memory(tuple((age, Point(*point)) for age, point in recent), quiet, event(open_), event(closed))


class Mute(NamedTuple):
    """Alerts that are kept but not sent."""

    sensor: str = "*"  # glob of names
    kind: str = "*"  # glob of kinds
    start: int | None = None  # event time, microseconds
    end: int | None = None

    @classmethod
    def of(cls, row: Any) -> "Mute":
        """A mute as a configuration holds it: times as words."""
        if not isinstance(row, dict) or not set(row) <= set(cls._fields):
            raise InputError(f"mute: expected {{sensor: GLOB, kind: GLOB, start: TIME, end: TIME}}, got {row!r}")
        moments = {name: one_moment(str(row[name]))[0] for name in ("start", "end") if row.get(name) is not None}
        for name, stamp in moments.items():
            if stamp == NONE:
                raise InputError(f"mute: {name}={row[name]!r} is no time; write 2026-01-31T06:00Z")
        return cls(str(row.get("sensor", "*")), str(row.get("kind", "*")), moments.get("start"), moments.get("end"))

    def holds(self, sensor: str, kind: str, time: int) -> bool:
        """Whether an alert is muted."""
        within = (self.start is None or time >= self.start) and (self.end is None or time < self.end)
        return within and fnmatchcase(sensor, self.sensor) and fnmatchcase(kind, self.kind)


class Incident(NamedTuple):
    """Events of one group that overlap in time."""

    id: str
    last: int


def incident(known: Mapping[str, Incident], group: str, event: Event, own: str, gap: float) -> Incident:
    """The incident that an event belongs to: its group's, if that was active within `gap` seconds, else one of its own."""
    before = known.get(group)
    if before is not None and event.start <= before.last + gap * SECOND:
        return Incident(before.id, max(before.last, event.end))
    return Incident(own, event.end)
