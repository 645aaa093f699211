"""`forecast benchmark=speed`: measurements of speed, one suite each: the Kalman engine, the sequence layers, detection."""

from dataclasses import dataclass
from pathlib import Path

import torch

from forecast.errors import unknown
from forecast.experiment import config as configs
from forecast.experiment.benchmark import Results, options, speed_detect, speed_kalman, speed_layers


@dataclass(frozen=True)
class Choice:
    """The keys of conf/benchmark/speed.yaml."""

    suite: str
    count: int
    rows: int
    rounds: int
    peers: tuple[str, ...]


def run(config: configs.Benchmark, out: Path) -> int:
    """Measure, say it, and write the table."""
    torch.set_num_threads(1)
    chosen = options(Choice, config)
    if chosen.suite == "layers":
        speed_layers.run(out)
        return 0
    if chosen.suite == "kalman":
        found = speed_kalman.figures(out, chosen.count, chosen.rows, chosen.rounds, chosen.peers)
    elif chosen.suite == "detect":
        found = speed_detect.figures(out, chosen.rounds, chosen.peers)
    else:
        raise unknown("suite", chosen.suite, ("kalman", "layers", "detect"))
    made = Results(out, chosen.suite)
    for case, subject, value, unit in found:
        made.add(case, subject, **{unit: value})
        print(f"{case:34} {subject:24} {value:12.4g} {unit}", flush=True)
    print(f"Table: {made.file}")
    return 0
