"""One row of every sequence layer in NumPy; equations, shapes and states are those of the layer of that name in `forecast.layers`.

A layer is given rows (n D) that are all observed, the time since the one before (n) and its state, which it changes in place; it
answers with rows (n D). What a step does not change is made once, from the arrays that `forecast.models.exported` wrote.
"""

from collections.abc import Callable

import numpy as np

from forecast.kernels import attend
from forecast.kernels.activations import gelu
from forecast.portable import matrix, modes
from forecast.portable.elementary import Array, Arrays, State, Step, rms_norm, sigmoid


def stack(blocks: tuple[str, ...], arrays: Arrays) -> Step:
    """The embedding, the blocks and the last norm; the state is that of all blocks, one after the other."""
    layers = [LAYERS[word](_under(arrays, f"{i}.layer.")) for i, word in enumerate(blocks)]
    sizes = [SIZES.get(word, 1) for word in blocks]

    def step(u: Array, gap: Array, state: State) -> Array:
        y, at = u @ arrays["embed.weight"] + arrays["embed.bias"], 0
        for i, (layer, size) in enumerate(zip(layers, sizes, strict=True)):
            said = layer(rms_norm(y) * arrays[f"{i}.norm.weight"], gap, state[at : at + size])
            at += size
            bent = np.empty_like(said)
            gelu(said.reshape(-1), bent.reshape(-1))
            mixed = bent @ arrays[f"{i}.mix.weight"] + arrays[f"{i}.mix.bias"]
            half = mixed.shape[-1] // 2
            y = y + mixed[:, :half] * sigmoid(mixed[:, half:])
        return rms_norm(y) * arrays["norm.weight"]

    return step


def _under(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _turned(rows: Array, cos: Array, sin: Array) -> Array:
    """Pairs of the last axis turned; an odd last column stays."""
    pairs = cos.shape[-1]
    a, b, rest = rows[..., :pairs], rows[..., pairs : 2 * pairs], rows[..., 2 * pairs :]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos, rest], -1)


def _in_place(rows: Array) -> attend.Windows:
    """Windows that move up where they lie."""
    flat, between = rows.reshape(-1), rows[0].size
    return attend.Windows(flat, flat, (between, between), True)


def _attention(w: Arrays) -> Step:
    heads, slope, turn = len(w["log_decay"]), np.exp(w["log_decay"]), w["turn"]

    def step(u: Array, gap: Array, state: State) -> Array:
        entered = (u @ w["enter.weight"]).reshape(len(u), 3, heads, -1)
        q, k, v = entered[:, 0], entered[:, 1], entered[:, 2]
        keys, values, age, filled, clock = state
        gap, observed, kind = gap.astype(np.float64), np.ones(len(u), bool), (len(u), heads, keys.shape[1])
        clock += gap * filled[:, -1]
        angle = (clock[:, None] * turn)[:, None]
        cos, sin = np.cos(angle).astype(u.dtype), np.sin(angle).astype(u.dtype)
        q, k, v = _turned(q, cos, sin), _turned(k, cos, sin), np.ascontiguousarray(v)
        score, y = np.empty(kind, u.dtype), np.empty_like(q)
        attend.match(q, slope, k, _in_place(keys), age, filled, gap, observed, age, filled, score)
        weight = np.exp(score - np.maximum.reduce(score, -1, keepdims=True))
        weight /= np.add.reduce(weight, -1, keepdims=True)
        attend.mix(weight, v, _in_place(values), filled, observed, y)
        return y.reshape(len(u), -1) @ w["out.weight"]

    return step


def _gated(w: Arrays) -> Step:
    def step(u: Array, gap: Array, state: State) -> Array:
        h, cell = state
        row = np.concatenate([u, gap[:, None].astype(u.dtype)], -1) @ w["ih.weight"] + w["ih.bias"]
        own, width = h @ w["hh.weight"] + w["hh.bias"], h.shape[1]
        if row.shape[1] == 3 * width:
            r, z, n = (slice(i * width, (i + 1) * width) for i in range(3))
            fresh = np.tanh(row[:, n] + sigmoid(row[:, r] + own[:, r]) * own[:, n])
            keep = sigmoid(row[:, z] + own[:, z])
            h[:] = (1 - keep) * fresh + keep * h
            return h.copy()
        i, f, g, o = np.split(row + own, 4, -1)
        cell[:] = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        h[:] = sigmoid(o) * np.tanh(cell)
        return h.copy()

    return step


LAYERS: dict[str, Callable[[Arrays], Step]] = {
    "attention": _attention,
    "gated_delta": matrix.gated_delta,
    "gru": _gated,
    "linear_attention": matrix.linear_attention,
    "lstm": _gated,
    "mamba": matrix.mamba,
    "mamba_convolution": matrix.mamba,
    "performer": matrix.linear_attention,
    "s4": modes.s4,
    "s4d": modes.s4d,
    "s5": modes.s5,
    "ssd": matrix.ssd,
    "ssd_convolution": matrix.ssd,
    "window_attention": _attention,
}
SIZES = {"attention": 5, "window_attention": 5, "lstm": 2, "gru": 2, "mamba_convolution": 2, "ssd_convolution": 2}  # arrays of a state
