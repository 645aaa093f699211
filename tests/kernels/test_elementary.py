"""Logarithm, exponential and normal tail of kernels: against NumPy and SciPy, and the same bits for one lane and for many."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import log_ndtr

from forecast.kernels import elementary
from forecast.kernels.lanes import lane_array, peek, pointer, poke, width
from forecast.kernels.surprise import ROOM, surprise
from forecast.kernels.tails import KNOTS, TAIL, nats_of


def kernel(function: Any) -> Callable[..., Any]:
    @_uncached
    def run(memory: Any, x: Any, y: Any) -> Any:
        room = pointer(memory)
        W = width(room)
        for i in range(0, x.shape[0], W):
            for l in range(W):
                poke(room, 0, l, x[min(i + l, x.shape[0] - 1)])
            room[1] = function(room[0])
            for l in range(min(W, x.shape[0] - i)):
                y[i + l] = peek(room, 1, l)

    return run


def _uncached(function: Any) -> Any:
    import numba

    return numba.njit(error_model="numpy")(function)


GENERATOR = np.random.default_rng(0)
POSITIVE = 10.0 ** GENERATOR.uniform(-300, 300, 4000)


@pytest.mark.parametrize(
    ("function", "oracle", "x", "within"),
    [
        (elementary.logarithm, np.log, POSITIVE, 5e-16),
        (elementary.logarithm, np.log, 1 + GENERATOR.normal(size=4000) * 0.01, 5e-16),
        (elementary.logarithm_of_more, np.log1p, POSITIVE, 7e-16),
        (elementary.decayed, lambda x: np.exp(-x), GENERATOR.uniform(0, 4, 4000), 4e-15),
    ],
)
def test_elementary_functions(function: Any, oracle: Any, x: Any, within: float) -> None:
    made = np.empty((2, len(x)))
    run = kernel(function)
    for wide in (False, True):
        run(lane_array(2, wide), x, made[int(wide)])
    assert (made[0] == made[1]).all()
    expected = oracle(x)
    assert (np.abs(made[0] - expected) <= within * np.maximum(np.abs(expected), 1.0)).all()


def test_surprise_is_the_normal_tail() -> None:
    d = np.concatenate([GENERATOR.normal(size=3001) * 4, 10.0 ** GENERATOR.uniform(-12, 140, 1000), [0.0, math.inf]])
    made = np.empty((2, 2, len(d)))
    for wide in (False, True):
        surprise(lane_array(ROOM, wide), d * 2 + 3, np.full(len(d), 3.0), np.full(len(d), 4.0), *made[int(wide)])
    assert (made[0] == made[1]).all()
    near = np.abs(d) < 1e7  # beyond, SciPy has no more digits
    expected = -(log_ndtr(-np.abs(d[near])) + math.log(2))
    assert (np.abs(made[0, 0][near] - expected) <= 3e-15 * np.maximum(expected, 1.0)).all()
    assert made[0, 0].max() < math.inf
    assert (np.diff(made[0, 0][np.argsort(np.abs(d))]) >= 0).all()
    missing = np.array([[math.nan, 0.0, 1.0], [1.0, math.nan, 1.0], [1.0, 0.0, math.nan]])
    s, z = np.zeros((2, 3))
    surprise(lane_array(ROOM, True), *np.ascontiguousarray(missing.T), s, z)
    assert np.isnan(s).all() and np.isnan(z).all()


@pytest.mark.parametrize("xi", [0.0, 0.2])
def test_a_tail_in_nats(xi: float) -> None:
    given = np.array([*np.sort(GENERATOR.normal(size=KNOTS)), 3.9, 0.7, xi])
    given[5] = given[4]
    tail = given.astype(np.float32).astype(float)  # as kernels read it
    knots, top, sigma, xi = tail[:KNOTS], *tail[KNOTS:]
    assert len(tail) == TAIL
    x = np.concatenate([GENERATOR.uniform(-4, 9, 500), knots, [math.nan, math.inf, 1e300]])
    steps = np.linspace(0, top, KNOTS)
    places = np.r_[0:5, 6:KNOTS]  # of two equal knots the lower nats count
    inside = np.interp(x, knots[places], steps[places])
    excess = np.maximum(x - knots[-1], 0) / sigma
    beyond = top + (np.log1p(xi * excess) / xi if xi else excess)
    expected = np.where(x > knots[-1], np.minimum(beyond, 1e300), np.where(x > knots[0], inside, 0.0))
    made, real = nats_of(x, tail), np.isfinite(x)
    between = (x > knots[4]) & (x < knots[6])  # where the curve jumps
    np.testing.assert_allclose(made[real & ~between], expected[real & ~between], rtol=1e-6, atol=1e-6)
    assert made[-3] == 0.0 and made[-2] >= top
    np.testing.assert_array_equal(made, nats_of(x, given))


def test_a_value_that_stands_in_a_tail_is_not_above_it_and_nats_rise() -> None:
    """Knots that float32 can hardly tell apart, the values between them and those that were rounded up or down to them."""
    base = 1.0 + GENERATOR.uniform(0, 1)
    given = np.array([*(base * (1 + 1e-7 * k) for k in range(KNOTS)), 3.9, 0.7, 0.1])
    made = nats_of(given[:KNOTS], given)
    assert (made <= np.linspace(0, 3.9, KNOTS).astype(np.float32) + 1e-6).all() and made[0] == 0.0
    x = np.unique(np.concatenate([given[:KNOTS] * (1 + s) for s in np.linspace(-4e-7, 4e-7, 201)]))
    assert (np.diff(nats_of(x, given)) >= 0).all() and nats_of(x, given)[-1] > 3.8
