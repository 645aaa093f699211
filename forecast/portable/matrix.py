"""One row of the layers that write and read a memory: Mamba, SSD, gated delta rule, linear attention; called as `forecast.portable.layers` says."""

import math

import numpy as np

from forecast.portable.elementary import Array, Arrays, State, Step, rms_norm, sigmoid, silu, softplus


def _mixed(w: Arrays, x: Array, gap: Array, rows: Array) -> Array:
    """Rows (n D) with those before them, by the short convolution (`forecast.layers.convolution`), whose state moves on."""
    back = rows.shape[1]
    moved = np.clip(np.rint(gap), 1, back + 1).astype(np.int64)
    for size in np.unique(moved[moved > 1]):
        lanes = moved == size
        shifted = np.zeros_like(rows[lanes])
        shifted[:, : back + 1 - size] = rows[lanes, size - 1 :]
        rows[lanes] = shifted
    made: Array = x * w["short.weight"][0] + w["short.bias"]
    for j in range(1, back + 1):
        made = made + w["short.weight"][j] * rows[:, back - j]
    rows[:, :-1] = rows[:, 1:].copy()
    rows[:, -1] = x
    return made


def mamba(w: Arrays) -> Step:
    a, rank, size = -np.exp(w["log_decay"]), w["rate.weight"].shape[0], w["log_decay"].shape[1]

    def step(u: Array, gap: Array, state: State) -> Array:
        x = u @ w["enter.weight"]
        x = silu(_mixed(w, x, gap, state[1]) if "short.bias" in w else x)
        low, b, c = np.split(x @ w["select.weight"], [rank, rank + size], -1)
        dt = softplus(low @ w["rate.weight"] + w["rate.bias"])
        time = (dt * gap[:, None]).astype(dt.dtype)
        h = state[0]
        h[:] = np.exp(time[..., None] * a) * h + (dt * x)[..., None] * b[:, None]
        y = (h * c[:, None]).sum(-1) + w["direct"] * x
        return (y * silu(u @ w["gate.weight"])) @ w["out.weight"]

    return step


def _split_heads(rows: Array, heads: int) -> Array:
    return rows.reshape(len(rows), heads, -1)


def ssd(w: Arrays) -> Step:
    heads = len(w["direct"])

    def step(u: Array, gap: Array, state: State) -> Array:
        v, k, q = (u @ w[name] for name in ("value.weight", "put.weight", "ask.weight"))
        if "short.bias" in w:
            mixed = silu(_mixed(w, np.concatenate([v, k, q], -1), gap, state[1]))
            v, k, q = np.split(mixed, [v.shape[1], v.shape[1] + k.shape[1]], -1)
        x, dt = _split_heads(v, heads), softplus(u @ w["rate.weight"] + w["rate.bias"])
        fade = np.exp(-(dt * np.exp(w["log_decay"])) * gap[:, None]).astype(dt.dtype)
        k, q, memory = k[:, None], q[:, None, None], state[0]
        memory[:] = fade[..., None, None] * memory + k[..., None] * (dt[..., None] * x)[..., None, :]
        y = ((q @ memory)[..., 0, :] + w["direct"] * x).reshape(len(u), -1)
        return rms_norm(y * silu(u @ w["gate.weight"])) @ w["out.weight"]

    return step


def gated_delta(w: Arrays) -> Step:
    heads = w["rate.bias"].shape[0]

    def unit(rows: Array) -> Array:
        made: Array = rows / np.maximum(np.sqrt((rows * rows).sum(-1, keepdims=True)), 1e-6)
        return made

    def step(u: Array, gap: Array, state: State) -> Array:
        q, k = (unit(_split_heads(u @ w[name], heads)) for name in ("ask.weight", "put.weight"))
        fade = np.exp(-softplus(u @ w["rate.weight"] + w["rate.bias"]) * gap[:, None]).astype(u.dtype)
        b, memory = 2 * sigmoid(u @ w["strength.weight"] + w["strength.bias"]), state[0]
        memory *= fade[..., None, None]
        fresh = _split_heads(u @ w["value.weight"], heads) - (k[..., None, :] @ memory)[..., 0, :]
        memory += (b[..., None] * k)[..., None] * fresh[..., None, :]
        y = rms_norm((q[..., None, :] @ memory)[..., 0, :]).reshape(len(u), -1)
        return (y * sigmoid(u @ w["gate.weight"])) @ w["out.weight"]

    return step


def linear_attention(w: Arrays) -> Step:
    heads = int(w["heads"][0])

    def features(rows: Array) -> Array:
        if "directions" not in w:
            return np.where(rows > 0, rows, np.expm1(np.minimum(rows, 0))) + 1
        scaled = rows / rows.shape[-1] ** 0.25
        made: Array = np.exp(scaled @ w["directions"] - (scaled * scaled).sum(-1, keepdims=True) / 2)
        return made / math.sqrt(w["directions"].shape[1])

    def step(u: Array, gap: Array, state: State) -> Array:
        q, k, v = (_split_heads(u @ w[name], heads) for name in ("ask.weight", "put.weight", "value.weight"))
        v = np.concatenate([v, np.ones_like(v[..., :1])], -1)
        state[0] += features(k).astype(v.dtype)[..., None] * v[..., None, :]
        y = (features(q).astype(v.dtype)[..., None, :] @ state[0])[..., 0, :]
        return (y[..., :-1] / np.maximum(y[..., -1:], 1e-6)).reshape(len(u), -1) @ w["out.weight"]

    return step
