"""Live series of one program: beliefs that a compiled kernel changes in place, row by row. See `kernels.live`."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.kernels.kalman import room
from forecast.kernels.lanes import aligned, lane_array
from forecast.kernels.live import TOGETHER, live
from forecast.kernels.monitor import monitor
from forecast.kernels.monitor import room as monitor_room
from forecast.ssm.belief import Belief, series_innermost
from forecast.ssm.program import Program

Numbers = NDArray[Any]
Table = NDArray[np.int64]


class Live:
    """Sensors of some channels each, every channel a series of its own (B·C, channel innermost), in units loc + spread · model."""

    def __init__(
        self,
        program: Program,
        coefs: Tensor,
        belief: Belief,
        loc: Tensor,
        spread: Tensor,
        needs: int,
        dof: float,
        channels: int = 1,
    ) -> None:
        count = len(coefs) // channels
        self._dof, self._all, self._channels = dof, np.arange(count), channels
        diffuse = bool((belief.tally[:, 1] > 0).any())
        parts = [belief.mean, belief.covariance, belief.tally, coefs, loc[:, None], spread[:, None]]
        table = torch.cat(parts + [belief.diffuse] * diffuse, 1).numpy()
        self._ends = np.cumsum([0] + [part.shape[1] for part in parts] + [belief.diffuse.shape[1]])
        self._where = [slice(*self._ends[k : k + 2]) for k in ((0, 1, 6, 2) if diffuse else (0, 1, 2))]
        self._spent = None if diffuse else belief.diffuse.clone()
        lanes, whole = self._size(program)
        self._memory = {wide: lane_array(lanes, wide, TOGETHER) for wide in (False, True)}
        self._which, self._values = np.arange(count), np.empty((count, channels))
        self._means, self._variances = np.empty((count, channels)), np.empty((count, channels))
        self._integers = np.zeros(whole, np.int64)
        ops, reads, first, noise = program.kernel
        self._kept = [ops, reads, first, noise, self._which, self._integers, self._values, self._means, self._variances]
        sizes = [program.size, program.coefficients, len(ops), needs, int(diffuse), channels]
        self._record = together(table.reshape(count, channels, -1).swapaxes(0, 1))
        begin = self._record.ctypes.data
        mean, covariance, tally, *units, spent = (begin + 8 * TOGETHER * int(end) for end in self._ends[:-1])
        rest = [mean, covariance, spent, tally]
        places = [TOGETHER, TOGETHER.bit_length() - 1, table.shape[1]]
        addresses = [array.ctypes.data for array in self._kept] + [*rest, *units, *rest]
        self._plan = np.array([self._record.shape[1] * TOGETHER, *sizes, *places, *addresses], np.int64)

    def _size(self, program: Program) -> tuple[int, int]:
        """Elements of memory that either kernel needs."""
        m, K = program.size, program.coefficients
        one, other = room(m, 1, 1, K + 2, 0), monitor_room(m, K, self._channels)
        return max(one[0], other[0]), max(one[1], other[1])

    def belief(self, which: Table | None = None) -> Belief:
        """A copy of the beliefs of some of the sensors, or of all."""
        chosen = self._all if which is None else which
        groups = self._record[:, chosen // TOGETHER, :, chosen % TOGETHER]  # (n C R)
        table = torch.from_numpy(groups.reshape(-1, groups.shape[-1]))
        leaves = [series_innermost(table[:, rows]) for rows in self._where]
        if self._spent is not None:
            spent = self._spent.unflatten(0, (len(self._all), -1))[torch.from_numpy(chosen)]
            leaves.insert(2, series_innermost(spent.flatten(0, 1)))
        return Belief(*leaves)

    def place(self, belief: Belief, which: Table | None) -> None:
        """The beliefs of some of the sensors, or of all, become these."""
        chosen = self._all if which is None else which
        parts = belief if self._spent is None else (belief.mean, belief.covariance, belief.tally)
        for rows, part in zip(self._where, parts, strict=True):
            numbers = part.numpy().reshape(len(chosen), self._channels, -1)
            for c in range(self._channels):
                self._record[c, chosen // TOGETHER, rows, chosen % TOGETHER] = numbers[:, c]

    def step(self, values: Numbers, which: Table | None = None) -> None:
        """The beliefs after a row: values (n C) of the sensors `which`, or of all."""
        count = self._choose(which)
        self._values[:count] = values
        live(self._memory[count > 1], self._plan, count, self._dof, True)

    def moments(self, which: Table | None = None) -> tuple[Numbers, Numbers]:
        """Mean and variance (n C) of the next row of the sensors `which`, or of all."""
        count = self._choose(which)
        live(self._memory[count > 1], self._plan, count, self._dof, False)
        return self._means[:count].copy(), self._variances[:count].copy()

    def observe(self, verdicts: Table, count: int, values: int, which: int | None, out: tuple[int, int, int]) -> int:
        """Forecast, verdict and step in one pass, see `kernels.monitor`; addresses of values, sensors and outputs."""
        memory, order = self._memory[count > 1], 0 if which is None else which
        return int(monitor(memory, self._integers, self._plan, verdicts, count, self._dof, values, order, *out))

    @property
    def told(self) -> tuple[Numbers, Numbers]:
        """Mean and variance (B C) that the last row was judged by, row i those of its i-th sensor."""
        return self._means, self._variances

    def _choose(self, which: Table | None) -> int:
        chosen = self._all if which is None else which
        self._which[: len(chosen)] = chosen
        return len(chosen)


def together(table: Numbers) -> Numbers:
    """Numbers (… B R) as the kernels read them, S sensors together (… B/S R S), the last ones repeated."""
    count = table.shape[-2]
    whole = np.minimum(np.arange(-(-count // TOGETHER) * TOGETHER), count - 1)
    groups = table[..., whole, :].reshape(*table.shape[:-2], -1, TOGETHER, table.shape[-1])
    made = aligned(groups.swapaxes(-1, -2).shape, table.dtype)
    made[:] = groups.swapaxes(-1, -2)
    return made


def apart(groups: Numbers, count: int) -> Numbers:
    """The way back (… B R)."""
    table = groups.swapaxes(-1, -2)
    made: Numbers = table.reshape(*groups.shape[:-3], -1, groups.shape[-2])[..., :count, :]
    return made
