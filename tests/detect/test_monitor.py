"""Batch, stream, batched stream and resumed: the same bits; a record a sensor; damage is refused."""

from pathlib import Path

import pytest
import torch

from forecast import artefact
from forecast.detect.detector import Detector
from forecast.detect.discord import Discord
from forecast.detect.group import Group
from forecast.detect.history import History
from forecast.detect.holt_winters import HoltWinters
from forecast.detect.lasting import Lasting
from forecast.detect.monitor import PATIENCE, Monitor
from forecast.detect.season import Seasonal
from forecast.detect.standard import Standard
from forecast.detect.steady import Steady
from forecast.errors import InputError
from forecast.models.kalman import Kalman
from forecast.models.naive import SeasonalNaive
from forecast.types import Past, Row, leaves, take
from tests.detect.calm import walk

ROWS = 300


@pytest.fixture(scope="module")
def past() -> Past:
    values = walk(3, 2 * ROWS, 0, channels=2)
    values[:, 350] += 12
    values[:, 450:] += 9
    values[0, 400:405] = torch.nan
    return Past.of(values)


@pytest.fixture(scope="module")
def header_and_records(past: Past) -> tuple[bytes, list[bytes]]:
    monitor = Monitor.ready(Kalman(trend="none", channels=2), Standard(rate=0.01, adapt=0.001), past.rows(0, ROWS))
    return artefact.header(monitor), monitor.records()


@pytest.fixture
def monitor(header_and_records: tuple[bytes, list[bytes]]) -> Monitor:
    return artefact.monitor_of(*header_and_records)


@pytest.fixture(scope="module")
def whole(header_and_records: tuple[bytes, list[bytes]], past: Past) -> tuple[torch.Tensor, list[bytes]]:
    monitor = artefact.monitor_of(*header_and_records)
    return monitor.follow(past.rows(ROWS, 2 * ROWS)).verdict.score, monitor.records()


def test_stream_is_batch(monitor: Monitor, past: Past, whole: tuple[torch.Tensor, list[bytes]]) -> None:
    scores = [monitor.observe(row).score for row in past.rows(ROWS, 2 * ROWS).each()]
    assert torch.equal(torch.stack(scores, 1), whole[0])
    assert monitor.records() == whole[1]
    assert bool((whole[0] >= 0.5).any()), "the shift is seen"


GUARDED = [
    Discord(memory=500),
    Group(scales=(4, 20)),
    History(lags=256),
    Lasting(),
    Seasonal(season=24),
    HoltWinters(season=1),
]


@pytest.mark.parametrize("detector", GUARDED, ids=lambda one: type(one).__name__)
def test_stream_is_batch_where_a_guard_settles_what_is_learned(detector: Detector, past: Past) -> None:
    calm, live = past.rows(0, ROWS), past.rows(ROWS, 2 * ROWS)
    batch = Monitor.ready(Kalman(trend="none", channels=2), detector, calm)
    stream = artefact.monitor_of(artefact.header(batch), batch.records())
    seen = batch.follow(live)
    assert bool((seen.verdict.learn < 1).any()), "some rows are held back"
    verdicts = [stream.observe(row) for row in live.each()]
    for k, leaf in enumerate(seen.verdict):
        assert torch.equal(torch.stack([one[k] for one in verdicts], 1), leaf), seen.verdict._fields[k]
    assert stream.records() == batch.records()


def test_sensors_alone_are_the_batch(monitor: Monitor, past: Past, whole: tuple[torch.Tensor, list[bytes]]) -> None:
    for row in past.rows(ROWS, ROWS + 160).each():
        for who in (torch.tensor([2, 0]), torch.tensor([1])):
            verdict = monitor.observe(Row(*(part[who] for part in row)), who)
            assert len(verdict.score) == len(who)
    direct = artefact.monitor_of(artefact.header(monitor), monitor.records())
    for row in past.rows(ROWS + 160, 2 * ROWS).each():
        monitor.observe(row)
    direct.follow(past.rows(ROWS + 160, 2 * ROWS))
    assert monitor.records() == direct.records() == whole[1]


def test_resumed_is_whole(
    monitor: Monitor, past: Past, whole: tuple[torch.Tensor, list[bytes]], tmp_path: Path
) -> None:
    first = monitor.follow(past.rows(ROWS, 437)).verdict.score
    digest = artefact.save_monitor(tmp_path / "m", monitor)
    resumed = artefact.load_monitor(tmp_path / "m")
    assert artefact.save_monitor(tmp_path / "n", resumed) == digest
    second = resumed.follow(past.rows(437, 2 * ROWS)).verdict.score
    assert torch.equal(torch.cat([first, second], 1), whole[0])


def test_records_go_back_where_they_were(monitor: Monitor, past: Past) -> None:
    before = monitor.records()
    monitor.follow(past.rows(ROWS, ROWS + 20))
    after = monitor.records()
    assert all(a != b for a, b in zip(before, after, strict=True))
    monitor.put([1], [before[1]])
    assert monitor.records() == [after[0], before[1], after[2]]
    monitor.append(monitor.machines_of(before[:1]))
    assert monitor.records([3, 0]) == [before[0], after[0]]
    with pytest.raises(InputError, match="a record of 3 bytes"):
        monitor.machines_of([b"abc"])


def test_damage_is_refused(monitor: Monitor, tmp_path: Path) -> None:
    artefact.save_monitor(tmp_path / "m", monitor)
    content = bytearray((tmp_path / "m").read_bytes())
    for place in (3, len(content) // 2, len(content) - 1):
        bad = content.copy()
        bad[place] ^= 1
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(InputError):
            artefact.load_monitor(tmp_path / "bad")
    artefact.save(tmp_path / "model", monitor.model)
    with pytest.raises(InputError, match="not a monitor"):
        artefact.monitor_of((tmp_path / "model").read_bytes(), [])


def test_any_forecaster_and_other_company(past: Past) -> None:
    calm = past.rows(0, ROWS)
    every = Monitor.ready(SeasonalNaive(season=1, channels=2), Standard(rate=0.01), calm)
    alone = Monitor.ready(SeasonalNaive(season=1, channels=2), Standard(rate=0.01), take(calm, torch.tensor([1])))
    assert every.records([1]) == alone.records()


@pytest.mark.parametrize(
    "detector",
    [Standard(rate=0.01, adapt=0.001), Steady(rate=0.01, settle=20, allowance=0.0)],
    ids=["standard", "steady"],
)
def test_the_fast_path_is_taken_and_gives_the_same_bits(detector: Detector, past: Past) -> None:
    monitor = Monitor.ready(Kalman(trend="none", channels=2), detector, past.rows(0, ROWS))
    slow = artefact.monitor_of(artefact.header(monitor), monitor.records())
    escaped = held = False
    for t, row in enumerate(past.rows(ROWS, ROWS + 200).each()):
        who = None if t % 3 else torch.tensor([2, 0])
        part = row if who is None else Row(*(leaf[who] for leaf in row))
        fast = monitor.observe(part, who)
        slow.machines = slow.machines  # as if its first row: no fast path
        same = slow.observe(part, who)
        assert (monitor._live is None) == (t < PATIENCE - 1) and slow._live is None
        assert all(torch.equal(a, b) for a, b in zip(fast, same, strict=True))
        assert monitor.seen is not None and slow.seen is not None
        for a, b in zip(monitor.seen.evidence[1:], slow.seen.evidence[1:], strict=True):
            assert torch.equal(a.nan_to_num(-1), b.nan_to_num(-1))
        escaped, held = escaped or bool((fast.widen > 1).any()), held or bool((fast.learn == 0).any())
    assert escaped and held
    assert monitor.records() == slow.records()
    assert bool(monitor.machines.detector.memory.any())


def test_many_sensors_of_a_small_model_are_the_batch(header_and_records: tuple[bytes, list[bytes]], past: Past) -> None:
    """Forty sensors of one state, which a Stepper would advance 32 together."""
    few, who = artefact.monitor_of(*header_and_records), torch.arange(40) % 3
    stream, batch = (Monitor(few.model, few.detector, take(few.machines, who)) for _ in range(2))
    rows = Past.of(past.values[who, ROWS : ROWS + 160])
    scores = [stream.observe(row).score for row in rows.each()]
    assert torch.equal(torch.stack(scores, 1), batch.follow(rows).verdict.score)
    assert stream.records() == batch.records()


def test_a_sensor_without_readings_keeps_its_belief_beside_one_that_still_is_diffuse(past: Past) -> None:
    """It has no parameters: what is computed in its lane is NaN, and must not stay."""
    values = past.values[:, : ROWS + 20].repeat(6, 1, 1)
    values[4] = torch.nan
    for place in (0, 1):  # of the season: two of its effects are not known before row ROWS + 9
        values[5, place : ROWS + 9 : 4] = torch.nan
    every = Past.of(values)
    fast = Monitor.ready(Kalman(trend="damped", season=4, channels=2), Standard(rate=0.01), every.rows(0, ROWS))
    slow = artefact.monitor_of(artefact.header(fast), fast.records())
    for row in every.rows(ROWS, ROWS + 20).each():
        fast.observe(row)
        slow.machines = slow.machines  # as if its first row: no fast path
        slow.observe(row)
    assert fast._live is not None and slow._live is None
    for mine, theirs in zip(leaves(fast.machines), leaves(slow.machines), strict=True):
        assert torch.equal(mine.nan_to_num(-1), theirs.nan_to_num(-1))
    assert bool((fast.machines.model.covariance[4] == 0).all()) and bool(fast.machines.model.tally[4, :, 1].all())
