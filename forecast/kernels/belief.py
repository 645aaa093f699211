"""Load and store the belief of a lane block between its place at rest and the kernel's working arrays.

At rest: mean (m B), covariance and diffuse part (n B), n = m (m + 1) / 2, upper triangle row by row in the order of
roles, so that a belief at rest knows no ring phase; tally (4 B): observed rows, diffuse rank, smallest and largest
observed value. Lanes past the last series repeat it: their numbers are ordinary and never stored.
"""

from typing import Any

from forecast.kernels.jit import jit


@jit
def load_rows(source: Any, first: Any, W: Any, target: Any) -> Any:
    """Rows (R B) of the series first … first+W-1 into (R W)."""
    B = source.shape[1]
    full = W if first + W <= B else B - first
    for r in range(source.shape[0]):
        for l in range(full):
            target[r, l] = source[r, first + l]
        for l in range(full, W):
            target[r, l] = source[r, B - 1]


@jit
def load_symmetric(source: Any, first: Any, W: Any, target: Any) -> Any:
    """Upper triangles (n B) of the series first … first+W-1 into (m m W), roles in their own slots."""
    m, B, k = target.shape[0], source.shape[1], 0
    full = W if first + W <= B else B - first
    for i in range(m):
        for j in range(i, m):
            for l in range(full):
                target[i, j, l] = source[k, first + l]
            for l in range(full, W):
                target[i, j, l] = source[k, B - 1]
            k += 1


@jit
def store_rows(source: Any, slot: Any, first: Any, w: Any, target: Any) -> Any:
    """The mean back to rest, in the order of roles."""
    for i in range(source.shape[0]):
        a = slot[i]
        for l in range(w):
            target[i, first + l] = source[a, l]


@jit
def store_symmetric(source: Any, slot: Any, first: Any, w: Any, target: Any) -> Any:
    """The covariance back to rest, in the order of roles."""
    m, k = source.shape[0], 0
    for i in range(m):
        for j in range(i, m):
            a, b = slot[i], slot[j]
            x, y = (a, b) if a < b else (b, a)
            for l in range(w):
                target[k, first + l] = source[x, y, l]
            k += 1


@jit
def load_values(source: Any, first: Any, W: Any, target: Any) -> Any:
    """Values (B T C) of the series first … first+W-1 into (T C W)."""
    last = source.shape[0] - 1
    for l in range(W):
        s = first + l if first + l < last else last
        for t in range(source.shape[1]):
            for c in range(source.shape[2]):
                target[t, c, l] = source[s, t, c]


@jit
def store_values(source: Any, first: Any, w: Any, target: Any) -> Any:
    """Values (T C W) back into (B T C)."""
    for l in range(w):
        s = first + l
        for t in range(target.shape[1]):
            for c in range(target.shape[2]):
                target[s, t, c] = source[t, c, l]


@jit
def restart_lane(slot: Any, l: Any, A: Any, P: Any, D: Any, A0: Any, P0: Any, D0: Any) -> Any:
    """A lane whose first observed row has come takes the initial belief, whatever became of it since."""
    m = slot.shape[0]
    for i in range(m):
        A[slot[i], l] = A0[i, l]
        for j in range(i, m):
            a, b = slot[i], slot[j]
            x, y = (a, b) if a < b else (b, a)
            P[x, y, l] = P0[i, j, l]
            D[x, y, l] = D0[i, j, l]
