"""Speed of the watch end to end: readings (sensor, time, value) a second, every one scored and durable, each case in a
process of its own.

    rate       a long CSV of interleaved sensors, as fast as it goes, WAL and synchronous=FULL on the disk of the run folder
    latency    the same rows at a pace: from when a reading is due to when it is durable
    soak       asked for by its minutes: memory and descriptors while sensors fall silent and come back
Beside ours river does the same job, a scorer a sensor, and writes its scores to a file: nothing is durable there, and
after a kill it begins anew. Where Spark is installed, the same model runs over fewer sensors in `transformWithStateInPandas`, in
one Java process on two cores, with its states in RocksDB. What one case does stands in `forecast.watch.measure` and
`forecast.fleet.measure`, river's part in tests/bench/peers.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from forecast import artefact
from forecast.errors import ForecastError
from forecast.experiment.benchmark.peers import ask
from forecast.experiment.benchmark.speed_kalman import Figure
from forecast.experiment.members import facts_of, member
from forecast.experiment.training import train
from forecast.experiment.weights import trainer
from forecast.series.panel import panel_of

SUBJECTS = ("moving", "kalman 2", "kalman 13")
ON_SPARK = 1000  # sensors at most: each of them is estimated there
HYBRID, WEIGHTS, STEPS = (
    1000,
    "hybrid.safetensors",
    100,
)  # its sensors at most; the file of its weights; steps of training
RIVER = {"gaussian": 1.0, "half_space_trees": 0.01}  # its scorer, and the share of the sensors that are tried
PACED = 20.0  # seconds
LEAST = 5  # rows of a sensor
logger = logging.getLogger("forecast")


def figures(out: Path, sensors: int, readings: int, pace: float, peers: tuple[str, ...]) -> Iterator[Figure]:
    """Case, subject, figure, unit of everything measured."""
    rows = max(readings // sensors, LEAST)
    room = out / "rate"
    for subject in SUBJECTS:
        case = f"watch, {sensors:,} sensors"
        found = _ask(room, case="prepare", subject=subject, sensors=sensors, rows=rows)
        found |= _ask(room, case="rate", subject=subject, sensors=sensors, rows=rows)
        found["store_mb"] = (room / "state" / "state.db").stat().st_size / 1e6
        yield from ((case, subject, value, unit) for unit, value in found.items())
        if subject == SUBJECTS[-1]:
            yield from _peers(room, case, peers, rows, sensors)
        shutil.rmtree(room)
    yield from _hybrid(room, min(sensors, HYBRID), rows)
    if "spark" in peers:
        yield from _spark(room, min(sensors, ON_SPARK), rows)
    rows = max(int(pace * PACED / sensors), 1)
    for subject in SUBJECTS[1:]:
        _ask(room, case="prepare", subject=subject, sensors=sensors, rows=rows)
        found = _ask(room, case="latency", subject=subject, pace=pace)
        shutil.rmtree(room)
        yield from ((f"watch, {pace:,.0f} readings/s", subject, value, unit) for unit, value in found.items())


def _hybrid(room: Path, sensors: int, rows: int) -> Iterator[Figure]:
    """A hybrid as it comes over fewer sensors, each with as many rows as the others have."""
    room.mkdir()
    _train(room / WEIGHTS)
    found = _ask(room, case="prepare", subject="hybrid", sensors=sensors, rows=rows)
    found |= _ask(room, case="rate", subject="hybrid", sensors=sensors, rows=rows)
    shutil.rmtree(room)
    yield from ((f"watch, {sensors:,} sensors", "hybrid", value, unit) for unit, value in found.items())


def _spark(room: Path, sensors: int, rows: int) -> Iterator[Figure]:
    """The Kalman filter of 2 states on Spark; nothing, and a line in the log, where there is none."""
    lacking = [name for name, there in (("pyspark", find_spec("pyspark")), ("java", shutil.which("java"))) if not there]
    if lacking:
        logger.info("spark: no %s; pip install 'forecast[spark]', and Java 17 or newer; skipped", lacking[0])
        return
    found = _ask(room, "forecast.fleet.measure", sensors=sensors, rows=rows)
    shutil.rmtree(room)
    yield from ((f"watch, {sensors:,} sensors", "spark kalman 2", value, unit) for unit, value in found.items())


def _train(file: Path) -> None:
    """Weights of a hybrid that was trained a little, on random walks: its speed does not depend on for how long."""
    walks = torch.from_numpy(np.random.default_rng(0).normal(0, 0.1, (300, 16)).cumsum(0))
    panel = panel_of(list(walks.T))
    torch.manual_seed(0)
    model = member("hybrid").build(horizon=1, facts=facts_of(panel))
    with tempfile.TemporaryDirectory() as folder:
        train(
            model,
            panel,
            panel.lengths.numpy(),
            1,
            replace(trainer(), max_steps=STEPS, early_stopping=False),
            0,
            Path(folder),
        )
    artefact.save(file, model)


def soak(out: Path, sensors: int, pace: float, minutes: float) -> Iterator[Figure]:
    """Memory and descriptors over many minutes."""
    room, subject = out / "soak", SUBJECTS[1]
    _ask(room, case="prepare", subject=subject, sensors=sensors, rows=1)
    found = _ask(room, case="soak", subject=subject, sensors=sensors, pace=pace, minutes=minutes)
    shutil.rmtree(room)
    yield from ((f"soak, {sensors:,} sensors", subject, value, unit) for unit, value in found.items())


def _peers(room: Path, case: str, peers: tuple[str, ...], rows: int, sensors: int) -> Iterator[Figure]:
    """River over the same file, or the rows of a share of the sensors."""
    for scorer, share in RIVER.items() if "river_watch" in peers else ():
        found = ask("river_watch", scorer, room / "rows.csv", max(int(share * sensors), 1))
        if found is not None:
            yield case, f"river {scorer}", found["readings"] / found["wall_s"], "readings_per_s"
            yield case, f"river {scorer}", found["readings"] / found["cpu_s"], "readings_per_cpu_s"
            yield case, f"river {scorer}", found["peak_memory_mb"], "peak_memory_mb"


def _ask(folder: Path, module: str = "forecast.watch.measure", **asked: Any) -> dict[str, float]:
    """One step in a process of its own, on one thread of BLAS and torch."""
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module, str(folder), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, env=alone, check=False)
    if done.returncode:
        raise ForecastError(f"{asked}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
