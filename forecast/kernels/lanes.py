"""Lanes: series that advance together, one per element of a vector register.

A lane array has one axis of `LANE` elements, each of them WIDTH numbers that lie side by side; an array of float64 is a
lane array of one lane. Kernels are written once, in elements of a `pointer` to such an array, arithmetic and the
functions below, and compiled for either: many series at once, or one. A number of a lane never depends on another lane, products and sums are fused
where the source says `fma` and nowhere else, and so a series has the same bits in any company.
The compiler is handed vectors and need not discover them: no test for overlapping arrays, no remainder loop.
Masks are numbers, 1 or 0. Eight float64 are one register of AVX-512, two of AVX2, four of NEON.
"""

from typing import Any

import numpy as np

from forecast.kernels.jit import AVAILABLE

WIDTH = 8
LINE = 8  # numbers in a cache line
LANE = np.dtype([("lanes", np.float64, (WIDTH,))])


def lane_array(count: int, wide: bool) -> Any:
    """Room for `count` elements of many lanes, or of one; no vector lies across two cache lines."""
    size = count * (WIDTH if wide else 1)
    room = np.zeros(size + LINE)
    skip = -room.__array_interface__["data"][0] // 8 % LINE
    return room[skip : skip + size].view(LANE if wide else np.float64)


if AVAILABLE:
    from forecast.kernels.pointers import (
        filled,
        flags_at,
        integers_at,
        lanes_at,
        numbers_at,
        peek,
        pointer,
        poke,
        read,
        width,
        write,
    )
    from forecast.kernels.vectors import (
        above,
        absolute,
        exponent,
        fma,
        fnma,
        mantissa,
        pick,
        polynomial,
        root,
        same,
        seen,
        some,
        total,
    )
else:

    def absent(*_: Any) -> Any:
        """No kernel runs without the compiler."""
        raise ModuleNotFoundError("numba")

    def polynomial(*_: float) -> Any:
        """Nor any function of kernels."""
        return absent

    absolute = flags_at = lanes_at = same = absent
    above = exponent = filled = fma = fnma = mantissa = peek = pick = pointer = poke = read = root = seen = absent
    integers_at = numbers_at = some = total = width = write = absent

__all__ = [
    "LANE",
    "WIDTH",
    "above",
    "absolute",
    "exponent",
    "filled",
    "flags_at",
    "fma",
    "fnma",
    "integers_at",
    "lane_array",
    "lanes_at",
    "mantissa",
    "numbers_at",
    "peek",
    "pick",
    "pointer",
    "poke",
    "polynomial",
    "read",
    "root",
    "same",
    "seen",
    "some",
    "total",
    "width",
    "write",
]
