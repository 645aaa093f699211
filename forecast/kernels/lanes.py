"""Lanes: series that advance together, one per element of a vector register.

A lane array has one axis of elements, each of them WIDTH (or more) numbers that lie side by side; an array of float64 is a
lane array of one lane. Kernels are written once, in elements of a `pointer` to such an array, arithmetic and the
functions below, and compiled for either: many series at once, or one. A number of a lane never depends on another lane, products and sums are fused
where the source says `fma` and nowhere else, and so a series has the same bits in any company.
The compiler is handed vectors and need not discover them: no test for overlapping arrays, no remainder loop.
Masks are numbers, 1 or 0. Eight float64 are one register of AVX-512, two of AVX2, four of NEON; a vector may take several registers.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import AVAILABLE

WIDTH = 8
LINE = 8  # numbers in a cache line
WIDEST = 16  # lanes where there are as many series: what is read of a program is read for more of them


def lane_array(count: int, wide: bool, width: int = WIDTH) -> Any:
    """Room for `count` elements of many lanes, or of one; no vector lies across two cache lines."""
    lanes = np.dtype([("lanes", np.float64, (width,))])
    return aligned((count * (width if wide else 1),)).view(lanes if wide else np.float64)


def aligned(shape: tuple[int, ...], kind: Any = np.float64) -> NDArray[Any]:
    """Zeros that begin where a cache line does."""
    size, bytes_ = math.prod(shape), np.dtype(kind).itemsize
    room = np.zeros(size + LINE * 8 // bytes_, kind)
    skip = -room.__array_interface__["data"][0] // bytes_ % (LINE * 8 // bytes_)
    return room[skip : skip + size].reshape(shape)


if AVAILABLE:
    from forecast.kernels.narrow import bracket, fetch, narrowed, widened, write_reached, write_whole
    from forecast.kernels.pointers import (
        abreast,
        filled,
        flags_at,
        floats_at,
        give,
        integers_at,
        lanes_at,
        lay,
        nothing,
        numbers_at,
        peek,
        pointer,
        poke,
        read,
        spread,
        summed,
        take,
        width,
        write,
    )
    from forecast.kernels.vectors import (
        above,
        absolute,
        exponent,
        exponential,
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

    abreast = absolute = flags_at = lanes_at = lay = same = spread = absent
    above = exponent = exponential = filled = fma = fnma = mantissa = peek = pick = pointer = poke = read = root = seen = absent
    bracket = fetch = floats_at = narrowed = widened = write_reached = write_whole = absent
    give = integers_at = nothing = numbers_at = some = summed = take = total = width = write = absent

__all__ = [
    "WIDEST",
    "WIDTH",
    "above",
    "abreast",
    "absolute",
    "aligned",
    "bracket",
    "exponent",
    "exponential",
    "fetch",
    "filled",
    "flags_at",
    "floats_at",
    "fma",
    "fnma",
    "give",
    "integers_at",
    "lane_array",
    "lanes_at",
    "lay",
    "mantissa",
    "narrowed",
    "nothing",
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
    "spread",
    "summed",
    "take",
    "total",
    "widened",
    "width",
    "write",
    "write_reached",
    "write_whole",
]
