"""Speed of live rows: CPU-microseconds of one row of a deep member, of one sensor and of a thousand at once, on one thread.

One sensor after a thousand rows and many more (stepped), and after still more, warmed up in stretches: the time of a step, of a
forecast of the next row, and the bytes of the state, which must not grow. A thousand begin with the state of one after so many rows that
windows are full. For the members of FAR these are a hundred thousand and ten
million rows, for the others, whose blocks take minutes for so many, ten thousand and two hundred thousand. Beside it the exported machine
(`forecast.portable`). Weights are drawn: no step takes longer for what it says.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from forecast.experiment.benchmark.speed_kalman import Figure
from forecast.experiment.members import Facts, member
from forecast.models import exported
from forecast.models.forecaster import Forecaster
from forecast.models.stack import StackForecaster
from forecast.portable import Machine, load
from forecast.types import Future, Past, Row, State, leaves, tree_map

MEMBERS = ("lti", "seasonal_lti", "s4d", "s4", "s5", "mamba", "hybrid", "transformer", "lstm", "linear_attention", "performer")
FAR = ("lti", "s4d")
STEPPED, LONG = (1_000, 100_000), 10_000_000  # rows before the measurement
FEWER, LESS = (1_000, 10_000), 200_000  # of the others
TIMED, SENSORS, STRETCH = 500, 1_000, 100_000
FILLING = 5_000  # rows after which every window is full
ROUNDS = 3
UNIT = "cpu_us_per_row"


def figures(out: Path, words: tuple[str, ...] = MEMBERS) -> Iterator[Figure]:
    """Case, subject, figure, unit of everything measured."""
    for word in words:
        torch.manual_seed(0)
        model = member(word).build(horizon=24, facts=Facts(24, (24, 168), 1, 0, 0)).eval()
        with torch.no_grad():
            yield from _one(model, word)
            yield from _many(model, word)
        yield from _exported(model, word, out)


def _one(model: Forecaster, word: str) -> Iterator[Figure]:
    """One sensor, after ever more rows."""
    none = torch.zeros(1, 0, dtype=torch.float64)
    state, rows = model.initial_state((), none), _rows(1)
    done = 0
    for total in STEPPED if word in FAR else FEWER:
        for i in range(total - done):
            state = model.step(state, rows[i % len(rows)])
        done = total
        yield from _timed(model, state, rows, f"1 sensor, {total:,} rows stepped", word)
    much, stretch = LONG if word in FAR else LESS, Past.of(torch.randn(1, STRETCH, 1, dtype=torch.float64))
    while done < much:
        state = model.warm_up(state, stretch)
        done += STRETCH
    yield from _timed(model, state, rows, f"1 sensor, {much:,} rows warmed up", word)


def _timed(model: Forecaster, state: State, rows: list[Row], case: str, word: str) -> Iterator[Figure]:
    after = state

    def steps() -> None:
        nonlocal after
        for row in rows:
            after = model.step(after, row)

    yield case, word, _least(steps) / len(rows), UNIT
    yield case, word, float(sum(leaf.nbytes for leaf in leaves(after))), "bytes"
    future = Future(torch.zeros(1, 1, 0, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64))
    yield case, word, _least(lambda: [model.predict(after, future) for _ in rows]) / len(rows), "cpu_us_per_forecast"


def _many(model: Forecaster, word: str) -> Iterator[Figure]:
    """A thousand sensors in one batch."""
    rows, one = _rows(SENSORS), model.initial_state((), torch.zeros(1, 0, dtype=torch.float64))
    one = model.warm_up(one, Past.of(torch.randn(1, FILLING, 1, dtype=torch.float64)))
    state = tree_map(lambda leaf: leaf.repeat_interleave(SENSORS, 0), one)
    for row in rows:
        state = model.step(state, row)

    def steps() -> None:
        after = state
        for row in rows:
            after = model.step(after, row)

    yield f"{SENSORS:,} sensors", word, _least(steps) / len(rows) / SENSORS, "cpu_us_per_sensor_row"


def _exported(model: Forecaster, word: str, out: Path) -> Iterator[Figure]:
    """The same without torch."""
    if not isinstance(model, StackForecaster):
        return
    size, one = exported.write(out / f"{word}.npz", model), load(out / f"{word}.npz", batch=1)
    rows, more = ([row.values.numpy() for row in _rows(sensors)] for sensors in (1, SENSORS))
    for i in range(FILLING):
        one.step(rows[i % len(rows)])
    yield "1 sensor, exported", word, _least(partial(_go, one, rows)) / len(rows), UNIT
    many = load(out / f"{word}.npz", batch=SENSORS)
    many.put_state([np.repeat(part, SENSORS, 0) for part in one.copy_state()])
    many.step(more[0])
    each = _least(partial(_go, many, more)) / len(more) / SENSORS
    yield f"{SENSORS:,} sensors, exported", word, each, "cpu_us_per_sensor_row"
    yield "1 sensor, exported", word, float(size), "bytes_of_file"


def _go(machine: Machine, rows: list[NDArray[np.float64]]) -> None:
    for row in rows:
        machine.step(row)


def _rows(sensors: int) -> list[Row]:
    generator = torch.Generator().manual_seed(1)
    rows = TIMED if sensors == 1 else 80
    values = torch.randn(sensors, rows, 1, generator=generator, dtype=torch.float64)
    return list(Past.of(values).each())


def _least(work: Callable[[], object]) -> float:
    """The least CPU-time of a few rounds, in microseconds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begin = time.process_time()
        work()
        best = min(best, time.process_time() - begin)
    return 1e6 * best
