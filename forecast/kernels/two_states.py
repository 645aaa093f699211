"""Likelihood of models with one or two states and one channel: the belief stays in registers from row to row.

    x' = F x + w,  y = h x + v;  F, Q = Var w, h and R = Var v read off the program once for all rows
    x = F x + n v / f,  P = F P F' + Q - n n' / f,  of the row before;   M = P h',  f = h M + R,  n = F M,  l -= ½ (log f + v² / f)
For rows from which on every lane has begun and has no diffuse part left. The arithmetic is that of matrices, whatever operations the
program has: other roundings than `advance`, so never where a belief is kept. One state is a second one that is 0 and stays 0.
Source: Durbin & Koopman (2012), §4.3. Lane arrays as in `operations`.
"""

from typing import Any

from forecast.kernels.jit import apart, inner
from forecast.kernels.lanes import above, exponent, filled, fma, fnma, mantissa, pick, seen, some
from forecast.kernels.operations import place
from forecast.kernels.transition import transition

MOST = 2  # states
PARTS = 10  # numbers of a system


@inner
def diffuse_rows(y: Any, rows: Any, tally: Any) -> Any:
    """Rows until every lane has begun and has seen as many values as it has diffuse dimensions; `rows` where it never has."""
    one = filled(y, 1.0)
    left = pick(above(tally[1], one), tally[1], one)
    t = 0
    while t < rows and some(above(left, one - one)):
        left = left - seen(y[t])
        t += 1
    return t


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


@apart
def go_on(rows: Any, y: Any, m: Any, slot: Any, belief: Any, p: Any, sums: Any) -> Any:
    """The sums of a likelihood after more rows of a system p, from a belief that is left as it is."""
    A, P, _ = belief
    one, a, b = filled(y, 1.0), slot[0], slot[m - 1]
    zero = one - one
    f00, f01, f10, f11, q00, q01, q11, h0, h1, R = p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9]
    x0, x1, p00, p01, p11 = A[a], zero, P[place(a, a, m)], zero, zero
    if m > 1:
        x1, p01, p11 = A[b], P[place(a, b, m)], P[place(b, b, m)]
    product, power, square, count = sums[0], sums[1], sums[2], sums[3]
    n0, n1, w, inverse = zero, zero, zero, zero
    for t in range(rows):
        x0, x1 = fma(n0, w, fma(f01, x1, f00 * x0)), fma(n1, w, fma(f11, x1, f10 * x0))
        g00, g01 = fma(f01, p01, f00 * p00), fma(f01, p11, f00 * p01)
        g10, g11 = fma(f11, p01, f10 * p00), fma(f11, p11, f10 * p01)
        k0, k1 = n0 * inverse, n1 * inverse
        p00 = fnma(k0, n0, fma(f01, g01, fma(f00, g00, q00)))
        p01 = fnma(k0, n1, fma(f11, g01, fma(f10, g00, q01)))
        p11 = fnma(k1, n1, fma(f11, g11, fma(f10, g10, q11)))
        m0, m1 = fma(h1, p01, h0 * p00), fma(h1, p11, h0 * p01)
        f = fma(h1, m1, fma(h0, m0, R))
        n0, n1 = fma(f01, m1, f00 * m0), fma(f11, m1, f10 * m0)
        value, expected = y[t], fma(h1, x1, h0 * x0)
        ok = seen(value)
        usual = ok * above(f, zero)
        v = pick(ok, value, expected) - expected
        inverse = pick(usual, one / f, zero)
        w = v * inverse
        product, square, count = product * pick(usual, f, one), fma(v, w, square), count + usual
        if t % 4 == 3:
            power, product = power + exponent(product), mantissa(product)
    sums[0], sums[1], sums[2], sums[3] = product, power, square, count
