"""Measurement update of a block of lanes by one channel: usual, exact diffuse, missing, robust.

    v = y - Z a,  M = P Z',  F = Z M + R,  g = M / √F;   a += g v / √F,  P -= g g',  l -= ½ (log F + v² / F)
While the diffuse part D of the covariance is not exhausted and F∞ = Z D Z' > tolerance, with M∞ = D Z', K = M∞ / F∞:
    a += K v,  P -= K N' + N K' with N = M - ½ F K,  D -= K M∞',  l -= ½ log F∞
Each lane takes its own branch by masks. A lane whose rank has come to 0 has D = 0 from then on, exactly. All products
are symmetric to the last bit, and so the same wherever a ring stands.
`lazy`: where nobody asks for P, the g of every second value waits (`pending`), goes through the next transition as a vector, and P
takes two of them in one pass: M = P Z' - g (g'Z'). Half the traffic; other roundings, so never where a belief is kept. Which values wait
is told by their place alone, and a lane that has learned nothing waits with 0: so company changes no bit.
Where there is one lane, four columns of P go through a register together.
Source: Durbin & Koopman (2012), §4.3, §5.2, §6.4. Lane arrays as in `operations`; reads rows are (channel, role,
coefficient, tape).
"""

from typing import Any

from forecast.kernels.jit import apart, inner
from forecast.kernels.lanes import above, abreast, filled, fma, fnma, lay, pick, root, spread, width
from forecast.kernels.operations import number, place

TOLERANCE = 1e-10
FOUR = 4  # numbers that `abreast` takes


@inner
def observe(reads: Any, low: Any, high: Any, coef: Any, at: Any, slot: Any, A: Any) -> Any:
    """Z a."""
    x = filled(A, 0.0)
    for z in range(low, high):
        c = reads[4 * z + 2]
        x = fma(number(coef, at + c if c >= 0 else -1), A[slot[reads[4 * z + 1]]], x)
    return x


@apart
def gain(
    reads: Any,
    low: Any,
    high: Any,
    coef: Any,
    at: Any,
    slot: Any,
    m: Any,
    P: Any,
    G: Any,
    pending: Any,
    M: Any,
    whole: Any,
) -> Any:
    """M = P Z', and Z M; only the elements that Z M needs unless the whole is wanted."""
    known = observe(reads, low, high, coef, at, slot, G) if pending else filled(P, 0.0)
    for n in range(m if whole else high - low):
        j = n if whole else slot[reads[4 * (low + n) + 1]]
        M[j] = fnma(G[j], known, filled(P, 0.0)) if pending else known
    for z in range(low, high):
        a, c = slot[reads[4 * z + 1]], reads[4 * z + 2]
        g = number(coef, at + c if c >= 0 else -1)
        if whole:
            for j in range(a):
                M[j] = fma(g, P[j * m + a], M[j])
            for j in range(a, m):
                M[j] = fma(g, P[a * m + j], M[j])
        else:
            for n in range(high - low):
                j = slot[reads[4 * (low + n) + 1]]
                M[j] = fma(g, P[place(a, j, m)], M[j])
    return observe(reads, low, high, coef, at, slot, M)


@inner
def weaken(dof: Any, R: Any, v: Any, F: Any) -> Any:
    """F where the noise R grows to R (dof + v²/F) / (dof + 1) if the row is more surprising than usual."""
    one, zero = filled(F, 1.0), filled(F, 0.0)
    positive = above(F, zero)
    excess = (v * v / pick(positive, F, one) - one) / filled(F, dof + 1.0)
    return fma(R, pick(positive, pick(above(excess, zero), excess, zero), zero), F)


@inner
def learn(m: Any, A: Any, M: Any, G: Any, base: Any, v: Any, iF: Any) -> Any:
    """The mean learns from v, and g is left at `base`; iF is 0 where there is nothing to learn."""
    r = root(iF)
    w = v * r
    for k in range(m):
        g = M[k] * r
        G[base + k] = g
        A[k] = fma(g, w, A[k])


@apart
def rank_one(P: Any, G: Any, m: Any) -> Any:
    """P -= g g', two rows at a time: g_j is read once for both."""
    i = 0
    while i + 1 < m:
        g, h, row, j = G[i], G[i + 1], i * m, i + 1
        P[row + i] = fnma(g, g, P[row + i])
        if width(P) == 1:
            p, q = spread(P, g), spread(P, h)
            while j + FOUR <= m:
                u = abreast(G, j)
                lay(P, row + j, fnma(p, u, abreast(P, row + j)))
                lay(P, row + m + j, fnma(q, u, abreast(P, row + m + j)))
                j += FOUR
        while j < m:
            x = G[j]
            P[row + j] = fnma(g, x, P[row + j])
            P[row + m + j] = fnma(h, x, P[row + m + j])
            j += 1
        i += 2
    if i < m:
        g = G[i]
        P[i * m + i] = fnma(g, g, P[i * m + i])


@apart
def rank_two(P: Any, G: Any, m: Any) -> Any:
    """P -= g g' + h h', g the first half of G and h the second."""
    i = 0
    while i + 1 < m:
        a, b, c, d, row, j = G[i], G[m + i], G[i + 1], G[m + i + 1], i * m, i + 1
        P[row + i] = fnma(b, b, fnma(a, a, P[row + i]))
        if width(P) == 1:
            p, q, r, s = spread(P, a), spread(P, b), spread(P, c), spread(P, d)
            while j + FOUR <= m:
                u, w = abreast(G, j), abreast(G, m + j)
                lay(P, row + j, fnma(q, w, fnma(p, u, abreast(P, row + j))))
                lay(P, row + m + j, fnma(s, w, fnma(r, u, abreast(P, row + m + j))))
                j += FOUR
        while j < m:
            x, y = G[j], G[m + j]
            P[row + j] = fnma(b, y, fnma(a, x, P[row + j]))
            P[row + m + j] = fnma(d, y, fnma(c, x, P[row + m + j]))
            j += 1
        i += 2
    if i < m:
        a, b = G[i], G[m + i]
        P[i * m + i] = fnma(b, b, fnma(a, a, P[i * m + i]))


@apart
def diffuse(
    m: Any, A: Any, P: Any, D: Any, M: Any, Mi: Any, F: Any, iFi: Any, v: Any, left: Any, K: Any, N: Any
) -> Any:
    """The diffuse branch; iFi is 1/F∞ in the lanes that take it and 0 elsewhere, where not a bit changes."""
    r = root(iFi)
    half = filled(A, 0.5) * F
    for k in range(m):
        g = Mi[k] * iFi
        K[k] = g
        N[k] = fnma(half, g, M[k])
        A[k] = fma(g, v, A[k])
    for i in range(m):
        g, n, d = K[i], N[i], Mi[i] * r
        for j in range(i, m):
            e = i * m + j
            P[e] = P[e] - (g * N[j] + n * K[j])
            D[e] = fnma(d, Mi[j] * r, D[e]) * left
