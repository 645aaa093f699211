"""The rows of all series of a panel as tests of one procedure that controls the share of false alarms among all alarms.

A step is all rows of one time. Rows without a score, those in windows of maintenance whose alarms are not told, and alarms of data in trouble (frozen,
silent, out of range) are no tests, and keep the score that the detector gave.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.detect.discovery import Discovery, nats_of
from forecast.detect.evidence import QUALITY, Verdict
from forecast.detect.monitor import Seen
from forecast.experiment.maintained import stamps_of, told_rows
from forecast.series.maintenance import Maintenance
from forecast.series.panel import Panel


def verdicts(
    panel: Panel,
    calm: NDArray[np.int64],
    every: Iterable[tuple[int, Seen]],
    windows: Maintenance,
    discovery: Discovery,
    rate: float,
) -> dict[int, Verdict]:
    """Verdicts with scores and alarms by levels that follow what was found in all series so far."""
    seen = dict(every)
    nats, stamps = [], []
    for s, one in seen.items():
        kept = told_rows(panel, s, windows)[calm[s] :] & one.evidence.joint[0].isfinite().numpy()
        trouble = one.verdict.alarm[0] & torch.isin(one.verdict.kind[0], torch.tensor(QUALITY))
        tested = torch.from_numpy(kept) & ~trouble
        nats.append(torch.where(tested, nats_of(one.verdict.score[0].double(), rate), torch.nan))
        stamps.append(_when(panel, s)[calm[s] :])
    score = _scores(torch.cat(nats), np.concatenate(stamps), discovery)
    parts = score.split([len(part) for part in nats])
    return {s: _rescored(one.verdict, part) for (s, one), part in zip(seen.items(), parts, strict=True)}


def _scores(nats: Tensor, stamps: NDArray[np.int64], discovery: Discovery) -> Tensor:
    """Scores of all rows, step by step."""
    order, score = np.argsort(stamps, kind="stable"), torch.empty_like(nats)
    rows = torch.from_numpy(order)
    score[rows] = discovery.follow(discovery.initial_state(), nats[rows], torch.from_numpy(stamps[order]))[1]
    return score


def _rescored(verdict: Verdict, score: Tensor) -> Verdict:
    """The same verdict with other scores, where there are any."""
    score = torch.where(score.isfinite(), score, verdict.score[0].double())[None]
    return verdict._replace(score=score, alarm=score >= 0.5)


def _when(panel: Panel, s: int) -> NDArray[np.int64]:
    return np.asarray(panel.times(s), dtype=np.int64) if panel.clock.kind == "integer" else stamps_of(panel, s)
