"""One row of a settled belief of one or two states and one channel, in registers: what `advance` does, to the last bit.

A lane is settled where it has begun and has no diffuse part left. A belief is (x0, x1, p00, p01, p11), roles in order: a
ring turns by exchanging them. One state is a second one that is 0 and stays 0. Formulas in `operations` and `update`.
"""

from typing import Any

from forecast.kernels.jit import inner
from forecast.kernels.lanes import above, filled, fma, fnma, pick, read, root, seen, write
from forecast.kernels.operations import ADD, DENSE, MIX, MUL, NOISE, number
from forecast.kernels.two_states import MOST
from forecast.kernels.update import weaken


@inner
def few(model: Any) -> Any:
    """Whether a model is small, and all its operations stand here."""
    m, _, count, ops = model[:4]
    known = 0 < m <= MOST
    for o in range(count):
        known = known and ops[6 * o] != MIX and ops[6 * o] != DENSE
    return known


@inner
def open_belief(rest: Any, m: Any, S: Any, first: Any, like: Any) -> Any:
    """A belief at rest, of series that lie side by side."""
    x0, p00 = read(like, rest[0], first), read(like, rest[1], first)
    if m == 1:
        zero = filled(like, 0.0)
        return x0, zero, p00, zero, zero
    return x0, read(like, rest[0], first + S), p00, read(like, rest[1], first + S), read(like, rest[1], first + 2 * S)


@inner
def close_belief(belief: Any, m: Any, S: Any, first: Any, rest: Any) -> Any:
    """The way back."""
    x0, x1, p00, p01, p11 = belief
    write(rest[0], first, x0)
    write(rest[1], first, p00)
    if m > 1:
        write(rest[0], first + S, x1)
        write(rest[1], first + S, p01)
        write(rest[1], first + 2 * S, p11)


@inner
def moved(model: Any, coef: Any, belief: Any) -> Any:
    """The belief through all operations."""
    x0, x1, p00, p01, p11 = belief
    count, ops = model[2], model[3]
    for o in range(count):
        kind, i, j = ops[6 * o], ops[6 * o + 1], ops[6 * o + 2]
        g = number(coef, ops[6 * o + 3])
        if kind == NOISE:
            sign = filled(coef, float(ops[6 * o + 4]))
            if i != j:
                p01 = fma(sign, g, p01)
            elif i == 0:
                p00 = fma(sign, g, p00)
            else:
                p11 = fma(sign, g, p11)
        elif kind == ADD:
            if i == 0:
                x0 = fma(g, x1, x0)
                p00, p01 = fma(g, fma(g, p11, p01 + p01), p00), fma(g, p11, p01)
            else:
                x1 = fma(g, x0, x1)
                p11, p01 = fma(g, fma(g, p00, p01 + p01), p11), fma(g, p00, p01)
        elif kind == MUL:
            p01 = p01 * g
            if i == 0:
                x0, p00 = x0 * g, p00 * g * g
            else:
                x1, p11 = x1 * g, p11 * g * g
        elif ops[6 * o + 4] == MOST:
            x0, x1, p00, p11 = x1, x0, p11, p00
    return x0, x1, p00, p01, p11


@inner
def lay_down(belief: Any, ahead: Any, m: Any, slot: Any, place: Any, M: Any) -> Any:
    """A belief and its M into memory as all other kernels find them."""
    A, P, _ = place
    slot[0], A[0], P[0], M[0] = 0, belief[0], belief[2], ahead[2]
    if m > 1:
        slot[1], A[1], P[1], P[3], M[1] = 1, belief[1], belief[3], belief[4], ahead[3]


@inner
def taken_up(place: Any, M: Any, m: Any) -> Any:
    """The way back."""
    A, P, _ = place
    zero = filled(M, 0.0)
    if m == 1:
        return (A[0], zero, P[0], zero, zero), (M[0], zero)
    return (A[0], A[1], P[0], P[1], P[3]), (M[0], M[1])


@inner
def foreseen(model: Any, coef: Any, belief: Any) -> Any:
    """What is expected, F, and the two of M."""
    x0, x1, p00, p01, p11 = belief
    reads, count = model[4], model[5][1]
    expected, m0, m1, F = filled(coef, 0.0), filled(coef, 0.0), filled(coef, 0.0), filled(coef, 0.0)
    for z in range(count):
        g = number(coef, reads[4 * z + 2])
        if reads[4 * z + 1] == 0:
            expected, m0, m1 = fma(g, x0, expected), fma(g, p00, m0), fma(g, p01, m1)
        else:
            expected, m0, m1 = fma(g, x1, expected), fma(g, p01, m0), fma(g, p11, m1)
    for z in range(count):
        F = fma(number(coef, reads[4 * z + 2]), m0 if reads[4 * z + 1] == 0 else m1, F)
    return expected, F + noise_of(model, coef), m0, m1


@inner
def noise_of(model: Any, coef: Any) -> Any:
    """R."""
    return coef[model[6][0]] if model[6][0] >= 0 else filled(coef, 0.0)


@inner
def learned(belief: Any, ahead: Any, R: Any, value: Any, dof: Any) -> Any:
    """The belief, past its transition, after a reading."""
    x0, x1, p00, p01, p11 = belief
    expected, F, m0, m1 = ahead
    one, zero = filled(value, 1.0), filled(value, 0.0)
    ok = seen(value)
    v = pick(ok, value, expected) - expected
    if dof > 0.0:
        F = weaken(dof, R, v, F)
    usual = ok * above(F, zero)
    r = root(usual / pick(usual, F, one))
    w, g0, g1 = v * r, m0 * r, m1 * r
    return fma(g0, w, x0), fma(g1, w, x1), fnma(g0, g0, p00), fnma(g0, g1, p01), fnma(g1, g1, p11)
