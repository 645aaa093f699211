"""Which series have the same gains, and their likelihood. See `kernels.shared`.

Gains depend on parameters, on the covariance of the start and on the gaps, not on values. Where these are equal to the last bit for FEWEST
series or more, gains are computed once for them; every other series has its own, and the log says how many there are.
"""

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from forecast.kernels.lanes import lane_array
from forecast.kernels.shared import gains_of, gains_room, means_of, means_room
from forecast.ssm.belief import Belief
from forecast.ssm.program import Program

FEWEST = 4
Array = NDArray[Any]
_log = logging.getLogger("forecast")
_told: set[str] = set()


def groups_of(coefs: Tensor, belief: Belief, values: Tensor, drive: Tensor) -> tuple[list[Array], Array]:
    """Groups of series with the same gains, and the series without a group."""
    count = len(values)
    alike = count >= FEWEST and coefs.dim() == 2 and drive.numel() == 0
    if not (alike and all(_same(leaf) for leaf in (coefs, belief.tally[:, :2], belief.covariance, belief.diffuse))):
        return [], np.arange(count)
    gaps = np.packbits(np.isnan(values.numpy()).reshape(count, -1), axis=1)
    patterns = np.ascontiguousarray(gaps).view([("gaps", np.void, gaps.shape[1])])[:, 0]
    _, which, sizes = np.unique(patterns, return_inverse=True, return_counts=True)
    order, ends = np.argsort(which, kind="stable"), np.cumsum(sizes)
    large = [order[end - size : end] for end, size in zip(ends, sizes, strict=True) if size >= FEWEST]
    alone = np.sort(order[(sizes < FEWEST)[which[order]]])
    if len(alone) and "gaps" not in _told:
        _told.add("gaps")
        _log.info(
            "Kalman engine: %d of %d series of one model have gaps of their own, and gains of their own",
            len(alone),
            count,
        )
    return large, alone


def _same(leaf: Tensor) -> bool:
    """Whether all rows are equal."""
    return bool((leaf[-1] == leaf[0]).all()) and bool((leaf == leaf[:1]).all())


def likelihoods(
    program: Program, numbers: Array, start: tuple[Array, ...], values: Array, group: Array, loglik: Array
) -> None:
    """Fill in the likelihoods (B) of a group; coefficients (1 K B), the start as the kernels read it."""
    _, rows, channels = values.shape
    m, K = program.size, program.coefficients
    gains, scales, sums = np.empty((rows * channels, m)), np.empty(rows * channels), np.empty(4)
    lanes, whole = gains_room(m, rows, channels, K, program.tapes)
    first = gains_of(
        lane_array(lanes, False), np.zeros(whole, np.int64), values, numbers, program.kernel, program.tapes, group[:1], start, gains,
        scales, sums,
    )  # fmt: skip
    lanes, whole = means_room(m, rows, channels, K)
    means_of(
        lane_array(lanes, True), np.zeros(whole, np.int64), values, numbers, program.kernel, group, start[0], gains, scales, sums, first,
        loglik,
    )  # fmt: skip
