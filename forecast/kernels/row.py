"""One row of a block of live series, in two halves: the forecast made before it, and what a reading then teaches.

What `advance` does with one row, to the last bit. A covariance that is to be stored waits for its rank-one update, so that it is
gone through once less. Lane arrays as in `operations`.
"""

from typing import Any

import numpy as np

from forecast.kernels.advance import branches, note, still_diffuse
from forecast.kernels.blocks import restart, store_learned, store_roles, store_rows, store_symmetric
from forecast.kernels.jit import apart, inner
from forecast.kernels.lanes import above, filled, pick, seen, some, width
from forecast.kernels.transition import diffuse_transition, transition
from forecast.kernels.update import TOLERANCE, diffuse, gain, learn, observe, rank_one, weaken


@inner
def expect(model: Any, coef: Any, slot: Any, belief: Any, scratch: Any, M: Any) -> Any:
    """What is expected, F, the noise in it; M is filled in."""
    m, reads, first, noise = model[0], model[4], model[5], model[6]
    A, P, _ = belief
    F = gain(reads, 0, first[1], coef, 0, slot, m, P, scratch[0], False, M, True)
    R = coef[noise[0]] if noise[0] >= 0 else filled(coef, 0.0)
    return observe(reads, 0, first[1], coef, 0, slot, A), F + R, R


@apart
def forecast(model: Any, coef: Any, slot: Any, belief: Any, tally: Any, scratch: Any, M: Any) -> Any:
    """The belief through the transition; what is expected, F, and the variance, infinite while it is diffuse."""
    m, reads, first = model[0], model[4], model[5]
    A, P, D = belief
    G, Mi, work = scratch[0], scratch[2], scratch[5]
    zero = filled(coef, 0.0)
    open_ = still_diffuse(tally) > 0
    if some(above(tally[0], zero)):
        if open_:
            diffuse_transition(model, coef, 0, slot, A, D, G, G, 0, False, work)
        transition(model, coef, 0, slot, A, P, G, False, G, 0, False, work)
    expected, F, _ = expect(model, coef, slot, belief, scratch, M)
    variance = F
    if open_:
        Fi = gain(reads, 0, first[1], coef, 0, slot, m, D, G, False, Mi, True)
        wide = above(Fi, filled(Fi, TOLERANCE)) * above(tally[1], zero)
        variance = pick(wide, filled(F, np.inf), F)
    return expected, F, variance


@apart
def absorb(
    model: Any,
    coef: Any,
    slot: Any,
    belief: Any,
    initial: Any,
    tally: Any,
    scratch: Any,
    M: Any,
    value: Any,
    expected: Any,
    F: Any,
    dof: Any,
) -> Any:
    """The belief, past its transition, after a reading; lanes that have not begun stand at the initial one.

    Answers whether g g', left in scratch, is still to be taken from the covariance.
    """
    m, reads, first, noise = model[0], model[4], model[5], model[6]
    A, P, D = belief
    G, _, Mi, K, N, _, spare = scratch
    one, zero = filled(value, 1.0), filled(value, 0.0)
    fresh = one - above(tally[0], zero)
    spare[0] = value
    note(spare, 0, 1, tally)
    R = coef[noise[0]] if noise[0] >= 0 else zero
    if some(fresh):
        restart(fresh, slot, m, belief, initial)
        expected, F, R = expect(model, coef, slot, belief, scratch, M)
    ok = seen(value)
    if not some(ok):
        return False
    v = pick(ok, value, expected) - expected
    if dof > 0.0:
        F = weaken(dof, R, v, F)
    Fi, chosen, usual, open_ = one, zero, ok * above(F, zero), still_diffuse(tally) > 0
    if open_:
        Fi = gain(reads, 0, first[1], coef, 0, slot, m, D, G, False, Mi, True)
        chosen, usual, _ = branches(ok, F, Fi, tally)
    learn(m, A, M, G, 0, v, usual / pick(usual, F, one))
    waiting = one - above(tally[0], zero)
    if not open_ and width(P) > 1 and not some(waiting):
        return True
    rank_one(P, G, m)
    if open_:
        diffuse(m, A, P, D, M, Mi, F, chosen / pick(chosen, Fi, one), v, above(tally[1], zero), K, N)
    if some(waiting):  # their numbers may be NaN
        restart(waiting, slot, m, belief, initial)
    return False


@inner
def store_belief(
    belief: Any,
    G: Any,
    waiting: Any,
    tally: Any,
    diffuse: Any,
    slot: Any,
    m: Any,
    S: Any,
    block: Any,
    together: Any,
    full: Any,
    rest: Any,
) -> Any:
    """The belief of a block back to rest; where g g' is `waiting` it is taken from the covariance on the way."""
    store_roles(belief[0], slot, m, block, together, full, rest[0], S)
    if waiting:
        store_learned(belief[1], G, slot, m, block, together, full, rest[1], S)
    else:
        store_symmetric(belief[1], slot, m, block, together, full, rest[1], S)
    if diffuse:
        store_symmetric(belief[2], slot, m, block, together, full, rest[2], S)
    store_rows(tally, 4, block, together, full, rest[3], S)
