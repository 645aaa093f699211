"""Speed of detection: CPU-microseconds of one row, from the reading to the verdict and the states after it, on one thread.

A Kalman level (state 1; 2 with the slope), and one with a slope and a season (state 13), under each detector, through `Monitor.observe`:
one sensor, and 10,000 that all have a row. Beside them what the model alone takes (`Stepper`), and peers on the same rows of one
sensor (tests/bench/peers, see `make peers`): river's half-space trees, a moving mean and Holt-Winters, score and learn.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from forecast.detect.monitor import Machines, Monitor
from forecast.experiment.benchmark.peers import ask
from forecast.experiment.benchmark.speed_kalman import SENSORS, Figure, series
from forecast.experiment.detectors import build
from forecast.models.kalman import Kalman
from forecast.models.stepper import Stepper
from forecast.types import Past, Row, take

CALM, ROWS, MADE = 500, 200, 40  # rows; series that are made, of which the sensors are copies
WARM = 10
RATE = 1e-4
UNIT = "cpu_us_per_row"
DETECTORS = ("threshold", "cusum", "standard", "history")


def figures(out: Path, rounds: int, peers: tuple[str, ...]) -> Iterator[Figure]:
    """Case, subject, figure, unit of everything measured."""
    for season in (0, 12):
        y = series(MADE, CALM + ROWS, season, missing=0.02)[..., None]
        model = Kalman("full", max(season, 1))
        for sensors in (1, SENSORS):
            case = f"{sensors} sensor{'s' * (sensors > 1)}, state {13 if season else 2}"
            past = Past.of(y[torch.arange(sensors) % MADE, CALM:])
            rows = [Row(*(part.contiguous() for part in row)) for row in past.each()]  # as they come, one by one
            for word in DETECTORS:
                if word == "history" and sensors > 1:
                    continue  # its states alone would fill a gigabyte
                machines = Monitor.ready(model, build(word, RATE), Past.of(y[:, :CALM])).machines
                yield case, word, min(_monitor(model, word, machines, rows, sensors) for _ in range(rounds)), UNIT
            yield case, "model alone", min(_model(model, machines, rows, sensors) for _ in range(rounds)), UNIT
            if sensors == 1:
                file = out / "data.npz"
                np.savez(file, y=y[0, :, 0].nan_to_num(0.0).repeat(5).numpy())
                yield from _peers(peers, case, file, rounds)


def _monitor(model: Kalman, word: str, machines: Machines, rows: list[Row], sensors: int) -> float:
    monitor = Monitor(model, build(word, RATE), take(machines, torch.arange(sensors) % MADE))
    for row in rows[:WARM]:
        monitor.observe(row)
    begin = time.process_time()
    for row in rows[WARM:]:
        monitor.observe(row)
    return 1e6 * (time.process_time() - begin) / (len(rows) - WARM)


def _model(model: Kalman, machines: Machines, rows: list[Row], sensors: int) -> float:
    stepper = Stepper(model, take(machines.model, torch.arange(sensors) % MADE))
    begin = time.process_time()
    for row in rows:
        stepper.moments()
        stepper.step(row)
    return 1e6 * (time.process_time() - begin) / len(rows)


def _peers(peers: tuple[str, ...], case: str, file: Path, rounds: int) -> Iterator[Figure]:
    for name in peers:
        found = ask(name, "detect", file, rounds)
        for word, value in (found or {}).get(UNIT, {}).items():
            yield case, f"{name}, {word}", value, UNIT
