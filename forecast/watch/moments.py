"""Words and numbers as moments: microseconds since 1970 in UTC.

ISO 8601 with or without an offset (a zone may be given for those without), or seconds, milliseconds, microseconds,
nanoseconds since 1970, told apart row by row by their size: seconds up to 1e10, milliseconds from 1e11, microseconds from 1e14,
nanoseconds from 1e17. A wall time that comes twice is the first pass unless the sensor has already had it; one that does not
exist is put aside.
"""

import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from forecast.watch.readings import Flags, Ints

EPOCHS = ((1e8, 1e10, 1_000_000.0), (1e11, 1e13, 1000.0), (1e14, 1e16, 1.0), (1e17, 9.2e18, 1e-3))
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NONE = np.iinfo(np.int64).min  # no moment


class Moments(NamedTuple):
    """Moments of words; wall times are as the clock on the wall shows them."""

    stamp: Ints  # NONE where there is none
    wall: Flags


def moments(words: pa.Array) -> Moments:
    """The moments that text cells stand for."""
    try:
        return Moments(of_numbers(words.cast(pa.int64()).to_numpy()), np.zeros(len(words), dtype=bool))
    except (pa.ArrowInvalid, ValueError):
        pass
    for kind, wall in ((pa.timestamp("us"), True), (pa.timestamp("us", "UTC"), False)):
        try:
            stamps = words.cast(kind).cast(pa.int64()).to_numpy()
            return Moments(stamps, np.full(len(words), wall))
        except (pa.ArrowInvalid, ValueError):
            continue
    pairs = [one_moment(word) for word in words.to_pylist()]
    return Moments(
        np.array([stamp for stamp, _ in pairs], dtype=np.int64), np.array([wall for _, wall in pairs], dtype=bool)
    )


def of_numbers(values: Ints | np.ndarray) -> Ints:
    """Moments of times since 1970 in the unit that their size says."""
    size = np.abs(values.astype(np.float64))
    stamps = np.full(len(values), NONE, dtype=np.int64)
    for low, high, factor in EPOCHS:
        hit = (size >= low) & (size < high)
        if not hit.any():
            continue
        if values.dtype.kind == "i":
            stamps[hit] = values[hit] * int(factor) if factor >= 1 else values[hit] // 1000
        else:
            stamps[hit] = np.round(values[hit] * factor).astype(np.int64)
    return stamps


@lru_cache(maxsize=4096)
def one_moment(word: str | None) -> tuple[int, bool]:
    """Moment of one word, and whether it is wall time."""
    if not word:
        return NONE, False
    word = word.strip()
    try:
        number = float(word) if "_" not in word else float("nan")
        return (int(of_numbers(np.array([number]))[0]) if np.isfinite(number) else NONE), False
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        return NONE, False
    wall = moment.tzinfo is None
    return ((moment.replace(tzinfo=UTC) if wall else moment) - EPOCH) // timedelta(microseconds=1), wall


def passes(stamps: Ints, zone: str) -> tuple[Ints, Ints]:
    """UTC of wall times as the first and the second pass of an hour that comes twice; NONE where an hour does not exist."""
    there = zoneinfo.ZoneInfo(zone)
    unique, back = np.unique(stamps // 900_000_000, return_inverse=True)  # zones change at quarters of an hour
    early, late = np.zeros(len(unique), dtype=np.int64), np.zeros(len(unique), dtype=np.int64)
    for i, quarter in enumerate(unique.tolist()):
        early[i], late[i] = _offsets(quarter, there)
    first = np.where(early[back] == NONE, NONE, stamps - early[back])
    return first, np.where(late[back] == NONE, NONE, stamps - late[back])


@lru_cache(maxsize=65536)
def _offsets(quarter: int, zone: zoneinfo.ZoneInfo) -> tuple[int, int]:
    """UTC offsets in microseconds of a quarter of an hour on the wall, in its first and second pass."""
    naive = datetime(1970, 1, 1) + timedelta(microseconds=quarter * 900_000_000)
    found = []
    for fold in (0, 1):
        moment = naive.replace(tzinfo=zone, fold=fold)
        offset = moment.utcoffset() or timedelta(0)
        exists = moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) == naive
        found.append(offset // timedelta(microseconds=1) if exists else NONE)
    return found[0], found[1]
