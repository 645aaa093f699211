"""The shapes of words for times, and whole numbers put together to a time.

A shape names its groups: y m d (year, month, day), a b (the two numbers before a year, in either order), n (a month's
name), q (quarter), w e (ISO week and weekday), h i s f p z (hour, minute, second, fraction, half of the day, zone).
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.series.clock import DAY, MONTHS, month_days

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_CLOCK = (
    r"(?:[T ,]+(?P<h>\d{1,2})(?::?(?P<i>\d{2})(?::?(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?)?\s*(?P<p>[ap])?\.?(?:m\.?)?"
    r"\s*(?P<z>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?\s*$"
)
_MONTH = r"(?P<n>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
SHAPES = {
    "year first": r"(?i)^\s*(?P<y>\d{4})[-/.](?P<m>\d{1,2})(?:[-/.](?P<d>\d{1,2}))?" + _CLOCK,
    "compact": r"(?i)^\s*(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})" + _CLOCK,
    "year last": r"(?i)^\s*(?P<a>\d{1,2})(?P<c>[-/.])(?P<b>\d{1,2})[-/.](?P<y>\d{4}|\d{2})" + _CLOCK,
    "day and month's name": r"(?i)^\s*(?:[a-z]+,?\s+)?(?P<d>\d{1,2})(?:st|nd|rd|th)?[-/. ]*"
    + _MONTH
    + r"[-/., ]*(?P<y>\d{4}|\d{2})"
    + _CLOCK,
    "month's name and day": r"(?i)^\s*(?:[a-z]+,\s+)?"
    + _MONTH
    + r"[-/. ]+(?P<d>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<y>\d{4})"
    + _CLOCK,
    "month's name": r"(?i)^\s*" + _MONTH + r"[-/., ]*(?P<y>\d{4}|\d{2})\s*$",
    "quarter": r"(?i)^\s*(?P<y>\d{4})[-/ ]?Q(?P<q>[1-4])\s*$",
    "quarter first": r"(?i)^\s*Q(?P<q>[1-4])[-/ ]?(?P<y>\d{4})\s*$",
    "week": r"(?i)^\s*(?P<y>\d{4})-?W(?P<w>\d{2})(?:-?(?P<e>[1-7]))?\s*$",
}


def of_fields(fields: dict[str, pa.Array], day: str, month: str) -> tuple[Ints, Flags, Flags]:
    """Stamps, whether they exist, and whether they carry an offset."""

    def whole(name: str, default: int) -> Ints:
        if name not in fields:
            return np.full(len(fields["y"]), default, dtype=np.int64)
        texts = pc.if_else(pc.equal(fields[name], ""), str(default), fields[name])
        return np.asarray(texts.cast(pa.int64()).to_numpy(zero_copy_only=False))

    year = whole("y", 0)
    year = np.where(year < 69, year + 2000, np.where(year < 100, year + 1900, year))
    months = whole(month if month in fields else "m", 1)
    if "n" in fields:
        months = (
            pc.index_in(pc.utf8_upper(fields["n"]), value_set=pa.array(MONTHS))
            .to_numpy(zero_copy_only=False)
            .astype(np.int64)
            + 1
        )
    if "q" in fields:
        months = whole("q", 1) * 3 - 2
    hour = whole("h", 0)
    zone = fields["z"] if "z" in fields else pa.array([""] * len(year))
    fraction = np.zeros(len(year), dtype=np.int64)
    if "p" in fields:
        half = pc.utf8_lower(fields["p"])
        late, early = (pc.equal(half, c).to_numpy(zero_copy_only=False) for c in "pa")
        hour = np.where((late | early) & (hour == 12), 0, hour) + 12 * late
        fraction = (
            pc.utf8_slice_codeunits(pc.utf8_rpad(fields["f"], 6, "0"), 0, 6)
            .cast(pa.int64())
            .to_numpy(zero_copy_only=False)
        )
    stamps, ok = assemble(
        year, months, whole(day if day in fields else "d", 1), hour, whole("i", 0), whole("s", 0), fraction
    )
    if "w" in fields:
        fourth = month_days((year - 1970) * 12) + 3  # of January, which lies in week 1
        monday = fourth - (fourth + 3) % 7
        stamps, ok = (
            (monday + (whole("w", 1) - 1) * 7 + whole("e", 1) - 1) * DAY,
            (whole("w", 1) >= 1) & (whole("w", 1) <= 53),
        )
    return stamps - _offset(zone), ok, pc.not_equal(zone, "").to_numpy(zero_copy_only=False)


def _offset(zone: pa.Array) -> Ints:
    """Microseconds of offsets such as Z, +02:00 or -0530."""
    digits = pc.replace_substring_regex(zone, r"[^0-9]", "")
    sign = np.where(pc.starts_with(zone, "-").to_numpy(zero_copy_only=False), -1, 1)
    padded = pc.utf8_rpad(digits, 4, "0").cast(pa.int64()).to_numpy(zero_copy_only=False)
    return np.asarray(sign * ((padded // 100) * 60 + padded % 100) * 60_000_000)


def assemble(
    year: Ints, month: Ints, day: Ints, hour: Ints, minute: Ints, second: Ints, micro: Ints
) -> tuple[Ints, Flags]:
    """Microseconds since 1970, and whether there is such a time; 24:00 is the next day's midnight."""
    months = (year - 1970) * 12 + np.clip(month, 1, 12) - 1
    first = month_days(months)
    ok = (month >= 1) & (month <= 12) & (day >= 1) & (day <= month_days(months + 1) - first)
    ok &= (hour < 24) | ((hour == 24) & (minute == 0) & (second == 0))
    ok &= (hour >= 0) & (minute >= 0) & (minute < 60) & (second >= 0) & (second < 60)
    return (first + day - 1) * DAY + ((hour * 60 + minute) * 60 + second) * 1_000_000 + micro, ok
