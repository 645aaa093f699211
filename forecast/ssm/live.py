"""Live series of one program: beliefs that a compiled kernel changes in place, row by row. See `kernels.live`."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.kernels.kalman import room
from forecast.kernels.lanes import lane_array
from forecast.kernels.live import TOGETHER, live
from forecast.ssm.belief import Belief
from forecast.ssm.program import Program

Numbers = NDArray[np.float64]


class Live:
    """Series with one channel each, in units loc + spread · model."""

    def __init__(
        self, program: Program, coefs: Tensor, belief: Belief, loc: Tensor, spread: Tensor, needs: int, dof: float
    ) -> None:
        count = len(coefs)
        self._dof, self._all = dof, np.arange(count)
        diffuse = bool((belief.tally[:, 1] > 0).any())
        parts = [belief.mean, belief.covariance, belief.tally, coefs, loc[:, None], spread[:, None]]
        table = torch.cat(parts + [belief.diffuse] * diffuse, 1).numpy()
        ends = np.cumsum([0] + [part.shape[1] for part in parts] + [belief.diffuse.shape[1]])
        self._where = [slice(*ends[k : k + 2]) for k in ((0, 1, 6, 2) if diffuse else (0, 1, 2))]
        self._spent = None if diffuse else belief.diffuse.clone()
        padded = np.zeros((-(-count // TOGETHER) * TOGETHER, table.shape[1]))
        padded[:count] = table
        self._record = np.ascontiguousarray(padded.reshape(-1, TOGETHER, table.shape[1]).transpose(0, 2, 1))
        ops, reads, first, noise = program.kernel
        lanes, whole = room(program.size, 1, 1, program.coefficients, 0)
        self._memory = {wide: lane_array(lanes, wide) for wide in (False, True)}
        self._which, self._values = np.arange(count), np.empty(count)
        self._means, self._variances = np.empty(count), np.empty(count)
        self._kept = [
            ops, reads, first, noise, self._which, np.zeros(whole, np.int64), self._record, self._values, self._means,
            self._variances,
        ]  # fmt: skip
        sizes = [count, program.size, program.coefficients, len(ops), needs, int(diffuse)]
        self._plan = np.array(sizes + [array.ctypes.data for array in self._kept], np.int64)

    @property
    def belief(self) -> Belief:
        """A copy of the beliefs."""
        count = len(self._all)
        leaves = [
            torch.from_numpy(self._record[:, rows].swapaxes(0, 1).reshape(-1, self._record.shape[0] * TOGETHER))
            for rows in self._where
        ]
        made = [leaf[:, :count].contiguous().T for leaf in leaves]
        return Belief(*made) if self._spent is None else Belief(made[0], made[1], self._spent.clone(), made[2])

    def put(self, belief: Belief, which: NDArray[np.int64] | None) -> None:
        """The beliefs of some of the series, or of all, become these."""
        chosen = self._all if which is None else which
        parts = belief if self._spent is None else (belief.mean, belief.covariance, belief.tally)
        for rows, part in zip(self._where, parts, strict=True):
            self._record[chosen // TOGETHER, rows, chosen % TOGETHER] = part.numpy()

    def step(self, values: Numbers, which: NDArray[np.int64] | None = None) -> None:
        """The beliefs after a row: values of the series `which`, or of all."""
        count = self._choose(which)
        self._values[:count] = values
        live(self._memory[count > 1], self._plan, count, self._dof, True)

    def moments(self, which: NDArray[np.int64] | None = None) -> tuple[Numbers, Numbers]:
        """Mean and variance of the next row of the series `which`, or of all."""
        count = self._choose(which)
        live(self._memory[count > 1], self._plan, count, self._dof, False)
        return self._means[:count].copy(), self._variances[:count].copy()

    def _choose(self, which: NDArray[np.int64] | None) -> int:
        chosen = self._all if which is None else which
        self._which[: len(chosen)] = chosen
        return len(chosen)
