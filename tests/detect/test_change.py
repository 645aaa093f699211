"""Kinds and onsets by likelihood ratios: the recursion by brute force, and what simulated faults are called."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.detect.change import Change, Traced, explained
from forecast.detect.events import events
from forecast.detect.evidence import KINDS, Evidence, Verdict
from forecast.detect.monitor import Monitor, Seen
from forecast.detect.standard import Standard
from forecast.distribution import Gaussian
from forecast.kernels import change as kernel
from forecast.kernels import watch
from forecast.models.kalman import Kalman
from forecast.types import Past, Row, leaves
from tests.detect.calm import walk

FAULTS = ("spike", "level shift", "trend change", "variance change")


def exponential(y: Tensor, gain: float, learn: Tensor, widen: Tensor) -> Seen:
    """A level that takes on a share of each innovation of variance 1, as rows (1 T 1) of a Seen."""
    expected, level = torch.empty_like(y), 0.0
    for t in range(len(y)):
        expected[t] = level
        if y[t] == y[t] and learn[t] > 0:
            level += (1.0 if widen[t] != 1 else gain) * float(y[t] - level)
    z, rows = (y - expected)[None, :, None], y[None, :, None]
    blank = torch.zeros(1, len(y), dtype=torch.float64)
    evidence = Evidence(Row(rows, rows[..., :0], blank), z.abs(), z, blank, expected[None, :, None])
    verdict = Verdict(blank, blank > 1, torch.ones_like(rows), blank.long(), learn[None, :, None], widen[None])
    return Seen(Gaussian(rows, torch.ones_like(rows)), evidence, verdict)


def brute(z: Tensor, gain: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Nats and ago (T KINDS) with every signature built anew for every row and candidate."""
    nats, ago = torch.zeros(2, len(z), kernel.KINDS, dtype=torch.float64)
    for t in range(len(z)):
        for k in range(max(t - kernel.WINDOW + 1, 0), t + 1):
            if z[k] != z[k]:
                continue
            f = torch.ones(3, dtype=torch.float64)
            made, x = [], []
            for i in range(k, t + 1):
                if z[i] == z[i]:
                    made.append(f.clone())
                    x.append(z[i] / unit[i])
                f = f * (1 - gain[i]) + torch.tensor([-1.0 if i == k else 0.0, 0.0, 1.0], dtype=torch.float64)
            signature, seen = torch.stack(made), torch.stack(x)
            fit = (signature * seen[:, None]).sum(0).square() / (2 * signature.square().sum(0))
            n, q = len(seen), float(seen.square().sum())
            spread = (q - n - n * np.log(q / n)) / 2 if n >= kernel.LEAST else 0.0
            for kind, e in enumerate([*fit.tolist(), spread]):
                if e > nats[t, kind] + 1e-12:
                    nats[t, kind], ago[t, kind] = e, t - k
    return nats, ago


def test_the_recursion_is_the_sum_over_the_window() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(150, generator=generator, dtype=torch.float64)
    y[60] += 9
    y[90:] += 4
    y[[20, 61, 100]] = torch.nan
    learn, widen = torch.ones(150, dtype=torch.float64), torch.ones(150, dtype=torch.float64)
    learn[[60, 90]], widen[92] = 0.0, 1e4
    seen = exponential(y, 0.3, learn, widen)
    change = Change()
    state, traced = change.follow(change.initial_state(1, 1), seen)
    z = seen.evidence.z[0, :, 0]
    gain, unit, since, sums = (
        torch.zeros(150, dtype=torch.float64),
        torch.ones(150, dtype=torch.float64),
        1e9,
        [0.0] * 4,
    )
    last_v = last_e = float("nan")
    for t in range(150):
        zz, count, vv, vd = sums
        spread = (zz + kernel.CALM) / (count + kernel.CALM)
        x, e = float(z[t]), float(seen.evidence.expected[0, t, 0])
        if last_v == last_v and x == x and x * x < 9 * spread:
            vv, vd = vv + last_v * last_v, vd + last_v * (e - last_e)
        since = 0.0 if widen[t] != 1 else since
        held = x != x or learn[t] == 0
        slope = (vd + kernel.PRIOR * kernel.CALM) / (vv + kernel.CALM)
        gain[t], unit[t] = 0.0 if held else max(min(max(slope, 0.0), 1.0), 1 / (since + 1)), spread**0.5
        if not held:
            zz, count = zz + min(x * x, 9 * spread), count + 1
        last_v = x if not held and since > 3 and abs(x) < 3 * spread**0.5 else float("nan")
        last_e, sums = e, [zz, count, vv, vd]
        since += 0.0 if held else 1.0
    nats, ago = brute(z, gain, unit)
    assert torch.allclose(traced.nats[0, :, 0], nats, rtol=1e-9, atol=1e-9)
    clear = nats > 1
    assert torch.equal(traced.ago[0, :, 0][clear], ago[clear])
    assert float(gain[40:60].mean()) == pytest.approx(0.3, abs=0.1)
    low, parts = change.initial_state(1, 1), []
    for t in range(150):
        row = exponential_row(seen, t)
        low, one = change.follow(low, row)
        parts.append(one)
    assert torch.equal(torch.cat([part.nats for part in parts], 1), traced.nats)
    assert all(torch.equal(a.nan_to_num(-1), b.nan_to_num(-1)) for a, b in zip(leaves(low), leaves(state), strict=True))


def exponential_row(seen: Seen, t: int) -> Seen:
    """One row of what was seen."""
    rows = slice(t, t + 1)
    row = Row(*(leaf[:, rows] for leaf in seen.evidence.row))
    evidence = Evidence(row, *(leaf[:, rows] for leaf in seen.evidence[1:]))
    return Seen(seen.forecast, evidence, Verdict(*(leaf[:, rows] for leaf in seen.verdict)))


def faulty(fault: str, sensors: int, seed: int, calm: int, at: int) -> Tensor:
    """Clean rows (B T 1), and from row calm + at on a fault of 3 to 8 deviations (6 + that for a spike; a 16th a row for a trend; half for noise)."""
    values, generator = walk(sensors, calm + 2 * at, seed), torch.Generator().manual_seed(seed + 7)
    size = 3 + 5 * torch.rand(sensors, 1, 1, generator=generator, dtype=torch.float64)
    after = values[:, calm + at :]
    if fault == "spike":
        after[:, 0] += 6 + size[:, 0]
    elif fault == "level shift":
        after += size
    elif fault == "trend change":
        after += size / 16 * torch.arange(1, after.shape[1] + 1)[:, None]
    else:
        after += size / 2 * torch.randn(after.shape, generator=generator, dtype=torch.float64)
    return values


def called(fault: str, sensors: int, seed: int) -> tuple[Counter[str], Tensor]:
    """Kinds of the first event at or after the fault, and by how many rows its onset is late."""
    calm, at = 1500, 150
    values = faulty(fault, sensors, seed, calm, at)
    monitor = Monitor.ready(Kalman(trend="none"), Standard(rate=1e-3), Past.of(values[:, :calm]))
    seen, change = monitor.follow(Past.of(values[:, calm:])), Change()
    _, traced = change.follow(change.initial_state(sensors, 1), seen)
    kinds, late = Counter[str](), []
    for b in range(sensors):
        one, own = Verdict(*(leaf[b] for leaf in seen.verdict)), Traced(*(leaf[b] for leaf in traced))
        found = [event for event in events(one, 5, own) if event.end >= at - 1]
        kinds[found[0].kind if found else "not found"] += 1
        late += [found[0].onset - at] if found else []
    return kinds, torch.tensor(late).double()


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_called_by_their_names(fault: str) -> None:
    kinds, late = called(fault, 20, 3)
    assert kinds[fault] >= 17, kinds
    assert abs(float(late.median())) <= 1


@pytest.mark.slow
def test_the_table_of_kinds() -> None:
    """Printed for the documentation: 300 sensors of each fault, a seed that nothing was chosen by."""
    for fault in FAULTS:
        kinds, late = called(fault, 300, 11)
        low, middle, high = late.quantile(torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)).tolist()
        print(f"{fault}: {dict(kinds.most_common())}; onset {low:+.0f} {middle:+.0f} {high:+.0f}")
        assert kinds[fault] >= 270 and middle == 0


def test_kinds_that_innovations_do_not_show_stay() -> None:
    quiet = Traced(*torch.zeros(2, 40, 1, kernel.KINDS, dtype=torch.float64))
    assert explained(quiet, 20, 22, watch.DRIFT, 0) == (watch.DRIFT, 20)
    loud = Traced(quiet.nats.clone(), quiet.ago.clone())
    loud.nats[25, 0, kernel.TREND], loud.ago[25, 0, kernel.TREND] = 30.0, 12.0
    assert explained(loud, 20, 22, watch.DRIFT, 0) == (watch.TREND, 13) and KINDS[watch.TREND] == "trend change"
    assert explained(loud, 20, 22, watch.FROZEN, 0) == (watch.FROZEN, 20)
