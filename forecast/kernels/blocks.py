"""Blocks: the lanes of a few series between their place at rest and the working memory of a kernel.

At rest: mean (m B), covariance and diffuse part (n B), n = m (m + 1) / 2, upper triangle row by row in the order of
roles, so that a belief at rest knows no ring phase; values (B T C). A block holds the series block[0 … W-1], a pointer
like all else here; lanes past the last series repeat it: their numbers are ordinary and never stored. Where the series
lie side by side, whole vectors are moved (`together`).
"""

from typing import Any

from forecast.kernels.jit import apart, inner
from forecast.kernels.lanes import fnma, peek, pick, poke, read, width, write
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
def load_element(source: Any, at: Any, block: Any, target: Any, k: Any) -> Any:
    """The row that begins at `at` of an array (R B) into element k, lane by lane."""
    for l in range(width(target)):
        poke(target, k, l, source[at + block[l]])


@inner
def store_element(source: Any, k: Any, block: Any, full: Any, target: Any, at: Any) -> Any:
    """Element k back into that row, the first `full` lanes of it."""
    for l in range(full):
        target[at + block[l]] = peek(source, k, l)


@inner
def load_rows(source: Any, rows: Any, B: Any, block: Any, together: Any, target: Any) -> Any:
    """An array (R B) into as many elements."""
    if together:
        for r in range(rows):
            target[r] = read(target, source, r * B + block[0])
    else:
        for r in range(rows):
            load_element(source, r * B, block, target, r)


@inner
def store_rows(source: Any, rows: Any, block: Any, together: Any, full: Any, target: Any, B: Any) -> Any:
    """Elements back into an array (R B)."""
    for r in range(rows):
        if together:
            write(target, r * B + block[0], source[r])
        else:
            store_element(source, r, block, full, target, r * B)


@inner
def store_roles(source: Any, slot: Any, m: Any, block: Any, together: Any, full: Any, target: Any, B: Any) -> Any:
    """The mean back to rest, in the order of roles."""
    for i in range(m):
        if together:
            write(target, i * B + block[0], source[slot[i]])
        else:
            store_element(source, slot[i], block, full, target, i * B)


@apart
def load_symmetric(source: Any, m: Any, B: Any, block: Any, together: Any, target: Any) -> Any:
    """Upper triangles (n B) into (m m), roles in their own slots."""
    at, first = 0, block[0]
    for i in range(m):
        if together:
            for j in range(i, m):
                target[i * m + j] = read(target, source, at + first)
                at += B
        else:
            for j in range(i, m):
                load_element(source, at, block, target, i * m + j)
                at += B


@apart
def store_symmetric(source: Any, slot: Any, m: Any, block: Any, together: Any, full: Any, target: Any, B: Any) -> Any:
    """The covariance back to rest, in the order of roles."""
    at, first = 0, block[0]
    for i in range(m):
        a = slot[i]
        if together:
            for j in range(i, m):
                b = slot[j]
                write(target, at + first, source[min(a, b) * m + max(a, b)])
                at += B
        else:
            for j in range(i, m):
                store_element(source, place(a, slot[j], m), block, full, target, at)
                at += B


@apart
def store_learned(
    source: Any, G: Any, slot: Any, m: Any, block: Any, together: Any, full: Any, target: Any, B: Any
) -> Any:
    """The same of source - g g', in one go."""
    at, first = 0, block[0]
    for i in range(m):
        a = slot[i]
        g = G[a]
        for j in range(i, m):
            b = slot[j]
            k = place(a, b, m)
            learned = fnma(g, G[b], source[k])
            if together:
                write(target, at + first, learned)
            else:
                source[k] = learned
                store_element(source, k, block, full, target, at)
            at += B


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
