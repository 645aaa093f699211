"""A row against the rows one, two … seasons before it, and against those just before it.

    usual = median of the values of this row in the last SEASONS seasons;   d = r - usual, r the reading in calm units
    w = r - that of SEASONS seasons before, a week of days
    off       |moving mean of d| or that of w, the smaller one, over 5 and over 15 rows           the season is broken
    jump      moving mean, 4 rows, of |d - moving mean of d over 5 rows|, at most |d|             what came at once
    unrest    moving mean, 15 rows, of |r - moving mean of r over 30 rows|, at most |d|
(the way back to what is usual is no news, hence |d|)
each in the unit that its part of the season had on the calm rows. Shapes: r (B T C); season (B) rows; ring (B C SEASONS·P), the row t at
t mod SEASONS·season, P the longest season there is room for; level (B C LEVELS); rows (B); unit (B C STATISTICS PARTS), 1 where it is still to
be found; statistic (B T C STATISTICS), NaN where the reading is missing; part (B T) of the season.
"""

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
Whole = NDArray[np.int64]
SEASONS = 7
PARTS = 48
OFF, LATE, JUMP, UNREST = range(4)
STATISTICS = 4
FIVE, FIFTEEN, SUDDEN, THIRTY, RESTLESS, WEEK_FIVE, WEEK_FIFTEEN = range(7)
LEVELS = 7


@jit
def _usual(ring: Array, now: int, season: int) -> float:
    """The median of the values of this row in the seasons before; 0, that of calm rows, where there are none."""
    found = np.empty(SEASONS)
    seen = 0
    for k in range(1, SEASONS + 1):
        if now - k * season >= 0:
            x = ring[(now - k * season) % (SEASONS * season)]
            if x == x:
                found[seen] = x
                seen += 1
    return float(np.median(found[:seen])) if seen > 0 else 0.0


@jit
def seasonal(
    r: Array, season: Whole, unit: Array, ring: Array, level: Array, rows: Whole, statistic: Array, part: Whole
) -> None:
    """Fill statistic and part, and move the memory."""
    batch, number, channels = r.shape
    for b in range(batch):
        for t in range(number):
            now = rows[b]
            p = now % season[b] * PARTS // season[b]
            part[b, t] = p
            for c in range(channels):
                x, m, u = r[b, t, c], level[b, c], unit[b, c, :, p]
                usual, place = _usual(ring[b, c], now, season[b]), now % (SEASONS * season[b])
                before = ring[b, c, place] if now >= SEASONS * season[b] else usual
                ring[b, c, place] = x
                statistic[b, t, c] = np.nan
                if x != x:
                    continue
                d = x - usual
                w = x - before if before == before else d
                sudden = min(abs(d - m[FIVE]), abs(d)) / u[JUMP]
                restless = min(abs(x - m[THIRTY]), abs(d)) / u[UNREST]
                m[FIVE] += (d - m[FIVE]) * 2 / 6
                m[FIFTEEN] += (d - m[FIFTEEN]) * 2 / 16
                m[WEEK_FIVE] += (w - m[WEEK_FIVE]) * 2 / 6
                m[WEEK_FIFTEEN] += (w - m[WEEK_FIFTEEN]) * 2 / 16
                m[THIRTY] += (x - m[THIRTY]) * 2 / 31
                m[SUDDEN] += (sudden - m[SUDDEN]) * 2 / 5
                m[RESTLESS] += (restless - m[RESTLESS]) * 2 / 16
                statistic[b, t, c, OFF] = min(abs(m[FIVE]), abs(m[WEEK_FIVE])) / u[OFF]
                statistic[b, t, c, LATE] = min(abs(m[FIFTEEN]), abs(m[WEEK_FIFTEEN])) / u[LATE]
                statistic[b, t, c, JUMP], statistic[b, t, c, UNREST] = m[SUDDEN], m[RESTLESS]
            rows[b] += 1
