"""The fast path of a Monitor: states that stay where they are, one pass over the sensors for forecast, verdict and learning.

For models with a `Machine` (see `forecast.models.stepper`) under the standard detector, or under that with a bound on events, rows one
unit of the clock apart and without inputs. Every number is the one that `Forecaster.predict`, `evidence_of`, `Detector.step` and `Forecaster.step` give, to the
last bit. `machines` is a copy, at rest.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.detect.detector import Detector
from forecast.detect.evidence import Evidence, Verdict
from forecast.detect.standard import Standard, Watching
from forecast.detect.steady import State as Held
from forecast.detect.steady import Steady
from forecast.distribution import Gaussian
from forecast.kernels.judge import ESCAPED
from forecast.kernels.live import TOGETHER
from forecast.kernels.watch import leaves_of, plan_of
from forecast.models.forecaster import Forecaster, Machine
from forecast.ssm.live import apart, together
from forecast.types import Row, State

MOST_AT_ONCE = 128  # verdicts of one sensor that are made together
Bound = tuple[Steady, NDArray[np.float64]]  # on events, with its memory
Places = tuple[Verdict, tuple[int, int, int]]  # of outputs: tensors, and where their memory begins


class Live:
    """Sensors in place."""

    def __init__(
        self, model: Forecaster, machine: Machine, detector: Standard, state: State, own: Watching, steady: Bound | None = None
    ) -> None:
        self._steady = steady
        self._model, self._machine, self._like, self._calibration = model, machine, state, own.calibration
        count, channels = own.calibration.unit.shape
        self._count, self._channels = count, channels
        self._settings = detector.settings.numpy()
        arrays = [leaf.reshape(count, -1).numpy() for leaf in (*own.calibration, own.memory, own.offset)]
        self._leaves = [together(leaf) for leaf in leaves_of(arrays[:-2], *arrays[-2:])]
        self._evidence, self._everyone = np.empty((2, count, channels)), np.arange(count)
        plan = plan_of(channels, TOGETHER, self._settings, self._leaves)
        self._plan = np.concatenate([plan, [part.ctypes.data for part in self._evidence]])
        self._places: Iterator[Places] = iter(())
        self._rows, self._made = 0, 1
        self._last: tuple[Row, Verdict] | None = None

    @classmethod
    def of(cls, model: Forecaster, detector: Detector, state: State, own: State) -> "Live | None":
        """The fast path where there is one."""
        if type(detector) not in (Standard, Steady):
            return None
        machine = model.machine(state)
        if machine is not None and isinstance(detector, Steady):
            return cls(model, machine, detector.guarding, state, own.guarding, (detector, own.memory.clone().numpy()))
        return cls(model, machine, detector, state, own) if machine is not None and isinstance(detector, Standard) else None

    def takes(self, row: Row) -> bool:
        """Whether the row is such that the fast path gives the same."""
        values, inputs, step = row
        plain = inputs.shape[-1] == 0 and values.dtype is torch.float64
        return plain and (step.item() < 1.5 if step.numel() == 1 else bool(step.numpy().max() < 1.5))

    def observe(self, row: Row, who: Tensor | None) -> Verdict:
        """The verdict on the next row (n C) of these sensors, and the states after it."""
        values = row.values.contiguous()
        count = len(values)
        verdict, out = self._next(count)
        if who is not None:
            who = who.contiguous()
        which = None if who is None else who.data_ptr()
        if self._machine.observe(self._plan, count, values.data_ptr(), which, out) & ESCAPED:
            self._let_go(verdict, values.numpy(), None if who is None else who.numpy())
        if self._steady is not None:
            detector, memory = self._steady
            sensors = self._everyone if who is None else who.numpy()
            rows = verdict._replace(
                score=verdict.score[:, None], alarm=verdict.alarm[:, None], kind=verdict.kind[:, None]
            )
            detector.hold(rows, values[:, None], memory, sensors)
        self._last = row, verdict
        return verdict

    @property
    def seen(self) -> tuple[Gaussian, Evidence, Verdict] | None:
        """What the last row was seen as."""
        if self._last is None:
            return None
        row, verdict = self._last
        count = len(row.values)
        mean, variance, s, z = (
            torch.from_numpy(part[:count].copy()) for part in (*self._machine.told, *self._evidence)
        )
        forecast = Gaussian(mean[:, None], variance[:, None])
        joint = forecast.joint_surprise(row.values[:, None])[:, 0]
        return forecast, Evidence(row, s, z, joint, forecast.median[:, 0]), verdict

    @property
    def machines(self) -> tuple[State, Watching | Held]:
        """Copies of all states."""
        memory, offset = (torch.from_numpy(apart(leaf, self._count).copy()) for leaf in self._leaves[-2:])
        own = Watching(
            self._calibration, memory.unflatten(1, (self._channels, -1)), offset.unflatten(1, (self._channels + 1, -1))
        )
        held = own if self._steady is None else Held(own, torch.from_numpy(self._steady[1].copy()))
        return self._machine.state(self._like), held

    def _next(self, count: int) -> Places:
        """Outputs for a row of so many sensors: made for many rows at once where there are many alike."""
        made = next(self._places, None) if count == self._rows else None
        if made is None:
            self._made = min(2 * self._made, max(MOST_AT_ONCE // count, 1)) if count == self._rows else 1
            self._rows, self._places = count, _outputs(self._made, count, self._channels)
            made = next(self._places)
        return made

    def _let_go(self, verdict: Verdict, values: NDArray[np.float64], which: NDArray[np.int64] | None) -> None:
        """The belief of those whose level has shifted widens, and learns: the one place where states are taken out and put back."""
        widen = verdict.widen.numpy()
        escaped = np.flatnonzero(widen != 1.0)
        if len(escaped) == 0:
            return
        sensors = escaped if which is None else which[escaped]
        part = self._machine.state(self._like, sensors)
        self._machine.put(self._model.widen(part, torch.from_numpy(widen[escaped])), sensors)
        learned = np.where(verdict.learn.numpy()[escaped] > 0.0, values[escaped], np.nan)
        self._machine.step(learned, sensors)


def _outputs(rows: int, count: int, channels: int) -> Iterator[Places]:
    """Verdicts to be filled, each in memory of its own; one alone is not divided into rows, which would take as long as to make it."""
    shape = (rows,) if rows > 1 else ()
    numbers = torch.empty(*shape, 2 * count * (1 + channels), dtype=torch.float64)
    kinds, alarms = torch.empty(*shape, count, dtype=torch.int64), torch.empty(*shape, count, dtype=torch.bool)
    score, widen, blame, learn = numbers.split([count, count, count * channels, count * channels], -1)
    blame, learn = (part.view(*shape, count, channels) for part in (blame, learn))
    leaves = score, alarms, blame, kinds, learn, widen
    starts = numbers.data_ptr(), kinds.data_ptr(), alarms.data_ptr()
    step = 16 * count * (1 + channels)
    made = zip(*(leaf.unbind(0) for leaf in leaves), strict=True) if shape else (leaves,)
    for k, verdict in enumerate(made):
        yield Verdict(*verdict), (starts[0] + k * step, starts[1] + 8 * k * count, starts[2] + k * count)
