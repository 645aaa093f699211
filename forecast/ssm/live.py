"""Live series of one program: beliefs that a compiled kernel changes in place, row by row. See `kernels.live`."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.kernels.kalman import room
from forecast.kernels.lanes import lane_array
from forecast.kernels.live import live
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
        self._diffuse = bool((belief.tally[:, 1] > 0).any())
        self._belief = [leaf.T.clone(memory_format=torch.contiguous_format).numpy() for leaf in belief]
        ops, reads, first, noise = program.kernel
        lanes, whole = room(program.size, 1, 1, program.coefficients, 0)
        self._memory = {wide: lane_array(lanes, wide) for wide in (False, True)}
        self._which, self._values = np.arange(count), np.empty(count)
        self._means, self._variances = np.empty(count), np.empty(count)
        self._kept = [
            ops, reads, first, noise, self._which, np.zeros(whole, np.int64), *self._belief,
            *(part.contiguous().numpy().copy() for part in (coefs.T, loc, spread)), self._values, self._means,
            self._variances,
        ]  # fmt: skip
        sizes = [count, program.size, program.coefficients, len(ops), needs, int(self._diffuse)]
        self._plan = np.array(sizes + [array.ctypes.data for array in self._kept], np.int64)

    @property
    def belief(self) -> Belief:
        """A copy of the beliefs."""
        return Belief(*(torch.from_numpy(leaf.copy()).T for leaf in self._belief))

    def put(self, belief: Belief, which: NDArray[np.int64] | None) -> None:
        """The beliefs of some of the series, or of all, become these."""
        for leaf, part in zip(self._belief, belief, strict=True):
            leaf[:, slice(None) if which is None else which] = part.T.numpy()

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
