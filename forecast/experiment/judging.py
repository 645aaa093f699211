"""Scores against labels: what `forecast detect` prints on labelled data and what every benchmark of detection tabulates.

    judge(scored, seed) -> {figure: value}                      of one detector over several series
    beside(scored, rate, seed) -> table of ours, a random score's and always-alarm's figures
`f1`, `precision`, `far`, `mar`, events and delays are those of the threshold that was set without the labels (score ≥ 0.5);
`best_f1` and `pa_f1` know the labels and are to be compared with other rows of the table, not quoted.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.metrics import detection as metrics
from forecast.metrics.detection_volume import vus_pr
from forecast.series.labels import Labels
from forecast.series.panel import Panel

DRAWS = 500
GAP = 5  # alarms with at most so many rows between them are one event
CHANGE = "changepoint"  # a kind of label that says where something changed, not what is anomalous


class Scored(NamedTuple):
    """One series behind its calm rows."""

    score: metrics.Scores  # (T)
    label: metrics.Flags  # (T)
    days: float  # NaN on a clock without days


def labelled_rows(panel: Panel, labels: Labels | None) -> metrics.Flags | None:
    """Which rows of the panel are anomalous; None where nobody said."""
    if labels is None:
        return None
    kinds = set(labels.kind)
    return (labels.of_kind("anomaly") if CHANGE in kinds and "anomaly" in kinds else labels).rows(panel).numpy()


def judge(scored: Sequence[Scored], seed: int, gap: int = GAP) -> dict[str, float]:
    """Means over the series that have labels behind the calm rows; rates over all rows together."""
    each, total = [], metrics.Confusion(0, 0, 0, 0)
    false, rows, days = 0, 0, 0.0
    for one in scored:
        score = np.nan_to_num(one.score)
        alarm = score >= 0.5
        total = total + metrics.Confusion.of(alarm, one.label)
        event = metrics.by_event(alarm, one.label, gap)
        false, rows, days = false + event.false_events, rows + len(score), days + one.days
        if one.label.any():
            each.append(_series(score, one.label, alarm, event))
    made = {"f1": total.f1, "precision": total.precision, "far": total.false_alarm_rate, "mar": total.missed_alarm_rate}
    frame = pd.DataFrame(each)
    made |= {str(word): float(frame[word].mean()) for word in frame.columns}
    if len(each) > 1:
        made["vus_pr_low"], made["vus_pr_high"] = interval(frame["vus_pr"].to_numpy(), seed)
    made["false_events_per_1000_rows"] = 1000 * false / max(rows, 1)
    return made | ({"false_events_per_day": false / days} if days > 0 else {})


def beside(scored: Sequence[Scored], rate: float, seed: int, gap: int = GAP) -> pd.DataFrame:
    """One row each for these scores, a uniform random score with the same rate of alarms, and an alarm on every row."""
    generator = np.random.default_rng(seed)
    rows = {
        "this run": scored,
        "random": [one._replace(score=_random(len(one.score), rate, generator)) for one in scored],
        "always alarm": [one._replace(score=np.ones(len(one.score))) for one in scored],
    }
    return pd.DataFrame({word: judge(of, seed, gap) for word, of in rows.items()}).T.rename_axis("scores").reset_index()


def _random(rows: int, rate: float, generator: np.random.Generator) -> metrics.Scores:
    nats: metrics.Scores = generator.exponential(size=rows)
    return nats / (nats - np.log(rate))


def _series(
    score: metrics.Scores, label: metrics.Flags, alarm: metrics.Flags, event: metrics.EventScore
) -> dict[str, float]:
    """Figures of one series."""
    return {
        "ap": metrics.average_precision(score, label),
        "vus_pr": vus_pr(score, label),
        "mean_f1": metrics.Confusion.of(alarm, label).f1,
        "range_f1": metrics.ranges(alarm, label).f1 if alarm.any() else 0.0,
        "affiliation_f1": metrics.affiliation(alarm, label).f1 if alarm.any() else 0.0,
        "event_recall": event.recall,
        "delay_rows": event.delay,
        "best_f1": metrics.best_f1(score, label)[0],
        "pa_f1": metrics.best_f1(metrics.point_adjusted(score, label), label)[0],
    }


def interval(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """95 % interval of a mean over series, by bootstrap over the series."""
    drawn = np.random.default_rng(seed).choice(values, (DRAWS, len(values))).mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)
