"""The last rows of many sensors as they tell what has happened: likelihood ratios of `forecast.kernels.change` when they are asked for.

Of each row that comes the innovation in its unit and what the level took on of it are kept, in steps of 1/FINE and 1/SHARE, and its time;
the running sums are those of `change`. What an event asks for is worked out from the last WINDOW rows alone, WINDOW² / 2 steps.

Shapes: x (S WINDOW) int16, MISSING where nothing was seen; gain (S WINDOW) uint8; time (S WINDOW) int64, microseconds; sums (S SUMS). Row n
lies at place n % WINDOW.
"""

from typing import Any

import numpy as np

from forecast.kernels.change import COUNT, HEAD, KINDS, LEAST, SPIKE, SUMS, TREND, VARIANCE, learned
from forecast.kernels.jit import jit

WINDOW = 64
FINE, SHARE, MISSING = 256.0, 255.0, -32768
FARTHEST = 32767 / FINE  # calm deviations

__all__ = ["COUNT", "KINDS", "SUMS", "WINDOW", "note", "weigh"]


@jit
def note(
    x: Any,
    gain: Any,
    time: Any,
    sums: Any,
    who: Any,
    when: Any,
    value: Any,
    expected: Any,
    z: Any,
    learn: Any,
) -> None:
    """Rows of these sensors, in order; learn: 0 held back, 1 learned, 2 learned after the level was given up."""
    for i in range(len(who)):
        s = sums[who[i]]
        place = int(s[HEAD]) % WINDOW
        unit, share = learned(s, z[i], value[i] - expected[i], expected[i], learn[i] > 0, learn[i] > 1)
        x[who[i], place] = MISSING
        if unit == unit:
            x[who[i], place] = int(np.round(min(max(unit, -FARTHEST), FARTHEST) * FINE))
        gain[who[i], place] = int(np.round(share * SHARE))
        time[who[i], place] = when[i]


@jit
def weigh(x: Any, gain: Any, head: Any, nats: Any, ago: Any) -> None:
    """nats and ago (KINDS) at the last of `head` rows of one sensor, x and gain (WINDOW): the best candidate of each kind, and how many rows ago it began."""
    nats[:] = 0.0
    ago[:] = 0.0
    f, fz, ff = np.empty(3), np.empty(3), np.empty(3)
    for age in range(min(head, WINDOW)):
        if x[(head - 1 - age) % WINDOW] == MISSING:
            continue
        f[:], fz[:], ff[:] = 1.0, 0.0, 0.0
        q, n = 0.0, 0
        for row in range(head - 1 - age, head):
            place = row % WINDOW
            if x[place] != MISSING:
                u = x[place] / FINE
                q += u * u
                n += 1
                for k in range(3):
                    fz[k] += f[k] * u
                    ff[k] += f[k] * f[k]
            for k in range(3):
                f[k] *= 1 - gain[place] / SHARE
            f[SPIKE] -= 1.0 if row == head - 1 - age else 0.0
            f[TREND] += 1.0
        for k in range(3):
            e = fz[k] * fz[k] / (2 * ff[k]) if ff[k] > 0 else 0.0
            if e > nats[k]:
                nats[k], ago[k] = e, age
        if n >= LEAST and q > 0:
            e = (q - n - n * np.log(q / n)) / 2
            if e > nats[VARIANCE]:
                nats[VARIANCE], ago[VARIANCE] = e, age
