"""The stated false-alarm rate is the measured one; power; what a detector must not depend on."""

import math

import pytest
import torch
from scipy.special import log_ndtr
from torch import Tensor

from forecast.detect import tail
from forecast.detect.detector import Detector
from forecast.detect.evidence import KINDS, Evidence, evidence_of, normal_score
from forecast.detect.monitor import Monitor
from forecast.detect.standard import BLOCKS, UPPER, Standard, _wander
from forecast.distribution import Gaussian
from forecast.experiment.detectors import build, words
from forecast.models.forecaster import Forecaster
from forecast.models.kalman import Kalman
from forecast.models.ridge import Ridge
from forecast.types import Past, Row, State, leaves
from tests.detect.calm import most_found, noise, of, walk

FORECAST = 1.08  # deviation of what comes from its forecast, that of the noise being 1

every_detector = pytest.mark.parametrize("word", words())


def calibrated(detector: Detector, evidence: Evidence) -> State:
    return detector.initial_state(detector.calibrate(evidence))


def measured(
    rate: float, heavy: bool, sensors: int, rows: int, statistics: tuple[str, ...]
) -> tuple[float, float, float]:
    """Share of clean rows with an alarm, and of spikes of 8 and of 4 deviations that are found."""
    calm = int(40 / rate / sensors) + 3000  # a model that has seen less underrates how far its level moves
    values = walk(sensors, calm + rows, 5, heavy)
    spiked = torch.zeros(rows, dtype=torch.bool)
    spiked[rows // 2 :: 97] = True
    large = (torch.arange(rows) // 97) % 2 == 0
    values[:, calm:][:, spiked & large] += 8 * FORECAST
    values[:, calm:][:, spiked & ~large] += 4 * FORECAST
    monitor = Monitor.ready(
        Kalman(trend="none"), Standard(rate=rate, statistics=statistics, pooled=True), Past.of(values[:, :calm])
    )
    alarm = monitor.follow(Past.of(values[:, calm:])).verdict.alarm
    clean = alarm[:, : rows // 2]
    return (
        float(clean.double().mean()),
        float(alarm[:, spiked & large].double().mean()),
        float(alarm[:, spiked & ~large].double().mean()),
    )


@pytest.mark.parametrize("heavy", [False, True])
def test_the_rate_of_false_alarms_is_the_one_asked_for(heavy: bool) -> None:
    rate, recall, _ = measured(0.01, heavy, sensors=8, rows=8000, statistics=("spike", "shift"))
    assert rate == pytest.approx(
        0.01, rel=0.25
    )  # 32,000 clean rows, 320 alarms expected; the slow test is the sharp one
    assert recall >= most_found(0.005, 8 * FORECAST, heavy) - 0.01  # 160 spikes


@pytest.mark.slow
@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize(("rate", "within"), [(1e-2, 1.15), (1e-3, 1.15), (1e-4, 1.5)])
def test_the_rate_over_two_million_rows(heavy: bool, rate: float, within: float) -> None:
    found, recall, small = measured(rate, heavy, sensors=100, rows=40_000, statistics=("spike", "shift"))
    bounds = [most_found(share * rate, size * FORECAST, heavy) for size in (8, 4) for share in (1, 0.5)]
    print(f"t4={heavy} nominal {rate:g}: measured {found:.3g}, recall at 8 sd {recall:.4f}, at 4 sd {small:.3f}")
    print("most that can be found, and with half of the budget: " + ", ".join(f"{bound:.4f}" for bound in bounds))
    assert 1 / within < found / rate < within
    assert recall >= bounds[1] - 0.01 and small >= bounds[3] - 0.02  # the other half is that of shifts
    assert heavy or recall >= 0.99


@pytest.mark.parametrize(
    ("model", "most"),
    [(Kalman(trend="none"), 5.0), (Kalman(trend="damped"), 5.0), (Ridge(context=12, horizon=1), None)],
)
def test_rows_until_a_level_shift_is_learned(model: Forecaster, most: float | None) -> None:
    """From a shift of 8 deviations to the first forecast within 2 of the new level."""
    calm, sensors = 1500, 200
    values = walk(sensors, calm + 60, 31)
    values[:, calm + 20 :] += 8
    detector = Standard(rate=1e-3, statistics=("spike", "shift"))
    seen = Monitor.ready(model, detector, Past.of(values[:, :calm])).follow(Past.of(values[:, calm:]))
    level = values[:, calm + 20 :].unfold(1, 9, 1).mean(-1)  # of nine rows each
    near = (seen.evidence.expected[:, 20:52] - level).abs()[..., 0] < 2
    rows = torch.where(near.any(1), near.long().argmax(1), 32).double()
    middle, late = rows.quantile(torch.tensor([0.5, 0.95], dtype=torch.float64)).tolist()
    print(f"{type(model).__name__}: median {middle:g}, 95 % {late:g} rows")
    assert most is None or late <= most


@every_detector
def test_scores_are_monotone_in_the_deviation(word: str) -> None:
    detector = build(word, 1e-3)
    state = calibrated(detector, noise(1, 1000, 0))
    sizes = [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 30.0, 1e4, 1e30]
    scores = torch.cat([detector.follow(state, of(torch.full((1, 1, 1), size)))[1].score[:, 0] for size in sizes])
    assert bool((scores.diff() >= 0).all()), scores
    assert bool(scores.isfinite().all()) and float(scores.min()) >= 0 and float(scores.max()) <= 1


@every_detector
def test_scores_are_free_of_units(word: str) -> None:
    values = torch.randn(2, 900, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    values[:, 800] += 7
    plain = of(values)
    scaled = plain._replace(row=Row(values * 1000 + 5e4, *plain.row[1:]), expected=plain.expected * 1000 + 5e4)
    detector = build(word, 1e-3)
    one, two = (detector.follow(calibrated(detector, e), e)[1] for e in (plain, scaled))
    assert torch.allclose(one.score, two.score, atol=1e-6)
    assert torch.equal(one.alarm, one.score >= 0.5)


@every_detector
def test_a_row_is_scored_before_it_is_learned_and_nothing_is_mutated(word: str) -> None:
    evidence = noise(2, 700, 4)
    detector = build(word, 1e-3)
    state = calibrated(detector, evidence)
    before = [leaf.nan_to_num(-1) for leaf in leaves(state)]
    row = Evidence(Row(*(leaf[:, 0] for leaf in evidence.row)), *(leaf[:, 0] for leaf in evidence[1:]))
    first, second = detector.step(state, row)[1], detector.step(state, row)[1]
    assert torch.equal(first.score, second.score)
    assert all(torch.equal(a, b.nan_to_num(-1)) for a, b in zip(before, leaves(state), strict=True))
    edited = evidence._replace(z=evidence.z.clone(), surprise=evidence.surprise.clone())
    edited.z[:, 500:], edited.surprise[:, 500:] = 9.0, 40.0
    scores = [detector.follow(state, e)[1].score[:, :500] for e in (evidence, edited)]
    assert torch.equal(*scores)


@every_detector
def test_chunks_are_the_whole(word: str) -> None:
    evidence = noise(2, 700, 6)
    detector = build(word, 1e-3)
    start = calibrated(detector, evidence)
    whole_state, whole = detector.follow(start, evidence)
    state, parts = start, []
    for low, high in ((0, 1), (1, 300), (300, 700)):
        row = Row(*(leaf[:, low:high] for leaf in evidence.row))
        state, part = detector.follow(state, Evidence(row, *(leaf[:, low:high] for leaf in evidence[1:])))
        parts.append(part)
    for whole_leaf, *pieces in zip(whole, *parts, strict=True):
        assert torch.equal(whole_leaf, torch.cat(pieces, 1))
    assert all(torch.equal(a, b) for a, b in zip(leaves(whole_state), leaves(state), strict=True))


def test_missing_is_no_anomaly_but_silence_and_standing_still_are() -> None:
    values = noise(1, 1000, 7).row.values.clone()
    detector = Standard(rate=1e-3)
    state = calibrated(detector, of(values))
    after = torch.randn(1, 60, 1, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    after[:, 10] = torch.nan
    after[:, 20:30] = torch.nan
    after[:, 40:50] = 0.25
    verdict = detector.follow(state, of(after))[1]
    kinds = [KINDS[int(k)] if alarm else "" for k, alarm in zip(verdict.kind[0], verdict.alarm[0], strict=True)]
    assert kinds[10] == "" and float(verdict.score[0, 10]) < 0.5
    assert "missing" in kinds[20:30] and "frozen" in kinds[40:50]
    assert not {"missing", "frozen"} & set(kinds[:20])


def test_kinds_and_blame() -> None:
    values = noise(1, 1200, 9, channels=3).row.values.clone()
    detector = Standard(rate=1e-3)
    state = calibrated(detector, of(values[:, :800]))
    after = values[:, 800:].clone()
    after[:, 100, 1] += 12
    after[:, 200:, 2] += 3
    verdict = detector.follow(state, of(after))[1]
    assert KINDS[int(verdict.kind[0, 100])] in ("spike", "correlation broken")
    assert int(verdict.blame[0, 100].argmax()) == 1
    assert torch.allclose(verdict.blame.sum(-1), torch.ones_like(verdict.score))
    late = verdict.blame[0, 210:220].mean(0)
    assert int(late.argmax()) == 2 and bool(verdict.alarm[0, 200:215].any())
    assert float(verdict.widen[0, 200:].max()) > 1


def test_tails_of_known_laws() -> None:
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(2, 40_000, generator=generator, dtype=torch.float64)
    exponential = -uniform.log()
    heavy = uniform.pow(-0.3)  # P(X > x) = x^(-1/0.3)
    tails = tail.fit(torch.stack([exponential[0], heavy[1]]), tail.absent(2))
    assert float(tails[0, -1]) == pytest.approx(0.0, abs=0.08)
    assert float(tails[1, -1]) == pytest.approx(0.3, abs=0.08)
    sigma, _ = tail.pareto(exponential[:1, :2000].sort(1, descending=True).values)
    assert float(sigma) == pytest.approx(1.0, abs=0.1)


def test_normal_scores_are_exact_where_p_has_underflowed() -> None:
    z = torch.tensor([0.0, 1e-9, 0.5, 3.0, 8.0, 37.0, 200.0, 1e5], dtype=torch.float64)
    surprise: Tensor = -(torch.special.log_ndtr(-z) + math.log(2))
    assert torch.allclose(normal_score(surprise), z, rtol=1e-9, atol=1e-7)


def test_a_level_that_wanders_is_no_drift_and_one_that_stood_still_is() -> None:
    generator = torch.Generator().manual_seed(11)
    steps, noise_ = torch.randn(2, 12, 4000, 1, generator=generator, dtype=torch.float64)
    wandering = 0.14 * steps.cumsum(1) + noise_
    detector = Standard(rate=1e-3, statistics=("drift",))
    calibration = detector.calibrate(of(wandering[:, :800]))
    as_before = calibration._replace(wander=torch.zeros_like(calibration.wander))
    share = [
        float(detector.follow(detector.initial_state(c), of(wandering))[1].alarm[:, 800:].double().mean())
        for c in (calibration, as_before)
    ]
    assert share[0] < 0.2 and share[1] > 3 * share[0], share
    standing = noise_.clone()
    standing[:, 2000:] += 3
    state = calibrated(detector, of(standing[:, :800]))
    alarm = detector.follow(state, of(standing))[1].alarm
    assert float(alarm[:, 2020:2100].double().mean()) > 0.5 > 0.01 > float(alarm[:, 800:2000].double().mean())


def test_the_variance_by_which_a_level_wanders_is_measured() -> None:
    generator = torch.Generator().manual_seed(12)
    steps, noise_ = torch.randn(2, 400, 1000, 1, generator=generator, dtype=torch.float64)
    wandering = 0.1 * steps.cumsum(1) + noise_
    one = torch.ones(400, 1, dtype=torch.float64)
    blocks = wandering.unflatten(1, (BLOCKS, 100))
    below = blocks.mean(2).var(1, correction=0) + blocks.var(2, correction=0).mean(1) / 8
    found = (_wander(wandering, one, 8) * below).mean()
    assert float(found) == pytest.approx(UPPER * 0.01, rel=0.15)
    assert float((_wander(noise_, one, 8)).mean()) < 0.02


def test_surprise_of_normal_forecasts_is_scipys_and_that_of_any_forecast() -> None:
    d = torch.tensor([0.0, 1e-12, 0.3, -2.0, 8.0, -16.9, 28.2, 28.4, -400.0, 1e6, 1e160, math.nan], dtype=torch.float64)
    plain = of(d[:, None, None])
    expected = -(torch.from_numpy(log_ndtr(-d.abs().clamp(max=1e150).numpy())) + math.log(2))
    assert torch.allclose(plain.surprise.flatten(), expected.clamp(min=0), rtol=1e-12, atol=1e-12, equal_nan=True)
    assert torch.allclose(plain.z.flatten()[:10], d[:10], rtol=1e-15)
    spread = torch.tensor([0.0, math.nan], dtype=torch.float64)[:, None, None]
    odd = evidence_of(Gaussian(torch.zeros_like(spread), spread), Past.of(torch.ones_like(spread)))
    assert bool(odd.surprise[0].isfinite()) and bool(odd.surprise[1].isnan())


def test_spells_are_counted_by_the_extremal_index() -> None:
    generator = torch.Generator().manual_seed(13)
    alone = torch.rand(1, 40_000, generator=generator) < 0.01
    of_ten = torch.zeros(1, 40_000, dtype=torch.bool)
    for start in torch.randint(39_900, (100,), generator=generator).tolist():
        of_ten[0, start : start + 10] = True
    assert float(tail.spells(alone, 1000)) == pytest.approx(float(alone.sum()), rel=0.1)
    assert float(tail.spells(of_ten, 1100)) == pytest.approx(100, rel=0.35)


def test_few_rows_make_a_tail_heavier_and_many_do_not() -> None:
    generator = torch.Generator().manual_seed(14)
    exponential = -torch.rand(1, 50_000, generator=generator, dtype=torch.float64).log()
    few, many = (float(tail.fit(exponential[:, :n], tail.absent(1))[0, -1]) for n in (300, 50_000))
    assert few > many + 0.01 and many < 0.06


def test_tails_that_follow_hold_their_rate_where_the_state_changes_for_good() -> None:
    values = noise(8, 9000, 15).row.values.clone()
    season = torch.arange(9000, dtype=torch.float64).mul(0.26).sin()[:, None]
    values[:, 5000:] = 2 * values[:, 5000:] + 3 * season[5000:]
    spiked = torch.zeros(9000, dtype=torch.bool)
    spiked[7000::97] = True
    values[:, spiked] += 24
    evidence = of(values)
    calm = of(values[:, :3000])
    for word, clean, least, most in (("standard", 1.6, 50.0, 100.0), ("adaptive", 1.4, 0.2, 2.0)):
        detector = build(word, 1e-2)
        alarm = detector.follow(calibrated(detector, calm), evidence)[1].alarm.double()
        before, in_it = float(alarm[:, 3000:5000].mean() / 1e-2), float(alarm[:, 5500:7000].mean() / 1e-2)
        assert 0.6 < before < clean and least < in_it <= most, (word, before, in_it)
        assert float(alarm[:, spiked].mean()) > 0.95
