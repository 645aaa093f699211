"""Measurement update of a lane block by one channel: usual, exact diffuse, missing, robust.

    v = y - Z a,  M = P Z',  F = Z M + R;   a += M v / F,  P -= M M' / F,  l -= ½ (log F + v² / F)
While the diffuse part D of the covariance is not exhausted and F∞ = Z D Z' > tolerance, with M∞ = D Z', K = M∞ / F∞:
    a += K v,  P += K K' F - K M' - M K',  D -= K M∞',  l -= ½ log F∞
Each lane takes its own branch by masks. A lane whose rank has come to 0 has D = 0 from then on, exactly.
Pairs of states are taken in the order of roles, not of slots: the same bits wherever a ring stands.
Source: Durbin & Koopman (2012), §4.3, §5.2, §6.4. Shapes as in `operations`; reads rows are (channel, role,
coefficient, tape).
"""

from typing import Any

from forecast.kernels.jit import jit

TOLERANCE = 1e-10


@jit
def observe(reads: Any, low: Any, high: Any, coef: Any, slot: Any, A: Any, predicted: Any) -> Any:
    """Z a."""
    W = A.shape[1]
    for l in range(W):
        predicted[l] = 0.0
    for z in range(low, high):
        a, c = slot[reads[z, 1]], reads[z, 2]
        if c < 0:
            for l in range(W):
                predicted[l] += A[a, l]
        else:
            for l in range(W):
                predicted[l] += coef[c, l] * A[a, l]


@jit
def gain(reads: Any, low: Any, high: Any, coef: Any, slot: Any, P: Any, M: Any, F: Any, read_only: Any) -> Any:
    """M = P Z' and F = Z M; only the rows that F needs where nothing is observed."""
    m, W = P.shape[0], P.shape[2]
    rows = high - low if read_only else m
    for n in range(rows):
        j = slot[reads[low + n, 1]] if read_only else n
        a, c = slot[reads[low, 1]], reads[low, 2]
        x, y = (a, j) if a < j else (j, a)
        start = low + 1
        if c >= 0:
            for l in range(W):
                M[j, l] = coef[c, l] * P[x, y, l]
        elif start < high and reads[start, 2] < 0:
            b = slot[reads[start, 1]]
            r, s = (b, j) if b < j else (j, b)
            for l in range(W):
                M[j, l] = P[x, y, l] + P[r, s, l]
            start += 1
        else:
            for l in range(W):
                M[j, l] = P[x, y, l]
        for z in range(start, high):
            a, c = slot[reads[z, 1]], reads[z, 2]
            x, y = (a, j) if a < j else (j, a)
            if c < 0:
                for l in range(W):
                    M[j, l] += P[x, y, l]
            else:
                for l in range(W):
                    M[j, l] += coef[c, l] * P[x, y, l]
    observe(reads, low, high, coef, slot, M, F)


@jit
def usual(slot: Any, A: Any, P: Any, M: Any, v: Any, iF: Any, K: Any) -> Any:
    """a += M v / F, P -= M M' / F; iF is 0 where there is nothing to learn."""
    m, W = A.shape
    for i in range(m):
        a = slot[i]
        for l in range(W):
            K[l] = M[a, l] * iF[l]
            A[a, l] += K[l] * v[l]
        for j in range(i, m):
            b = slot[j]
            x, y = (a, b) if a < b else (b, a)
            for l in range(W):
                P[x, y, l] -= K[l] * M[b, l]


@jit
def diffuse(slot: Any, A: Any, P: Any, D: Any, M: Any, F: Any, Mi: Any, iFi: Any, v: Any, keep: Any, G: Any) -> Any:
    """The diffuse branch; iFi is 1/F∞ in the lanes that take it and 0 elsewhere, where not a bit changes."""
    m, W = A.shape
    for i in range(m):
        for l in range(W):
            G[i, l] = Mi[i, l] * iFi[l]
            A[i, l] += G[i, l] * v[l]
    for i in range(m):
        a = slot[i]
        for j in range(i, m):
            b = slot[j]
            x, y = (a, b) if a < b else (b, a)
            for l in range(W):
                P[x, y, l] += G[a, l] * (G[b, l] * F[l] - M[b, l]) - M[a, l] * G[b, l]
                D[x, y, l] = (D[x, y, l] - G[a, l] * Mi[b, l]) * keep[l]
