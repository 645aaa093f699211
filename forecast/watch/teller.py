"""What is told of changes of events: alerts in order, with incident and mutes, as the outbox takes them."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from forecast.series.maintenance import NONE, Maintenance
from forecast.series.recurring import DAY
from forecast.watch import alerts, events
from forecast.watch.events import Change, Incident, Mute, Rule, Told
from forecast.watch.store import Reader, Store

_log = logging.getLogger("forecast")


@dataclass(frozen=True)
class Telling:
    """What is told, and what is kept to ourselves."""

    rule: Rule = field(default_factory=Rule)
    mutes: tuple[Mute, ...] = ()
    maintenance: Maintenance = NONE
    groups: Mapping[str, str] = field(default_factory=dict)  # glob of sensors → label; else the name up to its last /
    per_day: float | None = None  # false alarms of a sensor that were asked for, noted in the store
    per_row: float | None = None
    share: float | None = None  # false ones among all alarms that were asked for, in place of these
    memory: float = 1e5  # readings over which that share is kept


class Teller:
    """Makes alerts of what there is to tell."""

    def __init__(self, telling: Telling, model: str, gap: float) -> None:
        self.telling, self.model, self.gap = telling, model, gap
        self.mutes = telling.mutes
        self.incidents: dict[str, Incident] = {}
        self.number = 0  # of the last alert
        self.alerts: list[tuple[int, str, bytes]] = []  # that are not committed yet

    def tell(self, names: Sequence[str], told: list[Told], counts: Counter[str]) -> None:
        """Alerts in the order in which the rows came."""
        for one in sorted(told, key=lambda row: row[:3]):
            counts["muted" if self._alert(names[one.who], one.change) else "alerts"] += 1

    def _alert(self, sensor: str, change: Change) -> bool:
        """One alert; whether it is muted."""
        event = change.event
        own = events.identity(sensor, self.model, event)
        labels = (label for glob, label in self.telling.groups.items() if fnmatchcase(sensor, glob))
        group = next(labels, sensor.rpartition("/")[0])
        found = events.incident(self.incidents, group, event, own, self.gap) if group else Incident(own, event.end)
        if group:
            self.incidents[group] = found
        muted = any(mute.holds(sensor, event.kind, event.start) for mute in self.mutes)
        about = alerts.About(own, sensor, group, found.id, self.model, muted)
        self.number += 1
        self.alerts.append((self.number, own, alerts.body(alerts.record(change, about))))
        return muted

    def take_mutes(self, store: Store) -> None:
        """Mutes that were given by command, as soon as somebody has written beside us."""
        if not store.touched():
            return
        reader = Reader(store.path)
        found = self.telling.mutes + tuple(reader.mutes())
        reader.close()
        if found != self.mutes:
            _log.warning("mutes by command: %d, in all %d", len(found) - len(self.telling.mutes), len(found))
        self.mutes = found


def maintained(windows: Maintenance, now: int) -> list[Mute]:
    """Windows of maintenance whose alarms are not told, as mutes, by which a sensor's state is shown.

    Of those that come again the ones within a day of `now`.
    """
    mutes = []
    for w in windows.windows:
        about = (w.start, w.end) if w.every is None else (now - DAY, now + DAY)
        mutes += [] if w.alert else [Mute(w.sensor, "*", *span) for span in w.spans(*about).tolist()]
    return mutes
