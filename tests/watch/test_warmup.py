"""How long sensors warm up, and what seasons they are given: a plant that rests on Sundays does not flood anybody."""

import numpy as np
import pytest
import torch

from forecast.detect.standard import Standard
from forecast.models.kalman import Kalman
from forecast.series import synthetic
from forecast.series.clock import Clock
from forecast.series.panel import panel_of
from forecast.series.season import seasons_of
from forecast.watch import warmup
from forecast.watch.arrival import Rows
from forecast.watch.bank import Key
from forecast.watch.live import Live
from forecast.watch.warmup import Plan

HALF_HOUR = 1_800_000_000
DAY = 86_400e6


def daily(rows: int, step: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Times and values with a daily cycle."""
    random = np.random.default_rng(seed)
    times = np.arange(1, rows + 1) * step
    return times, np.sin(2 * np.pi * times / DAY) + 0.2 * random.normal(size=rows)


@pytest.mark.parametrize(
    ("step", "rows", "seasons", "goal"),
    [
        (HALF_HOUR, 300, (48,), 1008),  # a day was found: a week may come into sight after three
        (HALF_HOUR, 1008, (48,), None),
        (2 * HALF_HOUR, 300, (24,), 504),
        (HALF_HOUR // 3, 300, (), 432),  # of 10 minutes: three days first
        (HALF_HOUR // 3, 432, (144,), 3024),
        (HALF_HOUR // 30, 300, (), None),  # of a minute: three days are 4,320 rows, more than it may take
    ],
)
def test_seasons_of_the_first_rows_and_how_long_they_are_waited_for(
    step: int, rows: int, seasons: tuple[int, ...], goal: int | None
) -> None:
    times, values = daily(rows, step)
    assert warmup.found(times, values, Plan()) == seasons
    assert warmup.next_goal(times, seasons, Plan()) == goal


def test_noise_walks_and_gaps_are_given_no_season() -> None:
    random = np.random.default_rng(1)
    times = np.arange(1, 301) * HALF_HOUR
    noise = random.normal(size=(40, 300))
    found = [warmup.found(times, y, Plan()) for y in (*noise, *noise.cumsum(1))]
    assert sum(map(bool, found)) <= 8  # of 80
    assert warmup.next_goal(times, (), Plan()) is None
    assert warmup.found(np.cumsum(random.integers(1, 10, 300) ** 4) * HALF_HOUR, noise[0], Plan()) == ()


def test_a_season_that_is_given_is_not_searched_and_seen_three_times() -> None:
    times, values = daily(300, HALF_HOUR)
    assert warmup.found(times, values, Plan(season=7)) == (7,)
    assert warmup.found(times, values, Plan(season=1)) == ()
    assert [warmup.first_goal(Plan(season=s)) for s in (None, 1, 48, 336, 10_000)] == [300, 300, 300, 1008, 3072]


def test_white_noise_has_no_season_of_two_rows_and_alternation_has() -> None:
    random = np.random.default_rng(2)
    clock = Clock("time", synthetic.ORIGIN, "30min")
    noise = random.normal(size=(30, 300))
    found = [seasons_of(panel_of([torch.from_numpy(y[:, None])], clock)) for y in noise]
    assert sum(2 in seasons for seasons in found) <= 1
    swing = noise[0] + 2 * (-1) ** np.arange(300)
    assert 2 in seasons_of(panel_of([torch.from_numpy(swing[:, None])], clock))


def live(plan: Plan) -> Live:
    def model(seasons: tuple[int, ...]) -> Kalman:
        return Kalman(season=seasons[0] if seasons else 1, seasons=seasons)

    return Live("kalman", model, lambda step: Standard(rate=0.1 * step / DAY), plan)


def test_sensors_of_unlike_steps_share_neither_budget_nor_seasons_and_go_on_from_bytes() -> None:
    plan = Plan(rows=60, longest=240)
    steps = [HALF_HOUR, 2 * HALF_HOUR, HALF_HOUR]
    parts = [daily(320, step, seed) for seed, step in enumerate(steps)]
    parts[2] = (parts[2][0], np.random.default_rng(10).normal(size=320))
    who = np.tile(np.arange(3), 320)
    rows = Rows(who, np.stack([t for t, _ in parts], 1).ravel(), np.stack([v for _, v in parts], 1).ravel(), who)
    whole, first, second = live(plan), live(plan), live(plan)
    for scorer in (whole, first, second):
        scorer.grow(["a", "b", "c"])
    out = whole.observe(rows)
    assert [bank.key for bank in whole.banks] == [
        Key((24,), 3.6e9),
        Key((48,), 1.8e9),
        Key((), 1.8e9),
    ]
    first_scored = [int(np.argmax(np.isfinite(out.score[who == sensor]))) for sensor in range(3)]
    assert first_scored == [144, 72, 144]
    cut = 3 * 160
    places = np.arange(len(who))
    first.observe(rows.take(places[: 3 * 75]))
    first.observe(rows.take(places[3 * 75 : cut]))
    header = first.header()
    assert header is not None
    second.take_header(header)
    second.restore(first.records(np.arange(3)), dict(first.fixed()))
    after = second.observe(rows.take(places[cut:]))
    assert all(np.array_equal(a[cut:], b, equal_nan=True) for a, b in zip(out, after, strict=True))
    assert second.records(np.arange(3)) == whole.records(np.arange(3))


@pytest.mark.slow
def test_the_plant_does_not_flood_and_its_events_are_found() -> None:
    panel, labels = synthetic.plant()
    values = panel.series(0).numpy()
    rows, sensors = values.shape
    scorer = live(Plan())
    scorer.grow(list(panel.channels))
    times = np.repeat(np.arange(1, rows + 1) * HALF_HOUR, sensors)
    out = scorer.observe(Rows(np.tile(np.arange(sensors), rows), times, values.ravel(), np.arange(values.size)))
    alarm = (out.alarm & (out.kind != scorer.kinds.index("missing"))).reshape(rows, sensors)
    scored = np.isfinite(out.score).reshape(rows, sensors)
    near, found = np.zeros_like(alarm), 0
    for start, end, names in zip(labels.start, labels.end, labels.channels, strict=True):
        low, high = panel.times(0).searchsorted(start), panel.times(0).searchsorted(end)
        mine = [panel.channels.index(name) for name in names]
        found += bool(alarm[low : high + 1, mine].any())
        near[low : high + 49, mine] = True
    days = float((scored & ~near).sum()) / 48
    false = alarm & ~near
    before = np.pad(false, ((5, 0), (0, 0)))
    events = int((false & ~np.any([before[i : i + rows] for i in range(5)], axis=0)).sum())
    assert found >= 12
    assert false.sum() / days < 0.6  # rows; 0.1 events asked for, 4 rows with 300 rows of warm-up and no season
    assert events / days < 0.2
