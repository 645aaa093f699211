"""One row of every sequence layer in NumPy; equations, shapes and states are those of the layer of that name in `forecast.layers`.

A layer is given rows (n D) that are all observed, the time since the one before (n) and its state, which it changes in place; it
answers with rows (n D). What a step does not change is made once, from the arrays that `forecast.models.exported` wrote.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forecast.kernels import scan_modes
from forecast.kernels.activations import gelu

if TYPE_CHECKING:
    Array: TypeAlias = NDArray[Any]
else:  # what checks types while it runs knows no array of anything
    Array = np.ndarray
Arrays: TypeAlias = dict[str, Array]
State: TypeAlias = list[Array]
Step: TypeAlias = Callable[[Array, Array, State], Array]


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


def rms_norm(y: Array) -> Array:
    """y over its root mean square."""
    square = np.add.reduce(y * y, -1, keepdims=True)  # mean() goes the long way round
    normed: Array = y / np.sqrt(square / y.dtype.type(y.shape[-1]) + y.dtype.type(1e-6))
    return normed


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) without overflow."""
    made: Array = 0.5 * (1.0 + np.tanh(0.5 * x))
    return made


def silu(x: Array) -> Array:
    """x σ(x)."""
    return x * sigmoid(x)


def softplus(x: Array) -> Array:
    """log(1 + e^x) without overflow."""
    made: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return made


def _modes(arrays: Arrays, kind: Any) -> Callable[[Array, Array, Array], Array]:
    """The recurrence of `ssm.modes` on one row (n D)."""
    log_r, log_i, readout = arrays["log"][0], arrays["log"][1], arrays["readout"].astype(kind)
    unit, none = powers(log_r, log_i, np.ones(1), kind), np.zeros((0, *readout.shape), kind)

    def respond(v: Array, gap: Array, state: Array) -> Array:
        table, which = unit, np.zeros((len(v), 1), np.int64)
        if not (gap == 1).all():
            gaps, of = np.unique(gap, return_inverse=True)
            table, which = powers(log_r, log_i, gaps, kind), of.reshape(-1, 1)
        y = np.empty((len(v), 1, v.shape[1]), kind)
        marks = np.empty((len(v), 0, *none.shape[1:]), kind)
        scan_modes.advance(np.ascontiguousarray(v, kind)[:, None], table, readout, which, state, y, marks)
        return y[:, 0]

    return respond


def powers(log_r: Array, log_i: Array, gaps: Array, kind: Any) -> Array:
    """λ^gap as (G 2 …) of poles in float64."""
    e = gaps.astype(np.float64).reshape(-1, *[1] * log_r.ndim)
    size = np.exp(e * log_r)
    return np.stack([size * np.cos(e * log_i), size * np.sin(e * log_i)], 1).astype(kind)


def _s4d(w: Arrays) -> Step:
    respond = _modes(w, w["direct"].dtype)
    return lambda u, gap, state: respond(u, gap, state[0]) + w["direct"] * u


def _s5(w: Arrays) -> Step:
    respond = _modes(w, w["direct"].dtype)

    def step(u: Array, gap: Array, state: State) -> Array:
        v_r, v_i = u @ w["inward"][0], u @ w["inward"][1]
        v_r, v_i = w["gain"][0] * v_r - w["gain"][1] * v_i, w["gain"][0] * v_i + w["gain"][1] * v_r
        out = respond(np.concatenate([v_r, v_r, v_i, v_i], -1), gap, state[0])
        rr, ri, ir, ii = np.split(out, 4, -1)
        return 2 * ((rr - ii) @ w["outward"][0] - (ri + ir) @ w["outward"][1]) + w["direct"] * u

    return step


def _s4(w: Arrays) -> Step:
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


def _mamba(w: Arrays) -> Step:
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


def _heads(rows: Array, heads: int) -> Array:
    return rows.reshape(len(rows), heads, -1)


def _ssd(w: Arrays) -> Step:
    heads = len(w["direct"])

    def step(u: Array, gap: Array, state: State) -> Array:
        v, k, q = (u @ w[name] for name in ("value.weight", "put.weight", "ask.weight"))
        if "short.bias" in w:
            mixed = silu(_mixed(w, np.concatenate([v, k, q], -1), gap, state[1]))
            v, k, q = np.split(mixed, [v.shape[1], v.shape[1] + k.shape[1]], -1)
        x, dt = _heads(v, heads), softplus(u @ w["rate.weight"] + w["rate.bias"])
        fade = np.exp(-(dt * np.exp(w["log_decay"])) * gap[:, None]).astype(dt.dtype)
        k, q, memory = k[:, None], q[:, None, None], state[0]
        memory[:] = fade[..., None, None] * memory + k[..., None] * (dt[..., None] * x)[..., None, :]
        y = ((q @ memory)[..., 0, :] + w["direct"] * x).reshape(len(u), -1)
        return rms_norm(y * silu(u @ w["gate.weight"])) @ w["out.weight"]

    return step


def _gated_delta(w: Arrays) -> Step:
    heads = w["rate.bias"].shape[0]

    def unit(rows: Array) -> Array:
        made: Array = rows / np.maximum(np.sqrt((rows * rows).sum(-1, keepdims=True)), 1e-6)
        return made

    def step(u: Array, gap: Array, state: State) -> Array:
        q, k = (unit(_heads(u @ w[name], heads)) for name in ("ask.weight", "put.weight"))
        fade = np.exp(-softplus(u @ w["rate.weight"] + w["rate.bias"]) * gap[:, None]).astype(u.dtype)
        b, memory = 2 * sigmoid(u @ w["strength.weight"] + w["strength.bias"]), state[0]
        memory *= fade[..., None, None]
        fresh = _heads(u @ w["value.weight"], heads) - (k[..., None, :] @ memory)[..., 0, :]
        memory += (b[..., None] * k)[..., None] * fresh[..., None, :]
        y = rms_norm((q[..., None, :] @ memory)[..., 0, :]).reshape(len(u), -1)
        return (y * sigmoid(u @ w["gate.weight"])) @ w["out.weight"]

    return step


def _linear_attention(w: Arrays) -> Step:
    heads = int(w["heads"][0])

    def features(rows: Array) -> Array:
        if "directions" not in w:
            return np.where(rows > 0, rows, np.expm1(np.minimum(rows, 0))) + 1
        scaled = rows / rows.shape[-1] ** 0.25
        made: Array = np.exp(scaled @ w["directions"] - (scaled * scaled).sum(-1, keepdims=True) / 2)
        return made / math.sqrt(w["directions"].shape[1])

    def step(u: Array, gap: Array, state: State) -> Array:
        q, k, v = (_heads(u @ w[name], heads) for name in ("ask.weight", "put.weight", "value.weight"))
        v = np.concatenate([v, np.ones_like(v[..., :1])], -1)
        state[0] += features(k).astype(v.dtype)[..., None] * v[..., None, :]
        y = (features(q).astype(v.dtype)[..., None, :] @ state[0])[..., 0, :]
        return (y[..., :-1] / np.maximum(y[..., -1:], 1e-6)).reshape(len(u), -1) @ w["out.weight"]

    return step


def _turned(rows: Array, cos: Array, sin: Array) -> Array:
    """Pairs of the last axis turned; an odd last column stays."""
    pairs = cos.shape[-1]
    a, b, rest = rows[..., :pairs], rows[..., pairs : 2 * pairs], rows[..., 2 * pairs :]
    return np.concatenate([a * cos - b * sin, a * sin + b * cos, rest], -1)


def _attention(w: Arrays) -> Step:
    heads, slope, turn = len(w["log_decay"]), np.exp(w["log_decay"])[:, None], w["turn"]

    def step(u: Array, gap: Array, state: State) -> Array:
        entered = (u @ w["enter.weight"]).reshape(len(u), 3, heads, -1)
        q, k, v = entered[:, 0], entered[:, 1], entered[:, 2]
        keys, values, age, filled, clock = state
        age += gap[:, None] * filled
        clock += gap * filled[:, -1]
        angle = (clock[:, None] * turn)[:, None]
        cos, sin = np.cos(angle).astype(u.dtype), np.sin(angle).astype(u.dtype)
        q, k = _turned(q, cos, sin), _turned(k, cos, sin)
        for part, new in ((keys, k), (values, v), (age, 0.0), (filled, True)):
            part[:, :-1] = part[:, 1:]
            part[:, -1] = new
        score = (
            np.matmul(keys.transpose(0, 2, 1, 3), q[..., None])[..., 0] / math.sqrt(q.shape[-1]) - slope * age[:, None]
        )
        weight = np.where(filled[:, None], score, -np.inf).astype(u.dtype)
        weight = np.exp(weight - np.maximum.reduce(weight, -1, keepdims=True))
        weight /= np.add.reduce(weight, -1, keepdims=True)
        y = np.matmul(weight[:, :, None], values.transpose(0, 2, 1, 3))
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
    "gated_delta": _gated_delta,
    "gru": _gated,
    "linear_attention": _linear_attention,
    "lstm": _gated,
    "mamba": _mamba,
    "mamba_convolution": _mamba,
    "performer": _linear_attention,
    "s4": _s4,
    "s4d": _s4d,
    "s5": _s5,
    "ssd": _ssd,
    "ssd_convolution": _ssd,
    "window_attention": _attention,
}
SIZES = {"attention": 5, "window_attention": 5, "lstm": 2, "gru": 2, "mamba_convolution": 2, "ssd_convolution": 2}  # arrays of a state
