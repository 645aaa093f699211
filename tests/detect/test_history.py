"""The detector that judges each row among those before it: against its definition written out, its rate, what it finds."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.detect.evidence import KINDS, Verdict
from forecast.detect.history import History
from forecast.errors import InputError
from forecast.kernels import history as kernel
from tests.detect.calm import of, walk

CALM = 100


def judged(values: Tensor, detector: History, calm: int = CALM) -> Verdict:
    """Verdicts on all rows, the calm ones too."""
    state = detector.initial_state(detector.calibrate(of(values[:, :calm])))
    return detector.follow(state, of(values))[1]


def place(x: float) -> int:
    return 0 if x <= kernel.LOWEST else int(math.log(x / kernel.LOWEST) * kernel.PER_E) + 1


def nats_by_hand(x: float, earlier: list[float]) -> float:
    """From all earlier values, sorted into the bins of the grid."""
    n = len(earlier)
    if n < kernel.FEW:
        return 0.0
    if x <= max(earlier):
        above = sum(place(v) >= place(x) for v in earlier)
        return -math.log((max(above, 1) + 1) / (n + 1))
    top = max(earlier)
    i = place(top)
    upper = 0
    while i > 0 and upper < 0.02 * n:
        upper += sum(place(v) == i for v in earlier)
        i -= 1
    start = kernel.LOWEST * math.exp(i / kernel.PER_E) if i else 0.0
    step = max((top - start) / max(math.log(0.02 * n + 1), 1), 0.01 * top + 1e-12)
    return math.log(n + 1) + math.log1p((x - top) / step)


def nearest(r: NDArray[np.float64], size: int, lags: int) -> list[float]:
    """Root mean square difference of every row's last `size` rows to the nearest ones before it; 0 where there are none."""
    made = []
    for t in range(len(r)):
        found = [
            float(np.sqrt(np.mean((r[t - size + 1 : t + 1] - r[t - lag - size + 1 : t - lag + 1]) ** 2)))
            for lag in range(size, min(lags, t - size + 1) + 1)
        ]
        made.append(min(found, default=0.0))
    return made


def likest(r: NDArray[np.float64], least: NDArray[np.float64], size: int, lags: int) -> list[float]:
    """The same of shapes, in units of the two windows' own sizes."""
    made = []
    for t in range(len(r)):
        now, found = r[t - size + 1 : t + 1], []
        for lag in range(size, min(lags - 1, t - size + 1) + 1):
            before = r[t - lag - size + 1 : t - lag + 1]
            apart = ((now - now.mean(0)) - (before - before.mean(0))) ** 2
            own = (now.std(0) + least) * (before.std(0) + least)
            found.append(float(np.sqrt(np.mean(apart.mean(0) / own))))
        made.append(min(found, default=0.0))
    return made


def same(r: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Rows for which a reading has been the same, and how still the last rows were."""
    repeats = [0.0]
    for t in range(1, len(r)):
        repeats.append(repeats[-1] + 1 if r[t] == r[t - 1] else 0.0)
    still = [1 / (r[max(t - kernel.STILL + 1, 0) : t + 1].std() + kernel.STILLEST) for t in range(len(r))]
    return repeats, still


def test_nats_are_those_of_the_definition() -> None:
    values, rows = walk(1, 460, 3, channels=2), 460
    values[0, 400, 1] += 15
    values[0, 430:440, 0] = values[0, 430, 0]
    lags = 2 * kernel.LONG
    detector = History(rate=1e-9, quiet=0, lags=lags, quality=False)
    verdict = judged(values, detector)
    calibration = detector.calibrate(of(values[:, :CALM]))
    calm = calibration.guarding
    r = ((values - calm.loc[:, None]) / calm.spread[:, None])[0].numpy()
    least = r[:CALM].std(0) / 4
    ways = [nearest(r, size, lags) for size in kernel.VALUES] + [likest(r, least, size, lags) for size in kernel.SHAPES]
    each = [same(r[:, c]) for c in range(2)]
    threshold, scores = -math.log(1e-9), []
    for t in range(rows):
        total = 0.0
        for k, first in ((0, 0), (1, kernel.STILL)):
            strange = [nats_by_hand(one[k][t], one[k][first:t]) if t >= first else 0.0 for one in each]
            total += max(max(strange) - math.log(2), 0.0)
        if t >= kernel.EARLY:
            total += sum(nats_by_hand(way[t], way[kernel.EARLY : t]) for way in ways)
        e = kernel.STEEPER * total / kernel.TERMS
        scores.append(e / (e + threshold))
    assert verdict.score[0].tolist() == pytest.approx(scores, abs=1e-7)
    assert int(verdict.blame[0, 400].argmax()) == 1


def test_rows_alone_give_what_they_give_together() -> None:
    values = walk(2, 340, 8, channels=2)
    detector = History(lags=2 * kernel.LONG, quality=False)
    state = detector.initial_state(detector.calibrate(of(values[:, :CALM])))
    whole_state, whole = detector.follow(state, of(values))
    for first, last in ((0, 150), (150, 151), (151, 340)):
        state, part = detector.follow(state, of(values[:, first:last]))
        assert torch.equal(part.score, whole.score[:, first:last])
        assert torch.equal(part.blame, whole.blame[:, first:last])
    assert all(torch.equal(one, other) for one, other in zip(state[1:], whole_state[1:], strict=True))


def test_a_sensor_that_goes_quiet_is_found_within_its_usual_range() -> None:
    values = walk(1, 2500, 9)
    calm = values[0, :2000, 0]
    values[0, 2000:2060, 0] = calm.median()
    alarms = judged(values, History(rate=1e-3, quality=False), 500).alarm[0, 2000:2060]
    assert bool(alarms.any())


def test_missing_rows_are_no_anomaly_and_teach_nothing() -> None:
    values = walk(1, 400, 4)
    holes = values.clone()
    holes[:, 250:260] = torch.nan
    without = torch.cat([values[:, :250], values[:, 260:]], 1)
    detector = History(rate=1e-3, quality=False)
    score, shorter = judged(holes, detector).score[0], judged(without, detector).score[0]
    assert bool((score[250:260] == 0).all())
    assert torch.equal(torch.cat([score[:250], score[260:]]), shorter)


def test_a_pattern_that_never_was_is_found_though_every_value_was() -> None:
    t = torch.arange(3000, dtype=torch.float64)
    noise = torch.randn(3000, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    values = 3 * torch.sin(2 * math.pi * t / 48) + 0.1 * noise
    values[2000:2048] = 0.1 * noise[2000:2048]  # a day without its wave
    verdict = judged(values[None, :, None], History(rate=1e-3, quality=False), 450)
    alarms = verdict.alarm[0].nonzero()[:, 0].tolist()
    assert sum(1000 < row < 2000 for row in alarms) <= 2
    first = next(row for row in alarms if row >= 2000)
    assert first < 2048
    assert KINDS[int(verdict.kind[0, first])] == "unseen pattern"


def test_what_lasts_is_told_once() -> None:
    values = walk(1, 1500, 6)
    values[:, 1200:] += 40
    alarms = judged(values, History(rate=1e-3, quality=False), 500).alarm[0, 1200:1340].nonzero()[:, 0]
    assert 1 <= len(alarms) <= 5 and int(alarms[0]) == 0
    again = judged(values, History(rate=1e-3, quiet=0, quality=False), 500).alarm[0, 1200:1340]
    assert int(again.sum()) > 10


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "within"), [(1e-2, 4.0), (1e-3, 2.5)])
@pytest.mark.parametrize("law", ["normal", "t4", "walk"])
def test_the_rate_on_clean_rows_is_near_the_one_asked_for(law: str, rate: float, within: float) -> None:
    values = {
        "normal": torch.randn(8, 6000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
        "t4": walk(8, 6000, 1, heavy=True),
        "walk": walk(8, 6000, 2),
    }[law]
    found = float(judged(values, History(rate=rate, lags=2048, quality=False), 600).alarm[:, 600:].double().mean())
    print(f"{law}: asked for {rate:g}, found {found:.3g}")
    assert 1 / within < found / rate < within


def test_settings_that_make_no_sense_are_told() -> None:
    with pytest.raises(InputError, match="lags=10"):
        History(lags=10)
