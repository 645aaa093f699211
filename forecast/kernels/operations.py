"""Primitive operations on the belief of a lane block: a transition x' = G x + w is a short list of them.

Shapes: mean A (m W); covariance P (m m W), upper triangle only, in memory slots; slot (m) tells in which memory slot
the state with a given role lies: a ring turns by turning that map, no number moves. Coefficients coef (K W); index -1
means one. An operation is a row (kind, i, j, c, extra, tape):
    ADD    x_i += c x_j                                MUL    x_i *= c
    MIX    (x_i, x_j) = [[c0 c1] [c2 c3]] (x_i, x_j)   SHIFT  roles i … i+extra-1: k from k+1, the last from i
    NOISE  P_ij += extra · c                           DENSE  x = G x on the roles i … i+extra-1, G row by row from c
The transpose of ADD(i, j) is ADD(j, i), of MIX the one with c1 and c2 swapped: the adjoint pass runs the same code
backwards. Indices are written out, no slice is taken: a slice costs a reference count, and minutes of compile time.
"""

from typing import Any

from forecast.kernels.jit import jit

ADD, MUL, MIX, SHIFT, NOISE, DENSE = range(6)


@jit
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


@jit
def copy(source: Any, target: Any) -> Any:
    """target = source, for arrays (R W)."""
    for r in range(target.shape[0]):
        for l in range(target.shape[1]):
            target[r, l] = source[r, l]


@jit
def mean_operation(ops: Any, o: Any, coef: Any, slot: Any, A: Any, transpose: Any, work: Any) -> Any:
    """One linear operation on a vector per lane (transposed: on its adjoint)."""
    kind, i, j, c = ops[o, 0], ops[o, 1], ops[o, 2], ops[o, 3]
    W = A.shape[1]
    if kind == ADD:
        a, b = (slot[j], slot[i]) if transpose else (slot[i], slot[j])
        if c < 0:
            for l in range(W):
                A[a, l] += A[b, l]
        else:
            for l in range(W):
                A[a, l] += coef[c, l] * A[b, l]
    elif kind == MUL:
        a = slot[i]
        for l in range(W):
            A[a, l] *= coef[c, l]
    elif kind == MIX:
        a, b = slot[i], slot[j]
        c1, c2 = (c + 2, c + 1) if transpose else (c + 1, c + 2)
        for l in range(W):
            kept = A[a, l]
            A[a, l] = coef[c, l] * kept + coef[c1, l] * A[b, l]
            A[b, l] = coef[c2, l] * kept + coef[c + 3, l] * A[b, l]
    elif kind == DENSE:
        size = ops[o, 4]
        for p in range(size):
            for l in range(W):
                work[p, 0, l] = 0.0
            for q in range(size):
                e, b = c + (q * size + p if transpose else p * size + q), slot[i + q]
                for l in range(W):
                    work[p, 0, l] += coef[e, l] * A[b, l]
        for p in range(size):
            a = slot[i + p]
            for l in range(W):
                A[a, l] = work[p, 0, l]


@jit
def _add(P: Any, a: Any, b: Any, coef: Any, c: Any) -> Any:
    """Row and column a += c · row and column b."""
    m, W = P.shape[0], P.shape[2]
    x, y = (a, b) if a < b else (b, a)
    if c < 0:
        for l in range(W):
            P[a, a, l] += 2.0 * P[x, y, l] + P[b, b, l]
    else:
        for l in range(W):
            P[a, a, l] += coef[c, l] * (2.0 * P[x, y, l] + coef[c, l] * P[b, b, l])
    for k in range(m):
        if k != a:
            r, s = (a, k) if a < k else (k, a)
            x, y = (b, k) if b < k else (k, b)
            if c < 0:
                for l in range(W):
                    P[r, s, l] += P[x, y, l]
            else:
                for l in range(W):
                    P[r, s, l] += coef[c, l] * P[x, y, l]


@jit
def _multiply(P: Any, a: Any, coef: Any, c: Any) -> Any:
    """Row and column a times c."""
    for k in range(P.shape[0]):
        r, s = (a, k) if a < k else (k, a)
        for l in range(P.shape[2]):
            P[r, s, l] *= coef[c, l]
    for l in range(P.shape[2]):
        P[a, a, l] *= coef[c, l]


@jit
def _mix(P: Any, a: Any, b: Any, coef: Any, c: Any, c1: Any, c2: Any) -> Any:
    """Rows and columns a and b mixed by a 2 × 2 matrix."""
    m, W, c3 = P.shape[0], P.shape[2], c + 3
    for k in range(m):
        if k != a and k != b:
            r, s = (a, k) if a < k else (k, a)
            x, y = (b, k) if b < k else (k, b)
            for l in range(W):
                kept = P[r, s, l]
                P[r, s, l] = coef[c, l] * kept + coef[c1, l] * P[x, y, l]
                P[x, y, l] = coef[c2, l] * kept + coef[c3, l] * P[x, y, l]
    x, y = (a, b) if a < b else (b, a)
    for l in range(W):
        aa, ab, bb = P[a, a, l], P[x, y, l], P[b, b, l]
        g0, g1, g2, g3 = coef[c, l], coef[c1, l], coef[c2, l], coef[c3, l]
        P[a, a, l] = g0 * (g0 * aa + 2.0 * g1 * ab) + g1 * g1 * bb
        P[x, y, l] = g0 * (g2 * aa + g3 * ab) + g1 * (g2 * ab + g3 * bb)
        P[b, b, l] = g2 * (g2 * aa + 2.0 * g3 * ab) + g3 * g3 * bb


@jit
def _dense(P: Any, slot: Any, first: Any, size: Any, coef: Any, c: Any, transpose: Any, work: Any) -> Any:
    """Rows and columns of `size` roles times a matrix; work (m m W) holds G P."""
    m, W = P.shape[0], P.shape[2]
    for p in range(size):
        for k in range(m):
            for l in range(W):
                work[p, k, l] = 0.0
            for q in range(size):
                e, b = c + (q * size + p if transpose else p * size + q), slot[first + q]
                x, y = (b, k) if b < k else (k, b)
                for l in range(W):
                    work[p, k, l] += coef[e, l] * P[x, y, l]
    for p in range(size):
        a = slot[first + p]
        for role in range(m):
            k = slot[role]
            x, y = (a, k) if a < k else (k, a)
            if role < first or role >= first + size:
                for l in range(W):
                    P[x, y, l] = work[p, k, l]
            elif role - first >= p:
                r = role - first
                for l in range(W):
                    P[x, y, l] = 0.0
                for q in range(size):
                    e, b = c + (q * size + r if transpose else r * size + q), slot[first + q]
                    for l in range(W):
                        P[x, y, l] += coef[e, l] * work[p, b, l]


@jit
def covariance_operation(ops: Any, o: Any, coef: Any, slot: Any, P: Any, transpose: Any, work: Any) -> Any:
    """One linear operation on both sides of a symmetric matrix per lane: G P G' (transposed: G' P G)."""
    kind, i, j, c = ops[o, 0], ops[o, 1], ops[o, 2], ops[o, 3]
    if kind == ADD:
        a, b = (slot[j], slot[i]) if transpose else (slot[i], slot[j])
        _add(P, a, b, coef, c)
    elif kind == MUL:
        _multiply(P, slot[i], coef, c)
    elif kind == MIX:
        c1, c2 = (c + 2, c + 1) if transpose else (c + 1, c + 2)
        _mix(P, slot[i], slot[j], coef, c, c1, c2)
    elif kind == DENSE:
        _dense(P, slot, i, ops[o, 4], coef, c, transpose, work)


@jit
def noise_operation(ops: Any, o: Any, coef: Any, slot: Any, P: Any) -> Any:
    """P_ij += extra · c."""
    a, b, c, sign = slot[ops[o, 1]], slot[ops[o, 2]], ops[o, 3], float(ops[o, 4])
    x, y = (a, b) if a < b else (b, a)
    for l in range(P.shape[2]):
        P[x, y, l] += sign * coef[c, l]
