"""The detector of states: against its definition by NumPy, where its alarms begin and end, what one odd row does, its rate."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.detect.evidence import KINDS, Verdict
from forecast.detect.lasting import Lasting
from forecast.detect.standard import Standard
from forecast.errors import InputError
from forecast.kernels import lasting as kernel
from tests.detect.calm import noise, of

RATE = 1e-3
THRESHOLD = -math.log(RATE)


def machine(rows: int, seed: int) -> Tensor:
    """(1 T 3): noise on three channels."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, rows, 3, generator=generator, dtype=torch.float64)


def judged(values: Tensor, calm: int, detector: Lasting) -> Verdict:
    """Verdicts on the rows after the calm ones."""
    state = detector.initial_state(detector.calibrate(of(values[:, :calm])))
    state, _ = detector.follow(state, of(values[:, :calm]))
    return detector.follow(state, of(values[:, calm:]))[1]


def by_hand(nats: np.ndarray, r: np.ndarray, smooth: int, slow: int) -> list[float]:
    """The stages written out once more, with levels as vectors."""
    n, now, before, during = 0.0, np.zeros(r.shape[1]), np.zeros(r.shape[1]), np.zeros(r.shape[1])
    stage, rows, below, held, made = "quiet", 0, 0, 0.0, []
    odds, spread = 0.0, 1.0

    def share(x: np.ndarray) -> float:
        return float((x - before) @ (during - before) / ((during - before) ** 2).sum())

    def more() -> float:
        return float(np.clip(odds + np.clip((0.5 - np.clip(share(x), -1, 2)) / spread, -THRESHOLD, THRESHOLD), *bounds))

    bounds = -THRESHOLD, THRESHOLD
    for e, x in zip(nats, r, strict=True):
        n += 2 / (smooth + 1) * (min(e, 3 * THRESHOLD) - n)
        now = now + 2 / (smooth + 1) * (x - now)
        told, rows, below = n, rows + 1, 0 if n >= THRESHOLD else below + 1
        if stage != "quiet" and below > 20:
            before = now if stage == "over" else before
            stage = "quiet"
        if stage == "quiet":
            if n >= THRESHOLD:
                stage, rows, during, odds, spread = "lasting", 1, now, -THRESHOLD, 1.0
            else:
                before = before + 2 / (slow + 1) * (now - before)
        elif stage == "lasting":
            during = during + (now - during) / min(rows, slow)
            odds, spread = more(), spread + ((np.clip(share(x), -1, 2) - 1) ** 2 - spread) / min(rows + 1, slow)
            if rows >= 20 and (odds >= THRESHOLD or share(now) < 0.5):
                stage, rows, held = "over", 0, THRESHOLD
        if stage == "over":
            held = max(held, n) if rows < 20 else held
            odds = more() if rows > 0 else odds
            if (odds < 0 and share(now) > 0.75) or n > 1.5 * held:
                stage, rows = "lasting", 20
            else:
                told = min(told, 0.8 * THRESHOLD)
        made.append(told)
    return made


def test_smoothed_nats_are_those_of_the_definition() -> None:
    generator = np.random.default_rng(0)
    level = np.repeat([0.0, 8.0, 3.0, 8.0, 0.0, -5.0, 0.0], 150)
    r = level[:, None] * [1.0, -0.5] + generator.normal(size=(len(level), 2))
    nats = np.abs(level) * 2 + generator.exponential(size=len(level))
    levels, memory, found = np.zeros((1, 3, 2)), np.zeros((1, kernel.MEMORY)), np.zeros((1, len(level)))
    kernel.lasting(nats[None], r[None], 10, 100, THRESHOLD, levels, memory, found)
    expected = by_hand(nats, r, 10, 100)
    assert found[0] == pytest.approx(expected, rel=1e-9)
    held = [t for t in range(len(level)) if pytest.approx(expected[t]) == 0.8 * THRESHOLD]
    assert held and min(held) > 300  # the way back to 3 ends the first alarm


def test_an_alarm_ends_where_the_state_is_left_though_the_rows_after_it_are_unlike_the_calm_ones() -> None:
    values = machine(2600, 1)
    values[0, 1600:2000, 0] += 12
    values[0, 1600:, 1] += 3  # what the fault leaves behind
    verdict = judged(values, 1000, Lasting(rate=RATE, quality=False))
    alarm = verdict.alarm[0]
    assert int(alarm[:600].sum()) == 0
    assert float(alarm[606:1000].double().mean()) > 0.98
    assert int(alarm[1003:].sum()) == 0  # where the smoothed values, which lag behind, took six rows
    assert KINDS[int(verdict.kind[0, 700])] != ""


def test_one_row_of_five_deviations_is_no_alarm() -> None:
    values = machine(2000, 2)
    values[0, 1500, 0] = 5
    assert not bool(judged(values, 1000, Lasting(rate=RATE, quality=False)).alarm[0, 495:520].any())
    standard = Standard(rate=RATE, quality=False)
    state = standard.initial_state(standard.calibrate(of(values[:, :1000])))
    state, _ = standard.follow(state, of(values[:, :1000]))
    assert bool(standard.follow(state, of(values[:, 1000:]))[1].alarm[0, 500])


def test_missing_rows_move_nothing_and_a_silent_sensor_is_told() -> None:
    values = machine(2000, 3)
    values[0, 1500:1600] = torch.nan
    verdict = judged(values, 1000, Lasting(rate=RATE))
    assert bool(verdict.alarm[0, 550:600].all()) and KINDS[int(verdict.kind[0, 590])] == "missing"
    assert not bool(judged(values, 1000, Lasting(rate=RATE, quality=False)).alarm[0, 500:600].any())


def test_the_rate_on_clean_rows_is_below_the_one_asked_for() -> None:
    calm, clean = noise(20, 4000, 4, channels=3), noise(20, 10_000, 5, channels=3)
    detector = Lasting(rate=1e-2, quality=False)
    state = detector.initial_state(detector.calibrate(calm))
    alarm = detector.follow(state, clean)[1].alarm
    found = float(alarm.double().mean())
    print(f"asked for 1e-2, found {found:.3g}")
    assert found < 1e-2


def test_settings_that_make_no_sense_are_told() -> None:
    with pytest.raises(InputError, match="smooth=200"):
        Lasting(smooth=200)


def test_a_state_of_another_version_is_refused() -> None:
    values, detector = machine(600, 1), Lasting(rate=RATE)
    state = detector.initial_state(detector.calibrate(of(values)))
    with pytest.raises(InputError, match="make the monitor again"):
        detector.follow(state._replace(memory=state.memory[:, :5]), of(values))
