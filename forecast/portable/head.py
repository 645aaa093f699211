"""From features to quantiles of every lead in NumPy: the equations of `forecast.layers.heads`, `known` and `scale`."""

import math
from typing import Any, NamedTuple

import numpy as np

from forecast.portable.elementary import Array, Arrays, softplus


class Facts(NamedTuple):
    """What the header of a file says of the head."""

    horizon: int
    frequencies: tuple[float, ...]
    middle: int  # index of the median among the levels
    linear: int
    inputs: int
    needs: int
    reach: tuple[float, float] = (0.0, 1.0)  # see `layers.scale.Units.restore`


def standardised(w: Arrays, inputs: Array) -> Array:
    """Inputs (… K) in units of their training rows, within ±8."""
    made: Array = np.clip((inputs - w["known.loc"]) * w["known.scale"], -8.0, 8.0)
    return made


def basis(w: Arrays, facts: Facts, lead: Array) -> Array:
    """φ (… H n) at leads that are no whole numbers."""
    position = np.minimum(lead / facts.horizon, 1.0)
    x = 2 * position - 1
    decays = [np.exp(-lead / span) for span in (1.0, 3.0, 10.0, 30.0, 100.0) if span < facts.horizon]
    waves = [wave(f * lead) for f in facts.frequencies for wave in (np.cos, np.sin)]
    cosines = [np.cos(math.pi * k * position) for k in range(1, 9)]
    made: Array = np.stack([np.ones_like(lead), x, 1.5 * x * x - 0.5, *decays, *waves, *cosines], -1) @ w["mix"]
    return made


def quantiles(
    w: Arrays, facts: Facts, features: Array, units: tuple[Array, ...], inputs: Array, elapsed: Array | None
) -> Array:
    """(B H C Q) in data units, NaN where too little was seen, from features (B C F), units (five, B C H or B C 1), inputs (B H K), elapsed (B H)."""
    rows, kind = inputs.shape[1], features.dtype
    if elapsed is None or (elapsed == 1).all():
        phi = w["table"][:rows] if rows <= facts.horizon else basis(w, facts, np.arange(1.0, rows + 1))
    else:
        phi = basis(w, facts, elapsed.cumsum(-1))[:, None]
    phi = np.swapaxes(phi.astype(kind), -1, -2)
    linear, deep = features[..., : facts.linear], features[..., facts.linear :]
    shape = np.einsum("bcf,cfj->bcj", linear, w["weight"])
    if "median.weight" in w:
        shape = shape + deep @ w["median.weight"]
    median = (shape[..., None, :] @ phi)[..., 0, :]
    if facts.inputs:
        median = median + _effect(w, facts, features, inputs)
    own = np.swapaxes(w["shape"] @ phi, -1, -2)
    if "gaps.weight" in w:
        shapes = (deep @ w["gaps.weight"]).reshape(*deep.shape[:-1], w["shape"].shape[0], -1)
        own = own + np.swapaxes(shapes @ phi[..., : shapes.shape[-1], :], -1, -2)
    widths = np.broadcast_to(own + w["offset"], (*median.shape, len(w["offset"])))
    if "standard" in w:
        return _student(w, median, widths[..., 0] + w["log_stretch"], units, facts)
    gaps = softplus(widths)
    below = -w["stretch"][0] * gaps[..., : facts.middle][..., ::-1].cumsum(-1)[..., ::-1]
    above = w["stretch"][1] * gaps[..., facts.middle :].cumsum(-1)
    q = median[..., None] + np.concatenate([below, np.zeros_like(median)[..., None], above], -1)
    return _restored(q, units, facts)


def _effect(w: Arrays, facts: Facts, features: Array, inputs: Array) -> Array:
    """What the inputs known of the leads add to the median (B C H)."""
    known = standardised(w, inputs)[:, None].astype(features.dtype)
    pairs = np.zeros((len(w["effect"]), facts.inputs, facts.inputs), features.dtype)
    pairs[:, w["known.first"], w["known.second"]] = w["effect"][:, facts.inputs :]
    made: Array = ((known @ pairs + w["effect"][:, None, : facts.inputs]) * known).sum(-1)
    if "bend.0.weight" in w:
        summary = (features @ w["context.weight"] + w["context.bias"])[:, :, None]
        known = np.broadcast_to(known, (*made.shape, facts.inputs))
        summary = np.broadcast_to(summary, (*made.shape, summary.shape[-1]))
        hidden = np.concatenate([known, summary], -1) @ w["bend.0.weight"] + w["bend.0.bias"]
        erf: Any = np.vectorize(math.erf, otypes=[float])
        bent = (0.5 * hidden * (1 + erf(hidden * math.sqrt(0.5)))).astype(hidden.dtype)
        made = made + (bent @ w["bend.2.weight"] + w["bend.2.bias"])[..., 0]
    return made


def _student(w: Arrays, loc: Array, log_scale: Array, units: tuple[Array, ...], facts: Facts) -> Array:
    """Quantiles of Student's t about a location that stays within reach (`forecast.layers.student`)."""
    spread, count = units[1], units[4]
    scale = spread * np.exp(log_scale.astype(np.float64))
    data = _within(loc, units, facts)[..., None] + scale[..., None] * w["standard"]
    return np.swapaxes(np.where((count >= facts.needs)[..., None], data, np.nan), 1, 2)


def _restored(q: Array, units: tuple[Array, ...], facts: Facts) -> Array:
    loc, spread, _, _, count = units
    data, median = loc[..., None] + spread[..., None] * q.astype(np.float64), q[..., facts.middle]
    data = np.sort(data + (_within(median, units, facts) - data[..., facts.middle])[..., None], -1)
    return np.swapaxes(np.where((count >= facts.needs)[..., None], data, np.nan), 1, 2)


def _within(median: Array, units: tuple[Array, ...], facts: Facts) -> Array:
    """Medians (B C H) in data units, no farther from what was seen than the reach allows."""
    loc, spread, low, high, _ = units
    room = (np.arange(1.0, median.shape[-1] + 1) - facts.reach[0]) * facts.reach[1] * (high - low)
    made: Array = np.minimum(np.maximum(loc + spread * median.astype(np.float64), low - room), high + room)
    return made
