"""The loop: lines → readings → verdicts → events → one commit → acknowledged.

    poll → parse → sort by event time → score → group → (every half second, or every 65,536 readings) commit → acknowledge → tell the sinks
Nothing is acknowledged or told that is not committed, and a commit holds all or nothing. What happens depends on the rows and
their order alone; the clock on the wall decides only when to commit, and which rows come from the future.
"""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from forecast.detect.discovery import Discovery
from forecast.errors import InputError
from forecast.watch import alerts, before, events
from forecast.watch.arrival import Arrival, Rows
from forecast.watch.before import Before, Held
from forecast.watch.book import Book
from forecast.watch.discovered import Discovered
from forecast.watch.events import Incident, Point, Told
from forecast.watch.history import Scores, together
from forecast.watch.parse import Parser
from forecast.watch.readings import Aside, Chunk, Counts, Flags, Ints, Readings
from forecast.watch.recent import Recent
from forecast.watch.scorer import Scored, Scorer
from forecast.watch.sinks.sink import Feeder, Sink
from forecast.watch.sources.source import Source
from forecast.watch.store import Commit, Cursor, Reader, Store
from forecast.watch.teller import Teller, Telling, maintained

FEW = 1 << 16  # bytes: where a source has less than that at hand,
GATHER = 0.02  # seconds are waited for more: a turn costs about as much for ten rows as for a thousand

_log = logging.getLogger("forecast")


@dataclass(frozen=True)
class Options:
    """How a watch goes about it."""

    seconds: float = 0.5  # between commits
    readings: int = 65_536  # after which a commit is due in any case
    lateness: float = 0.0  # seconds that a row may come after a newer one of its sensor
    memory: int = 16  # last times of each sensor by which a repeated row is known from a late one
    future: float = 300.0  # seconds that a row's time may be ahead of the clock
    earliest: int = 315_532_800_000_000  # rows before it (1980) are put aside
    keep: float | None = None  # days of scores that are kept; None: all
    history: bool = True  # keep scores at all
    gap: float = 300.0  # seconds within which events of a group are one incident


class Loop:
    """One source, one store, some sinks."""

    def __init__(
        self,
        source: Source,
        parser: Parser,
        scorer: Scorer,
        store: Store,
        sinks: Sequence[Sink],
        options: Options,
        telling: Telling,
        history: Before | None = None,
    ) -> None:
        self.source, self.parser, self.scorer, self.store, self.options = source, parser, scorer, store, options
        self.telling, self.teller = telling, Teller(telling, scorer.name, options.gap)
        self.recent = Recent()
        self.book = Book(Arrival(int(options.lateness * 1e6), options.memory), scorer, self.recent)
        self.levels: Discovered | None = None
        if telling.share is not None:
            discovery = Discovery(telling.share, telling.memory)
            self.levels = Discovered(discovery, telling.per_row or 0.0, scorer.kinds)
        if telling.maintenance:
            self.book.silence.due = self._silent_from
        self.counts = Counts()
        self.stopping = False
        self._touched: list[np.ndarray] = []
        self._scores: list[Scores] = []
        self._aside: list[Aside] = []
        self._pending = 0
        self._position: object = None
        self._moved = False
        self._due = time.monotonic() + options.seconds
        try:
            self._stand(history)
            self.feeders = [Feeder(sink, store.path) for sink in sinks]
        except BaseException:
            store.abandon()
            raise
        self._cursors = {feeder.sink.name: feeder.cursor for feeder in self.feeders}

    def _stand(self, history: Before | None) -> None:
        """Where the store and the source stand, with the rows from before the stream taken."""
        position = self._recall()
        if self.store.said:
            _log.warning(self.store.said)
        if history is not None:
            self._practise(history)
        for line in self.source.open(position):
            _log.warning(line)
        self.teller.take_mutes(self.store)

    def _recall(self) -> object:
        """Take up where the store stands; answers the position of the source."""
        reader = Reader(self.store.path)
        try:
            header = reader.fact("scorer")
            if header is not None:
                self.scorer.take_header(header)
            sensors = reader.sensors()
            if sensors:
                self.book.restore([name for _, name, _ in sensors], [record for *_, record in sensors], reader.fixed())
                self.scorer.take_recent(reader.recent())
            self.teller.number = reader.last_alert()
            watch = json.loads(reader.fact("watch") or b"{}")
            self.counts.update(watch.get("counts", {}))
            self.teller.incidents = {group: Incident(*rest) for group, rest in watch.get("incidents", {}).items()}
            self.book.silence.streams = {int(part): at for part, at in watch.get("streams", {}).items()}
            if self.levels is not None and "earned" in watch:
                self.levels.recall(watch["earned"])
            if "streams" not in watch and "stream" in watch:
                self.book.silence.streams = {0: watch["stream"]}
            if "parser" in watch:
                self.parser.recall(watch["parser"])
            self.held = Held.of(reader)
            return reader.position(self.source.name)
        finally:
            reader.close()

    def _practise(self, history: Before) -> None:
        """Rows from before the stream, once and for all."""
        if self.held.file:
            _log.warning("history=%s: read when this state folder was begun; it counts once", self.held.file)
            return
        if self.book.names:
            raise InputError(
                f"{self.store.path.parent}: begun without history=; leave history out, or pass another state folder, state=FOLDER"
            )
        self.held = before.read(history, self.book, self.options.earliest, self.options.future)
        self._touched.append(np.arange(len(self.book.names)))
        self.store.commit(self._states(Commit(facts={before.FACT: self.held.fact()})))
        self._touched = []

    def _silent_from(self, who: int, mark: int, limit: int) -> int:
        """When a sensor is silent: time in which its alarms are not told does not count."""
        return self.telling.maintenance.of(self.book.names[who]).due(mark, limit)

    def run(self) -> None:
        """Until the source ends or `stopping` is set; then everything is committed and told."""
        self.start()
        while not self.stopping and not self.turn(self.options.seconds):
            pass
        self.commit()
        self.close()

    def start(self) -> None:
        """Let the sinks have what they have not had."""
        for feeder in self.feeders:
            feeder.start()

    def turn(self, seconds: float) -> bool:
        """One chunk, waited for so long at most, and a commit if it is due; whether the source has come to its end."""
        chunk = self.source.poll(max(min(self._due - time.monotonic(), seconds), 0.0))
        if chunk is not None:
            self.take(chunk)
        if self._pending >= self.options.readings or time.monotonic() >= self._due:
            self.commit()
        elif chunk is not None and len(chunk.text) < FEW and not chunk.ended:
            time.sleep(max(min(GATHER, seconds, self._due - time.monotonic()), 0.0))
        return chunk is not None and chunk.ended

    def abandon(self) -> None:
        """Let go without another word: another process has taken over."""
        for feeder in self.feeders:
            if feeder.is_alive():
                feeder.finish(0.0)
        self.source.close()
        self.store.abandon()

    def close(self) -> None:
        """Let the sinks have what is left, note how far they came, let go of everything."""
        for feeder in self.feeders:
            if feeder.is_alive():
                feeder.finish(5.0)
        self.commit()
        self.source.close()
        self.scorer.close()
        self.store.close()

    def take(self, chunk: Chunk) -> None:
        """Everything that one chunk leads to, in memory."""
        if chunk.text:
            readings, aside = self.parser.parse(chunk)
            self._put_aside(aside)
            self._readings(readings, chunk.parts)
        if chunk.ended:
            self.teller.tell(
                self.book.names, self._score(self.book.arrival.flush(self.counts["readings"])), self.counts
            )
        self._position, self._moved = chunk.position, True

    def _readings(self, readings: Readings, parts: Ints | None) -> None:
        """Known, in time, in order, scored."""
        readings = self._believable(readings)
        who = self.book.who(readings.names, readings.code)
        held = self.held.holds(who, readings.time)
        if held.any():
            self.counts["in the history"] += int(held.sum())
            readings, who = readings.rows(~held), who[~held]
        count = len(who)
        if count == 0:
            return
        if parts is None:
            self._touched.append(before.awakened(self.book, self.held, int(readings.time[0])))
        order = np.arange(self.counts["readings"], self.counts["readings"] + count)
        self.counts["readings"] += count
        rows = Rows(who, readings.time, readings.value, order)
        sorted_ = self.book.arrival.sort(rows)
        self._late(readings, sorted_.late, "late")
        self._late(readings, sorted_.repeated, "repeated")
        self._touched.append(rows.who)
        told = self._score(sorted_.released) + self._silence(rows, None if parts is None else parts[readings.line])
        self.teller.tell(self.book.names, told, self.counts)

    def _silence(self, rows: Rows, parts: Ints | None) -> list[Told]:
        """Sensors that fall silent, or are heard again."""
        count = len(self.book.names)
        steps = self.scorer.steps(count) * self.telling.rule.silent
        limit = np.where(steps > 0, steps + self.book.arrival.lateness, 0).astype(np.int64)
        begun, notice = self.scorer.begun(count), self.book.silence.notice
        if parts is None:
            told = notice(rows, limit, begun)
        else:
            told = [
                one
                for part in np.unique(parts).tolist()
                for one in notice(rows.take(parts == part), limit, begun, part)
            ]
        self._touched.append(np.array([one.who for one in told], dtype=np.int64))
        return told

    def _believable(self, readings: Readings) -> Readings:
        """Without rows from the future or from before there were sensors."""
        latest = int((time.time() + self.options.future) * 1e6)
        ahead, ancient = readings.time > latest, readings.time < self.options.earliest
        self._late(readings, np.flatnonzero(ahead), "from the future")
        self._late(readings, np.flatnonzero(ancient), "too old")
        return readings if not (ahead | ancient).any() else readings.rows(~(ahead | ancient))

    def _late(self, readings: Readings, places: np.ndarray, reason: str) -> None:
        """Put readings aside."""
        self._put_aside(
            [
                Aside(
                    reason, readings.names[code], f"{alerts.iso(stamp)} {value!r}" if abs(stamp) < 2**57 else str(stamp)
                )
                for code, stamp, value in zip(
                    readings.code[places].tolist(),
                    readings.time[places].tolist(),
                    readings.value[places].tolist(),
                    strict=True,
                )
            ]
        )

    def _put_aside(self, aside: list[Aside]) -> None:
        for one in aside:
            self.counts[f"aside: {one.reason}"] += 1
        self._aside += aside

    def _score(self, rows: Rows) -> list[Told]:
        if len(rows.who) == 0:
            return []
        scored = self.scorer.observe(rows)
        self._pending += len(rows.who)
        self._touched.append(rows.who)
        told = ~self.telling.maintenance.muted(self.book.names, rows.who, rows.time)
        if self.levels is not None:
            scored = self.levels.apply(rows, scored, told)
        self.counts["alarms in maintenance"] += int((scored.alarm & ~told).sum())
        scored = scored._replace(alarm=scored.alarm & told)
        self.book.count(rows.who, scored.alarm)
        self.counts["scored"] += int(np.isfinite(scored.score).sum())
        self.counts["without score"] += int(np.isnan(scored.score).sum())
        self.counts["alarms"] += int(scored.alarm.sum())
        if self.options.history:
            self._scores.append(Scores.of(rows, scored))
        return self._group(rows, scored, told)

    def _group(self, rows: Rows, scored: Scored, counts: Flags) -> list[Told]:
        """Alarms to events, for the sensors that have any; a row in a window of maintenance neither opens nor closes one."""
        busy, taken = self._busy(rows, scored) & counts, 0
        told: list[Told] = []
        for i in np.flatnonzero(busy).tolist():
            who = int(rows.who[i])
            point = _point(rows, scored, i, self.scorer.kinds)
            memory, changes = events.step(self.book.memory.get(who), point, self.telling.rule)
            if events.asks(memory, changes):
                self.recent.take(rows, scored, counts, taken, i + 1)
                taken = i + 1
                memory, changes = events.learnt(memory, changes, self.recent.weigh(who))
            if memory is None:
                self.book.memory.pop(who, None)
            else:
                self.book.memory[who] = memory
            told += [Told(int(rows.order[i]), point.time, who, change) for change in changes]
        self.recent.take(rows, scored, counts, taken, len(rows.who))
        return told

    def _busy(self, rows: Rows, scored: Scored) -> Flags:
        """Rows of sensors that remember an alarm or have one now."""
        sensors = np.zeros(len(self.book.names), dtype=bool)
        if self.book.memory:
            sensors[list(self.book.memory)] = True
        sensors[rows.who[scored.alarm]] = True
        return sensors[rows.who]

    def commit(self) -> None:
        """Everything since the last commit, in one transaction; then the source and the sinks are told."""
        self._due = time.monotonic() + self.options.seconds
        self.teller.take_mutes(self.store)
        cursors = {f.sink.name: f.cursor for f in self.feeders if f.cursor != self._cursors[f.sink.name]}
        if not self._moved and not cursors:
            return
        position, told = self._position, bool(self.teller.alerts)
        self.store.commit(self._work(cursors))
        self._touched, self._scores, self._aside, self.teller.alerts = [], [], [], []
        self._cursors |= cursors
        self._pending = 0
        if self._moved:
            self._moved = False
            self.source.acknowledge(position)
        if told:
            for feeder in self.feeders:
                feeder.tell()

    def _work(self, cursors: dict[str, Cursor]) -> Commit:
        work = Commit(
            cursors=cursors, alerts=self.teller.alerts, aside=[(one.reason, one.sensor, one.row) for one in self._aside]
        )
        if not self._moved:
            return work
        self._states(work)
        work.positions = {self.source.name: self._position}
        watch = {
            "counts": self.counts.plain(),
            "incidents": self.teller.incidents,
            "parser": self.parser.learnt(),
            "stream": self.book.silence.stream,
            "streams": self.book.silence.streams,
            "budget": [self.telling.per_day, self.telling.per_row],
            "share": self.telling.share,
            "mutes": [*self.telling.mutes, *maintained(self.telling.maintenance, self.book.silence.stream)],
        }
        if self.levels is not None:
            watch["earned"] = self.levels.plain()
        work.facts["watch"] = json.dumps(watch).encode()
        if self._scores:
            work.block = together(self._scores).block()
            if self.options.keep is not None:
                work.keep_after = work.block[1] - int(self.options.keep * 86_400e6)
        return work

    def _states(self, work: Commit) -> Commit:
        """The sensors that were touched, and what they share."""
        who = np.unique(np.concatenate([*self._touched, self.scorer.changed()]))
        names = self.book.names
        work.sensors = [(i, names[i], record) for i, record in zip(who.tolist(), self.book.records(who), strict=True)]
        work.fixed, work.recent = self.scorer.fixed(), self.scorer.recent()
        header = self.scorer.header()
        if header is not None:
            work.facts["scorer"] = header
        return work


def _point(rows: Rows, scored: Scored, i: int, kinds: Sequence[str]) -> Point:
    """Row i with what was decided about it."""
    return Point(
        int(rows.time[i]),
        float(rows.value[i]),
        float(scored.score[i]),
        bool(scored.alarm[i]),
        float(scored.expected[i]),
        float(scored.lower[i]),
        float(scored.upper[i]),
        float(scored.surprise[i]),
        kinds[int(scored.kind[i])],
    )
