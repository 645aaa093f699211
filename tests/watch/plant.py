"""The stream that the tests are made of: S sensors, each a random walk with a season, and injected events."""

import csv
from pathlib import Path

import numpy as np

START = 1_700_000_000


def write(path: Path, sensors: int, rows: int, events: int, seed: int = 7) -> int:
    """A long CSV of interleaved sensors, one reading a minute each; answers the number of events."""
    random = np.random.default_rng(seed)
    level = np.cumsum(random.normal(0, 0.05, (rows, sensors)), 0)
    values = 10 + level + np.sin(2 * np.pi * np.arange(rows) / 60)[:, None] + random.normal(0, 0.5, (rows, sensors))
    where = random.choice(np.arange(200, rows - 10), events, replace=False)
    for at in where.tolist():
        values[at : at + 3, random.integers(sensors)] += 25
    values[random.random((rows, sensors)) < 0.002] = np.nan
    with open(path, "w", encoding="utf-8") as file:
        file.write("time,sensor,value\n")
        for t in range(rows):
            for s in range(sensors):
                cell = "" if np.isnan(values[t, s]) else f"{values[t, s]:.4f}"
                file.write(f"{START + 60 * t},s{s:02d},{cell}\n")
    return events


def readings(folder: Path, sensors: int, rows: int, events: int) -> list[dict[str, str]]:
    """The same as a list of rows, in a file of this folder too."""
    write(folder / "plant.csv", sensors, rows, events)
    with open(folder / "plant.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))
