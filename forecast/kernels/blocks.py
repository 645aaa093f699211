"""Blocks: the lanes of a few series between their place at rest and the working memory of a kernel.

At rest: mean (m B), covariance and diffuse part (n B), n = m (m + 1) / 2, upper triangle row by row in the order of
roles, so that a belief at rest knows no ring phase; values (B T C). A block holds the series block[0 … W-1], a pointer
like all else here; lanes past the last series repeat it: their numbers are ordinary and never stored. Where the series
lie side by side, whole vectors are moved (`together`).
"""

from typing import Any

from forecast.kernels.jit import apart, inner
from forecast.kernels.lanes import peek, pick, poke, read, width, write
from forecast.kernels.operations import place

STRETCH = 64  # rows


@inner
def choose(which: Any, count: Any, first: Any, W: Any, block: Any) -> Any:
    """The series of the block that begins with which[first] of `count`; whether they lie side by side."""
    together = first + W <= count
    for l in range(W):
        block[l] = which[first + l if first + l < count else count - 1]
        together = together and block[l] == block[0] + l
    return together


@inner
def load_element(source: Any, r: Any, B: Any, block: Any, together: Any, target: Any, k: Any) -> Any:
    """Row r of an array (R B) into element k."""
    if together:
        target[k] = read(target, source, r * B + block[0])
    else:
        for l in range(width(target)):
            poke(target, k, l, source[r * B + block[l]])


@inner
def store_element(source: Any, k: Any, block: Any, together: Any, full: Any, target: Any, r: Any, B: Any) -> Any:
    """Element k back into row r of an array (R B), the first `full` lanes of it."""
    if together:
        write(target, r * B + block[0], source[k])
    else:
        for l in range(full):
            target[r * B + block[l]] = peek(source, k, l)


@inner
def load_rows(source: Any, rows: Any, B: Any, block: Any, together: Any, target: Any) -> Any:
    """An array (R B) into as many elements."""
    for r in range(rows):
        load_element(source, r, B, block, together, target, r)


@inner
def store_rows(source: Any, rows: Any, block: Any, together: Any, full: Any, target: Any, B: Any) -> Any:
    """Elements back into an array (R B)."""
    for r in range(rows):
        store_element(source, r, block, together, full, target, r, B)


@inner
def store_roles(source: Any, slot: Any, m: Any, block: Any, together: Any, full: Any, target: Any, B: Any) -> Any:
    """The mean back to rest, in the order of roles."""
    for i in range(m):
        store_element(source, slot[i], block, together, full, target, i, B)


@inner
def load_symmetric(source: Any, m: Any, B: Any, block: Any, together: Any, target: Any) -> Any:
    """Upper triangles (n B) into (m m), roles in their own slots."""
    k = 0
    for i in range(m):
        for j in range(i, m):
            load_element(source, k, B, block, together, target, i * m + j)
            k += 1


@inner
def store_symmetric(source: Any, slot: Any, m: Any, block: Any, together: Any, full: Any, target: Any, B: Any) -> Any:
    """The covariance back to rest, in the order of roles."""
    k = 0
    for i in range(m):
        for j in range(i, m):
            store_element(source, place(slot[i], slot[j], m), block, together, full, target, k, B)
            k += 1


@inner
def load_values(source: Any, rows: Any, block: Any, target: Any) -> Any:
    """Values (B T C) into (T C); rows: T C. In stretches of which all lanes fit into the first cache."""
    for first in range(0, rows, STRETCH):
        for l in range(width(target)):
            for k in range(first, min(first + STRETCH, rows)):
                poke(target, k, l, source[block[l] * rows + k])


@inner
def store_values(source: Any, rows: Any, block: Any, full: Any, target: Any) -> Any:
    """(T C) back into values (B T C)."""
    for l in range(full):
        for k in range(rows):
            target[block[l] * rows + k] = peek(source, k, l)


@apart
def restart(mask: Any, slot: Any, m: Any, belief: Any, initial: Any) -> Any:
    """The lanes of the mask take the initial belief, whatever became of theirs since."""
    A, P, D = belief
    A0, P0, D0 = initial
    for i in range(m):
        A[slot[i]] = pick(mask, A0[i], A[slot[i]])
        for j in range(i, m):
            a, b = place(slot[i], slot[j], m), i * m + j
            P[a] = pick(mask, P0[b], P[a])
            D[a] = pick(mask, D0[b], D[a])
