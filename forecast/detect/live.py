"""The fast path of a Monitor: states that stay where they are, one kernel call each for forecast, verdict and learning.

For models with a `Machine` (see `forecast.models.stepper`) under the standard detector, rows one unit of the clock apart and
without inputs. Every number is the one that `Forecaster.predict`, `evidence_of`, `Standard.step` and `Forecaster.step` give, to the
last bit. `machines` is a copy, at rest.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.detect.detector import Detector
from forecast.detect.evidence import Evidence, Verdict
from forecast.detect.standard import Standard, Watching
from forecast.distribution import Gaussian
from forecast.kernels.surprise import surprise
from forecast.kernels.watch import ESCAPED, HELD, watch
from forecast.models.forecaster import Forecaster, Machine, Numbers
from forecast.types import Row, State, take

NONE = np.empty((0, 0, 0, 0)), np.empty((0, 0, 0))


class Live:
    """Sensors in place."""

    def __init__(self, model: Forecaster, machine: Machine, detector: Standard, state: State, own: Watching) -> None:
        self._model, self._machine, self._like, self._calibration = model, machine, state, own.calibration
        self._settings = detector.settings.numpy()
        self._kept = tuple(leaf.contiguous().numpy() for leaf in own.calibration)
        self._memory, self._offset = own.memory.clone().numpy(), own.offset.clone().numpy()
        self._all = np.arange(len(self._memory))
        self._last: tuple[Row, Numbers, Numbers, Numbers, Numbers, Verdict] | None = None

    @classmethod
    def of(cls, model: Forecaster, detector: Detector, state: State, own: State) -> "Live | None":
        """The fast path where there is one."""
        if type(detector) is not Standard:
            return None
        machine = model.machine(state)
        return None if machine is None else cls(model, machine, detector, state, own)

    def takes(self, row: Row) -> bool:
        """Whether the row is such that the fast path gives the same."""
        step = row.elapsed
        plain = row.inputs.shape[-1] == 0 and row.values.dtype == torch.float64
        return plain and (step.item() < 1.5 if step.numel() == 1 else bool(step.max() < 1.5))

    def observe(self, row: Row, who: Tensor | None) -> Verdict:
        """The verdict on the next row (n C) of these sensors, and the states after it."""
        which = None if who is None else who.numpy()
        mean, variance = self._machine.moments(which)
        y = (row.values if row.values.is_contiguous() else row.values.contiguous()).numpy()
        n, channels = y.shape
        s, z = np.empty(y.shape), np.empty(y.shape)
        surprise(y.reshape(-1), mean.reshape(-1), variance.reshape(-1), s.reshape(-1), z.reshape(-1))
        flat, wide, kind = np.empty((3, n, 1)), np.empty((2, n, 1, channels)), np.empty((n, 1), dtype=np.int64)
        rows = n, 1, channels
        odd = watch(
            y.reshape(rows),
            z.reshape(rows),
            s.reshape(rows),
            mean.reshape(rows),
            self._kept,
            self._settings,
            self._memory,
            self._offset,
            (flat[0], flat[1], wide[0], kind, wide[1], flat[2]),
            *NONE,
            self._all if which is None else which,
        )
        if odd & ESCAPED:
            self._widen(flat[2, :, 0], which)
        self._machine.step(np.where(wide[1, :, 0] > 0.0, y, np.nan) if odd & HELD else y, which)
        score, _, widen = torch.from_numpy(flat[:, :, 0]).unbind()
        blame, learn = torch.from_numpy(wide[:, :, 0]).unbind()
        alarm = torch.from_numpy(flat[0, :, 0] >= 0.5)
        verdict = Verdict(score, alarm, blame, torch.from_numpy(kind[:, 0]), learn, widen)
        self._last = row, mean, variance, s, z, verdict
        return verdict

    @property
    def seen(self) -> tuple[Gaussian, Evidence, Verdict] | None:
        """What the last row was seen as."""
        if self._last is None:
            return None
        row, mean, variance, s, z, verdict = self._last
        forecast = Gaussian(torch.from_numpy(mean)[:, None], torch.from_numpy(variance)[:, None])
        joint = forecast.joint_surprise(row.values[:, None])[:, 0]
        evidence = Evidence(row, torch.from_numpy(s), torch.from_numpy(z), joint, forecast.median[:, 0])
        return forecast, evidence, verdict

    @property
    def machines(self) -> tuple[State, Watching]:
        """Copies of all states."""
        memory, offset = torch.from_numpy(self._memory.copy()), torch.from_numpy(self._offset.copy())
        return self._machine.state(self._like), Watching(self._calibration, memory, offset)

    def _widen(self, widen: Numbers, which: NDArray[np.int64] | None) -> None:
        """The belief of those whose level has shifted: the one place where states are taken out and put back."""
        escaped = np.flatnonzero(widen != 1.0)
        sensors = escaped if which is None else which[escaped]
        part = take(self._machine.state(self._like), torch.from_numpy(sensors))
        self._machine.put(self._model.widen(part, torch.from_numpy(widen[escaped])), sensors)
