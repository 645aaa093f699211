"""`forecast benchmark=speed`, one suite each: the Kalman engine, the sequence layers, live rows of deep members, their training, detection, the watch."""

from dataclasses import dataclass
from pathlib import Path

import torch

from forecast.errors import unknown
from forecast.experiment import config as configs
from forecast.experiment.benchmark import (
    Results,
    options,
    speed_detect,
    speed_kalman,
    speed_layers,
    speed_steps,
    speed_training,
    speed_watch,
)

SUITES = ("kalman", "layers", "steps", "training", "detect", "watch")
PEERS = {"kalman": ("statsmodels", "dynamax", "simdkalman"), "detect": ("river",), "training": ("neuralforecast",), "watch": ("river_watch", "spark")}


@dataclass(frozen=True)
class Choice:
    """The keys of conf/benchmark/speed.yaml."""

    suite: str
    count: int
    rows: int
    rounds: int
    peers: tuple[str, ...] | None
    sensors: int
    readings: int
    pace: float
    soak: float | None  # minutes


def run(config: configs.Benchmark, out: Path) -> int:
    """Measure, say it, and write the table."""
    torch.set_num_threads(1)
    chosen = options(Choice, config)
    if chosen.suite not in SUITES:
        raise unknown("suite", chosen.suite, SUITES)
    if chosen.suite == "layers":
        speed_layers.run(out)
        return 0
    made = Results(out, chosen.suite)
    peers = PEERS.get(chosen.suite, ()) if chosen.peers is None else chosen.peers
    if chosen.suite == "watch" and chosen.soak is not None:
        figures = speed_watch.soak(out, chosen.sensors, chosen.pace, chosen.soak)
    elif chosen.suite == "watch":
        figures = speed_watch.figures(out, chosen.sensors, chosen.readings, chosen.pace, peers)
    elif chosen.suite == "steps":
        figures = speed_steps.figures(out)
    elif chosen.suite == "training":
        figures = speed_training.figures(out, config.trainer, peers)
    elif chosen.suite == "detect":
        figures = speed_detect.figures(out, chosen.rounds, peers)
    else:
        figures = speed_kalman.figures(out, chosen.count, chosen.rows, chosen.rounds, peers)
    for case, subject, value, unit in figures:
        made.add(case, subject, **{unit: value})
        print(f"{case:34} {subject:24} {value:12.4g} {unit}", flush=True)
    print(f"Table: {made.file}")
    return 0
