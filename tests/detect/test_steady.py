"""The bound on new events: against its definition by NumPy, under an adversary, and what it does to faults and to states that stay."""

import math

import numpy as np
import pytest

from forecast.detect.standard import Standard
from forecast.detect.steady import Steady
from forecast.errors import InputError
from forecast.experiment.detectors import build
from forecast.kernels import steady as kernel
from tests.detect.calm import noise, of
from tests.detect.test_standard import calibrated

RATE, SETTLE = 1e-2, 50
THRESHOLD = -math.log(RATE)


def by_hand(nats: np.ndarray, allowance: float, rise: float) -> tuple[list[float], int]:
    """What is told, and the number of events, with the largest of the last rows looked up anew for each row."""
    events, settled, since, age, count, made = 0.0, 0.0, 0, 0, 0, []
    ways = np.log(np.clip(np.nan_to_num(nats) / THRESHOLD, 1.0, 1e3))
    seen: list[int] = []
    for t, e in enumerate(nats):
        if np.isnan(e):
            made.append(math.nan)
            continue
        seen.append(t)
        made.append(min(e, 1e3 * THRESHOLD) * math.exp(-rise * max(events - allowance, 0.0) - settled))
        largest = max(ways[row] - (len(seen) - 1 - i) / SETTLE for i, row in enumerate(seen))
        hot = made[-1] >= THRESHOLD
        if hot or age:
            count, age, since = count + (age == 0), age + 1, 0 if hot else since + 1
            settled = max(largest, 0.0) if age == SETTLE else settled
            if since == 5 or age == SETTLE:
                events, age, since = events + 1, 0, 0
        else:
            events, settled = max(events - RATE, 0.0), min(settled, max(largest, 0.0))
    return made, count


def run(nats: np.ndarray, allowance: float = 3.0, rise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """What is told, and the memory at the end."""
    memory, told = np.zeros((1, kernel.MEMORY)), np.zeros((1, len(nats)))
    kernel.steady(nats[None], THRESHOLD, RATE, allowance, rise, SETTLE, memory, told)
    return told[0], memory[0]


@pytest.mark.parametrize(("allowance", "rise"), [(0.0, 0.25), (3.0, 0.5), (1.0, 2.0)])
def test_what_is_told_is_that_of_the_definition(allowance: float, rise: float) -> None:
    random = np.random.default_rng(1)
    nats = random.exponential(size=1500)
    nats[200:500] += 30
    nats[700::37] += 12
    nats[[3, 250, 900]] = math.nan
    nats[1200] = 1e12
    want, count = by_hand(nats, allowance, rise)
    told, _ = run(nats, allowance, rise)
    np.testing.assert_allclose(told, want, rtol=1e-9)
    assert count > 10


@pytest.mark.parametrize("seed", range(6))
def test_no_rows_have_more_events_than_the_bound(seed: int) -> None:
    """An adversary who knows the memory raises an alarm whenever there can be one, for one row or for long."""
    random, detector = np.random.default_rng(seed), Steady(rate=RATE, settle=SETTLE)
    memory, count, left = np.zeros((1, kernel.MEMORY)), 0, 0
    told = np.zeros((1, 1))
    rows = 6000
    for _ in range(rows):
        if left == 0 and memory[0, kernel.AGE] == 0:
            left = int(random.choice([1, 1, 1, 2, 30, 200]))
        before = memory[0, kernel.AGE]
        nats = np.array([[1e30 if left > 0 else 0.0]])
        left -= left > 0
        kernel.steady(nats, THRESHOLD, RATE, 3.0, 0.5, SETTLE, memory, told)
        count += int(before == 0 and told[0, 0] >= THRESHOLD)
    assert 3 < count <= RATE * rows + detector.most
    assert detector.most == pytest.approx(3 + math.log(1e3) / 0.5 + 2)


def test_a_state_that_stays_is_told_once_and_leaves_no_deaf_detector() -> None:
    values = noise(4, 6000, 3).row.values.clone()
    values[:, 3000:4500] = 3 * values[:, 3000:4500]
    values[:, 5900] += 25
    calm, evidence = of(values[:, :2500]), of(values[:, 2500:])
    alarms = {}
    for word in ("standard", "steady"):
        detector = build({"name": word}, 1e-3)
        alarms[word] = detector.follow(calibrated(detector, calm), evidence)[1].alarm
    stays = slice(1000, 2000)  # from 500 rows after its beginning to its end
    assert float(alarms["standard"][:, stays].double().mean()) > 0.5
    assert float(alarms["steady"][:, stays].double().mean()) < 0.05
    assert bool(alarms["steady"][:, 500:520].any(1).all()), "the beginning is told"
    assert bool(alarms["steady"][:, 3400].all()), "so is a spike later on"


def test_on_rows_like_the_calm_ones_it_is_the_standard_detector() -> None:
    values = noise(4, 9000, 5).row.values.clone()
    values[:, 5000::1500] += 8
    calm, evidence = of(values[:, :4000]), of(values[:, 4000:])
    plain, bound = (
        detector.follow(calibrated(detector, calm), evidence)[1] for detector in (Standard(rate=1e-3), Steady(rate=1e-3))
    )
    same = plain.alarm == bound.alarm
    assert float(same.double().mean()) > 0.995 and bool(bound.alarm[:, 1000::1500].all())
    assert bool((bound.score <= plain.score + 1e-12).all())


def test_settings_that_mean_nothing_are_refused() -> None:
    for settings in ({"settle": 1}, {"allowance": -1.0}, {"rise": 0.0}):
        with pytest.raises(InputError, match="give at least 2 rows"):
            Steady(**settings)  # type: ignore[arg-type]
