"""The profile of a season and what is blended with it in NumPy: the equations of `forecast.layers.season` and `forecast.models.origin`.

Shapes: lanes L; state (L 2M+8+2N) for seasons of M and N rows, see `forecast.kernels.scan_season`.
"""

from typing import NamedTuple

import numpy as np

from forecast.kernels import scan_season
from forecast.portable.elementary import Array


class Profile(NamedTuple):
    """What the header of a file says of the profile."""

    rows: int
    longer: int
    gain: float
    fade: float

    def advance(self, rows: Array, gap: Array, state: Array) -> tuple[Array, Array, Array, Array]:
        """Distances (L T) of rows from the profile, gates (L T+1 3), p and v before and at each row; the state is moved."""
        lanes, count = rows.shape
        distance, gate, index = np.empty((lanes, count)), np.empty((lanes, count + 1, scan_season.GATES)), np.zeros((lanes, count + 1), np.int64)
        track, known = np.empty((lanes, self.rows + count)), np.empty((lanes, 2 * self.longer + count))
        recent = np.empty((lanes, count + 1))
        scan_season.advance(
            rows, gap, self.rows, self.longer, self.gain, self.fade, state, distance, gate, index, track, known, recent
        )
        return distance, gate, track, known

    def origins(self, blend: Array, state: Array, mean: Array, horizon: int) -> tuple[Array, Array]:
        """The profile at the phases of the leads and what forecasts start from (L H each), of weights (2 5 9) and mean distances (L)."""
        none = np.empty((len(state), 0))
        _, gate, track, known = self.advance(none, none, state)
        lead = np.arange(horizon)
        last, long_ago = 2 * self.longer - self.rows + lead % self.rows, self.longer + lead % self.longer
        profile = _else(track[:, lead % self.rows], state[:, 2 * self.rows, None])
        y = _else(known[:, last], profile)
        w = _else(known[:, long_ago], y)
        older = _else(known[:, long_ago - self.longer], w), _else(known[:, last - self.longer], y)
        distance = np.stack([y, w, *older, profile + mean[:, None]], -1) - profile[..., None]
        r, k, o = np.moveaxis(gate[:, 0], -1, 0)
        g = np.stack([np.ones_like(r), r, r * r, k, k * k, r * k, o, o * o, r * o], -1)
        weight = np.einsum("ikg,lg->ilk", blend, g)[np.minimum(lead // self.rows, 1)]
        return profile, profile + mean[:, None] + np.einsum("lhk,hlk->lh", distance, weight)


def _else(found: Array, instead: Array) -> Array:
    """What was found, something else where nothing was."""
    made: Array = np.where(np.isnan(found), instead, found)
    return made
