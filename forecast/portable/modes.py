"""One row of the layers that turn and fade modes: S4D, S5, S4; called as `forecast.portable.layers` says."""

from collections.abc import Callable
from typing import Any

import numpy as np

from forecast.kernels import scan_modes
from forecast.portable.elementary import Array, Arrays, State, Step


def _modes(arrays: Arrays, kind: Any, around: bool) -> Callable[[Array, Array, Array], Array]:
    """The recurrence of `ssm.modes` on one row (n D), with its way around or without."""
    log_r, log_i, readout = arrays["log"][0], arrays["log"][1], arrays["readout"].astype(kind)
    unit, none = powers(log_r, log_i, np.ones(1), kind), np.zeros((0, *readout.shape), kind)
    direct = arrays["direct"] if around else np.zeros(readout.shape[-1], kind)

    def respond(v: Array, gap: Array, state: Array) -> Array:
        table, which = unit, np.zeros((len(v), 1), np.int64)
        if not (gap == 1).all():
            gaps, of = np.unique(gap, return_inverse=True)
            table, which = powers(log_r, log_i, gaps, kind), of.reshape(-1, 1)
        y = np.empty((len(v), 1, v.shape[1]), kind)
        marks = np.empty((len(v), 0, *none.shape[1:]), kind)
        scan_modes.advance(np.ascontiguousarray(v, kind)[:, None], table, readout, direct, which, state, y, marks)
        return y[:, 0]

    return respond


def powers(log_r: Array, log_i: Array, gaps: Array, kind: Any) -> Array:
    """λ^gap as (G 2 …) of poles in float64."""
    e = gaps.astype(np.float64).reshape(-1, *[1] * log_r.ndim)
    size = np.exp(e * log_r)
    return np.stack([size * np.cos(e * log_i), size * np.sin(e * log_i)], 1).astype(kind)


def s4d(w: Arrays) -> Step:
    respond = _modes(w, w["direct"].dtype, around=True)
    return lambda u, gap, state: respond(u, gap, state[0])


def s5(w: Arrays) -> Step:
    respond = _modes(w, w["direct"].dtype, around=False)

    def step(u: Array, gap: Array, state: State) -> Array:
        v_r, v_i = u @ w["inward"][0], u @ w["inward"][1]
        v_r, v_i = w["gain"][0] * v_r - w["gain"][1] * v_i, w["gain"][0] * v_i + w["gain"][1] * v_r
        out = respond(np.concatenate([v_r, v_r, v_i, v_i], -1), gap, state[0])
        rr, ri, ir, ii = np.split(out, 4, -1)
        return 2 * ((rr - ii) @ w["outward"][0] - (ri + ir) @ w["outward"][1]) + w["direct"] * u

    return step


def s4(w: Arrays) -> Step:
    kind, unit = w["direct"].dtype, np.eye(w["continuous"].shape[-1])

    def transition(gap: float) -> Array:
        half = gap / 2 * np.exp(w["log_step"])[:, None, None] * w["continuous"]
        return np.linalg.solve(unit - half, unit + half).astype(kind)

    regular = transition(1.0)

    def step(u: Array, gap: Array, state: State) -> Array:
        power = regular
        if not (gap == 1).all():
            gaps, of = np.unique(gap, return_inverse=True)
            power = np.stack([transition(float(one)) for one in gaps])[of]
        state[0][:] = (power @ state[0][..., None])[..., 0] + w["put"] * u[..., None]
        return 2 * (w["outward"] * state[0]).sum(-1) + w["direct"] * u

    return step
