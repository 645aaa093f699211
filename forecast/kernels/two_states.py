"""Likelihood of models with one or two states and one channel: the belief stays in registers from row to row.

    x' = F x + w,  y = h x + v;  F, Q = Var w, h and R = Var v read off the program once for all rows
    x = F x + n v / f,  P = F P F' + Q - n n' / f,  of the row before;   M = P h',  f = h M + R,  n = F M,  l -= ½ (log f + v² / f)
The diffuse branch as in `update`, in place. The arithmetic is that of matrices, whatever operations the program has: other roundings than
`advance`, so never where a belief is kept. One state is a second one that is 0 and stays 0.
Source: Durbin & Koopman (2012), §4.3, §5.2. Lane arrays as in `operations`.
"""

from typing import Any

from forecast.kernels.jit import apart, inner
from forecast.kernels.lanes import above, exponent, filled, fma, fnma, mantissa, pick, root, seen, some
from forecast.kernels.operations import place
from forecast.kernels.transition import transition
from forecast.kernels.update import TOLERANCE

MOST = 2  # states
PARTS = 10  # numbers of a system
BELIEF = 8  # of a belief: mean, covariance, diffuse part
CARRIED = BELIEF + 4  # from row to row


@inner
def settled(tally: Any) -> Any:
    """Whether every lane has begun and none has a diffuse part."""
    zero = filled(tally, 0.0)
    begun = above(tally[0], zero)
    return not some(filled(tally, 1.0) - begun + above(tally[1], zero))


@apart
def system(model: Any, coef: Any, slot: Any, other: Any, work: Any, p: Any) -> Any:
    """F row by row, Q (upper triangle), h and R into p (10): what the transition makes of unit vectors and of a covariance of 0.

    As many transitions as there are states: every ring stands where it stood.
    """
    m, _, _, _, reads, first, noise = model
    A, P, G = other
    one = filled(p, 1.0)
    zero = one - one
    for k in range(PARTS):
        p[k] = zero
    for j in range(m):
        for i in range(m):
            A[slot[i]] = one if i == j else zero
        for k in range(m * m):
            P[k] = zero
        transition(model, coef, 0, slot, A, P, G, False, G, 0, False, work)
        for i in range(m):
            p[2 * i + j] = A[slot[i]]
    p[4] = P[place(slot[0], slot[0], m)]
    if m > 1:
        p[5], p[6] = P[place(slot[0], slot[1], m)], P[place(slot[1], slot[1], m)]
    for z in range(first[1]):
        role, c = reads[4 * z + 1], reads[4 * z + 2]
        p[7 + role] = p[7 + role] + (coef[c] if c >= 0 else one)
    if noise[0] >= 0:
        p[9] = coef[noise[0]]


@inner
def lay_down(belief: Any, m: Any, p: Any) -> Any:
    """A belief at rest, roles in their own slots, to where `some_rows` begins and where lanes begin whose first value comes later."""
    A, P, D = belief
    zero = filled(p, 0.0)
    for k in range(BELIEF + CARRIED):
        p[k] = zero
    for x in (p, p + BELIEF):
        x[0], x[2], x[5] = A[0], P[0], D[0]
        if m > 1:
            x[1], x[3], x[4], x[6], x[7] = A[1], P[1], P[3], D[1], D[3]


@inner
def some_rows(first: Any, rows: Any, y: Any, p: Any, tally: Any, sums: Any, open_: Any) -> Any:
    """The sums of a likelihood after the rows from `first` on; p: system, belief, and what of the row before has not been learned yet.

    `open_`: lanes may have to begin or have a diffuse part, until none has. A lane past both computes the same bits either way.
    """
    one = filled(y, 1.0)
    zero = one - one
    f00, f01, f10, f11, q00, q01, q11, h0, h1, R = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9]
    start, carried = p + PARTS, p + (PARTS + BELIEF)
    x0, x1, p00, p01, p11, d00, d01, d11 = (
        carried[0], carried[1], carried[2], carried[3], carried[4], carried[5], carried[6], carried[7],
    )  # fmt: skip
    n0, n1, w, inverse = carried[8], carried[9], carried[10], carried[11]
    product, power, square, count = sums[0], sums[1], sums[2], sums[3]
    begun, rank, t = above(tally[0], zero), tally[1], first
    while t < rows:
        x0, x1 = fma(n0, w, fma(f01, x1, f00 * x0)), fma(n1, w, fma(f11, x1, f10 * x0))
        g00, g01 = fma(f01, p01, f00 * p00), fma(f01, p11, f00 * p01)
        g10, g11 = fma(f11, p01, f10 * p00), fma(f11, p11, f10 * p01)
        k0, k1 = n0 * inverse, n1 * inverse
        p00 = fnma(k0, n0, fma(f01, g01, fma(f00, g00, q00)))
        p01 = fnma(k0, n1, fma(f11, g01, fma(f10, g00, q01)))
        p11 = fnma(k1, n1, fma(f11, g11, fma(f10, g10, q11)))
        value = y[t]
        ok = seen(value)
        if open_:
            g00, g01 = fma(f01, d01, f00 * d00), fma(f01, d11, f00 * d01)
            g10, g11 = fma(f11, d01, f10 * d00), fma(f11, d11, f10 * d01)
            d00, d01, d11 = fma(f01, g01, f00 * g00), fma(f11, g01, f10 * g00), fma(f11, g11, f10 * g10)
            new = ok * (one - begun)
            begun = begun + new
            x0, x1 = pick(new, start[0], x0), pick(new, start[1], x1)
            p00, p01, p11 = pick(new, start[2], p00), pick(new, start[3], p01), pick(new, start[4], p11)
            d00, d01, d11 = pick(new, start[5], d00), pick(new, start[6], d01), pick(new, start[7], d11)
        m0, m1 = fma(h1, p01, h0 * p00), fma(h1, p11, h0 * p01)
        f = fma(h1, m1, fma(h0, m0, R))
        n0, n1 = fma(f01, m1, f00 * m0), fma(f11, m1, f10 * m0)
        v = pick(ok, value - fma(h1, x1, h0 * x0), zero)
        usual = ok * above(f, zero)
        if open_:
            e0, e1 = fma(h1, d01, h0 * d00), fma(h1, d11, h0 * d01)
            fi = fma(h1, e1, h0 * e0)
            chosen = ok * above(fi, filled(y, TOLERANCE)) * above(rank, zero)
            usual, rank = (ok - chosen) * above(f, zero), rank - chosen
            inverse = chosen / pick(chosen, fi, one)
            r, left, half = root(inverse), above(rank, zero), filled(y, 0.5) * f
            k0, k1 = e0 * inverse, e1 * inverse
            o0, o1 = fnma(half, k0, m0), fnma(half, k1, m1)
            x0, x1 = fma(k0, v, x0), fma(k1, v, x1)
            p00, p01, p11 = p00 - (k0 * o0 + o0 * k0), p01 - (k0 * o1 + o0 * k1), p11 - (k1 * o1 + o1 * k1)
            e0, e1 = e0 * r, e1 * r
            d00, d01, d11 = fnma(e0, e0, d00) * left, fnma(e0, e1, d01) * left, fnma(e1, e1, d11) * left
            product, count = product * pick(chosen, fi, one), count + chosen
        inverse = pick(usual, one / f, zero)
        w = v * inverse
        product, square, count = product * pick(usual, f, one), fma(v, w, square), count + usual
        if t % 4 == 3:
            power, product = power + exponent(product), mantissa(product)
        t += 1
        if open_ and not some(one - begun + above(rank, zero)):
            break
    sums[0], sums[1], sums[2], sums[3] = product, power, square, count
    carried[0], carried[1], carried[2], carried[3], carried[4] = x0, x1, p00, p01, p11
    carried[5], carried[6], carried[7] = d00, d01, d11
    carried[8], carried[9], carried[10], carried[11] = n0, n1, w, inverse
    return t


@apart
def settle(rows: Any, y: Any, p: Any, tally: Any, sums: Any) -> Any:
    """Rows until every lane has begun and none has a diffuse part."""
    return some_rows(0, rows, y, p, tally, sums, True)


@apart
def go_on(first: Any, rows: Any, y: Any, p: Any, tally: Any, sums: Any) -> Any:
    """The rows after those."""
    some_rows(first, rows, y, p, tally, sums, False)


@inner
def few_rows(model: Any, rows: Any, y: Any, coef: Any, slot: Any, belief: Any, other: Any, work: Any, p: Any, tally: Any, sums: Any) -> Any:
    """The sums of a likelihood over all rows, from a belief at rest that is left as it is."""
    m, one = model[0], filled(y, 1.0)
    system(model, coef, slot, other, work, p)
    lay_down(belief, m, p + PARTS)
    sums[0], sums[1], sums[2], sums[3] = one, one - one, one - one, one - one
    go_on(settle(rows, y, p, tally, sums), rows, y, p, tally, sums)
