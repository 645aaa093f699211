"""Speed of the watch end to end: readings (sensor, time, value) a second, every one scored and durable, each case in a
process of its own.

    rate       a long CSV of interleaved sensors, as fast as it goes, WAL and synchronous=FULL on the disk of the run folder
    latency    the same rows at a pace: from when a reading is due to when it is durable
    soak       asked for by its minutes: memory and descriptors while sensors fall silent and come back
Beside ours river does the same job, a scorer a sensor, and writes its scores to a file: nothing is durable there, and
after a kill it begins anew. What one case does stands in `forecast.watch.measure`, river's part in tests/bench/peers.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from forecast.errors import ForecastError
from forecast.experiment.benchmark.peers import ask
from forecast.experiment.benchmark.speed_kalman import Figure

SUBJECTS = ("moving", "kalman 2", "kalman 13")
RIVER = {"gaussian": 1.0, "half_space_trees": 0.01}  # its scorer, and the share of the sensors that are tried
PACED = 20.0  # seconds
LEAST = 5  # rows of a sensor


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
    rows = max(int(pace * PACED / sensors), 1)
    for subject in SUBJECTS[1:]:
        _ask(room, case="prepare", subject=subject, sensors=sensors, rows=rows)
        found = _ask(room, case="latency", subject=subject, pace=pace)
        shutil.rmtree(room)
        yield from ((f"watch, {pace:,.0f} readings/s", subject, value, unit) for unit, value in found.items())


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


def _ask(folder: Path, **asked: Any) -> dict[str, float]:
    """One step in a process of its own, on one thread of BLAS and torch."""
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "forecast.watch.measure", str(folder), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, env=alone, check=False)
    if done.returncode:
        raise ForecastError(f"{asked}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found
