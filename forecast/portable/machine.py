"""A trained forecaster as a machine in NumPy: the states of a batch of series, changed in place row by row.

The file is an uncompressed .npz: `header` (JSON as bytes) and arrays of plain numbers, each under the zip's own checksum. Nothing in it is
executed. Without numba the kernels run as plain Python: right, and slow.
Shapes: B series, C channels, lanes L = B·C; a state is a list of arrays with the leading axis L.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from forecast.errors import InputError
from forecast.kernels import fill, live_bank, sampled
from forecast.kernels.scan_scale import UNITS
from forecast.portable.elementary import Array, Arrays
from forecast.portable.head import Facts, quantiles, standardised
from forecast.portable.layers import stack
from forecast.portable.modes import powers
from forecast.portable.season import Profile

FORMAT, READ = 4, (2, 3, 4)  # written, and read: 2 knows neither profiles nor Student's t, and profiles of 3 are others
BANK = 6  # leaves of scale and bank


class Machine:
    """Step and predict, for a fixed number of series."""

    def __init__(self, header: dict[str, Any], arrays: Arrays, batch: int) -> None:
        self.levels = tuple(header["levels"])
        self.channels, self.horizon, self.inputs, self.static = (
            int(header[key]) for key in ("channels", "horizon", "inputs", "static")
        )
        self._facts, self._header, self._w = Facts(**header["head"]), header, arrays
        kind = arrays["bank.spread"].dtype
        log_r, log_i = arrays["bank.log"]
        self._unit = powers(log_r, log_i, np.ones(1), kind)
        self._blocks = tuple(header["blocks"])
        self._deep = stack(self._blocks, arrays) if self._blocks else None
        self._every = int(header["every"])
        self.batch, self.known = batch, np.zeros((batch, self.static))
        self.state = [np.repeat(arrays[f"state.{i}"], batch * self.channels, 0) for i in range(header["leaves"])]
        self._season = Profile(**header["profile"]) if header.get("profile") else None
        self._deep_from = BANK + (self._season is not None)
        self._set()

    def _set(self) -> None:
        lanes, kind = self.batch * self.channels, self._w["bank.spread"].dtype
        self._which, self._one, self._due = np.zeros(lanes, np.int64), np.ones((lanes, 1)), np.zeros(lanes, np.int64)
        self.features = np.zeros((lanes, self._facts.linear), kind)
        if self._season is not None:
            self._linear = np.zeros((lanes, len(self._w["bank.spread"])), kind)

    def step(self, values: Array, inputs: Array | None = None, elapsed: Array | None = None) -> None:
        """The states after one more row (B C), inputs (B K) and time since the row before (B), 1 where it is not given."""
        w, header = self._w, self._header
        rows = np.asarray(values, np.float64).reshape(-1, 1)
        gap, which, table = self._one, self._which, self._unit
        if elapsed is not None:
            gap = np.repeat(np.asarray(elapsed, np.float64), self.channels)[:, None]
            gaps, of = np.unique(fill.between(gap, header["bounds"][-1])[1], return_inverse=True)
            others = powers(w["bank.log"][0], w["bank.log"][1], gaps, self._unit.dtype)
            table, which = np.concatenate([self._unit, others]), of.reshape(-1) + 1
        features = self.features
        if self._season is not None:
            rows, gates, _, _ = self._season.advance(rows, gap, self.state[BANK])
            features = self._linear
        moments, modes, *rest = self.state[:BANK]
        live_bank.advance(
            rows, gap, tuple(header["scale"]), tuple(header["bounds"]), moments, table, which,
            w["bank.readout"], w["bank.kept"], w["bank.spread"], modes, features, *rest,
        )  # fmt: skip
        if self._season is not None:
            gate, width = gates[:, 1, :1].astype(features.dtype), features.shape[1]
            self.features[:, :width] = features
            np.multiply(gate, features, self.features[:, width : 2 * width])
            np.multiply(gate * gate, features, self.features[:, 2 * width :])
        if self._deep is not None:
            self._sample(rows[:, 0], gap[:, 0], inputs)

    def _sample(self, values: Array, gap: Array, inputs: Array | None) -> None:
        """The deep path, where the row is an `every`-th one."""
        count, since, held = self.state[-3:]
        due = self._due[: sampled.due(values, gap, self._every, count, since, self._due)]
        if not len(due) or self._deep is None:
            return
        kind = self.features.dtype
        series = due // self.channels
        parts = [self.features[due], (values == values)[due, None].astype(kind)]
        if self.inputs:
            parts.append(standardised(self._w, self._inputs(inputs)[series]).astype(kind))
        if self.static:
            parts.append(self.known[series].astype(kind))
        everyone = len(due) == len(count)
        inner = self.state[self._deep_from : -3] if everyone else [part[due] for part in self.state[self._deep_from : -3]]
        held[due] = self._deep(np.concatenate(parts, -1), since[due] / self._every, inner)
        since[due] = 0.0
        for whole, part in zip(self.state[self._deep_from : -3], inner, strict=True):
            if not everyone:
                whole[due] = part

    def _inputs(self, inputs: Array | None) -> Array:
        if inputs is None:
            raise InputError(f"this model takes {self.inputs} inputs with every row; pass inputs=(B, {self.inputs})")
        return np.asarray(inputs, np.float64)

    def predict(self, horizon: int = 1, inputs: Array | None = None, elapsed: Array | None = None) -> Array:
        """Quantiles (B H C Q) of the next rows at `levels`; inputs (B H K) and elapsed (B H) of these rows."""
        known = self._inputs(inputs) if self.inputs else np.zeros((self.batch, horizon, 0))
        features = self.features
        if self._deep is not None:
            features = np.concatenate([features, self.state[-1]], -1)
        fold = (self.batch, self.channels, -1)
        loc, spread, low, high, count = np.moveaxis(self.state[0][:, -UNITS:].reshape(fold), -1, 0)[..., None]
        if self._season is not None:
            profile, origin = self._season.origins(self._w["blend"], self.state[BANK], loc.reshape(-1), horizon)
            profile, loc = profile.reshape(fold), origin.reshape(fold)
            low, high = low + profile, high + profile
        return quantiles(self._w, self._facts, features.reshape(fold), (loc, spread, low, high, count), known, elapsed)

    def copy_state(self) -> list[Array]:
        """The states and the last features, to be kept or sent."""
        return [part.copy() for part in (*self.state, self.features)]

    def put_state(self, state: list[Array]) -> None:
        """Go on from states that `copy_state` gave, of as many lanes as they have."""
        *parts, features = (np.array(part) for part in state)
        self.state, self.batch = parts, len(features) // self.channels
        self.known = np.zeros((self.batch, self.static)) if len(self.known) != self.batch else self.known
        self._set()
        self.features = features


def load(path: str | Path, batch: int | None = None) -> Machine:
    """The machine of a file that `forecast export` wrote: after the rows it was exported with, or before the first row of `batch` series."""
    try:
        with np.load(io.BytesIO(Path(path).read_bytes())) as found:
            arrays = {name: found[name] for name in found.files}
        header = json.loads(arrays.pop("header").tobytes())
        known = header["portable"] in READ and not (header.get("profile") and header["portable"] < FORMAT)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: not a file of `forecast export`, or a damaged one ({type(error).__name__}); export it again"
        ) from error
    if not known:
        raise InputError(f"{path}: written in another format than {FORMAT}; export it with this version")
    machine = Machine(header, arrays, batch or 1)
    if batch is None and header["series"]:
        machine.put_state([arrays[f"warm.{i}"] for i in range(header["leaves"] + 1)])
        machine.known = arrays["warm.static"]
    return machine
