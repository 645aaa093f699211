"""Primitive operations on the belief of a block of lanes: a transition x' = G x + w is a short list of them.

Lane arrays (see `lanes`): mean A (m); covariance P (m m), upper triangle only, in memory slots; slot (m) tells in which
memory slot the state with a given role lies: a ring turns by turning that map, no number moves. Coefficients coef (…):
those of a row begin at `at`; index -1 means one. An operation is a row (kind, i, j, c, extra, tape):
    ADD    x_i += c x_j                                MUL    x_i *= c
    MIX    (x_i, x_j) = [[c0 c1] [c2 c3]] (x_i, x_j)   SHIFT  roles i … i+extra-1: k from k+1, the last from i
    NOISE  P_ij += extra · c                           DENSE  x = G x on the roles i … i+extra-1, G row by row from c
The transpose of ADD(i, j) is ADD(j, i), of MIX the one with c1 and c2 swapped: the adjoint pass runs the same code
backwards. No result depends on which slot a role lies in. All arguments are numbers or pointers.
"""

from typing import Any

from forecast.kernels.jit import apart, inner
from forecast.kernels.lanes import filled, fma

ADD, MUL, MIX, SHIFT, NOISE, DENSE = range(6)


@inner
def place(a: Any, b: Any, m: Any) -> Any:
    """Where the covariance of slots a and b lies."""
    return a * m + b if a < b else b * m + a


@inner
def turn(slot: Any, first: Any, length: Any, backwards: Any) -> Any:
    """Rotate the roles first … first+length-1 by one."""
    if backwards:
        kept = slot[first + length - 1]
        for k in range(first + length - 1, first, -1):
            slot[k] = slot[k - 1]
        slot[first] = kept
    else:
        kept = slot[first]
        for k in range(first, first + length - 1):
            slot[k] = slot[k + 1]
        slot[first + length - 1] = kept


@inner
def number(coef: Any, c: Any) -> Any:
    """A coefficient; index -1 means one (a fused product with one is a sum)."""
    return filled(coef, 1.0) if c < 0 else coef[c]


@inner
def add_vector(A: Any, base: Any, a: Any, b: Any, coef: Any, c: Any) -> Any:
    """x_a += c x_b on a vector that begins at `base`."""
    A[base + a] = fma(number(coef, c), A[base + b], A[base + a])


@inner
def mix_vector(A: Any, base: Any, a: Any, b: Any, coef: Any, c: Any, c1: Any, c2: Any) -> Any:
    """(x_a, x_b) through a 2 × 2 matrix."""
    x, y = A[base + a], A[base + b]
    A[base + a] = fma(coef[c], x, coef[c1] * y)
    A[base + b] = fma(coef[c2], x, coef[c + 3] * y)


@inner
def dense_vector(
    A: Any, base: Any, slot: Any, first: Any, size: Any, coef: Any, c: Any, transpose: Any, work: Any
) -> Any:
    """x = G x on `size` roles."""
    for p in range(size):
        x = filled(A, 0.0)
        for q in range(size):
            e = c + (q * size + p if transpose else p * size + q)
            x = fma(coef[e], A[base + slot[first + q]], x)
        work[p] = x
    for p in range(size):
        A[base + slot[first + p]] = work[p]


@inner
def vector_operation(
    ops: Any, o: Any, coef: Any, at: Any, slot: Any, A: Any, base: Any, transpose: Any, work: Any
) -> Any:
    """One linear operation on a vector per lane, which begins at `base` (transposed: on its adjoint)."""
    kind, i, j = ops[6 * o], ops[6 * o + 1], ops[6 * o + 2]
    c = ops[6 * o + 3] + at if ops[6 * o + 3] >= 0 else -1
    if kind == ADD:
        if transpose:
            add_vector(A, base, slot[j], slot[i], coef, c)
        else:
            add_vector(A, base, slot[i], slot[j], coef, c)
    elif kind == MUL:
        A[base + slot[i]] = A[base + slot[i]] * coef[c]
    elif kind == MIX:
        if transpose:
            mix_vector(A, base, slot[i], slot[j], coef, c, c + 2, c + 1)
        else:
            mix_vector(A, base, slot[i], slot[j], coef, c, c + 1, c + 2)
    elif kind == DENSE:
        dense_vector(A, base, slot, i, ops[6 * o + 4], coef, c, transpose, work)


@inner
def add(P: Any, m: Any, a: Any, b: Any, coef: Any, c: Any) -> Any:
    """Row and column a += c · row and column b."""
    x, y, z, g = P[a * m + a], P[place(a, b, m)], P[b * m + b], number(coef, c)
    low, high = (a, b) if a < b else (b, a)
    P[a * m + a] = fma(g, fma(g, z, y + y), x)
    for k in range(low):
        P[k * m + a] = fma(g, P[k * m + b], P[k * m + a])
    for k in range(low, high + 1):
        if k != a:
            P[place(a, k, m)] = fma(g, P[place(b, k, m)], P[place(a, k, m)])
    for k in range(high + 1, m):
        P[a * m + k] = fma(g, P[b * m + k], P[a * m + k])


@inner
def multiply(P: Any, m: Any, a: Any, g: Any) -> Any:
    """Row and column a times g."""
    for k in range(m):
        r = place(a, k, m)
        P[r] = P[r] * g
    P[a * m + a] = P[a * m + a] * g


@apart
def mix(P: Any, m: Any, a: Any, b: Any, coef: Any, c: Any, c1: Any, c2: Any) -> Any:
    """Rows and columns a and b mixed by a 2 × 2 matrix."""
    g0, g1, g2, g3 = coef[c], coef[c1], coef[c2], coef[c + 3]
    for k in range(m):
        if k != a and k != b:
            r, s = place(a, k, m), place(b, k, m)
            x, y = P[r], P[s]
            P[r] = fma(g0, x, g1 * y)
            P[s] = fma(g2, x, g3 * y)
    aa, ab, bb = P[a * m + a], P[place(a, b, m)], P[b * m + b]
    xa, xb, ya, yb = fma(g0, aa, g1 * ab), fma(g0, ab, g1 * bb), fma(g2, aa, g3 * ab), fma(g2, ab, g3 * bb)
    P[a * m + a] = fma(g0, xa, g1 * xb)
    P[place(a, b, m)] = fma(g2, xa, g3 * xb)
    P[b * m + b] = fma(g2, ya, g3 * yb)


@apart
def dense(P: Any, m: Any, slot: Any, first: Any, size: Any, coef: Any, c: Any, transpose: Any, work: Any) -> Any:
    """Rows and columns of `size` roles times a matrix; work (m m) holds G P."""
    for p in range(size):
        for k in range(m):
            x = filled(P, 0.0)
            for q in range(size):
                e = c + (q * size + p if transpose else p * size + q)
                x = fma(coef[e], P[place(slot[first + q], k, m)], x)
            work[p * m + k] = x
    for p in range(size):
        a = slot[first + p]
        for role in range(m):
            k, r = slot[role], role - first
            if r < 0 or r >= size:
                P[place(a, k, m)] = work[p * m + k]
            elif r >= p:
                x = filled(P, 0.0)
                for q in range(size):
                    e = c + (q * size + r if transpose else r * size + q)
                    x = fma(coef[e], work[p * m + slot[first + q]], x)
                P[place(a, k, m)] = x


@apart
def covariance_operation(
    ops: Any, o: Any, coef: Any, at: Any, slot: Any, P: Any, m: Any, transpose: Any, work: Any
) -> Any:
    """One linear operation on both sides of a symmetric matrix per lane: G P G' (transposed: G' P G)."""
    kind, i, j = ops[6 * o], ops[6 * o + 1], ops[6 * o + 2]
    c = ops[6 * o + 3] + at if ops[6 * o + 3] >= 0 else -1
    if kind == ADD:
        if transpose:
            add(P, m, slot[j], slot[i], coef, c)
        else:
            add(P, m, slot[i], slot[j], coef, c)
    elif kind == MUL:
        multiply(P, m, slot[i], coef[c])
    elif kind == MIX:
        if transpose:
            mix(P, m, slot[i], slot[j], coef, c, c + 2, c + 1)
        else:
            mix(P, m, slot[i], slot[j], coef, c, c + 1, c + 2)
    elif kind == DENSE:
        dense(P, m, slot, i, ops[6 * o + 4], coef, c, transpose, work)


@inner
def noise_operation(ops: Any, o: Any, coef: Any, at: Any, slot: Any, P: Any, m: Any) -> Any:
    """P_ij += extra · c."""
    r = place(slot[ops[6 * o + 1]], slot[ops[6 * o + 2]], m)
    P[r] = fma(filled(P, float(ops[6 * o + 4])), coef[at + ops[6 * o + 3]], P[r])
