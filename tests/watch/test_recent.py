"""What alerts say of the change behind an event: the sums by brute force, simulated faults by their names, nothing said too early."""

import json
from collections import Counter

import numpy as np
import pytest

from forecast.detect.change import Change
from forecast.detect.evidence import KINDS
from forecast.detect.monitor import Monitor, Seen
from forecast.detect.standard import Standard
from forecast.kernels import recent as kernel
from forecast.models.kalman import Kalman
from forecast.types import Past
from forecast.watch import events
from forecast.watch.arrival import Rows
from forecast.watch.events import Point, Rule, restored
from forecast.watch.recent import SIZE, Recent
from forecast.watch.records import DamagedError
from forecast.watch.scorer import GIVEN_UP, Scored, missing
from tests.detect.test_change import FAULTS, faulty

STEP, CALM, AT = 60_000_000, 1500, 150


def seen_of(fault: str, sensors: int, seed: int) -> Seen:
    """Rows of simulated sensors after their calm ones, with a fault at row AT."""
    values = faulty(fault, sensors, seed, CALM, AT)
    monitor = Monitor.ready(Kalman(trend="none"), Standard(rate=1e-3), Past.of(values[:, :CALM]))
    return monitor.follow(Past.of(values[:, CALM:]))


def rows_of(seen: Seen, b: int) -> tuple[Rows, Scored]:
    """The rows of one of them as a watch has them."""
    count = seen.evidence.z.shape[1]
    out, none = missing(count), np.zeros(count, dtype=np.int64)
    out.z[:], out.expected[:] = seen.evidence.z[b, :, 0], seen.evidence.expected[b, :, 0]
    out.score[:], out.alarm[:], out.kind[:] = (
        seen.verdict.score[b],
        seen.verdict.alarm[b],
        seen.verdict.kind[b],
    )
    out.learn[:] = np.where(seen.verdict.widen[b] != 1.0, GIVEN_UP, seen.verdict.learn[b, :, 0] > 0)
    return Rows(none, np.arange(count) * STEP, seen.evidence.row.values[b, :, 0].numpy(), none), out


def told(rows: Rows, scored: Scored) -> list[tuple[str, int, str | None, int | None]]:
    """State, first alarm, cause and its first row of everything that is told, the state of the sensor as bytes from row to row."""
    out, memory = [], None
    record = b""
    for i in range(len(rows.who)):
        recent = Recent()
        recent.grow(1)
        recent.restore([record])
        point = Point(
            int(rows.time[i]), 0.0, float(scored.score[i]), bool(scored.alarm[i]), *[0.0] * 4, KINDS[scored.kind[i]]
        )
        recent.take(rows, scored, np.ones(len(rows.who), dtype=bool), i, i + 1)
        memory, changes = events.step(memory, point, Rule())
        if events.asks(memory, changes):
            memory, changes = events.learnt(memory, changes, recent.weigh(0))
        memory = None if memory is None else restored(json.loads(json.dumps(memory)))
        for change in changes:
            cause, onset = events.behind(change)
            out.append((change.state, change.event.start // STEP, cause, None if onset is None else onset // STEP))
        record = recent.records(np.zeros(1, dtype=np.int64)).tobytes()
    return out


def first_after(fault: str, sensors: int, seed: int) -> tuple[Counter[str], Counter[str], list[int]]:
    """What the first event at the fault is called in the end and at its beginning, and by how many rows its onset is late."""
    seen, ends, begins, late = seen_of(fault, sensors, seed), Counter[str](), Counter[str](), []
    for b in range(sensors):
        said = [one for one in told(*rows_of(seen, b)) if one[1] >= AT - 1]
        first = [one for one in said if one[1] == said[0][1]]
        begins[str(first[0][2]) if said else "not told"] += 1
        ends[str(first[-1][2]) if said else "not told"] += 1
        late += [first[-1][3] - AT] if said and first[-1][3] is not None else []
    return ends, begins, late


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_called_by_their_names_when_they_are_over(fault: str) -> None:
    ends, begins, late = first_after(fault, 20, 3)
    assert ends[fault] >= (13 if fault == "trend change" else 17), ends  # some trends are over as an event while they look like shifts
    assert begins[fault] + begins["None"] >= 18, begins
    assert abs(float(np.median(late))) <= 1


def test_the_ring_says_what_all_rows_say() -> None:
    """Against the recursion that is itself checked by brute force (tests/detect/test_change.py): the same but for the steps in which rows are kept."""
    for fault in FAULTS:
        seen, recent = seen_of(fault, 2, 5), Recent()
        recent.grow(2)
        _, traced = Change().follow(Change().initial_state(2, 1), seen)
        compared = 0
        for b in range(2):
            rows, scored = rows_of(seen, b)
            rows = rows._replace(who=rows.who + b)
            for i in range(AT + 40):
                recent.take(rows, scored, np.ones(len(rows.who), dtype=bool), i, i + 1)
                if i in (3, 70, AT, AT + 1, AT + 9, AT + 39):
                    nats, ago = np.empty(kernel.KINDS), np.empty(kernel.KINDS)
                    kernel.weigh(recent.x[b], recent.gain[b], i + 1, nats, ago)
                    assert nats == pytest.approx(traced.nats[b, i, 0].numpy(), rel=0.02, abs=0.05)
                    clear = nats > 10
                    assert ago[clear].tolist() == traced.ago[b, i, 0].numpy()[clear].tolist()
                    compared += int(clear.sum())
        assert compared >= 4


def test_pieces_and_bytes_change_nothing_and_missing_rows_are_missing() -> None:
    rows, scored = rows_of(seen_of("level shift", 1, 2), 0)
    told_ = np.ones(len(rows.who), dtype=bool)
    told_[20:24] = False
    one, two = Recent(), Recent()
    one.grow(1)
    two.grow(1)
    one.take(rows, scored, told_, 0, len(rows.who))
    for low in range(0, len(rows.who), 7):
        two.take(rows, scored, told_, low, min(low + 7, len(rows.who)))
        record = two.records(np.zeros(1, dtype=np.int64)).tobytes()
        assert len(record) == SIZE
        two = Recent()
        two.grow(1)
        two.restore([record])
    assert one.records(np.zeros(1, dtype=np.int64)).tobytes() == record
    assert one.weigh(0) == two.weigh(0)
    moved = rows._replace(value=np.where(told_, rows.value, 1e6))
    other = scored._replace(z=np.where(told_, scored.z, 1e3))
    three = Recent()
    three.grow(1)
    three.take(moved, other, told_, 0, len(rows.who))
    assert np.array_equal(three.x, one.x)
    with pytest.raises(DamagedError, match="damaged"):
        three.restore([record[:-1]])
