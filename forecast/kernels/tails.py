"""Calibrated tails of a block of lanes: from a statistic to nats, and how slow changes stretch them. See `watch`.

A tail is TAIL elements: KNOTS values at equal steps in nats, the nats of the last, and σ, ξ of the generalised Pareto law beyond it.
Kernels read it in float32 (see `narrow`), whatever is kept of it at rest, and in place of σ and ξ what the law multiplies by:
    nats = those of the last + log(1 + ξ/σ · excess) · 1/ξ,   and where ξ is none  + 1/σ · excess,  told by 0 in place of 1/ξ
"""

from typing import Any

import numpy as np

from forecast.kernels.elementary import decayed, least, logarithm, most
from forecast.kernels.jit import exact, inner
from forecast.kernels.lanes import above, bracket, filled, lane_array, peek, pick, pointer, poke, some, widened

KNOTS, TAIL = 16, 19
TRACKED = 3.912023005428146  # nats of the 1 in 50 rows by which an offset follows
LOOSEST = 3.0  # log of the largest factor by which an offset stretches a tail
THINNEST = 1e-9  # of ξ; below it the tail is exponential


@inner
def nats(x: Any, tail: Any) -> Any:
    """-log P(X ≥ x) by a calibrated tail; 0 for what is missing."""
    zero, last, top = filled(x, 0.0), widened(tail[KNOTS - 1]), widened(tail[KNOTS])
    steps, inside, beyond = bracket(x, tail)
    e = pick(inside, top * filled(x, 1.0 / (KNOTS - 1)) * steps, zero)
    if some(beyond):
        excess, bend = most((x - last) * widened(tail[KNOTS + 1]), zero), widened(tail[KNOTS + 2])
        curved = above(bend, zero)
        if some(curved):
            excess = pick(curved, bend * logarithm(filled(x, 1.0) + excess), excess)
        e = pick(beyond, least(top + excess, filled(x, 1e300)), e)
    return e


@inner
def stretched(x: Any, tail: Any, offset: Any, way: Any, adapt: Any, on: Any) -> Any:
    """Nats under the tail as it has been stretched so far; the stretch follows the tracked quantile, one row late, where `on`."""
    e = nats(x, tail)
    if adapt > 0.0:  # else it never was anything but 0
        so_far, zero = offset[way], filled(x, 0.0)
        wide = above(so_far, zero)
        if some(wide):
            e = pick(wide, e * decayed(so_far), e)
        miss = above(e, filled(x, TRACKED)) * filled(x, 50.0) - filled(x, 1.0)
        offset[way] = pick(on, least(most(so_far + filled(x, adapt) * miss, zero), filled(x, LOOSEST)), so_far)
    return e


@exact
def _nats_of(memory: Any, statistic: Any, tail: Any, e: Any) -> Any:
    room, table = pointer(memory), pointer(tail)
    for i in range(statistic.shape[0]):
        poke(room, 0, 0, statistic[i])
        room[0] = nats(room[0], table)
        e[i] = peek(room, 0, 0)


def nats_of(statistic: Any, tail: Any) -> Any:
    """Nats of many values (N) by one tail (TAIL)."""
    e = np.empty(len(statistic))
    _nats_of(lane_array(1, False), statistic, kept(tail), e)
    return e


def kept(tails: Any) -> Any:
    """Tails (… of TAIL) as kernels read them."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        table = np.array(tails, np.float32)
        law = table.reshape(-1, TAIL)[:, KNOTS + 1 :]
        sigma, xi = law.T.astype(np.float64)
        law[:, 0] = np.where(xi > THINNEST, xi, 1.0) / sigma
        law[:, 1] = np.where(xi > THINNEST, 1.0 / xi, 0.0)
    return table
