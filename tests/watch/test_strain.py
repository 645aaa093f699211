"""DEGRADED: a model that no longer fits is told from events, and a refit ends it."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.series import synthetic
from forecast.watch.arrival import Rows
from forecast.watch.live import Live
from forecast.watch.refit import LAG, Refit
from forecast.watch.strain import BLOCK, Strain, parts, too_many
from forecast.watch.warmup import Plan
from tests.watch.test_warmup import HALF_HOUR, live

KINDS = ("", "spike", "missing")


@given(
    alarms=st.lists(st.tuples(st.integers(0, 2), st.sampled_from(KINDS)), max_size=60),
    repeat=st.integers(1, 60),
    cuts=st.lists(st.integers(0, 3600), max_size=5),
)
def test_counts_are_those_of_the_last_blocks_in_any_batches(
    alarms: list[tuple[int, str]], repeat: int, cuts: list[int]
) -> None:
    rows = alarms * repeat
    who = np.array([sensor for sensor, _ in rows], dtype=np.int64)
    kind = np.array([KINDS.index(word) for _, word in rows], dtype=np.int64)
    strain = Strain(KINDS)
    strain.grow(3)
    for part in np.split(np.arange(len(rows)), sorted(cuts)):
        strain.count(who[part], kind[part] > 0, kind[part])
    for sensor in range(3):
        mine = [word == "spike" for other, word in rows if other == sensor]
        full = len(mine) // BLOCK * BLOCK
        expected = sum(mine[max(full - BLOCK, 0) : full]), sum(mine[full:]), len(mine) - full
        assert parts(int(strain.packed[sensor])) == expected


def test_an_event_is_no_misfit_and_a_budget_that_asks_for_many_alarms_moves_the_limit() -> None:
    def packed(alarms: int, rows: int) -> int:
        strain = Strain(KINDS)
        strain.grow(1)
        strain.count(np.zeros(rows, np.int64), np.arange(rows) < alarms, np.ones(rows, np.int64))
        return int(strain.packed[0])

    assert not too_many(packed(96, 96), 0.002)  # two days of half hours
    assert too_many(packed(140, 140), 0.002)
    assert too_many(packed(190, 400), 0.002) and not too_many(packed(190, 400), 0.1)


def degraded(values: np.ndarray, stops: list[int], refit: Refit | None = None) -> list[bool]:
    """Whether a sensor with these rows is, after so many of them."""
    plain = live(Plan(rows=120, season=1))
    scorer = Live(plain.name, plain.model, plain.detector, plain.plan, refit or Refit())
    scorer.grow(["s0"])
    found = []
    for part in np.split(np.arange(len(values)), stops):
        scorer.observe(Rows(np.zeros(len(part), np.int64), (part + 1) * HALF_HOUR, values[part], part))
        found.append(too_many(int(scorer.strain.packed[0]), 0.002))
    return found


def test_a_refit_ends_it() -> None:
    phase = zlib.crc32(b"s0") % 400
    change = phase + 400  # a refit that is begun here has seen nothing of it, the next one has
    noise, t = np.random.default_rng(2).normal(size=change + 700), np.arange(change + 700)
    taken = change + 400 + LAG
    refit = Refit(every=400, rows=256)
    assert degraded(np.where(t < change, noise, 20 * noise), [taken - 1], refit) == [True, False]


@pytest.mark.slow
def test_no_sensor_of_the_plant_is_degraded_at_any_time_and_those_with_a_course_are_without_it() -> None:
    panel, _ = synthetic.plant()
    values = panel.series(0).numpy()
    rows, sensors = values.shape
    random = np.random.default_rng(0)
    lost = values.copy()  # the seasons are gone from row 2200 on
    spread = np.nanstd(np.diff(values, axis=0), axis=0)
    noise = spread * random.normal(size=values.shape)
    course = np.nanstd(values, axis=0) > 2 * spread  # vibration is hardly more than noise
    lost[2200:] = (np.nanmean(values, axis=0) + noise)[2200:]
    for table in (values, lost):
        scorer = live(Plan())
        scorer.grow(list(panel.channels))
        worst = np.zeros(sensors, dtype=bool)
        for low in range(0, rows, 48):
            part = table[low : low + 48]
            who = np.tile(np.arange(sensors), len(part))
            times = np.repeat(np.arange(low + 1, low + 1 + len(part)) * HALF_HOUR, sensors)
            scorer.observe(Rows(who, times, part.ravel(), np.arange(part.size)))
            worst |= np.array([too_many(one, 0.1 / 48) for one in scorer.strain.packed.tolist()])
        assert worst[course].all() if table is lost else not worst.any()
    assert course.sum() == 16
