"""What kind of change an event is and with which row it began, by likelihood ratios of the last innovations.

    change = Change(); state = change.initial_state(batch, channels)
    state, traced = change.follow(state, seen)           # of `Monitor.follow`, or row after row: the same to the last bit
The formulas stand in `forecast.kernels.change`. It raises no alarm and moves no score: it explains what a detector has found.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from forecast.detect.evidence import QUALITY
from forecast.detect.monitor import Seen
from forecast.kernels import change as kernel
from forecast.kernels import watch

KINDS = torch.tensor([watch.SPIKE, watch.SHIFT, watch.TREND, watch.VARIANCE])
APART = torch.tensor(
    [*QUALITY, watch.TOGETHER, watch.PATTERN, watch.SEASON]
)  # kinds that no single channel's innovations show
CLEAR = 8.0  # nats from which a change is believed
AFTER = 16  # rows after an event that still explain it
DEARER = torch.tensor(
    [0.0, 0.0, 2.0, 0.0], dtype=torch.float64
)  # nats by which a trend has to be the better explanation


class Changes(NamedTuple):
    """Candidates and running sums of every channel; shapes in `forecast.kernels.change`."""

    ring: Tensor  # (B C WINDOW FIELDS)
    sums: Tensor  # (B C SUMS)


class Traced(NamedTuple):
    """At each row, for each kind of change that may lie behind it: how likely it is, and how long ago it began."""

    nats: Tensor  # (B T C KINDS)
    ago: Tensor  # (B T C KINDS) rows


class Change:
    """Spike, level shift, trend change or change of variance, and since when."""

    def initial_state(self, batch: int, channels: int) -> Changes:
        ring = torch.zeros(batch, channels, kernel.WINDOW, kernel.FIELDS, dtype=torch.float64)
        ring[..., kernel.N] = -1
        sums = torch.zeros(batch, channels, kernel.SUMS, dtype=torch.float64)
        sums[..., kernel.LAST_V], sums[..., kernel.SINCE] = torch.nan, 1e9
        return Changes(ring, sums)

    def follow(self, state: Changes, seen: Seen) -> tuple[Changes, Traced]:
        """Rows (B T …) one after the other, and the state after them."""
        rows = seen.evidence.z, seen.evidence.row.values, seen.evidence.expected, seen.verdict.learn, seen.verdict.widen
        z, y, expected, learn, widen = (leaf.double().contiguous() for leaf in rows)
        ring, sums = state.ring.clone(), state.sums.clone()
        traced = Traced(z.new_empty(*z.shape, kernel.KINDS), z.new_empty(*z.shape, kernel.KINDS))
        kernel.follow(
            z.numpy(),
            y.numpy(),
            expected.numpy(),
            learn.numpy(),
            widen.numpy(),
            ring.numpy(),
            sums.numpy(),
            traced.nats.numpy(),
            traced.ago.numpy(),
        )
        return Changes(ring, sums), traced


def explained(traced: Traced, start: int, end: int, kind: int, channel: int) -> tuple[int, int]:
    """Kind (index into `evidence.KINDS`) and first row of an event start … end of one series (T …), told by a detector as `kind`.

    By the row of the event, or the next ones, at which the innovations speak most clearly. A kind that they do not show stays, and begins with its alarms.
    """
    if kind in APART:
        return kind, start
    rows = slice(start, min(end, start + kernel.WINDOW // 2) + AFTER + 1)
    nats, ago = traced.nats[rows, channel] - DEARER, traced.ago[rows, channel]
    best, way = nats.max(-1)
    row = int(best.argmax())
    if not float(best[row]) >= CLEAR:
        return kind, start
    chosen = int(way[row])
    return int(KINDS[chosen]), start + row - int(ago[row, chosen])
