"""Metrics of detection: scores or alarms of one series against labelled rows.

Shapes: score (T) float, larger = stranger, NaN = not scored (counts as the lowest); label, alarm (T) bool.
A threshold is met by scores ≥ it. Nothing here adjusts a point, but for `point_adjusted`, which exists to be shown beside a
random score's. Sources: Tatbul et al. (2018), NeurIPS, range precision and recall with flat bias and reciprocal cardinality;
Huet et al. (2022), KDD, affiliation, over rows.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]


class Confusion(NamedTuple):
    """Counts of rows."""

    tp: int
    fp: int
    fn: int
    tn: int

    @classmethod
    def of(cls, alarm: Flags, label: Flags) -> "Confusion":
        """Rows by alarm and label."""
        both = int((alarm & label).sum())
        return cls(both, int(alarm.sum()) - both, int(label.sum()) - both, int((~alarm & ~label).sum()))

    def __add__(self, other: "Confusion") -> "Confusion":  # type: ignore[override]
        """Rows of two series together."""
        return Confusion(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def precision(self) -> float:
        """Share of the alarms that are right."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the labelled rows with an alarm."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of the two."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def false_alarm_rate(self) -> float:
        """Share of the calm rows with an alarm."""
        return ratio(self.fp, self.fp + self.tn)

    @property
    def missed_alarm_rate(self) -> float:
        """Share of the labelled rows without one."""
        return ratio(self.fn, self.tp + self.fn)


def ratio(part: float, whole: float) -> float:
    """NaN where there is nothing to divide."""
    return part / whole if whole else float("nan")


def spans(flags: Flags) -> list[tuple[int, int]]:
    """First row and row after the last of every run of flagged rows."""
    edge = np.diff(flags.astype(np.int8), prepend=0, append=0)
    return list(zip(np.flatnonzero(edge == 1).tolist(), np.flatnonzero(edge == -1).tolist(), strict=True))


class Sweep(NamedTuple):
    """Counts at every threshold that makes a difference, from the highest on."""

    threshold: Scores
    tp: NDArray[np.int64]
    alarms: NDArray[np.int64]
    labelled: int

    @classmethod
    def of(cls, score: Scores, label: Flags) -> "Sweep":
        """The thresholds are the distinct scores."""
        score = np.where(np.isnan(score), -np.inf, score)
        order = np.argsort(-score, kind="stable")
        ordered = score[order]
        last = np.flatnonzero(ordered != np.append(ordered[1:], np.nan))
        return cls(ordered[last], label[order].cumsum()[last], last + 1, int(label.sum()))


def average_precision(score: Scores, label: Flags) -> float:
    """Area under precision over recall, as a sum of steps; NaN without labelled rows."""
    if not label.any():
        return float("nan")
    sweep = Sweep.of(score, label)
    gained = np.diff(sweep.tp, prepend=0)
    return float((gained * sweep.tp / sweep.alarms).sum() / sweep.labelled)


def best_f1(score: Scores, label: Flags) -> tuple[float, float]:
    """The F1 that knowing the labels would have given, and its threshold: only beside one that was chosen without them."""
    sweep = Sweep.of(score, label)
    f1 = 2 * sweep.tp / np.maximum(sweep.alarms + sweep.labelled, 1)
    best = int(f1.argmax())
    return float(f1[best]), float(sweep.threshold[best])


def point_adjusted(score: Scores, label: Flags) -> Scores:
    """Every labelled span gets its highest score: the practice that lets random scores look good."""
    adjusted = score.copy()
    for start, end in spans(label):
        adjusted[start:end] = np.nanmax(score[start:end])
    return adjusted


class Ranges(NamedTuple):
    """Range precision and recall."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean."""
        return ratio(2 * self.precision * self.recall, self.precision + self.recall)


def ranges(alarm: Flags, label: Flags) -> Ranges:
    """Each labelled span is recalled by the share of it in alarm over the number of alarms that hit it; precision alike."""
    return Ranges(_overlap(spans(alarm), label), _overlap(spans(label), alarm))


def _overlap(these: list[tuple[int, int]], flags: Flags) -> float:
    shares = [flags[low:high].mean() / max(len(spans(flags[low:high])), 1) for low, high in these]
    return float(np.mean(shares)) if shares else float("nan")


def affiliation(alarm: Flags, label: Flags) -> Ranges:
    """Distances to the nearest span, each judged against those of rows drawn at random from the span's own zone."""
    found = spans(label)
    if not found:
        return Ranges(float("nan"), float("nan"))
    middles = [(found[i][1] - 1 + found[i + 1][0]) / 2 for i in range(len(found) - 1)]
    edges = np.array([-1.0, *middles, len(label)])
    rows = np.arange(len(label))
    precision, recall = [], []
    for k, (start, end) in enumerate(found):
        zone = rows[(rows > edges[k]) & (rows <= edges[k + 1])]
        away = np.maximum(np.maximum(start - zone, zone - end + 1), 0)
        hits = zone[alarm[zone]]
        if len(hits):
            ordered = np.sort(away)
            farther = 1 - np.searchsorted(ordered, away[alarm[zone]], "left") / len(zone)
            precision.append(float(farther.mean()))
        recall.append(_affiliated(np.arange(start, end), hits, zone))
    return Ranges(float(np.mean(precision)) if precision else float("nan"), float(np.mean(recall)))


def _affiliated(inside: NDArray[np.int64], hits: NDArray[np.int64], zone: NDArray[np.int64]) -> float:
    """Mean over the rows of a span of the chance that a random row of the zone lies at least as far as the nearest alarm."""
    if not len(hits):
        return 0.0
    place = np.searchsorted(hits, inside)
    after, before = hits[np.minimum(place, len(hits) - 1)], hits[np.maximum(place - 1, 0)]
    away = np.minimum(np.abs(after - inside), np.abs(inside - before))
    low, high = zone[0], zone[-1]
    left, right = np.maximum(inside - away - low + 1, 0), np.maximum(high - inside - away + 1, 0)
    far = np.where(away == 0, len(zone), left + right)
    return float((far / len(zone)).mean())


class EventScore(NamedTuple):
    """What a person notices."""

    recall: float  # share of the labelled spans with an alarm inside
    delay: float  # rows from the start of a found span to its first alarm, the mean
    false_events: int  # runs of alarms that touch no labelled span


def by_event(alarm: Flags, label: Flags, gap: int = 0) -> EventScore:
    """Alarms with at most `gap` rows between them are one."""
    found = spans(label)
    delays = [int(alarm[low:high].argmax()) for low, high in found if alarm[low:high].any()]
    runs: list[list[int]] = []
    for low, high in spans(alarm):
        if runs and low - runs[-1][1] <= gap:
            runs[-1][1] = high
        else:
            runs.append([low, high])
    false = sum(not label[low:high].any() for low, high in runs)
    return EventScore(ratio(len(delays), len(found)), float(np.mean(delays)) if delays else float("nan"), false)


def located(score: Scores, start: int, end: int, slack: int = 100) -> bool:
    """Whether the highest score lies within `slack` rows of the anomaly start … end-1 (UCR archive)."""
    return start - slack <= int(np.nanargmax(score)) < end + slack


def named(
    score: Scores, blame: Scores, span: tuple[int, int], channels: tuple[int, ...], most: int
) -> tuple[bool, float]:
    """Whether one of the channels a label names is among the `most` blamed ones (T C) at the highest score of its span.

    And the chance of that for channels drawn at random. The span holds its first and its last row.
    """
    low, high = span
    peak = low + int(np.nanargmax(score[low : high + 1]))
    top = np.argsort(-blame[peak], kind="stable")[:most]
    every, others = blame.shape[1], blame.shape[1] - len(set(channels))
    missed = math.comb(others, most) / math.comb(every, most)
    return bool(set(top.tolist()) & set(channels)), 1 - missed
