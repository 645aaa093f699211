"""Metrics of detection against scikit-learn, against sums written out row by row, and against known cases."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from forecast.metrics import detection as d
from forecast.metrics.detection_volume import extended, vus_pr


def drawn(seed: int, rows: int = 120, coarse: bool = False) -> tuple[d.Scores, d.Flags]:
    generator = np.random.default_rng(seed)
    label = np.zeros(rows, dtype=bool)
    for _ in range(3):
        start = generator.integers(0, rows - 12)
        label[start : start + generator.integers(1, 12)] = True
    score = generator.random(rows) + 0.5 * label
    return (np.round(score, 1) if coarse else score), label


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_average_precision_and_best_f1_are_scikit_learns(seed: int, coarse: bool) -> None:
    score, label = drawn(seed, coarse=coarse)
    assert d.average_precision(score, label) == pytest.approx(average_precision_score(label, score), abs=1e-12)
    best = max(f1_score(label, score >= threshold) for threshold in np.unique(score))
    f1, threshold = d.best_f1(score, label)
    assert f1 == pytest.approx(best)
    assert d.Confusion.of(score >= threshold, label).f1 == pytest.approx(f1)


def test_rates_and_sums() -> None:
    alarm, label = np.array([1, 1, 0, 0, 1], bool), np.array([1, 0, 1, 0, 1], bool)
    one = d.Confusion.of(alarm, label)
    assert one == (2, 1, 1, 1)
    assert (one.false_alarm_rate, one.missed_alarm_rate) == (0.5, 1 / 3)
    assert (one + one) == (4, 2, 2, 2)
    assert math.isnan(d.Confusion(0, 0, 0, 3).recall)


def test_a_missing_score_is_the_lowest() -> None:
    score, label = drawn(1)
    holes = score.copy()
    holes[:20] = np.nan
    low = np.where(np.isnan(holes), -1.0, holes)
    assert d.average_precision(holes, label) == d.average_precision(low, label)
    assert vus_pr(holes, label, 5) == vus_pr(low, label, 5)


def volume_by_hand(score: d.Scores, label: d.Flags, width: int) -> float:
    """Sums as the authors' code writes them, threshold by threshold."""
    areas = []
    for w in range(width + 1):
        soft = label.astype(float)
        for start, end in d.spans(label):
            last = end - 1
            for t in range(len(label)):
                if w and last <= t < last + w // 2:
                    soft[t] += math.sqrt(1 - (t - last) / w)
                if w and start - w // 2 <= t < start:
                    soft[t] += math.sqrt(1 - (start - t) / w)
        soft = np.minimum(soft, 1)
        area, before = 0.0, 0.0
        for i in np.linspace(0, len(score) - 1, 250).astype(int):
            alarm = score >= np.sort(score)[::-1][i]
            found = d.spans(soft > 0)
            touched = sum((alarm * soft)[low:high].sum() > 0 for low, high in found) / len(found)
            hit = (alarm * soft).sum()
            recall = min(hit / ((label.sum() + soft.sum()) / 2), 1) * touched
            area += (recall - before) * hit / alarm.sum()
            before = recall
        areas.append(area)
    return float(np.mean(areas))


@pytest.mark.parametrize("seed", range(3))
def test_the_volume_is_its_sum_written_out(seed: int) -> None:
    score, label = drawn(seed, coarse=seed == 2)
    assert vus_pr(score, label, 7) == pytest.approx(volume_by_hand(score, label, 7), abs=1e-12)


def test_the_volume_of_perfect_and_of_no_scores() -> None:
    _, label = drawn(0)
    assert vus_pr(label.astype(float), label, 0) == pytest.approx(1.0)
    assert math.isnan(vus_pr(label.astype(float), np.zeros_like(label)))
    assert extended(label, 10).max() == 1


def affiliation_by_hand(alarm: d.Flags, label: d.Flags) -> tuple[float, float]:
    found = d.spans(label)
    precision, recall = [], []
    for k, (start, end) in enumerate(found):

        def near(t: int) -> int:
            gaps = [max(a - t, t - b + 1, 0) for a, b in found]
            return int(np.argmin(gaps))

        zone = [t for t in range(len(label)) if near(t) == k]
        gap = {t: max(start - t, t - end + 1, 0) for t in zone}
        hits = [t for t in zone if alarm[t]]
        if hits:
            precision.append(np.mean([np.mean([gap[x] >= gap[t] for x in zone]) for t in hits]))
        each = []
        for y in range(start, end):
            away = min((abs(y - t) for t in hits), default=None)
            each.append(0.0 if away is None else float(np.mean([abs(x - y) >= away for x in zone])))
        recall.append(np.mean(each))
    return float(np.mean(precision)) if precision else math.nan, float(np.mean(recall))


@pytest.mark.parametrize("seed", range(4))
def test_affiliation_is_its_definition_row_by_row(seed: int) -> None:
    score, label = drawn(seed)
    alarm = score > 0.9
    assert d.affiliation(alarm, label) == pytest.approx(affiliation_by_hand(alarm, label))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_range_scores_of_right_alarms_are_perfect(seed: int) -> None:
    _, label = drawn(seed)
    assert d.ranges(label, label).f1 == 1
    assert d.affiliation(label, label) == (1, 1)
    event = d.by_event(label, label)
    assert (event.recall, event.delay, event.false_events) == (1, 0, 0)


def test_fragments_and_halves_cost() -> None:
    label, alarm = np.zeros(20, bool), np.zeros(20, bool)
    label[4:12] = True
    alarm[[4, 5, 8, 9]] = True
    alarm[15] = True
    assert d.ranges(alarm, label) == (2 / 3, 0.5 / 2)
    assert d.by_event(alarm, label) == (1.0, 0.0, 1)
    assert d.by_event(alarm, label, gap=5).false_events == 0


def test_point_adjustment_flatters_a_random_score() -> None:
    generator = np.random.default_rng(0)
    label = np.zeros(5000, bool)
    label[1000:1600] = True
    score = generator.random(5000)
    assert d.best_f1(score, label)[0] < 0.3
    assert d.best_f1(d.point_adjusted(score, label), label)[0] > 0.9


def test_located_within_slack() -> None:
    score = np.zeros(1000)
    score[399] = 1
    assert d.located(score, 499, 520)
    assert not d.located(score, 500, 520)


def test_blame_is_read_at_the_highest_score_of_a_span() -> None:
    score = np.array([0.9, 0.1, 0.2, 0.7, 0.3])
    blame = np.full((5, 6), 0.02)
    blame[3, [1, 4]] = 0.5, 0.4
    hit, chance = d.named(score, blame, (1, 4), (4,), 2)
    assert hit and chance == pytest.approx(2 / 6)
    assert d.named(score, blame, (1, 4), (0, 5), 2) == (False, pytest.approx(1 - (4 / 6) * (3 / 5)))
