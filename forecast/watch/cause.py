"""What kind of change lies behind an event, and since when: `forecast.detect.change` over the scores that a store keeps of its sensor.

Nothing is kept for it and no row costs more; it is worked out when somebody asks. A store does not say what the model learned of a row,
so that this is read off its forecasts, d the next forecast's step and v the row's deviation:
    level given up   |z| > CLEAR, d more than half of v, and large beside the usual steps of the forecast
    held back        otherwise, where the surprise is beyond the usual guard of 1e-6
"""

import math

import numpy as np
import torch

from forecast.detect.change import Change, explained
from forecast.detect.evidence import KINDS, Evidence, Verdict, normal_score
from forecast.detect.monitor import Seen
from forecast.distribution import Gaussian
from forecast.types import Row
from forecast.watch.history import Scores
from forecast.watch.readings import Flags

BEFORE, AFTER = 200, 20  # rows around an event that are looked at
GUARD = -math.log(1e-6)
CLEAR, USUAL = 2.0, 4.0  # of z; of the median step of a forecast


def cause(scores: Scores, start: int, end: int, kind: str) -> tuple[str, int]:
    """Kind and time of the beginning of an event told as `kind` from `start` to `end`, by the scores of its sensor in the order of time."""
    first, last = (int(np.searchsorted(scores.time, moment)) for moment in (start, end))
    low, high = max(first - BEFORE, 0), min(last + AFTER, len(scores.time))
    if kind not in KINDS or first >= high:
        return kind, start
    some = scores.take(np.arange(low, high))
    change = Change()
    _, traced = change.follow(change.initial_state(1, 1), seen(some))
    one = type(traced)(*(leaf[0] for leaf in traced))
    last = min(last, high - 1)
    found, row = explained(one, first - low, last - low, KINDS.index(kind), 0)
    return KINDS[found], int(some.time[row]) if (found, row) != (KINDS.index(kind), first - low) else start


def seen(scores: Scores) -> Seen:
    """Rows (1 T 1) as they were seen."""
    v = scores.value - scores.expected
    surprise = torch.from_numpy(np.array(scores.surprise, dtype=np.float64))
    z = torch.from_numpy(np.sign(v)) * normal_score(surprise)
    given_up = _given_up(v, z.numpy(), np.array(scores.expected))
    learn = np.where((surprise.numpy() > GUARD) & ~given_up, 0.0, 1.0)

    def rows(leaf: torch.Tensor) -> torch.Tensor:
        return leaf.double()[None, :, None]

    expected, values = (
        rows(torch.from_numpy(np.array(leaf, dtype=np.float64))) for leaf in (scores.expected, scores.value)
    )
    none = values.new_zeros(1, len(v), 0)
    row = Row(values, none, torch.ones_like(values[..., 0]))
    evidence = Evidence(row, rows(surprise), rows(z), rows(surprise)[..., 0], expected)
    score = torch.from_numpy(np.array(scores.score, dtype=np.float64))[None]
    widen = torch.from_numpy(np.where(given_up, math.inf, 1.0))[None]
    verdict = Verdict(
        score,
        score >= 0.5,
        torch.ones_like(values),
        torch.zeros_like(score).long(),
        rows(torch.from_numpy(learn)),
        widen,
    )
    return Seen(Gaussian(expected[:, :, None], torch.ones_like(expected)[:, :, None]), evidence, verdict)


def _given_up(v: np.ndarray, z: np.ndarray, expected: np.ndarray) -> Flags:
    """Rows after which the forecast went to the reading: its level was given up."""
    step = np.append(np.diff(expected), np.nan)
    usual = np.nanmedian(np.abs(step)) if np.isfinite(step).any() else math.inf
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((np.abs(z) > CLEAR) & (step / v > 0.5) & (np.abs(step) > USUAL * usual))
