"""The model and the detector behind the loop: warm-up, company, batches, and states as bytes."""

import numpy as np
import pytest

from forecast.detect.standard import Standard
from forecast.models.kalman import Kalman
from forecast.watch.arrival import Rows
from forecast.watch.live import Live
from forecast.watch.scorer import Scored
from forecast.watch.warmup import Plan

MINUTE = 60_000_000
WARM = 60


def live() -> Live:
    return Live(
        "kalman",
        lambda seasons: Kalman(trend="damped", seasons=seasons),
        lambda step: Standard(rate=1e-3),
        Plan(WARM, season=1),
    )


def stream(sensors: int, rows: int) -> Rows:
    random = np.random.default_rng(5)
    values = np.cumsum(random.normal(0, 0.2, (rows, sensors)), 0) + random.normal(0, 1, (rows, sensors))
    values[rows - 20] += 40
    values[random.random(values.shape) < 0.02] = np.nan
    times = np.arange(1, rows + 1)[:, None] * MINUTE + np.zeros(sensors, dtype=np.int64)
    who = np.tile(np.arange(sensors), rows)
    return Rows(who, times.reshape(-1), values.reshape(-1), np.arange(rows * sensors))


def scored(scorer: Live, rows: Rows, batch: int) -> Scored:
    parts = [
        scorer.observe(rows.take(np.arange(a, min(a + batch, len(rows.who))))) for a in range(0, len(rows.who), batch)
    ]
    return Scored(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def equal(one: Scored, other: Scored) -> bool:
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def rows() -> Rows:
    return stream(5, WARM + 60)


@pytest.fixture(scope="module")
def whole(rows: Rows) -> tuple[Scored, list[bytes]]:
    scorer = live()
    scorer.grow([f"s{i}" for i in range(5)])
    out = scored(scorer, rows, len(rows.who))
    return out, scorer.records(np.arange(5))


def test_the_spike_is_seen_after_a_warm_up_without_scores(rows: Rows, whole: tuple[Scored, list[bytes]]) -> None:
    out, _ = whole
    late = rows.time > WARM * MINUTE
    assert np.isnan(out.score[~late]).all()
    assert np.isfinite(out.score[late & np.isfinite(rows.value)]).all()
    spike = (rows.time == (WARM + 41) * MINUTE) & np.isfinite(rows.value)
    assert out.alarm[spike].all()


@pytest.mark.parametrize("batch", [1, 64])
def test_batches_change_no_bit(rows: Rows, whole: tuple[Scored, list[bytes]], batch: int) -> None:
    scorer = live()
    scorer.grow([f"s{i}" for i in range(5)])
    assert equal(scored(scorer, rows, batch), whole[0])
    assert scorer.records(np.arange(5)) == whole[1]


def test_company_changes_no_bit(rows: Rows, whole: tuple[Scored, list[bytes]]) -> None:
    scorer = live()
    scorer.grow(["s3"])
    mine = rows.who == 3
    alone = rows.take(mine)._replace(who=np.zeros(int(mine.sum()), dtype=np.int64))
    assert equal(scored(scorer, alone, 7), Scored(*(column[mine] for column in whole[0])))


@pytest.mark.parametrize("cut", [100, WARM * 5 - 2, WARM * 5 + 111])
def test_states_go_on_as_bytes(rows: Rows, whole: tuple[Scored, list[bytes]], cut: int) -> None:
    names = [f"s{i}" for i in range(5)]
    first, places = live(), np.arange(len(rows.who))
    first.grow(names)
    before = scored(first, rows.take(places[:cut]), 50)
    records, fixed, header = first.records(np.arange(5)), dict(first.fixed()), first.header()
    second = live()
    if header is not None:
        second.take_header(header)
    second.grow(names)
    second.restore(records, fixed)
    after = scored(second, rows.take(places[cut:]), 50)
    assert equal(Scored(*(np.concatenate(c) for c in zip(before, after, strict=True))), whole[0])
    assert second.records(np.arange(5)) == whole[1]
