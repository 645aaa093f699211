"""Online control of false discoveries: by the formula, by its invariant, and on sensors some of which are ill."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.detect.discovery import LARGEST, SPANS, Discovery
from forecast.detect.monitor import Monitor
from forecast.detect.standard import Standard
from forecast.errors import InputError
from forecast.models.kalman import Kalman
from forecast.types import Past
from tests.detect.calm import walk


def followed(discovery: Discovery, nats: Tensor) -> tuple[Tensor, list[float], list[int]]:
    """Alarms (T n), levels and numbers of alarms of steps (T n)."""
    state, alarms, levels = discovery.initial_state(), [], []
    for row in nats:
        levels.append(discovery.level(state, int(row.isfinite().sum())))
        state, score = discovery.step(state, row)
        alarms.append(score >= 0.5)
        assert torch.equal(alarms[-1], row >= -math.log(levels[-1]))
    return torch.stack(alarms), levels, [int(a.sum()) for a in alarms]


def ill(steps: int, sensors: int, seed: int) -> tuple[Tensor, Tensor]:
    """Nats of uniform p, a third of the sensors now and then much smaller; and which rows are those."""
    random = torch.Generator().manual_seed(seed)
    nats = -torch.rand(steps, sensors, generator=random, dtype=torch.float64).log()
    truth = torch.zeros(steps, sensors, dtype=torch.bool)
    for start in range(40, steps, 90):
        truth[start : start + 12, : sensors // 3] = True
    return nats + 12 * truth, truth


def test_levels_are_those_of_the_sum_over_the_past() -> None:
    nats, _ = ill(300, 9, 0)
    nats[50:60, 3:] = torch.nan
    discovery, memory = Discovery(0.1, 200.0), 200.0
    _, levels, found = followed(discovery, nats)
    delta, again = 1 - 1 / memory, [1 - 1 / span for span in SPANS]
    assert sum(found) > 20
    for t, level in enumerate(levels):
        gamma = [np.mean([(1 - r) * r ** (t - s - 1) for r in again]) for s in range(t)]
        income = sum(delta ** (t - s) * gamma[s] * found[s] for s in range(t))
        tests = int(nats[t].isfinite().sum())
        assert level == pytest.approx(min(0.1 * (1 - delta + income) / tests, LARGEST), rel=1e-12)


def test_never_more_is_spent_than_was_earned() -> None:
    for seed in range(5):
        nats, _ = ill(400, 12, seed)
        discovery = Discovery(0.2, 50.0)
        _, levels, found = followed(discovery, nats)
        spent = earned = 0.0
        for level, alarms in zip(levels, found, strict=True):
            spent = discovery.kept * spent + 12 * level
            earned = discovery.kept * earned
            assert spent <= 0.2 * (1 + earned) + 1e-12  # the step's own alarms would only add to what was earned
            earned += alarms


def test_order_within_a_step_is_of_no_account_and_a_monotone_score_has_its_boundary_at_a_half() -> None:
    nats, _ = ill(100, 20, 3)
    discovery = Discovery(0.1, 1000.0)
    state, _ = discovery.step(discovery.initial_state(), nats[45])
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    (one, score), (two, mixed) = discovery.step(state, nats[46]), discovery.step(state, nats[46][order])
    assert torch.equal(score[order], mixed) and torch.equal(one.of, two.of)
    level = torch.tensor([-math.log(discovery.level(state, 1))], dtype=torch.float64)
    assert float(discovery.step(state, level)[1]) == 0.5
    assert bool((score.argsort() == nats[46].argsort()).all())


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_the_share_of_false_alarms_is_at_most_the_one_asked_for(rate: float) -> None:
    """Independent p, 60 sensors, 20 of them ill in 13 % of the rows."""
    false = alarms = power = ills = alone = 0
    for seed in range(20):
        nats, truth = ill(600, 60, 100 + seed)
        alarm, _, _ = followed(Discovery(rate, 10_000.0), nats)
        false, alarms = false + int((alarm & ~truth).sum()), alarms + int(alarm.sum())
        power, ills = power + int((alarm & truth).sum()), ills + int(truth.sum())
        alone += int(((nats >= -math.log(rate * 1e-4 / 60)) & truth).sum())
    assert 0.1 * rate < false / alarms <= rate, (false, alarms)
    assert power / ills > 0.9 > 0.1 > alone / ills  # what alarms have earned finds the rest


def test_where_nothing_is_wrong_next_to_nothing_is_told() -> None:
    nats = -torch.rand(20_000, 100, generator=torch.Generator().manual_seed(9), dtype=torch.float64).log()
    alarm, levels, _ = followed(Discovery(0.1, 1000.0), nats)
    assert int(alarm.sum()) <= 10  # 2 false alarms are earned in all; each may lead to another with probability 0.1
    assert min(levels) == pytest.approx(0.1 / 1000 / 100)


def test_on_monitors_of_many_sensors_some_of_which_are_ill() -> None:
    """The nats of the standard detector, which are alike from row to row: spikes and shifts in a tenth of 100 sensors."""
    calm, rows, sensors = 4000, 1500, 100
    values = walk(sensors, calm + rows, 21)
    truth = torch.zeros(rows, sensors, dtype=torch.bool)
    for start in range(60, rows - 40, 70):
        who = start // 70 % 10
        values[who, calm + start] += 9.0
        truth[start, who] = True
    detector = Standard(rate=1e-3, statistics=("spike",))
    monitor = Monitor.ready(Kalman(trend="none"), detector, Past.of(values[:, :calm]))
    score = monitor.follow(Past.of(values[:, calm:])).verdict.score.T
    nats = score / (1 - score) * -math.log(detector.rate)
    alarm, _, _ = followed(Discovery(0.2, 10_000.0), nats)
    false, every = int((alarm & ~truth).sum()), int(alarm.sum())
    assert every >= 15 and false / every <= 0.2 + 2 * math.sqrt(0.2 * 0.8 / every), (false, every)
    plain = int(((score >= 0.5) & ~truth).sum()) / max(int((score >= 0.5).sum()), 1)
    assert plain > 0.5  # the stated rate of false alarms a row drowns the spikes


@pytest.mark.parametrize(("rate", "memory"), [(0.0, 100.0), (1.0, 100.0), (0.1, 1.0)])
def test_slips_are_told(rate: float, memory: float) -> None:
    with pytest.raises(InputError):
        Discovery(rate, memory)
