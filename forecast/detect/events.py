"""From alarms to events: runs of alarmed rows, with short gaps closed."""

from typing import NamedTuple

from torch import Tensor

from forecast.detect.change import Traced, explained
from forecast.detect.evidence import KINDS, Verdict

SEVERITIES = ((0.8, "critical"), (2 / 3, "major"), (0.0, "minor"))  # four and two times the nats of the boundary
SHARE = 0.2  # blame from which a channel is named
MOST = 3
BETWEEN = "; "  # between the names of channels, which may hold spaces


class Event(NamedTuple):
    """Rows start … end of one series, both alarmed."""

    start: int
    end: int
    peak: int  # the row of the highest score
    score: float  # there
    severity: str
    kind: str
    channels: tuple[int, ...]  # those that carry most of the blame at the peak, the first one most
    onset: int  # the row with which the change began that is behind it, at most a window before its first alarm


def events(verdict: Verdict, gap: int, traced: Traced | None = None) -> list[Event]:
    """Events of one series, from verdicts (T …); kinds and onsets by what was traced, where it was."""
    rows = verdict.alarm.nonzero()[:, 0].tolist()
    spans: list[list[int]] = []
    for row in rows:
        if spans and row - spans[-1][1] - 1 <= gap:
            spans[-1][1] = row
        else:
            spans.append([row, row])
    return [_event(verdict, start, end, traced) for start, end in spans]


def _event(verdict: Verdict, start: int, end: int, traced: Traced | None) -> Event:
    inside = slice(start, end + 1)
    peak = start + int(verdict.score[inside].argmax())
    score = float(verdict.score[peak])
    severity = next(word for least, word in SEVERITIES if score >= least)
    kinds = verdict.kind[inside][verdict.alarm[inside]]
    first = int(kinds.mode().values) if len(kinds) > 2 else int(verdict.kind[peak])
    channels = blamed(verdict.blame[peak])
    kind, onset = (first, start) if traced is None else explained(traced, start, end, first, channels[0])
    return Event(start, end, peak, score, severity, KINDS[kind], channels, onset)


def blamed(blame: Tensor) -> tuple[int, ...]:
    """Channels that carry a good part of the blame, at least one."""
    order = blame.argsort(descending=True, stable=True).tolist()
    return tuple(c for i, c in enumerate(order[:MOST]) if i == 0 or float(blame[c]) >= SHARE)
