"""Zones of sensors whose clocks show wall time.

Where clocks go back an hour comes twice: a row belongs to the second pass if it would otherwise not come after the sensor's row
before it in that hour. Where clocks go forward an hour does not exist, and a row that claims it is put aside.
"""

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np

from forecast.errors import unknown
from forecast.watch.moments import NONE, passes
from forecast.watch.readings import Flags, Ints


@dataclass
class Zones:
    """Which zone a sensor's wall clock is in: the first pattern that fits; none: UTC."""

    patterns: Mapping[str, str] = field(default_factory=dict)  # glob of sensor names → IANA zone
    last: dict[str, int] = field(default_factory=dict)  # of sensors in an hour that comes twice: their last row, UTC

    def __post_init__(self) -> None:
        for zone in self.patterns.values():
            if zone not in zoneinfo.available_timezones():
                raise unknown("zone", zone, zoneinfo.available_timezones())
        self._known: dict[str, str | None] = {}

    def of(self, sensor: str) -> str | None:
        """The zone of a sensor."""
        if sensor not in self._known:
            hits = (zone for glob, zone in self.patterns.items() if fnmatchcase(sensor, glob))
            self._known[sensor] = next(hits, None)
        return self._known[sensor]

    def moment(self, sensor: str, stamp: int, wall: bool) -> int:
        """UTC of one time; NONE where its hour does not exist."""
        zone = self.of(sensor) if wall else None
        if zone is None:
            return stamp
        first, second = (int(each[0]) for each in passes(np.array([stamp]), zone))
        if first == second:
            self.last.pop(sensor, None)
            return first
        chosen = second if self.last.get(sensor, NONE) >= first else first
        self.last[sensor] = chosen
        return chosen

    def plain(self, names: list[str], code: Ints, stamps: Ints, wall: Flags) -> Ints | None:
        """UTC of many times; None where one of them has to be looked at with the rows before it."""
        if not self.patterns or not wall.any():
            return stamps
        out = stamps.copy()
        zones = [self.of(name) for name in names]
        for zone in {zone for zone in zones if zone is not None}:
            mine = wall & np.array([other == zone for other in zones])[code]
            first, second = passes(stamps[mine], zone)
            if (first != second).any() or (first == NONE).any():
                return None
            out[mine] = first
        if self.last:
            for name in names:
                self.last.pop(name, None)
        return out
