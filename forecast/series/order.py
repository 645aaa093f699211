"""A permutation of 0 … N-1 keyed by (seed, epoch), any place of which is computed alone.

A Feistel network over the next even number of bits, walked until it falls below N (Black and Rogaway 2002, Ciphers with
arbitrary finite domains, §3), with the finaliser of SplitMix64 as its round function. No place depends on another, so a
run that is resumed at any step sees what an uninterrupted one sees, and nothing is stored or drawn.
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

ROUNDS = 6
Index: TypeAlias = NDArray[np.int64]


def permuted(index: Index, count: int, seed: int, epoch: int) -> Index:
    """Places of these indices in the permutation of 0 … count-1 that (seed, epoch) keys."""
    half = max((int(count - 1).bit_length() + 1) // 2, 1)
    # Arrays of one element, for only scalars warn of the overflow that is meant here.
    seeds = [(seed * 0x9E3779B97F4A7C15 + epoch * 0xD1B54A32D192ED03 + r) % 2**64 for r in range(ROUNDS)]
    keys = [_mix(np.array([key], dtype=np.uint64)) for key in seeds]
    places = index.astype(np.uint64)
    outside = np.ones(len(places), dtype=bool)
    while outside.any():
        places[outside] = _feistel(places[outside], np.uint64(half), keys)
        outside = places >= count
    return places.astype(np.int64)


def _feistel(places: NDArray[np.uint64], half: np.uint64, keys: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = places >> half, places & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << half) | right


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64: every bit of the result depends on every bit of x."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
