"""Maintenance windows: spans of time in which somebody works on a sensor, and what then must not happen.

    {sensor: 'plant/*', start: 2026-01-31T06:00, end: 2026-01-31T14:00, zone: Europe/Berlin, alert: false, learn: false, shift: false}
    alert   false: rows are scored, their alarms are not told
    learn   false: rows are judged against the state from before the window; to model, detector and calibration they are missing
    shift   true: the clock stands still as well, so that a cycle that was interrupted goes on where it stood:
            clock(t) = t - the time before t that lies in such windows; rows inside are no rows at all to model and detector
    every   'Sat 22:00-Sun 04:00': the span comes again (`forecast.series.recurring`), from `start` on and until `end` where they are given
A window holds start ≤ t < end. Times without an offset are of `zone`; an hour that comes twice is inside as a whole. A CSV file has the
same words as its columns. Times here are microseconds since 1970, UTC.
"""

import csv
import zoneinfo
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError, unknown
from forecast.series.recurring import DAY, FIRST, LAST, Recurring

Times = NDArray[np.int64]
LEARNED, HELD, STILL = 0, 1, 2  # what becomes of a row: learned, judged alone, judged while the clock stands still
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WORDS = ("sensor", "start", "end", "every", "zone", "alert", "learn", "shift")
FLAGS = {"true": True, "false": False, "": None}


class Window(NamedTuple):
    """One span of some sensors, or one that comes again."""

    sensor: str  # glob of names
    start: int
    end: int
    alert: bool = False
    learn: bool = False
    shift: bool = False
    every: Recurring | None = None

    def spans(self, first: int | None = None, last: int | None = None) -> Times:
        """Starts and ends (N 2), of all or of those that have a part in first ≤ t < last."""
        low = self.start if first is None else max(self.start, first)
        high = self.end if last is None else min(self.end, last)
        if low >= high:
            return np.zeros((0, 2), dtype=np.int64)
        return np.array([[self.start, self.end]]) if self.every is None else self.every.spans(low, high)


class Spans(NamedTuple):
    """Times that lie in spans, which neither touch nor overlap."""

    start: Times
    end: Times

    @classmethod
    def of(cls, pairs: Sequence[tuple[int, int]] | Times) -> "Spans":
        """The union of spans (N 2)."""
        both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        both = both[np.argsort(both[:, 0], kind="stable")]
        start, end = both[:, 0], np.maximum.accumulate(both[:, 1])
        first = np.flatnonzero(np.append(True, start[1:] > end[:-1])[: len(start)])
        return cls(start[first], end[np.append(first[1:], len(end))[: len(first)] - 1])

    def hold(self, times: Times) -> NDArray[np.bool_]:
        """Which of the times lie in a span."""
        if len(self.start) == 0:
            return np.zeros(len(times), dtype=bool)
        last = np.searchsorted(self.start, times, "right") - 1
        return np.asarray((last >= 0) & (times < self.end[np.maximum(last, 0)]))

    def before(self, times: Times) -> Times:
        """How much of the time before each of these lies in spans."""
        if len(self.start) == 0:
            return np.zeros_like(times)
        whole = np.concatenate([[0], np.cumsum(self.end - self.start)])
        last = np.searchsorted(self.start, times, "right")
        over = np.where(last > 0, np.maximum(self.end[np.maximum(last - 1, 0)] - times, 0), 0)
        return np.asarray(whole[last] - over)


class Own(NamedTuple):
    """The windows of one sensor."""

    muted: Spans  # alert: false
    held: Spans  # learn: false
    still: Spans  # shift: true

    def code(self, times: Times) -> Times:
        """LEARNED, HELD or STILL for each row."""
        return np.where(self.still.hold(times), STILL, np.where(self.held.hold(times), HELD, LEARNED))

    def clock(self, times: Times) -> Times:
        """The sensor's own time."""
        return times - self.still.before(times)

    def due(self, since: int, limit: int) -> int:
        """The moment at which `limit` of the time after `since` has passed outside of muted spans."""
        moment = since + limit
        for k in range(int(np.searchsorted(self.muted.end, since, "right")), len(self.muted.end)):
            start, end = int(self.muted.start[k]), int(self.muted.end[k])
            if start >= moment:
                break
            moment += end - max(start, since)
        return moment


class Maintenance:
    """All windows."""

    def __init__(self, windows: Sequence[Window] = ()) -> None:
        self.windows = tuple(windows)
        self._known: dict[str, Own] = {}
        self._made: dict[tuple[Window, ...], Own] = {}

    def __bool__(self) -> bool:
        return bool(self.windows)

    def of(self, sensor: str) -> Own:
        """The windows of a sensor."""
        if sensor not in self._known:
            mine = tuple(w for w in self.windows if fnmatchcase(sensor, w.sensor))
            if mine not in self._made:
                self._made[mine] = Own(
                    _union(w for w in mine if not w.alert),
                    _union(w for w in mine if not w.learn),
                    _union(w for w in mine if w.shift),
                )
            self._known[sensor] = self._made[mine]
        return self._known[sensor]

    def muted(self, names: Sequence[str], who: Times, times: Times) -> NDArray[np.bool_]:
        """Which rows of the sensors names[who] have alarms that are not told."""
        found = np.zeros(len(times), dtype=bool)
        if self._near(times):
            for own, mine in self._each(names, who):
                found[mine] = own.muted.hold(times[mine])
        return found

    def codes(self, names: Sequence[str], who: Times, times: Times) -> Times:
        """LEARNED, HELD or STILL for each row."""
        found = np.full(len(times), LEARNED)
        if self._near(times):
            for own, mine in self._each(names, who):
                found[mine] = own.code(times[mine])
        return found

    def clocks(self, names: Sequence[str], who: Times, times: Times) -> Times:
        """The sensors' own times."""
        if not len(times) or not any(w.shift and w.start < times.max() for w in self.windows):
            return times
        found = times.copy()
        for own, mine in self._each(names, who):
            found[mine] = own.clock(times[mine])
        return found

    def _near(self, times: Times) -> bool:
        """Whether any window may hold one of the times."""
        if not len(times):
            return False
        first, last = int(times.min()), int(times.max()) + 1
        return any(
            w.start < last and first < w.end and (w.every is None or len(w.spans(first, last)) > 0)
            for w in self.windows
        )

    def _each(self, names: Sequence[str], who: Times) -> Iterator[tuple[Own, NDArray[np.bool_]]]:
        """Which rows are those of sensors with the same windows."""
        sensors, back = np.unique(who, return_inverse=True)
        owns = [self.of(names[sensor]) for sensor in sensors.tolist()]
        kinds = {id(own): own for own in owns}
        kind = np.array([id(own) for own in owns], dtype=np.int64)[back]
        yield from ((own, kind == number) for number, own in kinds.items())

    @classmethod
    def read(cls, given: Sequence[Any], zone: str | None = None) -> "Maintenance":
        """Windows and files of windows; `zone` is that of times which name none (UTC)."""
        found: list[Window] = []
        for number, one in enumerate(given):
            if isinstance(one, (str, Path)):
                found += _of_file(Path(one), zone)
            else:
                found.append(_window(one, zone, f"maintenance[{number}]"))
        return cls(found)


NONE = Maintenance()


def _union(windows: Iterable[Window]) -> Spans:
    return Spans.of(np.concatenate([np.zeros((0, 2), dtype=np.int64), *(w.spans() for w in windows)]))


def _of_file(path: Path, zone: str | None) -> list[Window]:
    """The windows of a CSV file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            rows = [(table.line_num, row) for row in table]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"maintenance={path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    found = []
    for line, row in rows:
        where = f"{path}:{line}"
        if None in row or None in row.values():
            raise InputError(f"{where}: {len(table.fieldnames or ())} columns are named, this line has another number")
        cells: dict[str, Any] = {word.strip(): cell.strip() for word, cell in row.items()}
        for word in ("alert", "learn", "shift"):
            if word in cells:
                if cells[word].lower() not in FLAGS:
                    raise InputError(f"{where}: {word}={cells[word]!r} is neither true nor false")
                cells[word] = FLAGS[cells[word].lower()]
        found.append(_window({word: cell for word, cell in cells.items() if cell not in (None, "")}, zone, where))
    return found


def _window(row: Any, zone: str | None, where: str) -> Window:
    """A window as a configuration holds it: times as words."""
    if not isinstance(row, Mapping) or not ("every" in row or {"start", "end"} <= set(row)):
        raise InputError(
            f"{where}: expected {{sensor: GLOB, start: TIME, end: TIME, zone: ZONE}}, or every: 'Sat 22:00-Sun 04:00', got {row!r}"
        )
    for word in row:
        if word not in WORDS:
            raise unknown(f"{where}: key", str(word), WORDS)
    flags = {word: row[word] for word in ("alert", "learn", "shift") if word in row}
    for word, flag in flags.items():
        if not isinstance(flag, bool):
            raise InputError(f"{where}: {word}={flag!r} is neither true nor false")
    own = str(row.get("zone") or zone or "UTC")
    if own not in zoneinfo.available_timezones():
        raise unknown(f"{where}: zone", own, zoneinfo.available_timezones())
    every = Recurring.of(str(row["every"]), own, f"{where}: every") if "every" in row else None
    start = _moment(row["start"], own, 0, f"{where}: start") if "start" in row else FIRST * DAY
    end = _moment(row["end"], own, 1, f"{where}: end") if "end" in row else LAST * DAY
    if end <= start:
        raise InputError(f"{where}: start={row['start']} is not before end={row['end']}; exchange them?")
    found = Window(str(row.get("sensor", "*")), start, end, **flags, every=every)
    if found.shift and found.learn:
        raise InputError(
            f"{where}: shift=true with learn=true: a clock that stands still learns nothing; pass learn=false"
        )
    return found


def _moment(word: Any, zone: str, fold: int, where: str) -> int:
    """UTC of a time; of one that comes twice the first (fold 0) or the second."""
    try:
        moment = datetime.fromisoformat(str(word).strip())
    except ValueError as error:
        raise InputError(f"{where}={word!r} is no time; write 2026-01-31T06:00, with Z or an offset for UTC") from error
    if moment.tzinfo is None:
        there = moment.replace(tzinfo=zoneinfo.ZoneInfo(zone), fold=fold)
        if there.astimezone(UTC).astimezone(there.tzinfo).replace(tzinfo=None) != moment:
            raise InputError(
                f"{where}={word} does not exist in {zone}, where the clocks go forward then; give an hour more"
            )
        moment = there
    return (moment.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)
