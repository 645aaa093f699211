"""From verdicts to events: opening, closing, merging, telling; pure functions of the points in order."""

import json
import math

import pytest

from forecast.watch import alerts, events
from forecast.watch.alerts import About
from forecast.watch.events import Incident, Memory, Mute, Point, Rule, incident, restored, step

SECOND = 1_000_000


def point(second: float, score: float) -> Point:
    return Point(int(second * SECOND), 5.0, score, score >= 0.5, 1.0, 0.0, 2.0, 10.0, "spike")


def told(scores: str, rule: Rule) -> list[tuple[str, int, int]]:
    """States told, with start and end in seconds; one point a second, `x` an alarm, `.` quiet, `?` without a score."""
    memory: Memory | None = None
    out = []
    for second, letter in enumerate(scores):
        score = {"x": 0.7, "X": 0.99, ".": 0.1, "?": math.nan}[letter]
        memory, changes = step(memory, point(second, score), rule)
        if memory is not None:
            memory = restored(json.loads(json.dumps(memory)))
        out += [(c.state, c.event.start // SECOND, c.event.end // SECOND) for c in changes]
    return out


@pytest.mark.parametrize(
    ("scores", "rule", "expected"),
    [
        ("..x..", Rule(quiet=2), [("open", 2, 2), ("closed", 2, 2)]),
        ("..x.x..", Rule(quiet=2), [("open", 2, 2), ("closed", 2, 4)]),
        ("..x..x..", Rule(quiet=2), [("open", 2, 2), ("closed", 2, 2), ("open", 5, 5), ("closed", 5, 5)]),
        ("..x.x..", Rule(k=2, m=3, quiet=2), [("open", 2, 4), ("closed", 2, 4)]),
        ("..x..x..", Rule(k=2, m=3, quiet=2), []),
        ("..x..x..", Rule(quiet=2, merge=5), [("open", 2, 2), ("closed", 2, 2), ("closed", 2, 5)]),
        (".x?.?..", Rule(quiet=3), [("open", 1, 1), ("closed", 1, 1)]),
        (".x.x.x....", Rule(quiet=3, wait=3), [("open", 1, 3), ("closed", 1, 5)]),
        (".x........", Rule(quiet=3, wait=20), []),
        (".xxxX...", Rule(quiet=3, interval=2), [("open", 1, 1), ("update", 1, 4), ("closed", 1, 4)]),
        (".xxxxxx...", Rule(quiet=3, repeat=3), [("open", 1, 1), ("update", 1, 4), ("update", 1, 6), ("closed", 1, 6)]),
    ],
)
def test_what_is_told(scores: str, rule: Rule, expected: list[tuple[str, int, int]]) -> None:
    assert told(scores, rule) == expected


def test_a_quiet_sensor_remembers_nothing() -> None:
    memory: Memory | None = None
    for second, score in enumerate([0.1, 0.9, 0.1, 0.1, 0.1]):
        memory, _ = step(memory, point(second, score), Rule(quiet=2))
    assert memory is None


def test_severity_follows_the_peak() -> None:
    assert [Rule().severity(score) for score in (0.5, 0.7, 0.85, 0.99)] == ["warning", "minor", "major", "critical"]


def test_mutes_by_name_kind_and_time() -> None:
    mute = Mute.of({"sensor": "plant/*", "kind": "spike", "start": "2026-01-01T00:00Z", "end": "2026-01-02T00:00Z"})
    noon = 1_767_268_800 * SECOND
    assert mute.holds("plant/a", "spike", noon)
    assert not mute.holds("plant/a", "frozen", noon)
    assert not mute.holds("pump", "spike", noon)
    assert not mute.holds("plant/a", "spike", noon + 86_400 * SECOND)


def test_events_of_a_group_that_overlap_are_one_incident() -> None:
    _, changes = step(None, point(10, 0.9), Rule())
    event = changes[0].event
    first = incident({}, "plant", event, "a", 60)
    assert first == Incident("a", event.end)
    assert incident({"plant": first}, "plant", event._replace(start=50 * SECOND), "b", 60).id == "a"
    assert incident({"plant": first}, "plant", event._replace(start=90 * SECOND), "b", 60).id == "b"


def test_the_record_is_plain_json_and_says_sigma() -> None:
    from scipy.stats import norm

    for surprise in (0.1, 3.0, 40.0, 3000.0):
        peak = point(10, 0.9)._replace(surprise=surprise)
        _, changes = step(None, peak, Rule())
        made = alerts.record(changes[0], About("id", "a", "", "id", "kalman", False))
        assert json.loads(alerts.body(made)) == made
        sigma = made["deviation_sigma"]
        assert norm.logsf(sigma) + math.log(2) == pytest.approx(-surprise, rel=1e-9)
    assert len(made["text"]) <= 160
    assert events.identity("a", "kalman", changes[0].event) == events.identity(
        "a", "kalman", changes[0].event._replace(end=99)
    )
